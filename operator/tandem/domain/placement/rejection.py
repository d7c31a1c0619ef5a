"""Why an option is rejected: an ordered chain of small rules, each with a message that a person can act on.

Messages carry counts, never names of other tenants.
"""

from collections.abc import Mapping
from datetime import datetime

from tandem.api.reasons import Reason
from tandem.domain import clock
from tandem.domain.placement.policy import selected
from tandem.domain.placement.request import Candidate, Option, Rejection
from tandem.domain.words import times

REFUSING = frozenset(
    {
        Reason.UNKNOWN_ACCELERATOR,
        Reason.NAMESPACE_NOT_ALLOWED,
        Reason.ILLEGAL_COUNT,
        Reason.POLICY_FORBIDS,
        Reason.ARCH_MISMATCH,
        Reason.NEVER_FITS,
    }
)
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


def namespace_not_allowed(
    variant: str, option: Option, namespace: str, labels: Mapping[str, str] | None
) -> Rejection | None:
    """The profile is for work of other namespaces. Which these are is not this tenant's business.

    A namespace that is not known yet has no labels: nothing selects it.
    """
    profile = option.profile
    allowed = profile.spec.allowed_namespaces
    if allowed is None or namespace in (allowed.names or ()):
        return None
    if allowed.selector is not None and labels is not None and selected(allowed.selector, labels):
        return None
    return Rejection(
        variant,
        profile.name,
        Reason.NAMESPACE_NOT_ALLOWED,
        f"namespace {namespace} may not use {profile.name}; list another accelerator, or have an admin add the namespace to"
        " allowedNamespaces of the profile",
    )


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
