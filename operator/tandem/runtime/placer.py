"""The one place where devices are given away: a lock, the pure `serve()`, and reservations in memory.

Parallel reconciles would each see the same free device. So they ask here; whoever was granted devices holds a reservation
until its pods show a node, are gone, or too much time has passed.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from tandem.cluster.metrics import Metrics
from tandem.cluster.store import Store
from tandem.domain.observed import ForeignPod, Key, NodeRecord, OwnPod, QuotaRecord
from tandem.domain.placement import record
from tandem.domain.placement.fit import Room, Snapshot
from tandem.domain.placement.holders import Held
from tandem.domain.placement.ledger import Ledger
from tandem.domain.placement.line import Line
from tandem.domain.placement.place import Answers, Reservation, rooms, serve
from tandem.domain.placement.policy import Policies
from tandem.domain.placement.request import Ask, Decision, Demand, Grant, Option

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
    policies: Callable[[], Policies] = Policies
    quotas: Store[QuotaRecord] = field(default_factory=Store[QuotaRecord])
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    record: Callable[[str], object] | None = None
    """Told of every decision, as domain/placement/record writes it."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _held: dict[str, list[_Held]] = field(default_factory=dict)
    _line: Line = field(default_factory=Line)
    """What is asked for and was not given whole."""
    _keys: dict[str, Key] = field(default_factory=dict)
    """Of those in line."""
    _told: dict[Demand, frozenset[str]] = field(default_factory=dict)
    """Why those in line get nothing, as far as they know."""
    _decided: dict[str, tuple[Ask, Decision]] = field(default_factory=dict)
    """What was granted to a gang while it waited, until it asks again."""
    _freed: asyncio.Event = field(default_factory=asyncio.Event)
    _ledger: Ledger = field(default_factory=Ledger)
    _quotas: dict[str, tuple[QuotaRecord, ...]] = field(default_factory=dict)
    """By namespace; never changed, but replaced, for snapshots hold it."""
    _holders: Held = field(default_factory=Held)
    """Without policies: they come in with each snapshot."""
    _stale: set[Key | str] = field(default_factory=set)
    """Objects, by uid or key as pods name their owner, whose pods or grants changed since their reservations were counted."""

    def __post_init__(self) -> None:
        self.nodes.listen(self._ledger.node_changed)
        self.pods.listen(self._pod_changed)
        self.quotas.listen(self._quota_changed)

    async def decide(self, key: Key, ask: Ask) -> Decision:
        """A decision for this ask. Devices granted stay reserved until `release`, bound pods, or time."""
        async with self._lock:
            if self._freed.is_set():
                self._serve_waiting()
            asked, kept = self._decided.pop(ask.uid, (None, None))
            # An edited spec asks for something else: what was granted for the old one is of no use.
            same = asked is not None and (asked.attempt, asked.demand) == (ask.attempt, ask.demand)
            if kept is not None and same and self._holds(ask):
                return kept
            # A grant whose intent was refused or lost came to nothing: only what status records counts.
            self._hold(ask.uid, self._grants(key, ask.attempt, ask.standing, ask.hold))
            before = self._leave(ask.uid)
            decision = self._place(ask)
            self._book(key, ask, decision)
            if before is not None and before.overdue(self.now()) and ask.uid not in self._keys:
                # What it kept from others and did not need itself is theirs.
                self.capacity_changed()
            outcomes = {item.reason.value for item in decision.rejected} | ({"Placed"} if decision.grants else set())
            for outcome in outcomes:
                self.metrics.placements.labels(outcome).inc()
            return decision

    def snapshot(self) -> Snapshot:
        """The state of all devices now, without what is reserved."""
        state = self._ledger.snapshot(pods_known=self.pods_known())
        return replace(state, held=self._holders.under(self.policies()), quotas=self._quotas)

    def devices_on(self, profile: str) -> int:
        """Devices that runs and services hold on a profile."""
        return sum(count for holder, count in self._holders.counts.items() if holder.profile == profile)

    def rooms(self, options: Iterable[Option], priority: int) -> list[Room]:
        """What each option, alone, would find now; see place.rooms."""
        return rooms(options, priority, self.snapshot(), self._reservations(), self.now())

    def withdraw(self, uid: str) -> None:
        """The object asks for nothing more; what it was granted stays reserved."""
        self._decided.pop(uid, None)
        left = self._leave(uid)
        if left is not None and left.overdue(self.now()):
            # Nobody is held back for it any more.
            self.capacity_changed()

    def release(self, uid: str) -> None:
        """Devices that were reserved for this object are free again; it no longer waits."""
        self.withdraw(uid)
        if self._held.pop(uid, None):
            self.capacity_changed()

    def restore(self, key: Key, uid: str, attempt: int, grants: Iterable[Grant], hold: float = 0) -> None:
        """Reserve exactly these grants: those of before the operator started, or what is left of them by now."""
        self._hold(uid, self._grants(key, attempt, grants, hold))
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
        """Serve the whole line, in its order; wake those for whom the answer changed."""
        self._freed.clear()
        if not self._line:
            return
        answers = self._answer(self._line)
        for uid, decision in answers.given.items():
            self._give(uid, decision)
        for demand, decision in answers.refused.items():
            self._tell(demand, _reasons(decision))

    def _place(self, ask: Ask) -> Decision:
        """Place one, behind those who wait too long: none of them can be served yet, but they keep devices from it."""
        ahead = [item for item in self._line.holding(self.now()) if item.order < ask.order]
        answers = self._answer(Line([*ahead, ask]))
        for item in ahead:
            if item.uid in answers.given:
                self._give(item.uid, answers.given[item.uid])
        return answers.of(ask)

    def _answer(self, line: Line) -> Answers:
        state, reservations, now = self.snapshot(), self._reservations(), self.now()
        if self.record is not None:
            self.record(record.record(list(line), state, reservations, now))
        return serve(line, state, reservations, now)

    def _give(self, uid: str, decision: Decision) -> None:
        """Somebody in line gets something. A gang's grant is kept for it; replicas may have been asked for anew meanwhile,
        so their object is only woken."""
        ask, key = self._line.get(uid), self._keys[uid]
        assert ask is not None, "only those in line are served"
        if ask.replicas is None:
            self._book(key, ask, decision)
            self._decided[uid] = (ask, decision)
        self.wake(key)

    def _tell(self, demand: Demand, reasons: frozenset[str]) -> None:
        """Wake those who ask for this, if they know other reasons for getting nothing."""
        if self._told.get(demand, reasons) != reasons:
            for ask in self._line.alike(demand):
                self.wake(self._keys[ask.uid])
        self._told[demand] = reasons

    def _book(self, key: Key, ask: Ask, decision: Decision) -> None:
        """Reserve what was granted, and remember who got less than was asked for."""
        before = self._held.get(ask.uid, []) if ask.replicas is not None else []
        if decision.grants:
            new = self._grants(key, ask.attempt, decision.grants, ask.hold)
            for item in new:
                item.bound_before = self._bound(key, ask.uid, ask.attempt, item.grant.variant)
            self._hold(ask.uid, [*before, *new])
        granted = sum(grant.pods for grant in decision.grants)
        if not granted or granted < (ask.replicas or 0):
            self._tell(ask.demand, _reasons(decision))
            self._line.put(ask)
            self._keys[ask.uid] = key
        else:
            self._leave(ask.uid)

    def _leave(self, uid: str) -> Ask | None:
        """The object is in line no more. Returns what it asked for."""
        ask = self._line.drop(uid)
        if ask is not None:
            del self._keys[uid]
            if not self._line.alike(ask.demand):
                self._told.pop(ask.demand, None)
        return ask

    def _grants(self, key: Key, attempt: int, grants: Iterable[Grant], hold: float) -> list[_Held]:
        expires = self.clock() + max(self.hold_seconds, hold)
        return [_Held(key, attempt, grant, 0, expires) for grant in grants]

    def _hold(self, uid: str, held: list[_Held]) -> None:
        self._held[uid] = held
        self._stale.add(uid)

    def _quota_changed(self, old: QuotaRecord | None, new: QuotaRecord | None) -> None:
        namespace = (old or new).namespace  # type: ignore[union-attr]
        left = tuple(item for item in self._quotas.get(namespace, ()) if old is None or item.name != old.name)
        self._quotas = {**self._quotas, namespace: (*left, new) if new is not None else left}

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        self._ledger.pod_changed(old, new)
        self._holders.pod_changed(old, new)
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
        return Reservation(uid, item.attempt, item.grant.option, left, item.key) if left > 0 else None

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
