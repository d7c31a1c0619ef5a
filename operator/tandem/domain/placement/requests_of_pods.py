"""Effective device requests of a pod, as the scheduler computes them.

Source: KEP-753 (sidecar containers): the larger of what runs together at the end and of each init step together with the
sidecars started before it. Pod overhead never names devices.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tandem.domain import quantity


def is_extended(resource: str) -> bool:
    """Whether a resource is an extended one: it has a domain that is not Kubernetes's own."""
    domain, _, name = resource.partition("/")
    return bool(name) and not domain.endswith("kubernetes.io")


def effective_devices(pod_spec: Mapping[str, Any]) -> dict[str, int]:
    """Extended resource -> devices that the pod of this spec holds while it is not terminal."""
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in pod_spec.get("initContainers") or ():
        asked = _devices(container)
        if container.get("restartPolicy") == "Always":
            sidecars = _sum((sidecars, asked))
            peak = _max(peak, sidecars)
        else:
            peak = _max(peak, _sum((sidecars, asked)))
    together = _sum((sidecars, *(_devices(container) for container in pod_spec.get("containers") or ())))
    return _max(peak, together)


def _devices(container: Mapping[str, Any]) -> dict[str, int]:
    resources = container.get("resources") or {}
    # The API server copies an extended resource's limit into requests; a limit alone is legal in a template.
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: quantity.count(str(amount)) for name, amount in asked.items() if is_extended(name)}


def _sum(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, 0) + amount
    return total


def _max(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: max(left.get(name, 0), right.get(name, 0)) for name in {*left, *right}}
