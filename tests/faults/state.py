"""A namespace as flat, comparable facts: what differs between any two runs (times, uids, versions) is masked."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.faults.recorder import Object, Seen
from tests.faults.traffic import OURS

Facts = dict[str, Any]
CHILDREN = ("pods", "services", "deployments", "poddisruptionbudgets")
NOT_PART = ("squatter", "neighbour")
"""Names that begin so belong to the harness and not to the story."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_UID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LEFT_OUT = frozenset({"activeSeconds"})
"""Fields that may be there or not."""
_KEPT_METADATA = ("labels", "annotations")
_MASKED_FIELDS = frozenset({"clusterIP", "clusterIPs", "pod-template-hash", "resourceVersion"})


def facts(objects: Mapping[tuple[str, str], Object], namespace: str) -> Facts:
    """Path -> value of all that belongs to the story."""
    found: Facts = {}
    replicas: dict[str, list[str]] = {}
    for (resource, name), raw in objects.items():
        if name.startswith(NOT_PART):
            continue
        flat = dict(_flatten(_essence(resource, raw, namespace)))
        if of_replica_set(raw):
            # Their names are random, so they are told by what they are alone.
            group = name.rsplit("-", 2)[0]
            replicas.setdefault(group, []).append(repr(sorted(flat.items())))
            continue
        found.update({f"{resource}/{name}{path}": value for path, value in flat.items()})
    for group, members in replicas.items():
        found.update({f"pods/{group}-*/{number}": text for number, text in enumerate(sorted(members))})
    return found


def difference(wanted: Facts, found: Facts, masked: Iterable[str] = ()) -> list[str]:
    """What is not as it should be, a line each; nothing about masked paths."""
    hidden = set(masked)
    lines = []
    for path in sorted((wanted.keys() | found.keys()) - hidden):
        if wanted.get(path) != found.get(path):
            lines.append(f"{path}: wanted {wanted.get(path)!r}, found {found.get(path)!r}")
    return lines


def counts(history: Iterable[Seen]) -> Counter[str]:
    """How often each child was added and deleted; those of a ReplicaSet are its controller's business."""
    return Counter(
        f"{seen.type} {seen.resource}/{seen.name}"
        for seen in history
        if seen.resource in CHILDREN
        and seen.type != "MODIFIED"
        and not seen.name.startswith(NOT_PART)
        and not of_replica_set(seen.raw)
    )


def of_replica_set(raw: Object) -> bool:
    """Whether an object is a ReplicaSet's."""
    return any(owner["kind"] == "ReplicaSet" for owner in raw["metadata"].get("ownerReferences") or ())


def _essence(resource: str, raw: Object, namespace: str) -> Any:
    metadata = raw["metadata"]
    essence: Object = {
        **{field: metadata.get(field) for field in _KEPT_METADATA},
        "owners": [(owner["kind"], owner["name"]) for owner in metadata.get("ownerReferences") or ()],
        "deleting": "deletionTimestamp" in metadata,
        "spec": raw.get("spec"),
    }
    status = raw.get("status") or {}
    if resource in OURS:
        essence |= {"generation": metadata["generation"], "status": _by_key(status)}
    elif resource == "pods":
        essence["phase"] = status.get("phase")
    elif resource == "deployments":
        essence["replicas"] = [status.get(field, 0) for field in ("replicas", "readyReplicas", "updatedReplicas")]
    return _masked(essence, namespace)


def _by_key(status: Object) -> Object:
    """Lists that server-side apply merges have no order of their own."""
    result = dict(status)
    for field, key in (("conditions", "type"), ("variants", "name"), ("holdOffs", "variant")):
        if field in result:
            result[field] = {item[key]: item for item in result[field]}
    return result


def _masked(value: Any, namespace: str) -> Any:
    if isinstance(value, dict):
        return {
            field: "<masked>" if field in _MASKED_FIELDS else _masked(item, namespace)
            for field, item in value.items()
            if field not in _LEFT_OUT
        }
    if isinstance(value, list | tuple):
        return [_masked(item, namespace) for item in value]
    if isinstance(value, str):
        return _UID.sub("<uid>", _TIME.sub("<time>", value.replace(namespace, "<namespace>")))
    return value


def _flatten(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for field, item in value.items():
            yield from _flatten(item, f"{path}/{field}")
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _flatten(item, f"{path}/{number}")
    else:
        yield path, value
