"""The decision about one AcceleratorProfile: its status, and nothing else. Nobody's pods are touched by it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tandem.api.accelerator_profile import AcceleratorProfile, AcceleratorProfileStatus, DeviceCounts, NodeCounts
from tandem.api.base import dump
from tandem.api.conditions import merge_conditions
from tandem.api.reasons import Reason
from tandem.domain.headline import ConditionWriter, Headline
from tandem.domain.inventory import count
from tandem.domain.placement.fit import Snapshot
from tandem.domain.plan import Plan
from tandem.domain.words import times

NAMED = 3
"""Nodes or profiles that a message names."""


@dataclass(frozen=True, slots=True)
class ProfileView:
    """One profile, the others, and the cluster's devices."""

    profile: AcceleratorProfile
    generation: int
    status: AcceleratorProfileStatus
    profiles: Mapping[str, AcceleratorProfile]
    state: Snapshot
    ours: int
    """Devices that runs and services hold on it."""
    now: datetime


def plan_profile(view: ProfileView) -> Plan:
    """The profile's inventory, and what is odd about it.

    A profile without nodes is ready: charts ship them for accelerators that a cluster may or may not have.
    """
    nodes = count.nodes_of(view.profile, view.state.nodes)
    devices = count.devices_of(view.profile, nodes, view.state, view.ours)
    rivals = count.rivals(view.profile, view.profiles, nodes)
    usable = sum(count.usable(view.profile, node) for node in nodes)
    why = _headline(view, NodeCounts(found=len(nodes), usable=usable), devices, rivals, count.sick(view.profile, nodes))
    status = AcceleratorProfileStatus(
        observed_generation=view.generation,
        conditions=merge_conditions(view.status.conditions, ConditionWriter(view.generation, view.now).readiness(why)),
        nodes=NodeCounts(found=len(nodes), usable=usable),
        devices=devices,
    )
    return Plan(status=dump(status), reason=why.reason)


def _headline(
    view: ProfileView, nodes: NodeCounts, devices: DeviceCounts, rivals: Sequence[str], sick: Sequence[str]
) -> Headline:
    """The worst that there is to tell. Without numbers that change as pods come and go: each would be a write."""
    resource = view.profile.spec.allocation.extended_resource.name
    here = times(nodes.found, "node")
    if not nodes.found:
        return Headline(Reason.NO_NODES, "no node has its labels and architecture")
    if not devices.capacity:
        return Headline(Reason.NO_DEVICES, f"{here} with its labels offer no {resource}")
    if not nodes.usable:
        why = "cordoned, not ready, tainted, ill, or left out by excludeNodes"
        return Headline(Reason.NO_USABLE_NODES, f"its pods may be bound to none of {here}: {why}")
    if devices.unhealthy:
        what = f"{devices.unhealthy} of {times(devices.capacity, 'device')} unhealthy, on {_some(sick)}"
        return Headline(Reason.DEVICES_UNHEALTHY, what)
    if rivals:
        return Headline(Reason.OVERLAP, f"{resource} of some of its nodes is claimed by {_some(rivals)} too")
    return Headline(Reason.OFFERED, f"{times(devices.capacity, 'device')} on {here}")


def _some(names: Sequence[str]) -> str:
    """The first of them by name, and how many more there are: a cluster has thousands of nodes."""
    shown = ", ".join(name[:63] for name in names[:NAMED])
    return shown if len(names) <= NAMED else f"{shown} and {len(names) - NAMED} more"
