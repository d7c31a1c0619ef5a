"""The devcluster's API server, through the kubectl that was built for it."""

import json
from typing import Any

import yaml

from devcluster import paths
from devcluster.shell import DevclusterError, run

Object = dict[str, Any]


def kubectl(*args: str, stdin: str | None = None, timeout: float = 60) -> str:
    """The standard output of a kubectl command against the devcluster, whatever KUBECONFIG says."""
    program = paths.bin_dir() / "kubectl"
    return run(program, "--kubeconfig", paths.kubeconfig(), *args, stdin=stdin, timeout=timeout)


def answers() -> bool:
    """Whether the API server calls itself ready."""
    try:
        return kubectl("get", "--raw", "/readyz", "--request-timeout=2s").strip() == "ok"
    except DevclusterError:
        return False


def get(*args: str) -> Object:
    """`kubectl get ...` as data."""
    found: Object = json.loads(kubectl("get", *args, "--output=json"))
    return found


def items(*args: str) -> list[Object]:
    """The objects of a `kubectl get` of many."""
    found: list[Object] = get(*args)["items"]
    return found


def apply(*objects: Object) -> None:
    """Server-side apply, as field manager `devcluster`."""
    text = yaml.safe_dump_all(objects, sort_keys=False)
    kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=devcluster", "--filename=-", stdin=text)


def is_ready(node: Object) -> bool:
    """Whether a node's condition Ready is True."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in node.get("status", {}).get("conditions", ()))


def devices(node: Object, field: str = "allocatable") -> dict[str, int]:
    """Extended resources of a node, as resource -> count, from its capacity or allocatable."""
    amounts = node["status"].get(field, {})
    return {name: int(amount) for name, amount in amounts.items() if "/" in name}
