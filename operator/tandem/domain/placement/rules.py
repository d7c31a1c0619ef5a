"""What excludes an option however many devices are free: an ordered chain of small rules.

Each rule answers None, or a rejection whose message a person can act on. The first that answers decides, so what only the
user can mend stands before what passes by itself.
"""

from collections.abc import Callable

from tandem.domain.placement import policy_rules, quota, rejection
from tandem.domain.placement.fit import Snapshot
from tandem.domain.placement.request import Ask, Candidate, Option, Rejection

Rule = Callable[[Ask, Candidate, Option, Snapshot], Rejection | None]


def namespace_allowed(ask: Ask, candidate: Candidate, option: Option, state: Snapshot) -> Rejection | None:
    """The profile is for work of the namespace."""
    labels = state.held.policies.namespaces.get(ask.namespace)
    return rejection.namespace_not_allowed(candidate.variant, option, ask.namespace, labels)


def legal_count(ask: Ask, candidate: Candidate, option: Option, _: Snapshot) -> Rejection | None:
    """The profile allows so many devices in a pod."""
    distributed = ask.replicas is None and option.pods > 1
    return rejection.illegal_count(candidate.variant, option, distributed=distributed)


def policy_allows(ask: Ask, candidate: Candidate, option: Option, state: Snapshot) -> Rejection | None:
    """No policy forbids the profile or requires others."""
    return policy_rules.forbidden(ask, candidate.variant, option, state.held)


def within_caps(ask: Ask, candidate: Candidate, option: Option, state: Snapshot) -> Rejection | None:
    """The caps of policies have room."""
    return policy_rules.over_cap(ask, candidate.variant, option, state.held)


def within_quotas(ask: Ask, candidate: Candidate, option: Option, state: Snapshot) -> Rejection | None:
    """The quotas of its namespace have room for the gang, or for one more replica."""
    pods = option.pods if ask.replicas is None else 1
    return quota.exceeded(candidate.variant, option, pods, state.quotas.get(ask.namespace, ()))


RULES: tuple[Rule, ...] = (namespace_allowed, legal_count, policy_allows, within_caps, within_quotas)


def allowed(ask: Ask, candidate: Candidate, state: Snapshot) -> tuple[list[Option], list[Rejection]]:
    """The candidate's options that only lack of devices can still exclude, and why the others are none."""
    if candidate.held_off is not None:
        return [], [rejection.held_off(candidate, candidate.held_off)]
    if not candidate.options:
        return [], [rejection.unknown(candidate)]
    options, rejected = [], []
    for option in candidate.options:
        found = next(filter(None, (rule(ask, candidate, option, state) for rule in RULES)), None)
        if found is None:
            options.append(option)
        else:
            rejected.append(found)
    return options, rejected
