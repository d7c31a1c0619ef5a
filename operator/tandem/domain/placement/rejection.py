"""Why an option is rejected: an ordered chain of small rules, each with a message that a person can act on.

Messages carry counts, never names of other tenants.
"""

from datetime import datetime

from tandem.api.reasons import Reason
from tandem.domain import clock
from tandem.domain.placement.fit import Room
from tandem.domain.placement.request import Candidate, Option, Rejection
from tandem.domain.words import times

REFUSING = frozenset({Reason.UNKNOWN_ACCELERATOR, Reason.ILLEGAL_COUNT, Reason.POLICY_FORBIDS})
"""Reasons that waiting does not cure: the spec or the profiles must change."""


def unknown(candidate: Candidate) -> Rejection:
    """No profile matches what the candidate asks for."""
    return Rejection(
        candidate.variant,
        candidate.wants,
        Reason.UNKNOWN_ACCELERATOR,
        f"no AcceleratorProfile matches {candidate.wants!r}; see `kubectl get accel`",
    )


def held_off(candidate: Candidate, why: str) -> Rejection:
    """The candidate was refused lately."""
    return Rejection(candidate.variant, candidate.wants, Reason.HELD_OFF, why)


def illegal_count(variant: str, option: Option, *, distributed: bool) -> Rejection | None:
    """The profile does not allow this number of devices in a pod."""
    counts = option.profile.spec.counts
    if counts is None:
        return None
    legal = counts.per_pod
    where = "in a pod"
    if distributed and counts.distributed is not None:
        legal = counts.distributed
        where = "in each pod of a gang of several"
    if legal is None or option.devices in legal:
        return None
    allowed = ", ".join(str(number) for number in sorted(legal))
    asked = f"{times(option.devices, 'device')} {where} {'is' if option.devices == 1 else 'are'}"
    return Rejection(
        variant,
        option.profile.name,
        Reason.ILLEGAL_COUNT,
        f"{asked} not legal on {option.profile.name}; set devicesPerPod to one of: {allowed}",
    )


def next_in_line(candidate: Candidate, ahead: str, until: datetime) -> Rejection:
    """A candidate before it lacks devices and is given time."""
    why = f"not tried before {clock.stamp(until)}: {ahead} goes first and lacks devices (placement.waitSeconds)"
    return Rejection(candidate.variant, candidate.wants, Reason.HELD_OFF, why)


def does_not_fit(variant: str, option: Option, found: Room) -> Rejection:
    """Too few free devices, with the numbers that show why."""
    asked = times(option.pods, "pod") + " x " + times(option.devices, "device")
    if found.nodes == 0:
        why = "no node with its labels is ready and schedulable"
    elif found.total == 0:
        why = f"its {times(found.nodes, 'node')} offer no {option.resource}"
    elif found.free < option.pods * option.devices:
        why = f"{found.free} of {found.total} devices are free on {times(found.nodes, 'node')}"
        if found.promised:
            why += f", {found.promised} more are for pods of others that wait and go first"
    elif found.kept_since is not None:
        since = clock.stamp(found.kept_since)
        why = f"{found.kept} of the {found.free} free devices are kept for a gang that has waited since {since}"
    else:
        why = f"{found.free} devices are free but split over nodes: {times(found.pods, 'such pod')} would fit"
    return Rejection(variant, option.profile.name, Reason.DOES_NOT_FIT_NOW, f"{asked} asked for; {why}")
