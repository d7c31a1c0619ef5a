"""Which nodes can take pods of an option, and how many.

free(node) = allocatable - effective requests of non-terminal pods bound or nominated there. Terminating pods count until
they are gone. Nodes that are cordoned, NotReady, not tolerated, not selected or of another architecture do not count.
CPU, memory and affinity are not modelled: a fit is a hint, the scheduler decides.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.scheduling import Toleration
from tandem.domain.observed import ForeignPod, NodeRecord, OwnPod, Taint
from tandem.domain.placement.request import Option

ARCH_LABEL = "kubernetes.io/arch"
NOTHING_KEPT: Mapping[tuple[str, str], datetime] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Nodes and what is used on them."""

    nodes: tuple[NodeRecord, ...]
    used: Mapping[tuple[str, str], int]
    """(node, resource) -> devices."""
    pods_known: bool = True
    """False when the operator may not list all pods: then free devices are unknown."""
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

    @property
    def pods(self) -> int:
        """Pods that fit now."""
        return sum(self.pods_by_node.values())


def snapshot(nodes: Iterable[NodeRecord], pods: Iterable[OwnPod | ForeignPod], *, pods_known: bool = True) -> Snapshot:
    """The state of all devices, from the stores' records."""
    used: dict[tuple[str, str], int] = {}
    for pod in pods:
        for place, amount in holds(pod):
            used[place] = used.get(place, 0) + amount
    return Snapshot(nodes=tuple(nodes), used=used, pods_known=pods_known)


def holds(pod: OwnPod | ForeignPod) -> Iterable[tuple[tuple[str, str], int]]:
    """(node, resource) and the devices that the pod holds there; nothing before it is bound and after its end."""
    if pod.node is None or pod.terminal:
        return ()
    node = pod.node
    return [((node, resource), amount) for resource, amount in pod.devices.items() if amount]


def room(
    state: Snapshot,
    used: Mapping[tuple[str, str], int],
    option: Option,
    kept: Mapping[tuple[str, str], datetime] = NOTHING_KEPT,
) -> Room:
    """Where pods of `option` fit, `used` being the snapshot's plus what is reserved, and `kept` what others wait for."""
    pods_by_node: dict[str, int] = {}
    free_total = total = kept_total = 0
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
        total += devices
    return Room(
        pods_by_node=pods_by_node,
        nodes=len(offers),
        free=free_total,
        total=total,
        kept=kept_total,
        kept_since=kept_since,
    )


def _offers(state: Snapshot, option: Option) -> tuple[tuple[str, int], ...]:
    """Names of the eligible nodes and the healthy devices on each. Looking at every node for every ask would be the
    most of a placement's work, and the answer only changes with the nodes."""
    found = state.offers.get(option.shape)
    if found is None:
        resource = option.resource
        found = tuple((node.name, node.allocatable.get(resource, 0)) for node in state.nodes if eligible(node, option))
        state.offers[option.shape] = found
    return found


def eligible(node: NodeRecord, option: Option) -> bool:
    """Whether the scheduler could bind pods of `option` to this node, devices aside."""
    return (
        node.ready
        and not node.cordoned
        and {**option.node_selector, **_labels(option.profile)}.items() <= node.labels.items()
        and all(_tolerated(taint, option.tolerations) for taint in node.taints if taint.effect != "PreferNoSchedule")
    )


def carries(node: NodeRecord, profile: AcceleratorProfile) -> bool:
    """Whether the node is one of the profile's, whatever its state."""
    return _labels(profile).items() <= node.labels.items()


def _labels(profile: AcceleratorProfile) -> dict[str, str]:
    architecture = {ARCH_LABEL: profile.spec.architecture} if profile.spec.architecture else {}
    return {**profile.spec.node_selector, **architecture}


def _tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect is not None and toleration.effect != taint.effect:
        return False
    if toleration.key is not None and toleration.key != taint.key:
        return False
    if (toleration.operator or "Equal") == "Exists":
        return True
    return toleration.key is not None and (toleration.value or "") == taint.value
