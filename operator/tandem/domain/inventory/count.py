"""What the cluster has of a profile: its nodes, and their devices."""

from collections.abc import Iterable, Mapping

from tandem.api.accelerator_profile import AcceleratorProfile, DeviceCounts
from tandem.domain.observed import NodeRecord
from tandem.domain.placement.fit import Snapshot
from tandem.domain.placement.nodes import labels_of, unfit


def nodes_of(profile: AcceleratorProfile, nodes: Iterable[NodeRecord]) -> list[NodeRecord]:
    """The nodes with the profile's labels and architecture, whatever their state."""
    # The labels once: there may be thousands of nodes.
    labels = labels_of(profile).items()
    return [node for node in nodes if labels <= node.labels.items()]


def usable(profile: AcceleratorProfile, node: NodeRecord) -> bool:
    """Whether pods of the profile may be bound to this node of it, and its devices are whole ones."""
    return unfit(node, profile, profile.spec.tolerations or ()) is None


def sick(profile: AcceleratorProfile, nodes: Iterable[NodeRecord]) -> list[str]:
    """Names of the nodes that have more devices than their device plugin offers."""
    resource = profile.spec.allocation.extended_resource.name
    return sorted(node.name for node in nodes if node.capacity.get(resource, 0) > node.allocatable.get(resource, 0))


def devices_of(profile: AcceleratorProfile, nodes: Iterable[NodeRecord], state: Snapshot, ours: int) -> DeviceCounts:
    """The devices of these nodes, which are the profile's; `ours` of those in use are held by runs and services."""
    resource = profile.spec.allocation.extended_resource.name
    capacity = allocatable = unhealthy = free = used = 0
    for node in nodes:
        has, healthy = node.capacity.get(resource, 0), node.allocatable.get(resource, 0)
        taken = state.used.get((node.name, resource), 0)
        capacity += has
        allocatable += healthy
        unhealthy += max(0, has - healthy)
        used += taken
        free += max(0, healthy - taken) if usable(profile, node) else 0
    if not state.pods_known:
        return DeviceCounts(capacity=capacity, allocatable=allocatable, unhealthy=unhealthy)
    # Pods of ours that hold devices of a profile whose labels were edited since are others' here.
    ours = min(used, ours)
    return DeviceCounts(
        capacity=capacity, allocatable=allocatable, unhealthy=unhealthy, free=free, ours=ours, others=used - ours
    )


def rivals(
    profile: AcceleratorProfile, profiles: Mapping[str, AcceleratorProfile], nodes: Iterable[NodeRecord]
) -> list[str]:
    """Names of other profiles that claim the same resource on some of these nodes."""
    resource = profile.spec.allocation.extended_resource.name
    here = list(nodes)
    return sorted(
        other.name
        for other in profiles.values()
        if other.name != profile.name
        and other.spec.allocation.extended_resource.name == resource
        and nodes_of(other, here)
    )
