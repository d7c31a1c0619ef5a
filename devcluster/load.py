"""Local images into the nodes: saved once into a folder that every node mounts, imported by all nodes at once."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from devcluster import config, engine, images, paths
from devcluster.shell import DevclusterError, only_one, step

LABEL = "tandem.dev/image-id"
"""What containerd's record of an image carries after a load: the id that the engine gives the same image."""


def load(*names: str) -> None:
    """Have these local images in every node that takes pods; nodes that have the same image are skipped.

    Raises DevclusterError for an image that the engine does not have.
    """
    for name in names:
        image = images.image_id(name)
        if not image:
            raise DevclusterError(f"no local image {name}: build it, or `docker pull` it, then load it again")
        missing = [node for node in worker_names() if not _has(node, name, image)]
        if missing:
            with only_one(paths.lock("load")), step(f"loading {name} into {len(missing)} nodes"):
                archive = saved(name, image)
                with ThreadPoolExecutor() as pool:
                    list(pool.map(partial(_import, archive.name, name, image), missing))


def node_names() -> list[str]:
    """The names of the cluster's node containers, control plane first; none when there is no cluster."""
    label = f"label=io.x-k8s.kind.cluster={config.NAME}"
    return sorted(engine.docker("ps", "--filter", label, "--format", "{{.Names}}").split())


def control_plane() -> str:
    """The name of the control plane's node; it takes no pods but the cluster's own."""
    return f"{config.NAME}-control-plane"


def worker_names() -> list[str]:
    """The names of the nodes with devices."""
    return [name for name in node_names() if name != control_plane()]


def reference(name: str) -> str:
    """An image's full name, as containerd keeps it: `docker.io/library/x:latest` for `x`."""
    path, _, tag = name.rpartition(":") if ":" in name.rsplit("/", 1)[-1] else (name, "", "latest")
    first, slash, _ = path.partition("/")
    if not slash:
        path = f"docker.io/library/{path}"
    elif "." not in first and ":" not in first and first != "localhost":
        path = f"docker.io/{path}"
    return f"{path}:{tag}"


def saved(name: str, image: str) -> Path:
    """The image's archive in the nodes' common folder; an older archive of the same name goes."""
    stem = hashlib.sha256(name.encode()).hexdigest()[:12]
    archive = paths.image_dir() / f"{stem}-{image.removeprefix('sha256:')[:12]}.tar"
    if not archive.exists():
        for older in paths.image_dir().glob(f"{stem}-*"):
            older.unlink()
        draft = archive.with_suffix(".draft")
        engine.docker("save", "--output", draft, name)
        draft.rename(archive)
    return archive


def _ctr(node: str, *args: str) -> str:
    return engine.docker("exec", node, "ctr", "--namespace=k8s.io", "images", *args)


def _has(node: str, name: str, image: str) -> bool:
    return f"{LABEL}={image}" in _ctr(node, "list", f"name=={reference(name)}")


def _import(archive: str, name: str, image: str, node: str) -> None:
    # Read by this very process rather than streamed to containerd: half the time. Unpacked when the first container asks.
    _ctr(node, "import", "--local", "--no-unpack", f"/images/{archive}")
    _ctr(node, "label", reference(name), f"{LABEL}={image}")
