"""Pods of ended attempts: which must go, and which the next attempt has to wait for.

Two attempts must never write the same checkpoint, so the next one starts only when every pod of the one before is absent
or terminal, or is marked deleted on a node that is gone, or unreachable for so long that its gang cannot progress.
"""

from dataclasses import dataclass
from datetime import timedelta

from tandem.api.training_run import ActiveAttempt
from tandem.domain.observed import OwnPod
from tandem.domain.plan import Delete, Resource
from tandem.domain.training import pod_group
from tandem.domain.training.view import RunView
from tandem.domain.words import times

OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the next attempt waits for."""

    message: str
    stuck: bool
    """A pod on a live node is far beyond its grace: a person should look."""


def to_delete(view: RunView, active: ActiveAttempt | None) -> tuple[Delete, ...]:
    """Pods of ended attempts that still hold devices, terminal ones older than the newest ended attempt, and PodGroups that
    none of the others belongs to.

    The terminal pods of the newest ended attempt are kept, for their logs.
    """
    newest = view.newest_attempt
    pods = tuple(
        Delete(Resource.POD, pod.name, pod.uid)
        for pod in view.pods
        if pod.deleting_since is None
        and (active is None or pod.attempt != active.number)
        and (not pod.terminal or pod.attempt < newest - (1 if active else 0))
    )
    return pods + pod_group.to_delete(view, active, pods)


def waiting(view: RunView) -> Waiting | None:
    """Why the next attempt has to wait for old pods; None when it need not."""
    blocking = [pod for pod in view.pods if not pod.terminal and not _unreachable(view, pod)]
    if not blocking:
        return None
    stuck = [pod for pod in blocking if _overdue(view, pod)]
    if stuck:
        return Waiting(f"{stuck[0].name} does not end on node {stuck[0].node}: look at its kubelet", stuck=True)
    return Waiting(
        f"{times(len(blocking), 'pod')} of attempt {max(pod.attempt for pod in blocking)} still ending", stuck=False
    )


def _unreachable(view: RunView, pod: OwnPod) -> bool:
    # Unless it is marked deleted, it would go on when its node comes back.
    if pod.node is None or pod.deleting_since is None:
        return False
    node = view.nodes.get(pod.node)
    if node is None or any(taint.key == OUT_OF_SERVICE for taint in node.taints):
        return True
    if view.run.spec.checkpoint is not None and len(view.gang(pod.attempt)) == 1:
        # Without a gang that keeps it from progressing it may still be writing its checkpoints.
        return False
    since = node.not_ready_since
    return not node.ready and since is not None and view.now - since >= timedelta(seconds=view.timing.node_lost)


def _overdue(view: RunView, pod: OwnPod) -> bool:
    return pod.deleting_since is not None and view.now - pod.deleting_since > timedelta(seconds=view.timing.stuck)
