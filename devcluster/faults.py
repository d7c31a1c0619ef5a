"""Faults on purpose. Each function returns when its fault (or cure) is in force in the cluster, and may be called twice."""

import json
from collections.abc import Iterable
from typing import Any

from devcluster import engine, kube, load
from devcluster.shell import DevclusterError, wait_for

PLUGIN_LABEL = "devcluster.tandem.dev/device-plugin"
FOLDER = "/var/lib/devcluster-faults"
REFUSAL = "devcluster: Allocate fails on purpose"

VISIBLE_SECONDS = 120
"""How long a change may take to show in the cluster; on an idle machine it takes seconds."""


def devices_unhealthy(node: str, devices: Iterable[str | int]) -> None:
    """Mark devices of a node unhealthy, by id or index; those of earlier calls stay so.

    Returns when the node's allocatable is down to the healthy ones. Raises DevclusterError for a device that is not there.
    """
    ids = list(_state(node)["devices"])
    wanted = _wanted(node)
    named = {_identified(str(device), ids, node) for device in devices}
    _put(node, {**wanted, "unhealthy": sorted(named.union(wanted.get("unhealthy", ())))})
    _wait_allocatable(node)


def _identified(device: str, ids: list[str], node: str) -> str:
    """The id of a device given by id or index."""
    if device in ids:
        return device
    if device.isdecimal() and int(device) < len(ids):
        return ids[int(device)]
    raise DevclusterError(f"{node} has no device {device}: its devices are {', '.join(ids)}, or 0 to {len(ids) - 1}")


def devices_healthy(node: str) -> None:
    """Make every device of a node healthy again; returns when all are allocatable."""
    wanted = _wanted(node)
    wanted.pop("unhealthy", None)
    _put(node, wanted)
    _wait_allocatable(node)


def allocate_fails(node: str) -> None:
    """Make every Allocate on a node fail: pods bound there end as UnexpectedAdmissionError."""
    _put(node, {**_wanted(node), "allocate": REFUSAL})


def allocate_works(node: str) -> None:
    """Let Allocate work again on a node."""
    wanted = _wanted(node)
    wanted.pop("allocate", None)
    _put(node, wanted)


def plugin_removed(node: str) -> None:
    """Take the device plugin's pod off a node; returns when the node has no allocatable device."""
    _state(node)  # refuses a node that never had one
    kube.kubectl("label", "node", node, "--overwrite", f"{PLUGIN_LABEL}=removed")
    wait_for(f"{node} has no allocatable device", lambda: not sum(kube.devices(_node(node)).values()), VISIBLE_SECONDS)


def plugin_restored(node: str) -> None:
    """Let the device plugin come back to a node; returns when its devices are allocatable."""
    kube.kubectl("label", "node", node, f"{PLUGIN_LABEL}-")
    _wait_allocatable(node)


def kubelet_stopped(node: str) -> None:
    """Stop a node's kubelet (its containers go on); returns when the node is NotReady."""
    _exec(node, "systemctl", "stop", "kubelet")
    _wait_ready(node, ready=False)


def kubelet_started(node: str) -> None:
    """Start a node's kubelet; returns when the node is Ready with its devices."""
    _exec(node, "systemctl", "start", "kubelet")
    _wait_back(node)


def network_cut(node: str) -> None:
    """Drop everything between a node and the world, open connections too; returns when the node is NotReady."""
    _exec(node, "nft", "-f", "-", stdin=CUT)
    _wait_ready(node, ready=False)


def network_restored(node: str) -> None:
    """Undo `network_cut`; returns when the node is Ready with its devices."""
    _exec(node, "nft", "-f", "-", stdin=RESTORE)
    _wait_back(node)


# Adding before deleting makes both scripts right whether or not the table is there.
RESTORE = """
add table inet devcluster-cut
delete table inet devcluster-cut
"""
CUT = f"""{RESTORE}
table inet devcluster-cut {{
    chain input {{ type filter hook input priority -300; iifname "eth0" drop; }}
    chain output {{ type filter hook output priority -300; oifname "eth0" drop; }}
    chain forward {{ type filter hook forward priority -300; iifname "eth0" drop; oifname "eth0" drop; }}
}}
"""


def apiserver_restarted() -> None:
    """Kill the API server (SIGKILL); returns when its next process is ready."""
    before = _apiserver()
    engine.docker("exec", load.control_plane(), "kill", "-KILL", before)
    wait_for("the API server runs again", lambda: (now := _apiserver()) and now != before, VISIBLE_SECONDS)
    wait_for("the API server is ready", kube.answers, VISIBLE_SECONDS)


def heal() -> None:
    """Put everything back on every node; what is whole is left alone."""
    nodes = load.worker_names()
    for node in nodes:
        _exec(node, "sh", "-c", "systemctl start kubelet && nft -f -", stdin=RESTORE)
    kube.kubectl("label", "nodes", "--all", f"{PLUGIN_LABEL}-")
    for node in nodes:
        if _wanted(node):
            _put(node, {})
    for node in nodes:
        _wait_back(node)


def _apiserver() -> str:
    """The API server's process id in the control plane's node, empty while there is none."""
    try:
        return engine.docker("exec", load.control_plane(), "pidof", "kube-apiserver").strip()
    except DevclusterError:
        return ""


def _exec(node: str, *command: str, stdin: str | None = None) -> str:
    """The standard output of a command in a node with devices."""
    if node not in load.worker_names():
        raise DevclusterError(f"{node} is no node with devices: name one of {', '.join(load.worker_names())}")
    return engine.docker("exec", "--interactive", node, *command, stdin=stdin or "")


def _state(node: str) -> dict[str, Any]:
    """What a node's device plugin says is in force: {"wanted": the faults, "devices": {id: health}, "resource": its name}."""
    state: dict[str, Any] = json.loads(_exec(node, "cat", f"{FOLDER}/in-force.json"))
    return state


def _wanted(node: str) -> dict[str, Any]:
    """The faults that are asked of a node's device plugin."""
    text = _exec(node, "sh", "-c", f"cat {FOLDER}/wanted.json 2>/dev/null || echo '{{}}'")
    wanted: dict[str, Any] = json.loads(text)
    return wanted


def _put(node: str, wanted: dict[str, Any]) -> None:
    """Ask these faults of a node's device plugin, and wait until it says that they are in force."""
    script = f"cat > {FOLDER}/.draft && mv {FOLDER}/.draft {FOLDER}/wanted.json"
    _exec(node, "sh", "-c", script, stdin=json.dumps(wanted))
    wait_for(
        f"the device plugin of {node} obeys; look at `kubectl -n devcluster logs -l app=device-plugin --prefix`",
        lambda: _state(node)["wanted"] == wanted,
        VISIBLE_SECONDS,
    )


def _node(node: str) -> kube.Object:
    return kube.get(f"node/{node}")


def _wait_allocatable(node: str) -> None:
    """Wait until the cluster sees as many allocatable devices as the plugin calls healthy."""

    def agreed() -> bool:
        state = _state(node)
        healthy = [name for name, health in state["devices"].items() if health == "Healthy"]
        return kube.devices(_node(node)).get(state["resource"], 0) == len(healthy)

    wait_for(f"the allocatable devices of {node} are its healthy ones", agreed, VISIBLE_SECONDS)


def _wait_ready(node: str, *, ready: bool) -> None:
    word = "Ready" if ready else "NotReady"
    wait_for(f"{node} is {word}", lambda: kube.is_ready(_node(node)) == ready, VISIBLE_SECONDS)


def _wait_back(node: str) -> None:
    _wait_ready(node, ready=True)
    _wait_allocatable(node)
