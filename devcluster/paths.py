"""Where the devcluster keeps what it builds and what it runs: outside the checkout, under one folder."""

import os
from pathlib import Path

SOURCE = Path(__file__).resolve().parent
CHECKOUT = SOURCE.parent


def cache_dir() -> Path:
    """The folder of everything: $TANDEM_CACHE, else $XDG_CACHE_HOME/tandem, else ~/.cache/tandem."""
    if own := os.environ.get("TANDEM_CACHE"):
        return Path(own).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().resolve() / "tandem"


def made(folder: Path) -> Path:
    """The same folder, created where it was missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def state_dir() -> Path:
    """What belongs to the running cluster: pid files, sockets, logs, kubeconfig."""
    return made(cache_dir() / "state")


def lock(name: str) -> Path:
    """The file by which processes take turns at something."""
    return made(cache_dir() / "locks") / name


def bin_dir() -> Path:
    """The folder with kubectl, helm, kind and the other programs built for the cluster."""
    return made(cache_dir() / "bin")


def kubeconfig() -> Path:
    """The kubeconfig of the devcluster; ~/.kube/config is never touched."""
    return state_dir() / "kubeconfig"


def shared_dir() -> Path:
    """The host folder that every node sees as /shared: the ground of ReadWriteMany volumes."""
    return made(state_dir() / "shared")


def audit_dir() -> Path:
    """The host folder into which the API server writes its audit log."""
    return made(state_dir() / "audit")


def image_dir() -> Path:
    """Image archives by image id; every node sees the folder as /images."""
    return made(cache_dir() / "images")
