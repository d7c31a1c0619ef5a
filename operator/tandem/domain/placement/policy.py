"""Which policies reach some work, and which of those that contradict each other counts.

Every policy's forbids and caps count. Of Requires one counts, and of the policies that order choices (Prefer, shares) one:
that of the highest priority, then the first by name. The others are overruled, and told so.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.namespaces import LabelRequirement, NamespaceSelector
from tandem.api.placement_policy import PlacementPolicy, PolicyChoice

Aspect = Literal["Require", "Order"]
KINDS = ("TrainingRun", "InferenceService")


class Overruling(NamedTuple):
    """A policy that does not count, since another goes before it."""

    loser: str
    winner: str
    aspect: Aspect


@dataclass(frozen=True, slots=True)
class Ruling:
    """What policies say to the work of one kind in one namespace."""

    reaching: tuple[PlacementPolicy, ...] = ()
    """All that reach it, in their order of precedence."""
    require: PlacementPolicy | None = None
    order: PlacementPolicy | None = None
    """The one that says what is tried first."""
    overruled: tuple[Overruling, ...] = ()


@dataclass(frozen=True, slots=True)
class Policies:
    """All policies, and what they select by labels."""

    listed: tuple[PlacementPolicy, ...] = ()
    """In their order of precedence."""
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Name -> labels."""
    profiles: Mapping[str, AcceleratorProfile] = field(default_factory=dict)
    _rulings: dict[tuple[str, str], Ruling] = field(default_factory=dict, compare=False, repr=False)

    def ruling(self, kind: str, namespace: str) -> Ruling:
        """What they say to work of this kind in this namespace; found out once."""
        found = self._rulings.get((kind, namespace))
        if found is None:
            labels = self.namespaces.get(namespace, {})
            reaching = tuple(policy for policy in self.listed if reaches(policy, kind, labels))
            found = self._rulings[kind, namespace] = _ruling(reaching)
        return found


def in_order(policies: Iterable[PlacementPolicy]) -> tuple[PlacementPolicy, ...]:
    """Policies in their order of precedence."""
    return tuple(sorted(policies, key=lambda policy: (-(policy.spec.priority or 0), policy.name)))


def reaches(policy: PlacementPolicy, kind: str, labels: Mapping[str, str]) -> bool:
    """Whether the policy is for work of this kind in a namespace with these labels."""
    spec = policy.spec
    return (spec.kinds is None or kind in spec.kinds) and (
        spec.namespace_selector is None or selected(spec.namespace_selector, labels)
    )


def selected(selector: NamespaceSelector, labels: Mapping[str, str]) -> bool:
    """Whether a namespace with these labels is meant."""
    return (selector.match_labels or {}).items() <= labels.items() and all(
        _OPERATORS[wish.operator](wish, labels) for wish in selector.match_expressions or ()
    )


def selects(choice: PolicyChoice, profile: AcceleratorProfile) -> bool:
    """Whether the choice names this profile, or its labels."""
    if choice.accelerator_selector is None:
        return choice.accelerator == profile.name
    return choice.accelerator_selector.match_labels.items() <= profile.labels.items()


def chosen(choices: Iterable[PolicyChoice] | None, profile: AcceleratorProfile) -> int | None:
    """Place of the first of the choices that selects the profile; None where none does."""
    return next((place for place, choice in enumerate(choices or ()) if selects(choice, profile)), None)


def words(choice: PolicyChoice) -> str:
    """The choice as text: a profile's name, or labels."""
    if choice.accelerator_selector is None:
        return str(choice.accelerator)
    return ",".join(f"{key}={value}" for key, value in sorted(choice.accelerator_selector.match_labels.items()))


def _ruling(reaching: tuple[PlacementPolicy, ...]) -> Ruling:
    requires = [policy for policy in reaching if policy.spec.mode == "Require"]
    orders = [policy for policy in reaching if _orders(policy)]
    return Ruling(
        reaching,
        require=requires[0] if requires else None,
        order=orders[0] if orders else None,
        overruled=(*_beaten("Require", requires), *_beaten("Order", orders)),
    )


def _beaten(aspect: Aspect, policies: list[PlacementPolicy]) -> list[Overruling]:
    return [Overruling(loser.name, policies[0].name, aspect) for loser in policies[1:]]


def _orders(policy: PlacementPolicy) -> bool:
    return policy.spec.mode == "Prefer" or bool(policy.spec.shares)


_OPERATORS: Mapping[str, Callable[[LabelRequirement, Mapping[str, str]], bool]] = {
    "In": lambda wish, labels: labels.get(wish.key) in (wish.values or ()),
    "NotIn": lambda wish, labels: labels.get(wish.key) not in (wish.values or ()),
    "Exists": lambda wish, labels: wish.key in labels,
    "DoesNotExist": lambda wish, labels: wish.key not in labels,
}
