"""The placer over whole lives: runs come, wait, are bound, end and fail; nodes and pods of others come and go; the operator dies
between any two of these.

Sizes of pods are powers of two, so that putting the largest first wherever there is room is as good as the best way, and tells
whether anything was given twice.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tandem.cluster.metrics import Metrics
from tandem.cluster.store import Store
from tandem.domain.observed import ForeignPod, NodeRecord, OwnPod
from tandem.domain.placement.fit import Snapshot
from tandem.domain.placement.line import Line
from tandem.domain.placement.place import Answers, serve
from tandem.domain.placement.record import record, replay
from tandem.domain.placement.request import Ask, Candidate, Decision, Grant, Option
from tandem.runtime.placer import Placer
from tests.unit.runtime.builders import NOW, key, node, own_pod, profile

GUARD = 60.0
BIND = 120.0
MOST_RUNS = 8
PICK = st.integers(0, MOST_RUNS - 1)
"""Which of the runs there are."""
KINDS = ("gpu", "npu")
PROFILES = {
    name: profile(
        name,
        nodeSelector={"kind": name},
        allocation={"type": "ExtendedResource", "extendedResource": {"name": f"example.com/{name}"}},
    )
    for name in KINDS
}
T = TypeVar("T")


def now_or_never(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("it waits")


@dataclass
class Run:
    """A run as status and API server know it."""

    candidates: tuple[Candidate, ...]
    created: float
    waits_since: float | None = None
    attempt: int = 0
    grant: Grant | None = None
    decided: float = 0
    pods: dict[int, str | None] = field(default_factory=dict)
    """Rank -> node, of the active attempt."""

    @property
    def unbound(self) -> list[int]:
        return [rank for rank, where in self.pods.items() if where is None]


class Watched(Placer):
    """A placer of which every decision is looked at."""

    def _answer(self, line: Line) -> Answers:
        asks, state, now = list(line), self.snapshot(), self.now()
        reservations = self._reservations()
        answers = super()._answer(line)
        # A function of its inputs: from their record, and with the asks in any order.
        decided = {ask.uid: answers.of(ask) for ask in asks}
        assert replay(record(asks[::-1], state, reservations, now)) == decided
        assert serve(Line(asks[::-1]), state, reservations, now) == answers
        granted = [grant for decision in decided.values() for grant in decision.grants]
        for kind in KINDS:
            before = [(item.option.devices, item.pods) for item in reservations if item.option.profile.name == kind]
            after = [(grant.option.devices, grant.pods) for grant in granted if grant.option.profile.name == kind]
            assert not _fit(state, kind, before) or _fit(state, kind, before + after), "devices were given twice"
        kept: set[str] = set()
        for ask in sorted(asks, key=lambda item: item.order):
            if ask.overdue(now) is None or decided[ask.uid].grants:
                continue
            for option in (one for candidate in ask.candidates for one in candidate.options):
                kind = option.profile.name
                if kind in kept or not _could_be_placed(option, state.nodes):
                    continue
                kept.add(kind)
                behind = [grant for one in asks if one.order > ask.order for grant in decided[one.uid].grants]
                taken = sum(grant.option.devices * grant.pods for grant in behind if grant.option.profile.name == kind)
                assert taken <= _outside(option, state), "somebody behind the first that waits too long got its devices"
        return answers


def _fit(state: Snapshot, kind: str, wanted: list[tuple[int, int]]) -> bool:
    """Whether pods of these sizes, so many of each, go onto the nodes beside what is in use."""
    free = [
        item.allocatable[resource] - state.used.get((item.name, resource), 0)
        for item in state.nodes
        for resource in item.allocatable
        if item.labels["kind"] == kind
    ]
    for size, count in sorted(wanted, reverse=True):
        for _ in range(count):
            found = next((index for index, left in enumerate(free) if left >= size), None)
            if found is None:
                return False
            free[found] -= size
    return True


def _homes(option: Option, nodes: tuple[NodeRecord, ...]) -> list[NodeRecord]:
    return [item for item in nodes if item.labels["kind"] == option.profile.name]


def _could_be_placed(option: Option, nodes: tuple[NodeRecord, ...]) -> bool:
    """Whether the gang would fit on empty nodes."""
    return sum(item.allocatable[option.resource] // option.devices for item in _homes(option, nodes)) >= option.pods


def _outside(option: Option, state: Snapshot) -> int:
    """Free devices at most on the nodes that are not kept for the gang: it keeps those with the most free ones, and as many
    nodes, at least, as it would need if it had the largest."""
    homes = _homes(option, state.nodes)
    left, fewest = option.pods, 0
    for size in sorted((item.allocatable[option.resource] // option.devices for item in homes), reverse=True):
        if left > 0:
            left -= size
            fewest += 1
    free = sorted(item.allocatable[option.resource] - state.used.get((item.name, option.resource), 0) for item in homes)
    return sum(max(0, devices) for devices in free[: len(free) - fewest])


class Life(RuleBasedStateMachine):
    """See above."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.version = 0
        self.came = 0
        self.runs: dict[str, Run] = {}
        self.nodes: Store[NodeRecord] = Store()
        self.pods: Store[OwnPod | ForeignPod] = Store()
        self.start()
        self.node("gpu", 0, 8)
        self.node("npu", 0, 4)

    # What happens

    @rule()
    def start(self) -> None:
        """The operator starts, after it was killed or for the first time; nothing but status and pods survives."""
        self.woken: set[str] = set()
        self.placer = Watched(
            nodes=self.nodes,
            pods=self.pods,
            pods_known=lambda: True,
            pods_of=lambda _, uid: [pod for pod in self.pods.by_owner(uid) if isinstance(pod, OwnPod)],
            wake=lambda woken: self.woken.add(woken.name),
            hold_seconds=600,
            metrics=Metrics(),
            clock=lambda: self.time,
            now=lambda: NOW + timedelta(seconds=self.time),
        )
        for name, run in self.runs.items():
            self.placer.restore(key(name), f"{name}-uid", run.attempt, [run.grant] if run.grant else [])
        self.woken.update(name for name, run in self.runs.items() if run.grant is None)

    @rule(
        pods=st.integers(1, 3),
        devices=st.sampled_from([1, 2, 4]),
        kinds=st.sampled_from([("gpu",), ("npu",), ("gpu", "npu")]),
    )
    def arrive(self, pods: int, devices: int, kinds: tuple[str, ...]) -> None:
        if len(self.runs) < MOST_RUNS:
            self.came += 1
            name = f"run-{self.came}"
            candidates = tuple(
                Candidate(kind, kind, (Option(PROFILES[kind], pods, devices, {}, ()),)) for kind in kinds
            )
            self.runs[name] = Run(candidates, self.time)
            self.look(name)

    @rule(pick=PICK)
    def pass_over(self, pick: int) -> None:
        if self.runs:
            self.look(self.one(pick))

    def look(self, name: str) -> None:
        """A pass over a run without an attempt: it asks, and what it is told is written."""
        self.woken.discard(name)
        run = self.runs.get(name)
        if run is not None and run.grant is None:
            self.take(name, self.ask(name))

    @rule(pick=PICK)
    def lose(self, pick: int) -> None:
        """A run is granted devices, and the write of its intent is refused."""
        name = self.one(pick)
        if name and self.runs[name].grant is None:
            self.ask(name)
            self.woken.add(name)

    @rule()
    def serve(self) -> None:
        self.placer._serve_waiting()

    @rule(pick=PICK, last=st.booleans())
    def schedule(self, pick: int, last: bool) -> None:
        if self.runs:
            self.bind(self.one(pick), last)

    def bind(self, name: str, last: bool) -> None:
        """The scheduler binds a pod wherever its devices really are free: on the fullest such node, or the emptiest."""
        run = self.runs.get(name)
        if run is None or run.grant is None or not run.unbound:
            return
        option = run.grant.option
        fits = sorted((free, where) for where, free in self.free(option).items() if free >= option.devices)
        if fits:
            rank = run.unbound[0]
            run.pods[rank] = fits[-1 if last else 0][1]
            self.put(name, rank)

    @rule(pick=PICK, again=st.booleans())
    def finish(self, pick: int, again: bool) -> None:
        if self.runs:
            self.end(self.one(pick), again)

    def end(self, name: str, again: bool) -> None:
        """All of a gang has run: it is over, or failed and wants another attempt."""
        run = self.runs.get(name)
        if run is not None and run.grant is not None and not run.unbound:
            self.stop(name)
            if not again:
                del self.runs[name]
                self.placer.release(f"{name}-uid")

    @rule(kind=st.sampled_from(KINDS), number=st.integers(0, 2), devices=st.sampled_from([0, 2, 4, 8]))
    def node(self, kind: str, number: int, devices: int) -> None:
        """A node comes, goes (0), or has another number of healthy devices; never fewer than are in use or reserved."""
        name = f"{kind}-{number}"
        if self.busy(kind):
            devices = max(devices, self.allocatable().get(name, 0))
        offered = {f"example.com/{kind}": devices}
        made = node(name, labels={"kind": kind}, allocatable=offered, capacity=offered) if devices else None
        self.version += 1
        self.nodes.feed(("", name), made, self.version)
        self.tell()

    @rule(kind=st.sampled_from(KINDS), devices=st.sampled_from([1, 2, 4]))
    def come(self, kind: str, devices: int) -> None:
        """A pod of others takes devices that nobody waits for."""
        if self.busy(kind):
            return
        for where, free in self.free(Option(PROFILES[kind], 1, devices, {}, ())).items():
            if free >= devices:
                self.version += 1
                pod = ForeignPod(f"f{self.version}", where, {f"example.com/{kind}": devices})
                self.pods.feed(("others", f"f{self.version}"), pod, self.version)
                return

    @rule()
    def go(self) -> None:
        """All pods of others end."""
        for space, name in list(self.pods.names()):
            if space == "others":
                self.version += 1
                self.pods.feed((space, name), None, self.version)
        self.tell()

    @rule(seconds=st.sampled_from([1, 60, 119, 450]))
    def wait(self, seconds: int) -> None:
        """Time passes; gangs that are not bound in time give their devices back."""
        self.time += seconds
        for name, run in self.runs.items():
            if run.grant is not None and run.unbound and self.time >= run.decided + BIND:
                self.stop(name)
                self.woken.add(name)

    # What must hold

    @invariant()
    def nothing_is_given_twice(self) -> None:
        """There are devices for all that are in use and all that are granted. On which node a pod is bound is the
        scheduler's choice, and may leave no room for another."""
        for kind in KINDS:
            wanted = sum(run.grant.option.devices * len(run.unbound) for run in self.granted(kind) if run.grant)
            assert sum(self.free(Option(PROFILES[kind], 1, 1, {}, ())).values()) >= wanted

    def teardown(self) -> None:
        """Left alone, with all that runs ending sometime, everybody who could ever be placed is."""
        self.go()
        for _ in range(2 * MOST_RUNS):
            for name, run in list(self.runs.items()):
                while run.grant is not None and run.unbound and self.bound_one(name):
                    pass
                if run.grant is not None and not run.unbound:
                    self.end(name, again=False)
            self.wait(450)
            self.serve()
            for name in sorted(self.woken):
                self.look(name)
        nodes = tuple(self.nodes.values())
        left = [
            name
            for name in self.runs
            for candidate in self.asked(name).candidates
            if any(_could_be_placed(option, nodes) for option in candidate.options)
        ]
        assert not left, f"never served: {left}"

    # By which means

    def one(self, pick: int) -> str:
        """Name of one of the runs; empty when there is none."""
        return sorted(self.runs)[pick % len(self.runs)] if self.runs else ""

    def bound_one(self, name: str) -> bool:
        before = len(self.runs[name].unbound)
        self.bind(name, last=False)
        return len(self.runs[name].unbound) < before

    def ask(self, name: str) -> Decision:
        decision = now_or_never(self.placer.decide(key(name), self.asked(name)))
        # One grant is one variant on one profile: a gang never mixes accelerators.
        assert len(decision.grants) <= 1
        assert all(grant.pods == grant.option.pods for grant in decision.grants)
        return decision

    def asked(self, name: str) -> Ask:
        run = self.runs[name]
        return Ask(
            uid=f"{name}-uid",
            kind="TrainingRun",
            namespace="team",
            name=name,
            attempt=run.attempt + 1,
            since=NOW + timedelta(seconds=run.created),
            candidates=run.candidates,
            waits_since=None if run.waits_since is None else NOW + timedelta(seconds=run.waits_since),
            starves_after=GUARD,
        )

    def take(self, name: str, decision: Decision) -> None:
        run = self.runs[name]
        if decision.grant is None:
            run.waits_since = self.time if run.waits_since is None else run.waits_since
            return
        run.attempt += 1
        run.grant, run.decided, run.waits_since = decision.grant, self.time, None
        run.pods = dict.fromkeys(range(decision.grant.pods))
        for rank in run.pods:
            self.put(name, rank)

    def stop(self, name: str) -> None:
        run = self.runs[name]
        for rank in run.pods:
            self.put(name, rank, gone=True)
        run.grant, run.pods = None, {}
        self.placer.release(f"{name}-uid")
        self.woken.add(name)
        self.tell()

    def put(self, name: str, rank: int, *, gone: bool = False) -> None:
        run = self.runs[name]
        assert run.grant is not None
        resource, devices = run.grant.option.resource, run.grant.option.devices
        self.version += 1
        pod = own_pod(f"{name}-uid", attempt=run.attempt, rank=rank, node=run.pods[rank], variant=run.grant.variant)
        pod = replace(pod, devices={resource: devices}, resource_version=self.version)
        self.pods.feed(("team", pod.name), None if gone else pod, self.version)

    def tell(self) -> None:
        self.placer.capacity_changed()

    def granted(self, kind: str) -> list[Run]:
        return [run for run in self.runs.values() if run.grant is not None and run.grant.option.profile.name == kind]

    def busy(self, kind: str) -> bool:
        """Whether devices of this kind are in use, or granted as far as anybody knows."""
        resource = f"example.com/{kind}"
        held = [item for items in self.placer._held.values() for item in items]
        return (
            bool(self.granted(kind))
            or any(item.grant.option.resource == resource for item in held)
            or any(resource in pod.devices for pod in self.pods.values())
        )

    def allocatable(self) -> dict[str, int]:
        return {item.name: sum(item.allocatable.values()) for item in self.nodes.values()}

    def free(self, option: Option) -> dict[str, int]:
        """Node of the option's kind -> devices that no bound pod has."""
        used: dict[str, int] = {}
        for pod in self.pods.values():
            if pod.node is not None:
                used[pod.node] = used.get(pod.node, 0) + sum(pod.devices.values())
        return {
            name: amount - used.get(name, 0)
            for name, amount in self.allocatable().items()
            if name.startswith(option.profile.name)
        }


Life.TestCase.settings = settings(stateful_step_count=60, max_examples=150, deadline=None)
TestLife = Life.TestCase
