"""What a policy comes to: how far its shares and caps are used, what it selects, and who goes before it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from tandem.api.conditions import clip, merge_conditions
from tandem.api.placement_policy import (
    CapStatus,
    Overruled,
    PlacementPolicy,
    PlacementPolicyStatus,
    PolicyChoice,
    ShareStatus,
)
from tandem.api.reasons import Reason
from tandem.domain.headline import ConditionWriter, Headline
from tandem.domain.placement.arrange import of_share
from tandem.domain.placement.fit import Snapshot
from tandem.domain.placement.nodes import carries
from tandem.domain.placement.policy import KINDS, Overruling, chosen, reaches, selects, words
from tandem.domain.words import times

OVERRULED_LIMIT = 16


def policy_status(
    policy: PlacementPolicy, generation: int, before: PlacementPolicyStatus, state: Snapshot, now: datetime
) -> PlacementPolicyStatus:
    """The status of one of the policies in the snapshot; `before` is the one that was written last."""
    overruled = _overruled(policy, state)
    why = _headline(policy, state, overruled)
    said = ConditionWriter(generation, now).readiness(why)
    return PlacementPolicyStatus(
        observed_generation=generation,
        conditions=merge_conditions(before.conditions, said),
        profiles=_profiles(policy, state),
        shares=[_share(policy, place, state, overruled) for place in range(len(policy.spec.shares or ()))] or None,
        caps=[
            CapStatus(accelerators=clip(words(cap)), devices=cap.devices, used=state.held.of(policy, cap))
            for cap in policy.spec.caps or ()
        ]
        or None,
        overruled=[Overruled(by=item.winner, rule=item.aspect) for item in overruled][:OVERRULED_LIMIT] or None,
    )


def _headline(policy: PlacementPolicy, state: Snapshot, overruled: Sequence[Overruling]) -> Headline:
    spec, policies = policy.spec, state.held.policies
    reached = sum(any(reaches(policy, kind, labels) for kind in KINDS) for labels in policies.namespaces.values())
    if not reached:
        return Headline(Reason.NOTHING_SELECTED, "its namespaceSelector selects no namespace")
    choices: list[PolicyChoice] = [
        *(spec.accelerators or ()),
        *(spec.forbid or ()),
        *(spec.caps or ()),
        *(spec.shares or ()),
    ]
    idle = [words(choice) for choice in choices if not _selected(choice, state)]
    if idle:
        return Headline(
            Reason.NOTHING_SELECTED, f"no AcceleratorProfile is selected by {' and '.join(dict.fromkeys(idle))}"
        )
    if overruled:
        winners = ", ".join(dict.fromkeys(item.winner for item in overruled))
        return Headline(
            Reason.OVERRULED, f"of higher priority, or earlier by name, for work that both reach: {winners}"
        )
    return Headline(Reason.IN_FORCE, f"reaches {' and '.join(spec.kinds or KINDS)} of {times(reached, 'namespace')}")


def _overruled(policy: PlacementPolicy, state: Snapshot) -> list[Overruling]:
    """Who goes before it, for any work anywhere."""
    policies = state.held.policies
    found = {
        item
        for namespace in policies.namespaces
        for kind in KINDS
        for item in policies.ruling(kind, namespace).overruled
        if item.loser == policy.name
    }
    return sorted(found)


def _selected(choice: PolicyChoice, state: Snapshot) -> list[str]:
    return [name for name, profile in sorted(state.held.policies.profiles.items()) if selects(choice, profile)]


def _profiles(policy: PlacementPolicy, state: Snapshot) -> str | None:
    if policy.spec.accelerators is None:
        return None
    names = (name for choice in policy.spec.accelerators for name in _selected(choice, state))
    return clip(", ".join(dict.fromkeys(names)) or "none", 1024)


def _share(policy: PlacementPolicy, place: int, state: Snapshot, overruled: Iterable[Overruling]) -> ShareStatus:
    share = (policy.spec.shares or [])[place]
    devices, total = of_share(state.held, policy, place), sum(state.held.within(policy).values())
    actual = 100 * devices // total if total else 0
    shortfall = max(0, share.percent - actual) if total else 0
    return ShareStatus(
        accelerators=clip(words(share)),
        wished=share.percent,
        actual=actual,
        shortfall=shortfall,
        devices=devices,
        total=total,
        message=clip(_why(policy, place, state, overruled)) if shortfall else "",
    )


def _why(policy: PlacementPolicy, place: int, state: Snapshot, overruled: Iterable[Overruling]) -> str:
    """Why a share falls short. Without numbers that change by the minute: each would be a write."""
    shares, profiles = policy.spec.shares or [], state.held.policies.profiles
    mine = [profile for profile in profiles.values() if chosen(shares, profile) == place]
    winner = next((item.winner for item in overruled if item.aspect == "Order"), None)
    if not mine:
        return "no AcceleratorProfile counts for it"
    if winner is not None:
        return f"policy {winner} says what is tried first for some of this work"
    free = any(
        node.allocatable.get(resource, 0) > state.used.get((node.name, resource), 0)
        for profile in mine
        for resource in (profile.spec.allocation.extended_resource.name,)
        for node in state.nodes
        if carries(node, profile)
    )
    if not free:
        return "none of its devices is free; what is asked for next goes there first when some are"
    return "what is asked for next goes there first, where it lists such a variant and fits; what runs is not moved"
