"""The one place where devices are given away: a lock, the pure `place()`, and reservations in memory.

Parallel reconciles would each see the same free device. So they ask here; whoever was granted devices holds a reservation
until its pods show a node, are gone, or too much time has passed.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tandem.cluster.metrics import Metrics
from tandem.cluster.store import Store
from tandem.domain.observed import ForeignPod, Key, NodeRecord, OwnPod
from tandem.domain.placement.fit import Snapshot
from tandem.domain.placement.ledger import Ledger
from tandem.domain.placement.place import Reservation, place
from tandem.domain.placement.request import Ask, Decision, Grant

Pod = OwnPod | ForeignPod


@dataclass(slots=True)
class _Held:
    """A grant, and how many pods were bound for it already when it was given."""

    key: Key
    attempt: int
    grant: Grant
    bound_before: int
    expires: float
    left: Reservation | None = None
    """What it still reserves; None when nothing does, or while it is to be counted."""


@dataclass(slots=True)
class _Waiting:
    key: Key
    ask: Ask
    reasons: frozenset[str]


@dataclass(slots=True)
class Placer:
    """Serial placement over all that wait."""

    nodes: Store[NodeRecord]
    pods: Store[Pod]
    pods_known: Callable[[], bool]
    pods_of: Callable[[Key, str], Sequence[OwnPod]]
    """Own pods of an object, by key and uid."""
    wake: Callable[[Key], None]
    hold_seconds: float
    metrics: Metrics
    clock: Callable[[], float] = time.monotonic
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _held: dict[str, list[_Held]] = field(default_factory=dict)
    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _decided: dict[str, tuple[Ask, Decision]] = field(default_factory=dict)
    """What was granted to a gang while it waited, until it asks again."""
    _freed: asyncio.Event = field(default_factory=asyncio.Event)
    _ledger: Ledger = field(default_factory=Ledger)
    _stale: set[Key | str] = field(default_factory=set)
    """Objects, by uid or key as pods name their owner, whose pods or grants changed since their reservations were counted."""

    def __post_init__(self) -> None:
        self.nodes.listen(self._ledger.node_changed)
        self.pods.listen(self._pod_changed)

    async def decide(self, key: Key, ask: Ask) -> Decision:
        """A decision for this ask. Devices granted stay reserved until `release`, bound pods, or time."""
        async with self._lock:
            if self._freed.is_set():
                self._serve_waiting()
            asked, kept = self._decided.pop(ask.uid, (None, None))
            # An edited spec asks for something else: what was granted for the old one is of no use.
            if kept is not None and asked == ask and self._holds(ask):
                return kept
            expires = self.clock() + self.hold_seconds
            # A grant whose intent was refused or lost came to nothing: only what status records counts.
            self._hold(ask.uid, [_Held(key, ask.attempt, grant, 0, expires) for grant in ask.standing])
            decision = self._place([ask])[ask.uid]
            self._book(key, ask, decision)
            outcomes = {item.reason.value for item in decision.rejected} | ({"Placed"} if decision.grants else set())
            for outcome in outcomes:
                self.metrics.placements.labels(outcome).inc()
            return decision

    def snapshot(self) -> Snapshot:
        """The state of all devices now, without what is reserved."""
        return self._ledger.snapshot(pods_known=self.pods_known())

    def withdraw(self, uid: str) -> None:
        """The object asks for nothing more; what it was granted stays reserved."""
        self._waiting.pop(uid, None)
        self._decided.pop(uid, None)

    def release(self, uid: str) -> None:
        """Devices that were reserved for this object are free again; it no longer waits."""
        self.withdraw(uid)
        if self._held.pop(uid, None):
            self.capacity_changed()

    def restore(self, key: Key, uid: str, attempt: int, grants: Iterable[Grant]) -> None:
        """Reserve exactly these grants: those of before the operator started, or what is left of them by now."""
        expires = self.clock() + self.hold_seconds
        self._hold(uid, [_Held(key, attempt, grant, 0, expires) for grant in grants])
        self.capacity_changed()

    def capacity_changed(self) -> None:
        """Devices may have become free, or nodes have changed: those that wait are looked at again."""
        self._freed.set()

    async def run(self) -> None:
        """Serve those that wait whenever capacity changed."""
        while True:
            await self._freed.wait()
            # A gang's pods end within moments: look once for all of them.
            await asyncio.sleep(0.1)
            async with self._lock:
                if self._freed.is_set():
                    self._serve_waiting()

    def _serve_waiting(self) -> None:
        """Place over the whole queue, in its order; wake those for whom the answer changed.

        A gang's grant is kept for it. Replicas may have been asked for anew meanwhile, so their object is only woken.
        """
        self._freed.clear()
        waiting = dict(self._waiting)
        if not waiting:
            return
        for uid, decision in self._place([item.ask for item in waiting.values()]).items():
            item = waiting[uid]
            if decision.grants and item.ask.replicas is None:
                self._book(item.key, item.ask, decision)
                self._decided[uid] = (item.ask, decision)
            reasons = _reasons(decision)
            if decision.grants or reasons != item.reasons:
                item.reasons = reasons
                self.wake(item.key)

    def _place(self, asks: Sequence[Ask]) -> Mapping[str, Decision]:
        return place(asks, self.snapshot(), self._reservations())

    def _book(self, key: Key, ask: Ask, decision: Decision) -> None:
        """Reserve what was granted, and remember who got less than was asked for."""
        expires = self.clock() + self.hold_seconds
        before = self._held.get(ask.uid, []) if ask.replicas is not None else []
        new = [
            _Held(key, ask.attempt, grant, self._bound(key, ask.uid, ask.attempt, grant.variant), expires)
            for grant in decision.grants
        ]
        if new:
            self._hold(ask.uid, [*before, *new])
        granted = sum(grant.pods for grant in decision.grants)
        if not granted or granted < (ask.replicas or 0):
            self._waiting[ask.uid] = _Waiting(key, ask, _reasons(decision))
        else:
            self._waiting.pop(ask.uid, None)

    def _hold(self, uid: str, held: list[_Held]) -> None:
        self._held[uid] = held
        self._stale.add(uid)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        self._ledger.pod_changed(old, new)
        for pod in (old, new):
            owner = (pod.owner_uid or pod.owner) if isinstance(pod, OwnPod) else None
            if owner is not None:
                self._stale.add(owner)

    def _reservations(self) -> list[Reservation]:
        """Pods that were granted and show no node yet; counted anew only for objects of which something changed."""
        now = self.clock()
        reservations = []
        for uid, held in list(self._held.items()):
            for item in held:
                if uid in self._stale or item.key in self._stale:
                    item.left = self._left(uid, item)
            alive = [item for item in held if item.left is not None and now < item.expires]
            reservations += [item.left for item in alive if item.left is not None]
            if not alive:
                del self._held[uid]
            elif len(alive) < len(held):
                self._held[uid] = alive
        self._stale.clear()
        return reservations

    def _left(self, uid: str, item: _Held) -> Reservation | None:
        bound = self._bound(item.key, uid, item.attempt, item.grant.variant) - item.bound_before
        left = item.grant.pods - max(0, bound)
        return Reservation(uid, item.attempt, item.grant.option, left) if left > 0 else None

    def _bound(self, key: Key, uid: str, attempt: int, variant: str) -> int:
        return sum(
            1
            for pod in self.pods_of(key, uid)
            if pod.attempt == attempt and pod.variant == variant and (pod.node is not None or pod.terminal)
        )

    def _holds(self, ask: Ask) -> bool:
        return any(held.attempt == ask.attempt for held in self._held.get(ask.uid, ()))


def _reasons(decision: Decision) -> frozenset[str]:
    return frozenset(item.reason.value for item in decision.rejected)
