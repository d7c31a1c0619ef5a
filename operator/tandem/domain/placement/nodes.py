"""Whether a node is one that pods may be bound to, devices aside, as the scheduler judges it."""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase

from tandem.api.accelerator_profile import AcceleratorProfile, ExcludedNodes
from tandem.api.scheduling import Toleration
from tandem.domain.observed import NodeRecord, Requirement, Taint, Wait

ARCH_LABEL = "kubernetes.io/arch"
DIVIDED = "divided by a sharing layer"


def unfit(node: NodeRecord, profile: AcceleratorProfile, tolerations: Iterable[Toleration]) -> str | None:
    """Why a node of the profile's takes no new pods with these tolerations, in words; None where it does."""
    if divided(node, profile):
        return DIVIDED
    if not node.ready:
        return "not ready"
    if node.cordoned:
        return "cordoned"
    if ill(node, profile):
        return "unhealthy by a condition"
    return None if bears(node, tolerations) else "tainted"


def open_to(node: NodeRecord, tolerations: Iterable[Toleration]) -> bool:
    """Whether new pods with these tolerations may go there."""
    return node.ready and not node.cordoned and bears(node, tolerations)


def bears(node: NodeRecord, tolerations: Iterable[Toleration]) -> bool:
    """Whether none of its taints keeps pods with these tolerations away."""
    return all(_tolerated(taint, tolerations) for taint in node.taints if taint.effect != "PreferNoSchedule")


def carries(node: NodeRecord, profile: AcceleratorProfile) -> bool:
    """Whether the node is one of the profile's, whatever its state."""
    return labels_of(profile).items() <= node.labels.items()


def labels_of(profile: AcceleratorProfile) -> dict[str, str]:
    """Labels that the profile's nodes have, the architecture among them."""
    architecture = {ARCH_LABEL: profile.spec.architecture} if profile.spec.architecture else {}
    return {**profile.spec.node_selector, **architecture}


def divided(node: NodeRecord, profile: AcceleratorProfile) -> bool:
    """Whether the node bears a sign that what it counts are not whole devices."""
    signs = profile.spec.exclude_nodes
    return signs is not None and _shows(node, signs)


def ill(node: NodeRecord, profile: AcceleratorProfile) -> bool:
    """Whether one of the node's conditions says, by the profile, that its devices are not well."""
    health = profile.spec.health
    return health is not None and not health.signs.isdisjoint(node.conditions)


def _shows(node: NodeRecord, signs: ExcludedNodes) -> bool:
    for sign in signs.labels or ():
        for name, value in node.labels.items():
            if fnmatchcase(name, sign.key) and (sign.values is None or _any_matches((value,), sign.values)):
                return True
    offered = (name for name, count in node.capacity.items() if count)
    return _any_matches(node.annotations, signs.annotations or ()) or _any_matches(offered, signs.resources or ())


def _any_matches(words: Iterable[str], patterns: Iterable[str]) -> bool:
    patterns = tuple(patterns)
    return any(fnmatchcase(word, pattern) for word in words for pattern in patterns)


def admits(node: NodeRecord, wait: Wait) -> bool:
    """Whether a pod of others that waits so could be bound to this node."""
    return (
        open_to(node, wait.tolerations)
        and all(node.labels.get(name) == value for name, value in wait.node_selector)
        and (not wait.terms or any(_meets(node, term) for term in wait.terms))
    )


def _meets(node: NodeRecord, term: Iterable[Requirement]) -> bool:
    """Node affinity: every requirement of a term holds; a term without any selects nothing."""
    requirements = tuple(term)
    return bool(requirements) and all(_holds(node, item) for item in requirements)


def _holds(node: NodeRecord, requirement: Requirement) -> bool:
    value = node.name if requirement.is_field else node.labels.get(requirement.key)
    test = _OPERATORS.get(requirement.operator)
    # An operator of a newer Kubernetes: better to count the pod too often than to give its devices away.
    return test is None or test(value, requirement.values)


def _compares(value: str | None, values: tuple[str, ...], test: Callable[[int, int], bool]) -> bool:
    try:
        return value is not None and test(int(value), int(values[0]))
    except (ValueError, IndexError):
        return False


_OPERATORS: Mapping[str, Callable[[str | None, tuple[str, ...]], bool]] = {
    "In": lambda value, values: value in values,
    "NotIn": lambda value, values: value not in values,
    "Exists": lambda value, _: value is not None,
    "DoesNotExist": lambda value, _: value is None,
    "Gt": lambda value, values: _compares(value, values, int.__gt__),
    "Lt": lambda value, values: _compares(value, values, int.__lt__),
}


def _tolerated(taint: Taint, tolerations: Iterable[Toleration]) -> bool:
    return any(_tolerates(toleration, taint) for toleration in tolerations)


def _tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.effect is not None and toleration.effect != taint.effect:
        return False
    if toleration.key is not None and toleration.key != taint.key:
        return False
    if (toleration.operator or "Equal") == "Exists":
        return True
    return toleration.key is not None and (toleration.value or "") == taint.value
