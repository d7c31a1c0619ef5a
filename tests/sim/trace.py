"""What is simulated: makes of accelerator and their nodes, jobs, and outages of nodes. Times are seconds from the start."""

from collections.abc import Mapping
from dataclasses import dataclass, field

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Make:
    """Like nodes that carry one make of accelerator."""

    name: str
    nodes: int
    devices: int
    """On each node."""
    cost: float = 1.0
    """Of a device for an hour, in any currency."""
    speed: float = 1.0
    """A job of so many seconds takes seconds / speed."""
    legal: tuple[int, ...] = ()
    """Legal counts of devices in a pod; empty: any."""
    share: float = 0.0
    """Wished share of the devices in use, in percent; 0: none wished."""

    @property
    def node_names(self) -> tuple[str, ...]:
        """Names of its nodes."""
        return tuple(f"{self.name}-{number:04}" for number in range(self.nodes))


@dataclass(frozen=True, slots=True)
class Shape:
    """A gang on one make."""

    make: str
    pods: int
    devices: int
    """Of each pod."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something that runs to its end, once it gets all devices of one of its shapes."""

    name: str
    submit: float
    seconds: float
    """Of work, on a make of speed 1."""
    shapes: tuple[Shape, ...]
    """In the order in which its owner prefers them."""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Outage:
    """A node is gone for a while, and all that ran on it ends."""

    node: str
    at: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Trace:
    """All that happens from outside."""

    makes: tuple[Make, ...]
    jobs: tuple[Job, ...]
    """By time of submission."""
    outages: tuple[Outage, ...] = ()
    by_make: Mapping[str, Make] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_make", {make.name: make for make in self.makes})
