"""What is read of pods of others that have no node: whether they wait for devices, and where they may go."""

from collections.abc import Iterator, Mapping
from typing import Any

from tandem.api.scheduling import Toleration
from tandem.domain.observed import Requirement, Wait

Raw = dict[str, Any]


def competes(spec: Raw, status: Raw, devices: Mapping[str, int]) -> bool:
    """Whether a pod without a node takes devices as soon as there are some: the scheduler may look at it, and has not said
    that something else is in its way. Source: the messages of k8s.io/kubernetes/pkg/scheduler/framework/plugins/noderesources."""
    if spec.get("schedulingGates"):
        return False
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = condition.get("message") or ""
            return any(f"Insufficient {name}" in message for name in devices)
    return True


def wait(spec: Raw) -> Wait:
    """Where the pod of this spec may go, and who goes first."""
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    return Wait(
        priority=spec.get("priority") or 0,
        node_selector=tuple(sorted((spec.get("nodeSelector") or {}).items())),
        terms=tuple(tuple(_requirements(term)) for term in required.get("nodeSelectorTerms") or ()),
        tolerations=tuple(_toleration(item) for item in spec.get("tolerations") or ()),
    )


def _requirements(term: Raw) -> Iterator[Requirement]:
    for field, is_field in (("matchExpressions", False), ("matchFields", True)):
        for item in term.get(field) or ():
            yield Requirement(item["key"], item["operator"], tuple(item.get("values") or ()), is_field)


def _toleration(item: Raw) -> Toleration:
    # As it stands: what the API server accepted must not be measured by the bounds of our own kinds.
    return Toleration.model_construct(
        **{name: item[name] for name in ("key", "operator", "value", "effect") if item.get(name)}
    )
