"""The snapshot of all devices, kept up to date change by change.

Equal to `snapshot()` over all nodes and pods, whose cost grows with the cluster, at a cost that grows with what changed.
"""

from collections.abc import Hashable, Mapping
from typing import TypeVar

from tandem.domain.observed import ForeignPod, NodeRecord, OwnPod
from tandem.domain.placement.fit import Nodes, Others, Room, Snapshot, holds, recounted, waits

Counted = TypeVar("Counted", bound=Hashable)


class Ledger:
    """Nodes, the devices used on them, and who else waits for some."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeRecord] = {}
        self._used: dict[tuple[str, str], int] = {}
        self._waiting: dict[Others, int] = {}
        self._listed: tuple[NodeRecord, ...] | None = None
        self._surveys: dict[Hashable, Nodes] = {}
        self._rooms: dict[Hashable, Room] = {}
        self._before: dict[tuple[str, str], int] = {}
        """(node, resource) -> devices used there when `_rooms` were right; where it has changed since."""

    def node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        """A node appeared, changed or went."""
        if old is not None:
            del self._nodes[old.name]
        if new is not None:
            self._nodes[new.name] = new
        self._listed = None
        self._surveys = {}
        self._rooms = {}

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
        self._recount()
        return Snapshot(
            nodes=self._listed,
            used=dict(self._used),
            waiting=dict(self._waiting),
            pods_known=pods_known,
            surveys=self._surveys,
            rooms=self._rooms,
        )

    def _recount(self) -> None:
        """Bring what snapshots found out about room to where pods are; those snapshots keep what they have."""
        changed: dict[str, dict[str, tuple[int, int]]] = {}
        for (node, resource), before in self._before.items():
            changed.setdefault(resource, {})[node] = before, self._used.get((node, resource), 0)
        if changed:
            self._rooms = {shape: self._recounted(shape, room, changed) for shape, room in self._rooms.items()}
        self._before = {}

    def _recounted(self, shape: Hashable, room: Room, changed: Mapping[str, Mapping[str, tuple[int, int]]]) -> Room:
        return recounted(room, self._surveys[shape].open, changed.get(room.resource, {}))

    def _count(self, pod: OwnPod | ForeignPod, sign: int) -> None:
        for place, amount in holds(pod):
            self._before.setdefault(place, self._used.get(place, 0))
            _add(self._used, place, sign * amount)
        for others in waits(pod):
            _add(self._waiting, others, sign)


def _add(counts: dict[Counted, int], key: Counted, amount: int) -> None:
    left = counts.get(key, 0) + amount
    if left:
        counts[key] = left
    else:
        del counts[key]
