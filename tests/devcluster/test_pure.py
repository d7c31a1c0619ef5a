"""The parts of the devcluster that need no machine: keys, rendering, names, capabilities, arguments."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import __main__ as command
from devcluster import bounded_runc, config, engine, faults, gobuild, images, limits, paths, versions
from devcluster.load import reference
from devcluster.shell import DevclusterError, content_key, run, wait_for

STATUS = "Name:\trunc\nCapEff:\t000001fffeffffff\nCapBnd:\t{}\n"


def test_content_key_follows_names_contents_and_modes(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "x").write_text("1")
    first = content_key(folder)

    assert content_key(folder) == first
    (folder / "x").chmod(0o755)
    executable = content_key(folder)
    (folder / "x").write_text("2")
    changed = content_key(folder)
    (folder / "x").rename(folder / "y")
    assert len({first, executable, changed, content_key(folder)}) == 4


def test_content_key_keeps_parts_apart() -> None:
    assert content_key("ab", "c") != content_key("a", "bc")


def test_content_key_ignores_bytecode(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("pass")
    first = content_key(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/x.pyc").write_bytes(b"\0")
    assert content_key(tmp_path) == first


@pytest.mark.parametrize(
    ("bounding", "missing"),
    [("000001ffffffffff", set()), ("000001fffeffffff", {"CAP_SYS_RESOURCE"}), ("000001fffffffffe", {"CAP_CHOWN"})],
)
def test_missing_capabilities(bounding: str, missing: set[str]) -> None:
    assert bounded_runc.missing_capabilities(STATUS.format(bounding)) == missing


@pytest.mark.parametrize("wrap", [lambda process: {"process": process}, lambda process: process])
def test_bound_takes_out_only_what_is_missing(wrap: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    process = {"capabilities": {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"]}}
    bounded_runc.bound(wrap(process), {"CAP_SYS_RESOURCE"})
    assert process["capabilities"] == {"bounding": ["CAP_CHOWN"], "effective": []}


@pytest.mark.parametrize(
    ("args", "path"),
    [
        (["--root", "/r", "create", "--bundle", "/b", "id"], "/b/config.json"),
        (["exec", "--process", "/p.json", "id"], "/p.json"),
        (["kill", "id", "9"], None),
    ],
)
def test_specification(args: list[str], path: str | None) -> None:
    assert bounded_runc.specification(args) == (Path(path) if path else None)


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("tandem-dev/tools:dev", "docker.io/tandem-dev/tools:dev"),
        ("registry.k8s.io/pause:3.10.2", "registry.k8s.io/pause:3.10.2"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("localhost/x:1", "localhost/x:1"),
    ],
)
def test_reference(name: str, full: str) -> None:
    assert reference(name) == full


def test_rendered_configuration_has_this_machines_folders(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("shared", "images", "audit")}
    text = config.rendered(config.SOURCE.read_text(), folders, paths.CHECKOUT, "arm64")
    nodes = yaml.safe_load(text)["nodes"]

    mounts = {mount["hostPath"] for node in nodes for mount in node["extraMounts"]}
    assert mounts == {*map(str, folders.values()), str(paths.CHECKOUT / "devcluster/apiserver")}
    assert [node["labels"]["host-arch"] for node in nodes if "host-arch" in node.get("labels", {})] == [
        "huawei-arm"
    ] * 2
    assert config.PLACEHOLDER not in text


def test_configuration_has_two_nodes_of_each_vendor() -> None:
    nodes = yaml.safe_load(config.SOURCE.read_text())["nodes"]
    labels = [node.get("labels", {}) for node in nodes]
    assert [node["role"] for node in nodes] == ["control-plane", *["worker"] * 4]
    assert sum(label.get("nvidia.com/gpu.present") == "true" for label in labels) == 2
    assert sum(label.get("accelerator") == "huawei-Ascend910" for label in labels) == 2
    assert all(isinstance(value, str) for label in labels for value in label.values())


@pytest.mark.parametrize(
    ("module", "dependency", "version"),
    [
        ("kubernetes", "k8s.io/kubernetes", versions.KUBERNETES),
        ("kind", "sigs.k8s.io/kind", versions.KIND),
        ("etcd", "go.etcd.io/etcd/server/v3", versions.ETCD),
        ("containerd", "github.com/containerd/containerd/v2", versions.CONTAINERD),
        ("coredns", "github.com/coredns/coredns", versions.COREDNS),
        ("helm", "helm.sh/helm/v3", versions.HELM),
        ("prometheus", "github.com/prometheus/prometheus", versions.PROMETHEUS),
        # Kubernetes 1.37.2 is 0.37.2 in the modules of its parts.
        ("crdcost", "k8s.io/apiextensions-apiserver", versions.KUBERNETES.replace("1", "0", 1)),
        ("kwok", "sigs.k8s.io/kwok", versions.KWOK),
    ],
)
def test_go_modules_build_the_pinned_versions(module: str, dependency: str, version: str) -> None:
    text = (paths.SOURCE / "go" / module / "go.mod").read_text()
    required = re.search(rf"^\s*(?:require )?{re.escape(dependency)} v(\S+)", text, re.MULTILINE)
    assert required and required[1] == version


@pytest.mark.parametrize(
    ("version", "recent"), [("go1.26.8", True), ("go1.27", True), ("go1.19.8", False), ("go2.0", True)]
)
def test_recent_go(version: str, recent: bool) -> None:
    assert gobuild.is_recent(version) is recent


def test_limits_are_raised_once_and_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path / "cache"))
    instances, watches = tmp_path / "max_user_instances", tmp_path / "max_user_watches"
    instances.write_text("128")
    watches.write_text("999999")
    limits.raise_limits(tmp_path)
    limits.raise_limits(tmp_path)
    assert (instances.read_text(), watches.read_text()) == ("1024", "999999")
    limits.restore_limits(tmp_path)
    limits.restore_limits(tmp_path)
    assert (instances.read_text(), watches.read_text()) == ("128", "999999")


def test_security_updates_come_from_the_same_mirror(tmp_path: Path) -> None:
    sources = tmp_path / "sources.list"
    sources.write_text(f"deb http://mirror.example/debian {versions.DEBIAN} main\n")
    images.add_security_updates(sources)
    assert sources.read_text().splitlines()[1] == (
        f"deb http://mirror.example/debian-security {versions.DEBIAN}-security main"
    )


def test_run_tells_the_command_and_what_it_printed() -> None:
    with pytest.raises(DevclusterError, match=r"(?s)`sh -c .*code 3.*out\nerr"):
        run("sh", "-c", "echo out; echo err >&2; exit 3")
    with pytest.raises(DevclusterError, match="not installed"):
        run("no-such-program-here")


def test_wait_for_tells_what_it_waited_for_and_the_last_error() -> None:
    def fails() -> bool:
        raise DevclusterError("refused")

    with pytest.raises(DevclusterError, match=r"(?s)the moon is blue.*refused"):
        wait_for("the moon is blue", fails, seconds=0.05, interval=0.01)
    answers = iter([None, "", "yes"])
    assert wait_for("an answer", lambda: next(answers), seconds=5, interval=0.01) == "yes"


@pytest.mark.parametrize(
    ("line", "function"),
    [
        ("plugin n --remove", "plugin_removed"),
        ("plugin n --restore", "plugin_restored"),
        ("allocate n --fail", "allocate_fails"),
        ("allocate n --heal", "allocate_works"),
        ("kubelet n --stop", "kubelet_stopped"),
        ("kubelet n --start", "kubelet_started"),
        ("network n --cut", "network_cut"),
        ("network n --restore", "network_restored"),
    ],
)
def test_fault_arguments_name_their_function(line: str, function: str) -> None:
    given = command.parser().parse_args(["fault", *line.split()])
    assert (given.node, given.action) == ("n", getattr(faults, function))


@pytest.mark.parametrize("line", ["", "fault", "fault kubelet n", "fault kubelet n --stop --start", "load"])
def test_incomplete_commands_are_refused(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.parser().parse_args(line.split())
    assert ended.value.code == 2
    assert "usage: python -m devcluster" in capsys.readouterr().err


def test_the_engine_needs_nothing_of_the_checkout_that_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout that was deleted meanwhile must not keep `down` from stopping containers: runc's wrapper is called for that."""
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path))
    monkeypatch.setattr(engine, "missing_capabilities", lambda _: {"CAP_SYS_RESOURCE"})
    command = engine._dockerd()
    [runtime] = [Path(word.partition("bounded=")[2]) for word in command if word.startswith("--add-runtime=")]
    assert runtime.is_relative_to(tmp_path)
    assert os.access(runtime, os.X_OK)
    assert not any(str(paths.CHECKOUT) in word for word in command)
