"""Runs a trace through a strategy, event by event, and measures on the way."""

import heapq
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count

from tests.sim.fleet import Fleet, Nodes
from tests.sim.strategy import Strategy
from tests.sim.trace import HOUR, Job, Outage, Shape, Trace

CHECKPOINT = 0.5 * HOUR
"""A job that loses a node begins anew from its last checkpoint; it writes one after so many seconds."""


@dataclass(slots=True)
class Stint:
    """A job on its devices, until its end or until a node was lost."""

    job: Job
    shape: Shape
    nodes: Nodes
    begin: float
    end: float
    finished: bool = True


@dataclass(slots=True)
class Means:
    """Sums over time, of which the report makes means."""

    used: dict[str, float]
    """Make -> device-seconds."""
    idle: float = 0.0
    split: float = 0.0
    busy: float = 0.0
    """Seconds in which anything ran."""
    shortfall: dict[str, float] = field(default_factory=dict)
    """Make with a wished share -> the sum of what was lacking of it while anything ran; 1 is all devices in use."""

    def add(self, fleet: Fleet, seconds: float) -> None:
        """The fleet was as it is for so long."""
        total = sum(pool.used for pool in fleet.pools.values())
        for name, pool in fleet.pools.items():
            self.used[name] += pool.used * seconds
            self.idle += pool.idle * seconds
            self.split += pool.split * seconds
            if total and pool.make.share:
                lacking = max(0.0, pool.make.share / 100 - pool.used / total)
                self.shortfall[name] = self.shortfall.get(name, 0.0) + lacking * seconds
        if total:
            self.busy += seconds


@dataclass(slots=True)
class Outcome:
    """All that happened."""

    trace: Trace
    stints: list[Stint]
    """By their end."""
    means: Means
    unplaced: Sequence[Job]
    """Still waiting when nothing could happen any more: they fit nowhere."""
    unbound: int = 0
    """Grants for which the scheduler found no nodes."""
    decisions: int = 0
    """How often the strategy was asked."""


class _Engine:
    """The state between two events."""

    def __init__(self, trace: Trace, fleet: Fleet, strategy: Strategy) -> None:
        self.means = Means({make.name: 0.0 for make in trace.makes})
        self.now = 0.0
        self.stints: list[Stint] = []
        self._trace = trace
        self._fleet = fleet
        self._strategy = strategy
        self.waiting: dict[str, Job] = {}
        self._running: dict[str, Stint] = {}
        self._on_node: dict[str, dict[str, None]] = {}
        self._left: dict[str, float] = {}
        """Work that a job which lost a node still has to do."""
        self._outside = deque(_events(trace))
        self._ends: list[tuple[float, int, Stint]] = []
        self._numbers = count()

    @property
    def next_event(self) -> float:
        """When the next thing happens; infinity after the last."""
        outside = self._outside[0][0] if self._outside else math.inf
        return min(outside, self._ends[0][0] if self._ends else math.inf)

    def pass_until(self, moment: float) -> None:
        """All that happens until then."""
        while (at := self.next_event) <= moment:
            self._advance(at)
            if self._ends and self._ends[0][0] <= at:
                _, _, stint = heapq.heappop(self._ends)
                if self._running.get(stint.job.name) is stint:
                    self._end(stint)
            else:
                self._happen(self._outside.popleft()[2])
        self._advance(moment)

    def place(self) -> int:
        """Start what the strategy chooses; the number of those for which there were no nodes in the end."""
        unbound = 0
        for job, shape in self._strategy.choose(self.now):
            nodes = self._fleet.bind(shape)
            if nodes is None:
                unbound += 1
            else:
                self._start(job, shape, nodes)
        return unbound

    def _advance(self, moment: float) -> None:
        self.means.add(self._fleet, moment - self.now)
        self.now = moment

    def _happen(self, what: Job | Outage | str) -> None:
        match what:
            case Job() as job:
                self._wait(job)
            case Outage() as outage:
                self._lose(outage.node)
            case str() as node:
                self._fleet.regain(node)
                self._strategy.node_changed(node, there=True)

    def _wait(self, job: Job) -> None:
        self.waiting[job.name] = job
        self._strategy.queued(job, self.now)

    def _start(self, job: Job, shape: Shape, nodes: Nodes) -> None:
        del self.waiting[job.name]
        end = self.now + self._left.get(job.name, job.seconds) / self._trace.by_make[shape.make].speed
        stint = self._running[job.name] = Stint(job, shape, nodes, self.now, end)
        heapq.heappush(self._ends, (end, next(self._numbers), stint))
        for node in nodes:
            self._on_node.setdefault(node, {})[job.name] = None
        self._strategy.bound(job, shape, nodes)

    def _end(self, stint: Stint) -> None:
        del self._running[stint.job.name]
        self._fleet.give(stint.nodes)
        for node in stint.nodes:
            del self._on_node[node][stint.job.name]
        self._strategy.ended(stint.job)
        self.stints.append(stint)

    def _lose(self, node: str) -> None:
        for name in list(self._on_node.get(node, ())):
            stint = self._running[name]
            self._end(stint)
            stint.end, stint.finished = self.now, False
            saved = (self.now - stint.begin) // CHECKPOINT * CHECKPOINT * self._trace.by_make[stint.shape.make].speed
            self._left[name] = self._left.get(name, stint.job.seconds) - saved
            self._wait(stint.job)
        self._fleet.lose(node)
        self._strategy.node_changed(node, there=False)


def simulate(trace: Trace, fleet: Fleet, strategy: Strategy, *, tick: float = 0.0) -> Outcome:
    """The whole trace. What happens within `tick` seconds is decided upon at their end, in one go."""
    engine = _Engine(trace, fleet, strategy)
    unbound = decisions = 0
    while engine.next_event < math.inf:
        engine.pass_until(engine.next_event + tick)
        if engine.waiting:
            decisions += 1
            unbound += engine.place()
    return Outcome(trace, engine.stints, engine.means, list(engine.waiting.values()), unbound, decisions)


def _events(trace: Trace) -> list[tuple[float, int, Job | Outage | str]]:
    """What comes from outside, by time: nodes that come back, nodes that go, jobs."""
    back: list[tuple[float, int, Job | Outage | str]] = [
        (item.at + item.seconds, 0, item.node) for item in trace.outages
    ]
    gone = [(item.at, 1, item) for item in trace.outages]
    come = [(job.submit, 2, job) for job in trace.jobs]
    return sorted([*back, *gone, *come], key=lambda event: event[:2])
