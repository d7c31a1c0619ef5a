"""Who decides which job gets which devices: what all strategies have in common, and those that Tandem is compared with."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Protocol

from tests.sim.fleet import Fleet, Nodes
from tests.sim.trace import Job, Shape, Trace


class Strategy(Protocol):
    """Sees the queue, and chooses."""

    def queued(self, job: Job, now: float) -> None:
        """The job waits from now on."""

    def choose(self, now: float) -> Iterable[tuple[Job, Shape]]:
        """The jobs that start, in this order; each is bound before the next is asked for."""

    def bound(self, job: Job, shape: Shape, nodes: Nodes) -> None:
        """The job holds these devices from now on."""

    def ended(self, job: Job) -> None:
        """It holds them no longer."""

    def node_changed(self, node: str, *, there: bool) -> None:
        """A node went or came back."""


class FirstFit:
    """Every job takes the first make of its own list that has room; small ones overtake large ones, and nobody is kept waiting
    for anybody else."""

    def __init__(self, trace: Trace, fleet: Fleet) -> None:
        self._trace = trace
        self._fleet = fleet
        self._queue: list[tuple[int, float, str, Job, tuple[Shape, ...]]] = []
        """By priority and age, with the shapes in the order in which they are tried."""

    def queued(self, job: Job, now: float) -> None:
        """Behind those of its priority that are older."""
        legal = (shape for shape in job.shapes if self._fleet.legal(shape))
        insort(self._queue, (*_order(job), job, tuple(self.ordered(legal))))

    def choose(self, now: float) -> Iterator[tuple[Job, Shape]]:
        """As the class says."""
        full: set[tuple[Shape, ...]] = set()
        for *_, job, shapes in list(self._queue):
            if shapes in full:
                continue
            shape = next((shape for shape in shapes if self._fleet.fits(shape)), None)
            if shape is not None:
                yield job, shape
            else:
                full.add(shapes)

    def ordered(self, shapes: Iterable[Shape]) -> Iterable[Shape]:
        """In the order in which they are tried."""
        return shapes

    def bound(self, job: Job, shape: Shape, nodes: Nodes) -> None:
        """It waits no more."""
        del self._queue[bisect_left(self._queue, _order(job))]

    def ended(self, job: Job) -> None:
        """The fleet knows."""

    def node_changed(self, node: str, *, there: bool) -> None:
        """The fleet knows."""


class Pinned(FirstFit):
    """Every job waits for the make that it lists first: a node selector in a manifest, which is how it is without Tandem."""

    def ordered(self, shapes: Iterable[Shape]) -> Iterable[Shape]:
        """The first alone."""
        return list(shapes)[:1]


class VendorOrder(FirstFit):
    """All jobs try the makes in one static order, that of the inventory."""

    def ordered(self, shapes: Iterable[Shape]) -> Iterable[Shape]:
        """By the order of the inventory."""
        rank = {make.name: number for number, make in enumerate(self._trace.makes)}
        return sorted(shapes, key=lambda shape: rank[shape.make])


class Cheapest(FirstFit):
    """Every job takes the make whose devices cost least for an hour, of those that have room."""

    def ordered(self, shapes: Iterable[Shape]) -> Iterable[Shape]:
        """By price."""
        return sorted(shapes, key=lambda shape: self._trace.by_make[shape.make].cost * shape.pods * shape.devices)


def _order(job: Job) -> tuple[int, float, str]:
    return -job.priority, job.submit, job.name
