"""What policies exclude: forbidden profiles, those that are not among the required, and those whose cap is reached."""

from collections.abc import Iterator
from dataclasses import dataclass

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.placement_policy import Cap, PlacementPolicy
from tandem.api.reasons import Reason
from tandem.domain.placement.holders import Held
from tandem.domain.placement.policy import Ruling, chosen, selects, words
from tandem.domain.placement.request import Ask, Option, Rejection
from tandem.domain.words import times


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A policy that keeps work off a profile, whatever is free."""

    rule: str
    """Forbid or Require."""
    policy: PlacementPolicy

    @property
    def name(self) -> str:
        """The rule and whose it is, as status tells it."""
        return f"{self.rule}/{self.policy.name}"


def exclusion(ruling: Ruling, profile: AcceleratorProfile) -> Exclusion | None:
    """Why work under this ruling may not use the profile; None where it may."""
    for policy in ruling.reaching:
        if chosen(policy.spec.forbid, profile) is not None:
            return Exclusion("Forbid", policy)
    require = ruling.require
    if require is not None and chosen(require.spec.accelerators, profile) is None:
        return Exclusion("Require", require)
    return None


def forbidden(ask: Ask, variant: str, option: Option, held: Held) -> Rejection | None:
    """A policy forbids the profile, or requires others."""
    profile = option.profile
    found = exclusion(held.policies.ruling(ask.kind, ask.namespace), profile)
    if found is None:
        return None
    policy = found.policy
    if found.rule == "Forbid":
        why = f"policy {policy.name} forbids {profile.name} here; list another accelerator, or ask for a change of it"
    else:
        allowed = " or ".join(words(choice) for choice in policy.spec.accelerators or ())
        why = f"policy {policy.name} requires {allowed} here; list one of these, or ask for a change of the policy"
    return Rejection(variant, profile.name, Reason.POLICY_FORBIDS, why)


def over_cap(ask: Ask, variant: str, option: Option, held: Held) -> Rejection | None:
    """A cap has no room for the gang, or for not even one replica."""
    wanted = option.pods if ask.replicas is None else 1
    for policy, cap in _caps(ask, option, held):
        rejection = _capped(variant, option, held, policy, cap, wanted)
        if rejection is not None:
            return rejection
    return None


def within_caps(ask: Ask, option: Option, wanted: int, held: Held) -> int:
    """How many of so many wanted replicas the caps have room for."""
    left = [(cap.devices - held.of(policy, cap)) // option.devices for policy, cap in _caps(ask, option, held)]
    return max(0, min([wanted, *left]))


def short_by_cap(ask: Ask, variant: str, option: Option, held: Held, wanted: int) -> Rejection:
    """The rejection of replicas that were wanted beyond `within_caps`."""
    found = (_capped(variant, option, held, policy, cap, wanted) for policy, cap in _caps(ask, option, held))
    return next(rejection for rejection in found if rejection is not None)


def _caps(ask: Ask, option: Option, held: Held) -> Iterator[tuple[PlacementPolicy, Cap]]:
    for policy in held.policies.ruling(ask.kind, ask.namespace).reaching:
        for cap in policy.spec.caps or ():
            if selects(cap, option.profile):
                yield policy, cap


def _capped(
    variant: str, option: Option, held: Held, policy: PlacementPolicy, cap: Cap, wanted: int
) -> Rejection | None:
    devices, used = wanted * option.devices, held.of(policy, cap)
    if used + devices <= cap.devices:
        return None
    mend = "it waits for work that ends" if devices <= cap.devices else "ask for less, or for a higher cap"
    why = f"{times(devices, 'device')} asked for; the cap of policy {policy.name} on {words(cap)} is {cap.devices}, {used} in use: {mend}"
    return Rejection(variant, option.profile.name, Reason.POLICY_FORBIDS, why, passing=devices <= cap.devices)
