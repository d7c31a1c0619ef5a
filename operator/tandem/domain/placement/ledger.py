"""The snapshot of all devices, kept up to date change by change.

Equal to `snapshot()` over all nodes and pods, whose cost grows with the cluster, at a cost that grows with what changed.
"""

from collections.abc import Hashable
from typing import TypeVar

from tandem.domain.observed import ForeignPod, NodeRecord, OwnPod
from tandem.domain.placement.fit import Nodes, Others, Snapshot, holds, waits

Counted = TypeVar("Counted", bound=Hashable)


class Ledger:
    """Nodes, the devices used on them, and who else waits for some."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeRecord] = {}
        self._used: dict[tuple[str, str], int] = {}
        self._waiting: dict[Others, int] = {}
        self._listed: tuple[NodeRecord, ...] | None = None
        self._surveys: dict[Hashable, Nodes] = {}

    def node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        """A node appeared, changed or went."""
        if old is not None:
            del self._nodes[old.name]
        if new is not None:
            self._nodes[new.name] = new
        self._listed = None
        self._surveys = {}

    def pod_changed(self, old: OwnPod | ForeignPod | None, new: OwnPod | ForeignPod | None) -> None:
        """A pod appeared, changed or went."""
        if old is not None:
            self._count(old, -1)
        if new is not None:
            self._count(new, 1)

    def snapshot(self, *, pods_known: bool = True) -> Snapshot:
        """The state of all devices, as it is now; later changes leave it alone."""
        if self._listed is None:
            self._listed = tuple(self._nodes.values())
        return Snapshot(
            nodes=self._listed,
            used=dict(self._used),
            waiting=dict(self._waiting),
            pods_known=pods_known,
            surveys=self._surveys,
        )

    def _count(self, pod: OwnPod | ForeignPod, sign: int) -> None:
        for place, amount in holds(pod):
            _add(self._used, place, sign * amount)
        for others in waits(pod):
            _add(self._waiting, others, sign)


def _add(counts: dict[Counted, int], key: Counted, amount: int) -> None:
    left = counts.get(key, 0) + amount
    if left:
        counts[key] = left
    else:
        del counts[key]
