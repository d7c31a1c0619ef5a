"""Docker images without an image registry: a Debian base, and builds that are skipped while their inputs stay the same."""

import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from devcluster import engine, paths, versions
from devcluster.shell import DevclusterError, content_key, only_one, run, step, succeeds

BASE = f"tandem-dev/debian:{versions.DEBIAN}"
PUBLIC_BASE = f"debian:{versions.DEBIAN}-slim"
BOOTSTRAPPED = f"tandem-dev/debootstrap:{versions.DEBIAN}"
KEY_LABEL = "dev.tandem.inputs"

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PIP_SETTINGS = Path("/etc/pip.conf")
TRIMMED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/lib/apt/lists", "var/cache/apt")


@cache
def registry_answers() -> bool:
    """Whether the public image registry is reachable from here, judged within a few seconds."""
    # Clients before 23 call the command experimental.
    env = {**engine.docker_env(), "DOCKER_CLI_EXPERIMENTAL": "enabled"}
    return succeeds("docker", "manifest", "inspect", PUBLIC_BASE, env=env, timeout=6)


def architecture() -> str:
    """This machine's architecture as Go, Debian and Docker call it: amd64 or arm64."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def image_id(tag: str) -> str | None:
    """`sha256:...` of a local image, or None."""
    return engine.docker("images", "--no-trunc", "--quiet", tag).strip() or None


def is_current(tag: str, key: str) -> bool:
    """Whether the local image of that name was made from the inputs of that key."""
    found = engine.docker("images", "--quiet", "--filter", f"label={KEY_LABEL}={key}", tag)
    return bool(found.strip())


def ensure_base() -> str:
    """The name of a Debian image to build on with `--build-arg BASE=...`; made where it is missing.

    It carries this machine's certificates and pip settings, so that Debian's and Python's package registries are reached
    from within a build as they are from here. With a registry it stands on the public image, else on debootstrap's.
    """
    with only_one(paths.lock("base-image")):
        return _ensure_base()


def _ensure_base() -> str:
    public = registry_answers()
    trust = [path for path in (CERTIFICATES, PIP_SETTINGS) if path.exists()]
    key = content_key(PUBLIC_BASE if public else _debootstrap_key(), *trust)
    if is_current(BASE, key):
        return BASE
    if public:
        engine.docker("pull", PUBLIC_BASE)
    with tempfile.TemporaryDirectory(prefix="tandem-base-") as folder:
        context = Path(folder)
        for path in trust:
            shutil.copy(path, context / path.name)
        lines = [
            f"FROM {PUBLIC_BASE if public else _debootstrapped()}",
            *(f"COPY {path.name} {path}" for path in trust),
        ]
        (context / "Dockerfile").write_text("\n".join([*lines, 'CMD ["/bin/bash"]', ""]))
        _docker_build(BASE, key, context / "Dockerfile", context, {})
    return BASE


def _debootstrap_key() -> str:
    return content_key(versions.DEBIAN, *TRIMMED)


def _debootstrapped() -> str:
    """The name of an image with a minimal Debian, made from Debian's packages where it is missing."""
    if is_current(BOOTSTRAPPED, _debootstrap_key()):
        return BOOTSTRAPPED
    engine.install("debootstrap")
    if os.geteuid() != 0:
        raise DevclusterError(f"no image registry answers, and only root can make {BOOTSTRAPPED}: run this as root")
    label = f"LABEL {KEY_LABEL}={_debootstrap_key()}"
    with step(f"making {BOOTSTRAPPED} with debootstrap"), tempfile.TemporaryDirectory(prefix="tandem-base-") as folder:
        root = Path(folder)
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", versions.DEBIAN, root)
        _trim(root)
        add_security_updates(root / "etc/apt/sources.list")
        run(
            "sh",
            "-c",
            f"tar -C {root} -c . | docker import --change '{label}' - {BOOTSTRAPPED}",
            env=engine.docker_env(),
        )
    return BOOTSTRAPPED


def _trim(root: Path) -> None:
    """Take out what only a person at a terminal reads, and apt's caches."""
    for name in TRIMMED:
        for path in (root / name).iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def add_security_updates(sources: Path) -> None:
    """Debian's security suite, from the same mirror as the release."""
    release = sources.read_text()
    suite = versions.DEBIAN
    sources.write_text(
        release + release.replace("/debian ", "/debian-security ").replace(f" {suite} ", f" {suite}-security ")
    )


def build(
    tag: str,
    dockerfile: Path | str,
    context: Path | None = None,
    *,
    inputs: Mapping[str, Path] | None = None,
    args: Mapping[str, str] | None = None,
) -> str:
    """The id of the image `tag`, built from a Dockerfile unless it stands for the same inputs already.

    `dockerfile` is a file or the text of one. `context` is a folder that is sent whole; `inputs` instead names what is sent
    (name in the context -> file or folder on disk).
    `args` are build arguments; BASE is always given (`ensure_base`). The key covers the Dockerfile, the inputs, the arguments and
    the base image; it is kept as a label of the image.
    Raises DevclusterError with the end of the build's output.
    """
    if (context is None) == (inputs is None):
        raise ValueError("give the build either a context or its inputs")
    arguments = {"BASE": ensure_base(), **(args or {})}
    sent = (
        [part for name, path in sorted((inputs or {}).items()) for part in (name, path)]
        if context is None
        else [context]
    )
    base = image_id(arguments["BASE"]) or ""
    key = content_key(dockerfile, *sent, *(f"{k}={v}" for k, v in sorted(arguments.items())), base)
    if not is_current(tag, key):
        superseded = image_id(tag)
        with step(f"building the image {tag}"), tempfile.TemporaryDirectory(prefix="tandem-build-") as folder:
            _docker_build(tag, key, dockerfile, context or _gathered(inputs or {}, Path(folder)), arguments)
        if superseded:
            # Layers that the new image shares stay; so does an image that has another name or a container.
            succeeds("docker", "rmi", superseded, env=engine.docker_env(), timeout=60)
    found = image_id(tag)
    if not found:
        raise DevclusterError(f"{tag} was built but is not there: look at `docker images`")
    return found


def _gathered(inputs: Mapping[str, Path], folder: Path) -> Path:
    for name, path in inputs.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(path, target)
    return folder


def _docker_build(tag: str, key: str, dockerfile: Path | str, context: Path, args: Mapping[str, str]) -> None:
    if isinstance(dockerfile, str):
        text, dockerfile = dockerfile, context / "Dockerfile"
        dockerfile.write_text(text)
    given = [word for name, value in args.items() for word in ("--build-arg", f"{name}={value}")]
    label = f"{KEY_LABEL}={key}"
    options = ("--network", "host", "--rm", "--force-rm", "--tag", tag, "--label", label, "--file", dockerfile)
    engine.docker("build", *options, *given, context)
