"""Which nodes can take pods of an option, and how many.

free(node) = allocatable - effective requests of non-terminal pods bound or nominated there. Terminating pods count until
they are gone. Nodes that are cordoned, NotReady, not tolerated, not selected, of another architecture or divided by a
sharing layer do not count. Own pods without a node are counted by their reservations, nominated or not.
CPU, memory and affinity of our pods are not modelled: a fit is a hint, the scheduler decides.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from tandem.domain.observed import ForeignPod, NodeRecord, OwnPod, Wait
from tandem.domain.placement.holders import Held
from tandem.domain.placement.nodes import admits, divided, labels_of, open_to
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
class Snapshot:
    """Nodes and what is used on them."""

    nodes: tuple[NodeRecord, ...]
    used: Mapping[tuple[str, str], int]
    """(node, resource) -> devices."""
    waiting: Mapping[Others, int] = field(default_factory=dict)
    """How many pods of others wait for a node."""
    pods_known: bool = True
    """False when the operator may not list all pods: then free devices are unknown."""
    held: Held = field(default_factory=Held)
    """Devices by whose work holds them, and the policies that say something to it."""
    offers: dict[Hashable, tuple[tuple[str, int], ...]] = field(default_factory=dict, compare=False, repr=False)
    """What `_offers` found out about these nodes so far. It may be handed on to other snapshots of the same nodes."""


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
    offers = _offers(state, option)
    for name, devices in offers:
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
        nodes=len(offers),
        free=free_total,
        total=total,
        kept=kept_total,
        kept_since=kept_since,
        promised=promised_total,
    )


def _offers(state: Snapshot, option: Option | Others) -> tuple[tuple[str, int], ...]:
    """Names of the eligible nodes and the healthy devices on each. Looking at every node for every ask would be the
    most of a placement's work, and the answer only changes with the nodes."""
    found = state.offers.get(option.shape)
    if found is None:
        resource = option.resource
        found = tuple((node.name, node.allocatable.get(resource, 0)) for node in state.nodes if _suits(node, option))
        state.offers[option.shape] = found
    return found


def _suits(node: NodeRecord, option: Option | Others) -> bool:
    return eligible(node, option) if isinstance(option, Option) else admits(node, option.wait)


def eligible(node: NodeRecord, option: Option) -> bool:
    """Whether the scheduler could bind pods of `option` to this node, devices aside, and its devices are whole ones."""
    return (
        open_to(node, option.tolerations)
        and {**option.node_selector, **labels_of(option.profile)}.items() <= node.labels.items()
        and not divided(node, option.profile)
    )
