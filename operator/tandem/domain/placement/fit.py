"""Which nodes can take pods of an option, and how many.

free(node) = allocatable - effective requests of non-terminal pods bound or nominated there. Terminating pods count until
they are gone. Nodes that are cordoned, NotReady, not tolerated, not selected, of another architecture or divided by a
sharing layer do not count. Own pods without a node are counted by their reservations, nominated or not.
CPU, memory and affinity of our pods are not modelled: a fit is a hint, the scheduler decides.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from tandem.domain.observed import ForeignPod, NodeRecord, OwnPod, QuotaRecord, Wait
from tandem.domain.placement.holders import Held
from tandem.domain.placement.nodes import ARCH_LABEL, DIVIDED, admits, unfit
from tandem.domain.placement.request import Option

NOTHING_KEPT: Mapping[tuple[str, str], datetime] = MappingProxyType({})
NOTHING_PROMISED: Mapping[tuple[str, str], int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Others:
    """Pods of others that wait for a node, alike in all that decides where they fit and who goes first."""

    wait: Wait
    resource: str
    devices: int
    """Of each pod."""

    @property
    def shape(self) -> Hashable:
        """See Option.shape."""
        return self


@dataclass(frozen=True, slots=True)
class Nodes:
    """What the nodes are to pods of one shape, whatever runs on them."""

    open: Mapping[str, int]
    """Names of the eligible nodes and the healthy devices on each."""
    capacity: tuple[int, ...] = ()
    """All devices of each of these."""
    away: tuple[tuple[str, int], ...] = ()
    """How many nodes of the profile take no new pods, by why."""
    away_capacity: tuple[int, ...] = ()
    """All devices of each of these, but for the divided ones."""
    architectures: frozenset[str] = frozenset()
    """Of nodes that have the labels and another architecture."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Nodes and what is used on them."""

    nodes: tuple[NodeRecord, ...]
    used: Mapping[tuple[str, str], int]
    """(node, resource) -> devices."""
    waiting: Mapping[Others, int] = field(default_factory=dict)
    """How many pods of others wait for a node."""
    quotas: Mapping[str, tuple[QuotaRecord, ...]] = field(default_factory=dict)
    """Quotas by namespace."""
    pods_known: bool = True
    """False when the operator may not list all pods: then free devices are unknown."""
    held: Held = field(default_factory=Held)
    """Devices by whose work holds them, and the policies that say something to it."""
    surveys: dict[Hashable, Nodes] = field(default_factory=dict, compare=False, repr=False)
    """What `survey` found out about these nodes so far. It may be handed on to other snapshots of the same nodes."""
    rooms: dict[Hashable, "Room"] = field(default_factory=dict, compare=False, repr=False)
    """What `base_room` found out so far; it goes with `used`, and a snapshot with another one needs another."""


@dataclass(frozen=True, slots=True)
class Room:
    """How many pods of an option fit, node by node, and the sums that explain it."""

    pods_by_node: Mapping[str, int]
    nodes: int
    """Nodes that are eligible."""
    free: int
    """Free devices on them."""
    total: int
    """Healthy devices on them."""
    kept: int = 0
    """Of the free ones, those that are kept for a gang that has waited too long."""
    kept_since: datetime | None = None
    """Since when it waits."""
    resource: str = ""
    each: int = 1
    """Devices of a pod."""
    promised: int = 0
    """Healthy devices that are neither free nor in use: pods of others wait that go first."""

    @property
    def pods(self) -> int:
        """Pods that fit now."""
        return sum(self.pods_by_node.values())


def snapshot(nodes: Iterable[NodeRecord], pods: Iterable[OwnPod | ForeignPod], *, pods_known: bool = True) -> Snapshot:
    """The state of all devices, from the stores' records."""
    used: dict[tuple[str, str], int] = {}
    waiting: dict[Others, int] = {}
    for pod in pods:
        for place, amount in holds(pod):
            used[place] = used.get(place, 0) + amount
        for others in waits(pod):
            waiting[others] = waiting.get(others, 0) + 1
    return Snapshot(nodes=tuple(nodes), used=used, waiting=waiting, pods_known=pods_known)


def holds(pod: OwnPod | ForeignPod) -> Iterable[tuple[tuple[str, str], int]]:
    """(node, resource) and the devices that the pod holds there; nothing before it is bound and after its end."""
    if pod.node is None or pod.terminal:
        return ()
    node = pod.node
    return [((node, resource), amount) for resource, amount in pod.devices.items() if amount]


def waits(pod: OwnPod | ForeignPod) -> Iterable[Others]:
    """What a pod of others without a node waits for, resource by resource."""
    if isinstance(pod, OwnPod) or pod.wait is None:
        return ()
    wait = pod.wait
    return [Others(wait, resource, amount) for resource, amount in pod.devices.items() if amount]


def room(
    state: Snapshot,
    used: Mapping[tuple[str, str], int],
    option: Option | Others,
    kept: Mapping[tuple[str, str], datetime] = NOTHING_KEPT,
    promised: Mapping[tuple[str, str], int] = NOTHING_PROMISED,
) -> Room:
    """Where pods of `option` fit, `used` being the snapshot's plus what is reserved or promised, and `kept` what a gang of
    ours waits for."""
    pods_by_node: dict[str, int] = {}
    free_total = total = kept_total = promised_total = 0
    kept_since = None
    resource, each = option.resource, option.devices
    open_nodes = survey(state, option).open
    for name, devices in open_nodes.items():
        place = (name, resource)
        free = max(0, devices - used.get(place, 0))
        if place in kept:
            kept_total += free
            kept_since = kept[place]
        else:
            pods_by_node[name] = free // each
        free_total += free
        promised_total += promised.get(place, 0)
        total += devices
    return Room(
        pods_by_node=pods_by_node,
        nodes=len(open_nodes),
        free=free_total,
        total=total,
        kept=kept_total,
        kept_since=kept_since,
        resource=resource,
        each=each,
        promised=promised_total,
    )


def base_room(state: Snapshot, option: Option | Others) -> Room:
    """Where pods of `option` fit while nothing is reserved."""
    found = state.rooms.get(option.shape)
    if found is None:
        found = state.rooms[option.shape] = room(state, state.used, option)
    return found


def recounted(
    before: Room,
    devices: Mapping[str, int],
    used: Mapping[str, tuple[int, int]],
    promised: Mapping[tuple[str, str], int] = NOTHING_PROMISED,
) -> Room:
    """The room after on some nodes other devices are used: as many before, and as many now. It equals `room` counted anew,
    at a cost that grows with these nodes; `devices` is what `survey` says of the option."""
    pods_by_node = dict(before.pods_by_node)
    free, more = before.free, before.promised
    for node, (old, new) in used.items():
        if node in pods_by_node:
            left = max(0, devices[node] - new)
            pods_by_node[node] = left // before.each
            free += left - max(0, devices[node] - old)
            more += promised.get((node, before.resource), 0)
    return replace(before, pods_by_node=pods_by_node, free=free, promised=more)


def survey(state: Snapshot, option: Option | Others) -> Nodes:
    """What the nodes are to pods of this shape. Looking at every node for every ask would be the most of a placement's
    work, and the answer only changes with the nodes."""
    found = state.surveys.get(option.shape)
    if found is None:
        found = _of_ours(state, option) if isinstance(option, Option) else _of_others(state, option)
        state.surveys[option.shape] = found
    return found


def _of_others(state: Snapshot, others: Others) -> Nodes:
    resource = others.resource
    return Nodes({node.name: node.allocatable.get(resource, 0) for node in state.nodes if admits(node, others.wait)})


def _of_ours(state: Snapshot, option: Option) -> Nodes:
    resource = option.resource
    wanted = {**option.node_selector, **option.profile.spec.node_selector}.items()
    architecture = option.profile.spec.architecture
    healthy: dict[str, int] = {}
    capacity: list[int] = []
    away: dict[str, int] = {}
    away_capacity: list[int] = []
    architectures: set[str] = set()
    for node in state.nodes:
        if not wanted <= node.labels.items():
            continue
        if architecture is not None and node.labels.get(ARCH_LABEL) != architecture:
            architectures.add(node.labels.get(ARCH_LABEL, "of no known architecture"))
            continue
        why = unfit(node, option.profile, option.tolerations)
        if why is None:
            healthy[node.name] = node.allocatable.get(resource, 0)
            capacity.append(node.capacity.get(resource, 0))
            continue
        away[why] = away.get(why, 0) + 1
        if why != DIVIDED:
            away_capacity.append(node.capacity.get(resource, 0))
    return Nodes(healthy, tuple(capacity), tuple(sorted(away.items())), tuple(away_capacity), frozenset(architectures))


def eligible(node: NodeRecord, option: Option) -> bool:
    """Whether the scheduler could bind pods of `option` to this node, devices aside, and its devices are whole ones."""
    return bool(_of_ours(Snapshot((node,), {}), option).open)
