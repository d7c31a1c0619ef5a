"""Devices of all nodes, who holds them, and the sums that the report needs, each kept up to date in constant time.

It also stands in for the scheduler: pods are bound to the fullest nodes that have room (score MostAllocated on devices, as
clusters of accelerators are set up) or, to see what that is worth, to the emptiest.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.sim.trace import Make, Shape

Nodes = Mapping[str, int]
"""Node -> devices."""


class BookedTwiceError(AssertionError):
    """More devices were given than there are: the placer, or the simulator, is wrong."""


@dataclass(slots=True)
class Pool:
    """The nodes of one make."""

    make: Make
    free: dict[str, int]
    """Node -> free devices; also of nodes that are gone."""
    levels: list[dict[str, None]]
    """Nodes that are there by the number of their free devices."""
    down: set[str] = field(default_factory=set)
    used: int = 0
    idle: int = 0
    """Free devices on nodes that are there."""
    split: int = 0
    """Those of them on nodes that are partly in use: a pod that wants a whole node cannot have them."""


class Fleet:
    """All makes."""

    def __init__(self, makes: Iterable[Make], *, packed: bool = True) -> None:
        self.pools = {make.name: _pool(make) for make in makes}
        self._pool_of = {name: pool for pool in self.pools.values() for name in pool.free}
        self._packed = packed

    def legal(self, shape: Shape) -> bool:
        """Whether the make allows so many devices in a pod."""
        legal = self.pools[shape.make].make.legal
        return not legal or shape.devices in legal

    def fits(self, shape: Shape) -> bool:
        """Whether the whole gang has room now."""
        left = shape.pods
        levels = self.pools[shape.make].levels
        for level in range(shape.devices, len(levels)):
            left -= len(levels[level]) * (level // shape.devices)
            if left <= 0:
                return True
        return False

    def bind(self, shape: Shape) -> Nodes | None:
        """Take devices for all pods; None, and nothing taken, where they do not fit."""
        if not self.fits(shape):
            return None
        levels = self.pools[shape.make].levels
        order = range(shape.devices, len(levels)) if self._packed else range(len(levels) - 1, shape.devices - 1, -1)
        taken: dict[str, int] = {}
        left = shape.pods
        for level in order:
            names = levels[level]
            while names and left:
                name = next(iter(names))
                pods = min(left, level // shape.devices) if self._packed else 1
                self.take(name, pods * shape.devices)
                taken[name] = taken.get(name, 0) + pods * shape.devices
                left -= pods
        return taken

    def take(self, name: str, devices: int) -> None:
        """Devices of a node are in use from now on."""
        pool = self._pool_of[name]
        if name in pool.down or pool.free[name] < devices:
            raise BookedTwiceError(f"{devices} devices taken on {name}, where {pool.free[name]} are free")
        self._move(pool, name, -devices)

    def give(self, nodes: Nodes) -> None:
        """Devices are free again."""
        for name, devices in nodes.items():
            self._move(self._pool_of[name], name, devices)

    def lose(self, name: str) -> None:
        """The node is gone; what ran there must be given back too."""
        pool = self._pool_of[name]
        self._count(pool, name, -1)
        pool.down.add(name)

    def regain(self, name: str) -> None:
        """The node is back."""
        pool = self._pool_of[name]
        pool.down.discard(name)
        self._count(pool, name, 1)

    def _move(self, pool: Pool, name: str, devices: int) -> None:
        there = name not in pool.down
        if there:
            self._count(pool, name, -1)
        pool.free[name] += devices
        pool.used -= devices
        if pool.free[name] > pool.make.devices:
            raise BookedTwiceError(f"{name} has {pool.free[name]} free devices of {pool.make.devices}")
        if there:
            self._count(pool, name, 1)

    def _count(self, pool: Pool, name: str, sign: int) -> None:
        level = pool.free[name]
        if sign > 0:
            pool.levels[level][name] = None
        else:
            del pool.levels[level][name]
        pool.idle += sign * level
        if level < pool.make.devices:
            pool.split += sign * level


def _pool(make: Make) -> Pool:
    names = make.node_names
    levels: list[dict[str, None]] = [{} for _ in range(make.devices + 1)]
    levels[make.devices] = dict.fromkeys(names)
    return Pool(make, dict.fromkeys(names, make.devices), levels, idle=make.devices * make.nodes)
