"""Whether an attempt failed, and the first cause: what came earliest, not what was seen last.

A rank that loses its peer fails too, with an error that looks like the program's own. So after the first failure a short
while is waited for a better explanation, and a lost pod or node goes before any exit code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from tandem.api.conditions import clip
from tandem.api.training_run import ActiveAttempt, LastFailure
from tandem.domain import clock, naming
from tandem.domain.observed import OwnPod
from tandem.domain.training.view import RunView

FailureClass = Literal["User", "Infra"]


@dataclass(frozen=True, slots=True)
class Collecting:
    """A rank failed; others may still show why."""

    seconds: float
    """Seconds until the first cause is decided."""
    message: str


def first_cause(view: RunView, active: ActiveAttempt, finished: frozenset[int]) -> LastFailure | Collecting | None:
    """The first cause of the attempt's failure; None while it is well."""
    gang = view.gang(active.number)
    lost = _lost(view, active, gang, finished)
    if lost is not None:
        return lost
    failed = sorted(
        (pod for pod in gang.values() if pod.phase == "Failed"), key=lambda pod: (_ended(view, pod), pod.rank)
    )
    if not failed:
        return None
    first = failed[0]
    due = _ended(view, first) + timedelta(seconds=view.timing.collect)
    # Only a running peer can still bring a better explanation than an exit code.
    if first.exit_code is not None and view.now < due and any(not pod.terminal for pod in gang.values()):
        return Collecting((due - view.now).total_seconds(), f"{first.name} failed; waiting for the first cause to show")
    return _failure(view, active, first)


def _lost(
    view: RunView, active: ActiveAttempt, gang: Mapping[int, OwnPod], finished: frozenset[int]
) -> LastFailure | None:
    """A pod that somebody else deleted, or that is gone without an end that was seen."""
    for rank in range(active.pods):
        pod = gang.get(rank)
        if rank in finished:
            continue
        if pod is None and active.created_time is not None:
            name = naming.pod(view.run.name, active.number, rank)
            return _cause(active, "Infra", name, None, None, "the pod is gone and nobody saw its end", view.now)
        if pod is not None and pod.deleting_since is not None:
            # Pods of a lost node are evicted by its taints: the node is what an admin has to look at.
            why = _broken(pod) if _node_broken(view, pod) else pod.message or "the pod was deleted or evicted"
            return _cause(active, "Infra", pod.name, pod.node, None, why, view.now)
    return None


def _failure(view: RunView, active: ActiveAttempt, pod: OwnPod) -> LastFailure:
    broken = next((p for p in view.gang(active.number).values() if _node_broken(view, p)), None)
    if broken is not None:
        return _cause(active, "Infra", broken.name, broken.node, None, _broken(broken), view.now)
    if pod.exit_code is None:
        # The kubelet refused or evicted it: the program did not end by itself.
        why = ": ".join(part for part in (pod.reason, pod.message) if part) or "the pod failed without an exit code"
        return _cause(active, "Infra", pod.name, pod.node, None, why, _ended(view, pod))
    why = f"exit code {pod.exit_code}"
    if pod.reason not in ("", "Error"):
        why += f" ({pod.reason})"
    return _cause(
        active,
        "User",
        pod.name,
        pod.node,
        pod.exit_code,
        f"{why}: {pod.message}" if pod.message else why,
        _ended(view, pod),
    )


def _node_broken(view: RunView, pod: OwnPod) -> bool:
    if pod.node is None:
        return False
    node = view.nodes.get(pod.node)
    return node is None or not node.ready


def _broken(pod: OwnPod) -> str:
    return f"node {pod.node} is gone or not ready"


def _ended(view: RunView, pod: OwnPod) -> datetime:
    return pod.finished_at or view.now


def _cause(
    active: ActiveAttempt,
    kind: FailureClass,
    pod: str,
    node: str | None,
    code: int | None,
    message: str,
    time: datetime,
) -> LastFailure:
    return LastFailure(
        attempt=active.number,
        pod=pod,
        node=node,
        class_=kind,
        exit_code=code,
        message=clip(message),
        time=clock.stamp(time),
    )
