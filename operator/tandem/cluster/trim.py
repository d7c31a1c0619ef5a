"""API objects as JSON -> the domain's small records; None for what is of no interest.

Nothing here raises: the API server validates what it stores, but labels, annotations and termination messages are
anybody's text. What cannot be read is logged and treated as not interesting.

Memory: values that many records repeat (namespaces, nodes, hashes, owners, times, maps of devices) are shared.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache, wraps
from types import MappingProxyType
from typing import Any, TypeVar, cast

import structlog

from tandem.api.constants import (
    ANNOTATION_RENDERED,
    FIELD_MANAGER,
    GROUP,
    LABEL_ACCELERATOR,
    LABEL_ATTEMPT,
    LABEL_INPUTS_HASH,
    LABEL_MANAGED_BY,
    LABEL_POD_SECURITY,
    LABEL_RANK,
    LABEL_RUN,
    LABEL_SERVICE,
    LABEL_VARIANT,
    MANAGED_BY,
)
from tandem.cluster import ending, waiting
from tandem.domain import clock, naming, quantity
from tandem.domain.observed import (
    ChildRecord,
    ClaimRecord,
    DeploymentRecord,
    ForeignPod,
    GroupRecord,
    Key,
    NamespaceRecord,
    NodeRecord,
    OwnPod,
    PriorityRecord,
    QuotaRecord,
    Taint,
)
from tandem.domain.placement.requests_of_pods import effective_devices, is_extended

Raw = dict[str, Any]
Reader = TypeVar("Reader", bound=Callable[[Raw], object])

_log = structlog.get_logger(__name__)


def _tolerant(what: str) -> Callable[[Reader], Reader]:
    """A reader that answers None, and says so in the log, where an object is not as the API describes it."""

    def decorate(read: Reader) -> Reader:
        @wraps(read)
        def reader(raw: Raw) -> object:
            try:
                return read(raw)
            except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError) as error:
                _log.warning("a malformed object is ignored", what=what, object=_name_of(raw), error=repr(error))
                return None

        return cast(Reader, reader)

    return decorate


@_tolerant("Pod")
def pod(raw: Raw) -> OwnPod | ForeignPod | None:
    """A pod of ours by its labels, else a pod that holds devices, else None."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    labels = metadata.get("labels") or {}
    if labels.get(LABEL_MANAGED_BY) == MANAGED_BY and (LABEL_RUN in labels or LABEL_SERVICE in labels):
        return _own_pod(metadata, labels, spec, status)
    devices = _devices(spec)
    if not devices:
        return None
    node = spec.get("nodeName") or status.get("nominatedNodeName")
    terminal = status.get("phase") in ("Succeeded", "Failed")
    waits = not (node or terminal or "deletionTimestamp" in metadata) and waiting.competes(spec, status, devices)
    return ForeignPod(
        uid=metadata["uid"],
        node=_shared(node),
        devices=devices,
        terminal=terminal,
        wait=_shared(waiting.wait(spec)) if waits else None,
    )


def _own_pod(metadata: Raw, labels: Raw, spec: Raw, status: Raw) -> OwnPod:
    owner_uid, owner = _pod_owner(metadata, labels)
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    main = ending.of_main(status)
    waiting_reason, waiting_message = ending.trouble_while_waiting(status)
    return OwnPod(
        namespace=_shared(metadata["namespace"]),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=int(metadata["resourceVersion"]),
        owner_uid=owner_uid,
        owner=owner,
        attempt=_number(labels.get(LABEL_ATTEMPT)),
        rank=_number(labels.get(LABEL_RANK)),
        variant=_shared(labels.get(LABEL_VARIANT, "")),
        accelerator=_shared(labels.get(LABEL_ACCELERATOR, "")),
        inputs_hash=_shared(_inputs_hash(metadata)),
        node=_shared(spec.get("nodeName")),
        devices=_devices(spec),
        phase=_shared(status.get("phase") or "Pending"),
        created=_moment(metadata.get("creationTimestamp")),
        deleting_since=_moment(metadata.get("deletionTimestamp")),
        ready=_holds(conditions.get("Ready")),
        scheduled=bool(spec.get("nodeName")),
        scheduled_at=_bound_at(conditions.get("PodScheduled")),
        unschedulable_message=_unschedulable(conditions.get("PodScheduled")),
        exit_code=main.exit_code,
        finished_at=_moment(main.finished_at),
        reason=_shared(status.get("reason") or main.reason),
        message=_shared(ending.cut(status.get("message") or main.message)),
        waiting_reason=_shared(waiting_reason),
        waiting_message=_shared(waiting_message),
        report=main.report,
        pod_group=_shared((spec.get("schedulingGroup") or {}).get("podGroupName") or ""),
    )


@_tolerant("Node")
def node(raw: Raw) -> NodeRecord | None:
    """A node as placement sees it. Heartbeats leave the record as it is."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    ready = next((one for one in status.get("conditions") or () if one["type"] == "Ready"), None)
    is_ready = _holds(ready)
    return NodeRecord(
        name=metadata["name"],
        labels=dict(metadata.get("labels") or {}),
        taints=tuple(Taint(one["key"], one.get("value") or "", one["effect"]) for one in spec.get("taints") or ()),
        cordoned=bool(spec.get("unschedulable")),
        ready=is_ready,
        not_ready_since=None if is_ready or ready is None else _moment(ready.get("lastTransitionTime")),
        allocatable=_extended(status.get("allocatable")),
        capacity=_extended(status.get("capacity")),
        annotations=_shared(frozenset(metadata.get("annotations") or ())),
        conditions=_shared(frozenset((one["type"], one["status"]) for one in status.get("conditions") or ())),
    )


@_tolerant("Deployment")
def deployment(raw: Raw) -> DeploymentRecord | None:
    """A Deployment of ours by its label, else None."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    labels = metadata.get("labels") or {}
    if labels.get(LABEL_MANAGED_BY) != MANAGED_BY:
        return None
    return DeploymentRecord(
        **_identity(metadata),
        variant=_shared(labels.get(LABEL_VARIANT, "")),
        accelerator=_shared(labels.get(LABEL_ACCELERATOR, "")),
        inputs_hash=_shared(_inputs_hash(metadata)),
        generation=metadata.get("generation") or 0,
        observed_generation=status.get("observedGeneration") or 0,
        wanted=spec.get("replicas", 1),
        replicas=status.get("replicas") or 0,
        updated=status.get("updatedReplicas") or 0,
        ready=status.get("readyReplicas") or 0,
        available=status.get("availableReplicas") or 0,
        rendered=_shared((metadata.get("annotations") or {}).get(ANNOTATION_RENDERED, "")),
        owned=_shared(_owned(metadata)),
        refused=_shared(_message(status, "ReplicaFailure", "True")),
        overdue=_shared(_message(status, "Progressing", "False")),
    )


def _identity(metadata: Raw) -> Raw:
    """What the records of all children but pods begin with."""
    owner_uid, owner = _controller(metadata)
    return {
        "namespace": _shared(metadata["namespace"]),
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resource_version": int(metadata["resourceVersion"]),
        "owner_uid": owner_uid,
        "owner": owner,
        "deleting": "deletionTimestamp" in metadata,
    }


def _owned(metadata: Raw) -> str:
    """Digest of the paths below spec that are ours: whoever changes or removes such a field takes it out of the set.

    Ours are two entries once fields were applied: those of updates and those of applies.
    """
    owned: Raw = {}
    for entry in metadata.get("managedFields") or ():
        if entry.get("manager") == FIELD_MANAGER and not entry.get("subresource"):
            _merge(owned, (entry.get("fieldsV1") or {}).get("f:spec") or {})
    owned.pop("f:replicas", None)
    return naming.inputs_hash(owned) if owned else ""


def _merge(into: Raw, more: Raw) -> None:
    for name, below in more.items():
        _merge(into.setdefault(name, {}), below)


def _message(status: Raw, kind: str, state: str) -> str:
    """Message of the condition of this type where it is in this state, else nothing."""
    for condition in status.get("conditions") or ():
        if condition["type"] == kind and condition["status"] == state:
            return ending.cut(condition.get("message"))
    return ""


@_tolerant("child")
def child(raw: Raw) -> ChildRecord | None:
    """A Service or PodDisruptionBudget of ours by its label, else None."""
    metadata = raw["metadata"]
    if (metadata.get("labels") or {}).get(LABEL_MANAGED_BY) != MANAGED_BY:
        return None
    return ChildRecord(**_identity(metadata), inputs_hash=_shared(_inputs_hash(metadata)))


@_tolerant("PodGroup")
def group(raw: Raw) -> GroupRecord | None:
    """A PodGroup of ours by its label, else None."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    labels = metadata.get("labels") or {}
    if labels.get(LABEL_MANAGED_BY) != MANAGED_BY:
        return None
    return GroupRecord(
        **_identity(metadata),
        attempt=_number(labels.get(LABEL_ATTEMPT)),
        unschedulable_message=_shared(_message(status, "PodGroupInitiallyScheduled", "False")),
    )


@_tolerant("PersistentVolumeClaim")
def claim(raw: Raw) -> ClaimRecord | None:
    """A claim; its metadata is enough."""
    metadata = raw["metadata"]
    return ClaimRecord(_shared(metadata["namespace"]), metadata["name"], int(metadata["resourceVersion"]))


@_tolerant("Namespace")
def namespace(raw: Raw) -> NamespaceRecord | None:
    """A namespace; its metadata is enough."""
    metadata = raw["metadata"]
    labels = dict(metadata.get("labels") or {})
    level = labels.get(LABEL_POD_SECURITY) or ""
    return NamespaceRecord(metadata["name"], _shared(level), int(metadata["resourceVersion"]), labels)


@_tolerant("ResourceQuota")
def quota(raw: Raw) -> QuotaRecord | None:
    """A quota as it is enforced, for devices and pods; None for one that counts only some pods, or none of these."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    hard = _counted(status.get("hard"))
    if spec.get("scopes") or spec.get("scopeSelector") or not hard:
        return None
    used = _counted(status.get("used"))
    return QuotaRecord(_shared(metadata["namespace"]), metadata["name"], int(metadata["resourceVersion"]), hard, used)


def _counted(amounts: Raw | None) -> Mapping[str, int]:
    return {
        name: quantity.count(str(amount))
        for name, amount in (amounts or {}).items()
        if name in ("pods", "count/pods")
        or (name.startswith("requests.") and is_extended(name.removeprefix("requests.")))
    }


@_tolerant("PriorityClass")
def priority(raw: Raw) -> PriorityRecord | None:
    """A PriorityClass."""
    return PriorityRecord(raw["metadata"]["name"], int(raw["value"]), raw.get("globalDefault") is True)


def _pod_owner(metadata: Raw, labels: Raw) -> tuple[str | None, Key | None]:
    uid, owner = _controller(metadata)
    if owner is None and LABEL_SERVICE in labels and _controller_reference(metadata).get("kind") == "ReplicaSet":
        # Between the service and its pod stand a Deployment and a ReplicaSet: no uid of ours is at hand.
        _, owner = _owner(None, "InferenceService", metadata["namespace"], labels[LABEL_SERVICE])
    return uid, owner


def _controller(metadata: Raw) -> tuple[str | None, Key | None]:
    """Uid and key of the object of ours that controls this one."""
    reference = _controller_reference(metadata)
    if not str(reference.get("apiVersion", "")).startswith(f"{GROUP}/"):
        return None, None
    return _owner(reference["uid"], reference["kind"], metadata["namespace"], reference["name"])


def _controller_reference(metadata: Raw) -> Mapping[str, Any]:
    return next((one for one in metadata.get("ownerReferences") or () if one.get("controller")), {})


@lru_cache(maxsize=8192)
def _owner(uid: str | None, kind: str, namespace: str, name: str) -> tuple[str | None, Key]:
    return uid, Key(kind, namespace, name)


def _inputs_hash(metadata: Raw) -> str:
    """Pods carry it as a label (an attempt is rebuilt from labels), other children as an annotation."""
    for place in ("labels", "annotations"):
        found = (metadata.get(place) or {}).get(LABEL_INPUTS_HASH)
        if found:
            return str(found)
    return ""


def _devices(spec: Raw) -> Mapping[str, int]:
    return _shared_map(tuple(sorted((name, count) for name, count in effective_devices(spec).items() if count)))


def _extended(resources: Raw | None) -> Mapping[str, int]:
    counts = ((name, quantity.count(str(amount))) for name, amount in (resources or {}).items() if is_extended(name))
    return _shared_map(tuple(sorted(counts)))


def _number(label: str | None) -> int:
    """Attempts and ranks; 0 for anything else."""
    return int(label) if label and label.isascii() and label.isdigit() and len(label) < 10 else 0


def _holds(condition: Mapping[str, Any] | None) -> bool:
    return condition is not None and condition.get("status") == "True"


def _bound_at(condition: Mapping[str, Any] | None) -> datetime | None:
    return _moment(condition.get("lastTransitionTime")) if condition is not None and _holds(condition) else None


def _unschedulable(condition: Mapping[str, Any] | None) -> str:
    if condition is None or condition.get("status") != "False" or condition.get("reason") != "Unschedulable":
        return ""
    return str(_shared(ending.cut(condition.get("message"))))


@lru_cache(maxsize=4096)
def _moment(text: str | None) -> datetime | None:
    return clock.parse(text) if text else None


@lru_cache(maxsize=8192)
def _shared(value: Any) -> Any:
    """The same object for equal values. Not sys.intern: that one never forgets in some Python versions."""
    return value


@lru_cache(maxsize=1024)
def _shared_map(items: tuple[tuple[str, int], ...]) -> Mapping[str, int]:
    return MappingProxyType(dict(items))


def _name_of(raw: Any) -> str:
    metadata = raw.get("metadata") if isinstance(raw, dict) else None
    metadata = metadata if isinstance(metadata, dict) else {}
    return f"{metadata.get('namespace')}/{metadata.get('name')}"
