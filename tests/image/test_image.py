"""The operator's image: what is in it, what is not, and that it comes out the same each time."""

import json
import re
import tarfile
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from devcluster import engine, images
from devcluster.shell import DevclusterError
from examples import demo

pytestmark = pytest.mark.cluster

MOST_BYTES = 100_000_000
AGAIN = "tandem-dev/operator:again"
RESTRICTED = ("--rm", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none")
LOADED = """
import ctypes, os, pathlib
for folder in ("/usr/lib/python3.11/lib-dynload", "/opt/tandem/lib/python3.11/site-packages"):
    for path in sorted(pathlib.Path(folder).rglob("*.so")):
        ctypes.CDLL(str(path), mode=os.RTLD_LAZY)
        print(path.name)
"""
FLAGS = """
import pathlib, sys
import kopf, tandem.entry.cli
for module in list(sys.modules.values()):
    origin = getattr(getattr(module, "__spec__", None), "origin", None) or ""
    if origin.endswith(".py"):
        cached = pathlib.Path(module.__spec__.cached)
        print(int.from_bytes(cached.read_bytes()[4:8], "little") if cached.exists() else origin)
"""
UNCHECKED_HASH = "1"
"""What a file of bytecode says of itself when it is good whatever its source's date (PEP 552)."""


@pytest.fixture(scope="module")
def image() -> str:
    """The image of this checkout."""
    engine.ensure()
    demo.build_images()
    return demo.OPERATOR


@pytest.fixture(scope="module")
def files(image: str) -> dict[str, tarfile.TarInfo]:
    """Everything in the image, by path."""
    return contents(image)[0]


@pytest.fixture
def again(image: str) -> Iterator[None]:
    yield
    engine.docker("rmi", "--force", AGAIN)


def contents(image: str) -> tuple[dict[str, tarfile.TarInfo], dict[str, str]]:
    """Every entry by its path, and the versions of the Debian packages."""
    container = engine.docker("create", image).strip()
    try:
        with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
            engine.docker("export", "--output", archive.name, container)
            with tarfile.open(archive.name) as packed:
                entries = {item.name: item for item in packed.getmembers()}
                texts = [
                    found.read().decode()
                    for name in entries
                    if name.startswith("var/lib/dpkg/status.d/") and (found := packed.extractfile(name))
                ]
    finally:
        engine.docker("rm", container)
    named = [dict(re.findall(r"^(Package|Version): (.*)$", text, re.MULTILINE)) for text in texts]
    return entries, {item["Package"]: item["Version"] for item in named}


def in_image(image: str, *command: str, user: str = "65532:65532", entry: str = "tandem") -> str:
    """What a command prints in the image, as restricted as in a cluster."""
    return engine.docker("run", *RESTRICTED, f"--user={user}", f"--entrypoint={entry}", image, *command)


def layers(image: str) -> list[str]:
    found: list[str] = json.loads(engine.docker("inspect", "--format={{json .RootFS.Layers}}", image))
    return found


def test_it_is_small(image: str) -> None:
    assert int(engine.docker("inspect", "--format={{.Size}}", image)) < MOST_BYTES


def test_there_is_no_shell_and_nothing_to_install_with(files: dict[str, tarfile.TarInfo]) -> None:
    programs = {Path(name).name for name, item in files.items() if item.mode & 0o111 and not item.isdir()}
    assert programs.isdisjoint(
        {"sh", "bash", "dash", "busybox", "perl", "apt", "apt-get", "dpkg", "pip", "pip3", "ldd"}
    )
    assert {name for name in files if name.startswith(("bin/", "usr/bin/", "usr/sbin/"))} <= {
        "usr/bin/",
        "usr/bin/python3",
        "usr/bin/python3.11",
        "usr/sbin/",
    }
    assert not [name for name in files if re.search(r"site-packages/(pip|setuptools)[-/]", name)]


def test_nothing_in_it_gives_or_keeps_rights(image: str, files: dict[str, tarfile.TarInfo]) -> None:
    config = json.loads(engine.docker("inspect", "--format={{json .Config}}", image))
    assert config["User"] == "65532:65532"
    assert not [name for name, item in files.items() if item.mode & 0o4000 or (item.mode & 0o2000 and item.isfile())]
    # Only the folders for temporary files may be written, and the file system is mounted read-only anyway.
    writable = {name for name, item in files.items() if item.mode & 0o002 and not item.issym()}
    assert {name.rstrip("/") for name in writable} == {"tmp", "var/tmp"}


def test_its_packages_are_the_locked_ones(files: dict[str, tarfile.TarInfo]) -> None:
    lock = (demo.ROOT / "requirements/run.txt").read_text()
    locked = {f"{name}-{version}" for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", lock, re.MULTILINE)}
    found = re.findall(r"site-packages/([^/]+)\.dist-info/METADATA$", "\n".join(files), re.MULTILINE)
    ours = {name for name in found if name.startswith("tandem_operator-")}
    assert {re.sub(r"[-_.]+(?=\D)", "-", name).lower() for name in set(found) - ours} == locked
    assert len(ours) == 1


@pytest.mark.parametrize("user", ["65532:65532", "1000680000:0"])
def test_it_starts_as_whoever_the_cluster_says(image: str, user: str) -> None:
    """OpenShift gives each namespace a uid of its own."""
    assert "run the operator" in in_image(image, "--help", user=user)
    assert "kind: CustomResourceDefinition" in in_image(image, "crds", user=user)


def test_it_says_what_it_lacks_outside_of_a_cluster(image: str) -> None:
    with pytest.raises(DevclusterError, match="no kubeconfig at"):
        in_image(image, "run")


def test_every_library_finds_what_it_links_to(image: str) -> None:
    loaded = in_image(image, "-c", LOADED, entry="/opt/tandem/bin/python3.11").split()
    assert len(loaded) > 40
    assert {name.split(".")[0] for name in loaded} >= {"_ssl", "_ctypes", "_pydantic_core", "_http_parser", "_yaml"}


def test_bytecode_is_there_and_is_not_asked_for_its_date(image: str) -> None:
    """A root that cannot be written keeps none, and all dates are the same."""
    told = in_image(image, "-c", FLAGS, entry="/opt/tandem/bin/python3.11").split()
    assert len(told) > 500
    assert set(told) == {UNCHECKED_HASH}


def test_debians_packages_and_licences_are_told(image: str) -> None:
    entries, versions = contents(image)
    assert versions.keys() >= {"libc6", "libssl3", "libpython3.11-stdlib", "python3.11-minimal"}
    assert "usr/lib/os-release" in entries
    licensed = {name.split("/")[-3] for name in entries if re.search(r"\.dist-info/licenses?/[^/]+$", name, re.I)}
    assert len(licensed) > 20


def test_two_builds_give_the_same_bytes(image: str, again: None) -> None:
    """Unless Debian published an update between the two; then the next one is compared."""
    build = partial(engine.docker, "build", "--no-cache", "--network=host", "--rm", "--force-rm", f"--tag={AGAIN}")
    arguments = (f"--build-arg=BASE={images.ensure_base()}", str(demo.ROOT))
    build(*arguments)
    first, versions = layers(image), contents(image)[1]
    if versions != contents(AGAIN)[1]:
        first = layers(AGAIN)
        build(*arguments)
    assert layers(AGAIN) == first
