"""The kind configuration of this machine: the top level's kind-config.yaml with the host folders filled in."""

from pathlib import Path
from typing import Any

import yaml

from devcluster import images, paths

NAME = "tandem"
SOURCE = paths.CHECKOUT / "kind-config.yaml"
PLACEHOLDER = "/var/tmp/tandem/"


def rendered(text: str, folders: dict[str, Path], checkout: Path, architecture: str) -> str:
    """The configuration with real host paths and the host's architecture in the labels.

    `folders` maps a name below the placeholder folder to the folder of this machine. Relative paths are the checkout's.
    """
    config = yaml.safe_load(text)
    for node in config["nodes"]:
        # A node that repeats another by a YAML alias is the same object: it is rewritten into a new one, not in place.
        node["extraMounts"] = [_mount(mount, folders, checkout) for mount in node["extraMounts"]]
        if "host-arch" in node.get("labels", {}):
            node["labels"]["host-arch"] = "huawei-arm" if architecture == "arm64" else "huawei-x86"
    return yaml.safe_dump(config, sort_keys=False)


def _mount(mount: dict[str, Any], folders: dict[str, Path], checkout: Path) -> dict[str, Any]:
    path = str(mount["hostPath"])
    ours = path.startswith(PLACEHOLDER)
    real = folders[path.removeprefix(PLACEHOLDER)] if ours else checkout / path
    return {**mount, "hostPath": str(real)}


def write() -> Path:
    """The rendered configuration's file, below the cache's state."""
    folders = {"shared": paths.shared_dir(), "images": paths.image_dir(), "audit": paths.audit_dir()}
    target = paths.state_dir() / "kind-config.yaml"
    target.write_text(rendered(SOURCE.read_text(), folders, paths.CHECKOUT, images.architecture()))
    return target
