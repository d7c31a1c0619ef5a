"""Why an option lacks devices, and whether it is tried all the same: an ordered chain of small rules, whose first answer is told.

Messages say in numbers what is the matter and what mends it, and never name other tenants.
"""

from collections.abc import Callable, Mapping

from tandem.api.reasons import Reason
from tandem.domain import clock
from tandem.domain.placement.fit import Nodes, Room, Snapshot, survey
from tandem.domain.placement.request import Option, Rejection
from tandem.domain.words import times

Used = Mapping[tuple[str, str], int]
Why = tuple[Reason, str]


def by_trial(option: Option, state: Snapshot) -> str | None:
    """Why pods are made though no room is known for them; None: they are not."""
    if not state.pods_known:
        return "FitUnknown: the operator may not list all pods, so that free devices are unknown"
    if option.profile.spec.provisioning == "Autoscaled":
        return "provisioning is Autoscaled: nodes are added for pods that wait"
    return None


def explain(variant: str, option: Option, state: Snapshot, used: Used, found: Room) -> Rejection:
    """The rejection of an option for which there is no room."""
    nodes = survey(state, option)
    why = next(filter(None, (rule(option, nodes, used, found) for rule in RULES)), None)
    reason, words = why or (Reason.DOES_NOT_FIT_NOW, _not_now(option, nodes, found))
    asked = times(option.pods, "pod") + " x " + times(option.devices, "device")
    return Rejection(
        variant,
        option.profile.name,
        Reason.DOES_NOT_FIT_NOW if reason is Reason.NEVER_FITS else reason,
        f"{asked} asked for; {words}",
        too_small=reason is Reason.NEVER_FITS,
    )


def _wrong_architecture(option: Option, nodes: Nodes, _used: Used, _found: Room) -> Why | None:
    if nodes.open or nodes.away or not nodes.architectures:
        return None
    found = ", ".join(sorted(nodes.architectures))
    wanted = option.profile.spec.architecture
    return (
        Reason.ARCH_MISMATCH,
        f"nodes with its labels are {found}, not {wanted}: add nodes or correct the profile's architecture",
    )


def _too_small(option: Option, nodes: Nodes, _used: Used, _found: Room) -> Why | None:
    """Not even empty, healthy and schedulable nodes would do. Where there are none at all some may be about to come: so too."""
    capacity = (*nodes.capacity, *nodes.away_capacity)
    most = sum(count // option.devices for count in capacity)
    if most >= option.pods:
        return None
    if not capacity:
        return Reason.NEVER_FITS, "no node has its labels"
    if not sum(capacity):
        return Reason.NEVER_FITS, f"{times(len(capacity), 'node')} with its labels offer no {option.resource}"
    where = f"{times(len(capacity), 'node')} with {times(sum(capacity), 'device')} in all"
    return Reason.NEVER_FITS, f"{where} hold {times(most, 'such pod')} even when empty"


def _unhealthy(option: Option, nodes: Nodes, used: Used, found: Room) -> Why | None:
    """With the devices that are missing from allocatable it would fit."""
    offers = [
        (name, healthy, capacity) for (name, healthy), capacity in zip(nodes.open.items(), nodes.capacity, strict=True)
    ]
    sick = [capacity - healthy for _, healthy, capacity in offers if capacity > healthy]
    if not sick:
        return None
    # Nodes that are kept for somebody else stay so.
    left = (
        capacity - used.get((name, option.resource), 0) for name, _, capacity in offers if name in found.pods_by_node
    )
    if sum(max(0, devices) // option.devices for devices in left) < option.pods:
        return None
    where = f"{sum(sick)} of {times(sum(nodes.capacity), 'device')} are unhealthy, on {times(len(sick), 'node')}"
    return Reason.UNHEALTHY, f"{where}: look at allocatable below capacity, and at the device plugin there"


RULES: tuple[Callable[[Option, Nodes, Used, Room], Why | None], ...] = (_wrong_architecture, _too_small, _unhealthy)


def _not_now(option: Option, nodes: Nodes, found: Room) -> str:
    if not found.nodes:
        why = "no node with its labels is ready and schedulable"
    elif not found.total:
        why = f"{times(found.nodes, 'node')} with its labels offer no healthy {option.resource}"
    elif found.free < option.pods * option.devices:
        why = f"{found.free} of {found.total} devices are free on {times(found.nodes, 'node')}"
        if found.promised:
            why += f", {found.promised} more are for pods of others that wait and go first"
    elif found.kept_since is not None:
        since = clock.stamp(found.kept_since)
        why = f"{found.kept} of the {found.free} free devices are kept for a gang that has waited since {since}"
    else:
        why = f"{found.free} devices are free but split over nodes: {times(found.pods, 'such pod')} would fit"
    if nodes.away:
        away = ", ".join(f"{count} {word}" for word, count in nodes.away)
        why += f"; nodes that do not count: {away}"
    return why
