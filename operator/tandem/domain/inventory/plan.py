"""The decision about one AcceleratorProfile: its status, and nothing else. Nobody's pods are touched by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from tandem.api.accelerator_profile import AcceleratorProfile, AcceleratorProfileStatus
from tandem.api.base import dump
from tandem.api.conditions import merge_conditions
from tandem.api.reasons import Reason
from tandem.domain.headline import ConditionWriter, Headline
from tandem.domain.inventory import count
from tandem.domain.placement.fit import Snapshot
from tandem.domain.plan import Plan
from tandem.domain.words import times


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
    why = _headline(view, len(nodes), devices.capacity, count.rivals(view.profile, view.profiles, nodes))
    status = AcceleratorProfileStatus(
        observed_generation=view.generation,
        conditions=merge_conditions(view.status.conditions, ConditionWriter(view.generation, view.now).readiness(why)),
        nodes=len(nodes),
        devices=devices,
    )
    return Plan(status=dump(status), reason=why.reason)


def _headline(view: ProfileView, nodes: int, capacity: int, rivals: list[str]) -> Headline:
    resource = view.profile.spec.allocation.extended_resource.name
    if not nodes:
        return Headline(Reason.NO_NODES, "no node has its labels and architecture")
    if not capacity:
        return Headline(Reason.NO_DEVICES, f"{times(nodes, 'node')} with its labels offer no {resource}")
    if rivals:
        return Headline(Reason.OVERLAP, f"{resource} of some of its nodes is claimed by {', '.join(rivals)} too")
    return Headline(Reason.OFFERED, f"{times(capacity, 'device')} on {times(nodes, 'node')}")
