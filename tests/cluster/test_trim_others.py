"""What is kept of nodes, Deployments, Services, budgets and claims."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tandem.cluster import trim
from tandem.domain.observed import (
    ChildRecord,
    ClaimRecord,
    DeploymentRecord,
    GroupRecord,
    Key,
    NamespaceRecord,
    NodeRecord,
    PriorityRecord,
    QuotaRecord,
    Taint,
)
from tests.cluster.objects import controller

CHAT = Key("InferenceService", "default", "chat")


def node(ready: str = "True", **more: Any) -> dict[str, Any]:
    """A node with eight devices, one of them unhealthy."""
    return {
        "metadata": {"name": "node-a", "labels": {"kubernetes.io/arch": "amd64"}},
        "spec": {},
        "status": {
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": ready, "lastTransitionTime": "2026-11-23T10:00:00Z"},
            ],
            "allocatable": {"cpu": "8", "memory": "16Gi", "nvidia.com/gpu": "7", "hugepages-2Mi": "0"},
            "capacity": {"cpu": "8", "memory": "16Gi", "nvidia.com/gpu": "8", "hugepages-2Mi": "0"},
        },
        **more,
    }


def child(**more: Any) -> dict[str, Any]:
    """A child of the service `chat`."""
    return {
        "metadata": {
            "namespace": "default",
            "name": "chat-main",
            "uid": "uid-child",
            "resourceVersion": "12",
            "generation": 3,
            "labels": {
                "app.kubernetes.io/managed-by": "tandem",
                "tandem.dev/variant": "main",
                "tandem.dev/accelerator": "ascend-910b",
            },
            "annotations": {"tandem.dev/inputs-hash": "0123456789abcdef"},
            "ownerReferences": [controller("tandem.dev/v1alpha1", "InferenceService", "chat", "uid-chat")],
        },
        "spec": {},
        **more,
    }


def test_a_ready_node() -> None:
    assert trim.node(node()) == NodeRecord(
        name="node-a",
        labels={"kubernetes.io/arch": "amd64"},
        taints=(),
        cordoned=False,
        ready=True,
        not_ready_since=None,
        allocatable={"nvidia.com/gpu": 7},
        capacity={"nvidia.com/gpu": 8},
        conditions=frozenset({("MemoryPressure", "False"), ("Ready", "True")}),
    )


def test_of_a_node_s_conditions_type_and_status_are_kept() -> None:
    """Their heartbeats change all the time, and the record must not."""
    raw = node()
    raw["status"]["conditions"].append({"type": "DevicesIll", "status": "True", "lastHeartbeatTime": "10:00"})
    record = trim.node(raw)
    assert record is not None
    assert record.conditions == {("MemoryPressure", "False"), ("Ready", "True"), ("DevicesIll", "True")}
    raw["status"]["conditions"][-1]["lastHeartbeatTime"] = "10:01"
    assert trim.node(raw) == record


def test_of_a_node_s_annotations_the_keys_are_kept() -> None:
    """Their values change all the time, and the record must not."""
    raw = node()
    raw["metadata"]["annotations"] = {"example.com/heartbeat": "10:00"}
    record = trim.node(raw)
    assert record is not None
    assert record.annotations == {"example.com/heartbeat"}
    raw["metadata"]["annotations"] = {"example.com/heartbeat": "10:01"}
    assert trim.node(raw) == record


@pytest.mark.parametrize("state", ["False", "Unknown"])
def test_a_node_that_is_not_ready_says_since_when(state: str) -> None:
    record = trim.node(node(state))
    assert record is not None
    assert not record.ready
    assert record.not_ready_since == datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


def test_a_node_without_status_is_not_ready() -> None:
    record = trim.node({"metadata": {"name": "new"}})
    assert record == NodeRecord(
        "new", {}, (), cordoned=False, ready=False, not_ready_since=None, allocatable={}, capacity={}
    )


def test_taints_and_cordons_are_kept() -> None:
    taints = [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}, {"key": "team", "value": "a", "effect": "NoExecute"}]
    record = trim.node(node(spec={"unschedulable": True, "taints": taints}))
    assert record is not None
    assert record.cordoned
    assert record.taints == (Taint("nvidia.com/gpu", "", "NoSchedule"), Taint("team", "a", "NoExecute"))


def test_a_heartbeat_leaves_the_record_as_it_is() -> None:
    later = node()
    later["metadata"]["resourceVersion"] = "99"
    later["status"]["conditions"][1]["lastHeartbeatTime"] = "2026-11-23T11:00:00Z"
    assert trim.node(later) == trim.node(node())


def test_a_deployment_of_ours() -> None:
    raw = child(
        spec={"replicas": 4},
        status={
            "observedGeneration": 2,
            "replicas": 5,
            "updatedReplicas": 3,
            "readyReplicas": 2,
            "availableReplicas": 1,
        },
    )
    assert trim.deployment(raw) == DeploymentRecord(
        namespace="default",
        name="chat-main",
        uid="uid-child",
        resource_version=12,
        owner_uid="uid-chat",
        owner=CHAT,
        variant="main",
        accelerator="ascend-910b",
        inputs_hash="0123456789abcdef",
        generation=3,
        observed_generation=2,
        wanted=4,
        replicas=5,
        updated=3,
        ready=2,
        available=1,
        deleting=False,
    )


OURS = {
    "f:replicas": {},
    "f:template": {"f:spec": {"f:containers": {'k:{"name":"main"}': {"f:image": {}, "f:args": {}}}}},
}


def entry(manager: str, spec: dict[str, Any], operation: str = "Update", **more: Any) -> dict[str, Any]:
    """An entry of managedFields."""
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": spec}, **more}


def owned(*entries: dict[str, Any]) -> str:
    raw = child()
    raw["metadata"]["managedFields"] = list(entries)
    record = trim.deployment(raw)
    assert record is not None
    return record.owned


def test_which_fields_are_ours_is_one_digest_whatever_else_is_written() -> None:
    ours = owned(entry("tandem", OURS))
    others = entry("kubectl-edit", {"f:paused": {}})
    status = entry("tandem", {"f:replicas": {}, "f:x": {}}, subresource="status")
    later = entry("tandem", {name: below for name, below in OURS.items() if name != "f:replicas"})
    assert {owned(others, entry("tandem", OURS), status), owned(later)} == {ours}
    assert owned(entry("tandem", OURS), entry("tandem", {"f:template": {}}, "Apply")) == ours


def test_a_field_of_ours_that_another_wrote_changes_the_digest() -> None:
    lost = {"f:template": {"f:spec": {"f:containers": {'k:{"name":"main"}': {"f:args": {}}}}}}
    assert owned(entry("tandem", lost), entry("kubectl-edit", OURS)) != owned(entry("tandem", OURS))
    assert owned(entry("kubectl-edit", OURS)) == owned() == ""


def test_a_deployment_says_what_it_was_rendered_as() -> None:
    raw = child()
    assert getattr(trim.deployment(raw), "rendered", None) == ""
    raw["metadata"]["annotations"]["tandem.dev/rendered"] = "abc"
    assert getattr(trim.deployment(raw), "rendered", None) == "abc"


@pytest.mark.parametrize(("spec", "wanted"), [({}, 1), ({"replicas": 0}, 0)])
def test_a_deployment_that_was_just_made(spec: dict[str, int], wanted: int) -> None:
    record = trim.deployment(child(spec=spec))
    assert record is not None
    assert (record.wanted, record.observed_generation, record.replicas, record.ready) == (wanted, 0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "status", "refused", "overdue"),
    [
        ("ReplicaFailure", "True", "why", ""),
        ("ReplicaFailure", "False", "", ""),
        ("Progressing", "False", "", "why"),
        ("Progressing", "True", "", ""),
        ("Available", "False", "", ""),
    ],
)
def test_what_stops_a_deployment_is_told_apart(kind: str, status: str, refused: str, overdue: str) -> None:
    record = trim.deployment(
        child(spec={}, status={"conditions": [{"type": kind, "status": status, "message": " why "}]})
    )
    assert record is not None
    assert (record.refused, record.overdue) == (refused, overdue)


def test_a_service_or_budget_of_ours() -> None:
    raw = child()
    raw["metadata"]["deletionTimestamp"] = "2026-11-23T10:00:00Z"
    assert trim.child(raw) == ChildRecord(
        namespace="default",
        name="chat-main",
        uid="uid-child",
        resource_version=12,
        owner_uid="uid-chat",
        owner=CHAT,
        inputs_hash="0123456789abcdef",
        deleting=True,
    )


@pytest.mark.parametrize("read", [trim.deployment, trim.child])
def test_children_of_others_are_not_kept(read: Any) -> None:
    raw = child()
    raw["metadata"]["labels"] = None
    assert read(raw) is None


def test_a_child_with_another_owner_is_kept_without_one() -> None:
    """It may hold a name that we need, so it has to be seen."""
    raw = child()
    raw["metadata"]["ownerReferences"] = [controller("argoproj.io/v1alpha1", "Rollout", "chat", "uid-rollout")]
    record = trim.child(raw)
    assert record is not None
    assert (record.owner, record.owner_uid) == (None, None)


def test_a_claim_is_its_metadata() -> None:
    raw = {
        "kind": "PartialObjectMetadata",
        "metadata": {"namespace": "default", "name": "models", "resourceVersion": "5"},
    }
    assert trim.claim(raw) == ClaimRecord("default", "models", 5)


@pytest.mark.parametrize(
    ("labels", "level"),
    [(None, ""), ({}, ""), ({"pod-security.kubernetes.io/enforce": "restricted"}, "restricted")],
    ids=str,
)
def test_of_a_namespace_the_pod_security_level_and_the_labels_are_kept(
    labels: dict[str, str] | None, level: str
) -> None:
    raw = {"metadata": {"name": "team", "resourceVersion": "5", "labels": labels}}
    assert trim.namespace(raw) == NamespaceRecord("team", level, 5, labels or {})


@pytest.mark.parametrize(("more", "is_default"), [({}, False), ({"globalDefault": True}, True)], ids=str)
def test_of_a_priority_class_value_and_default_are_kept(more: dict[str, Any], is_default: bool) -> None:
    raw = {"metadata": {"name": "urgent", "resourceVersion": "5"}, "value": 1000, "description": "now", **more}
    assert trim.priority(raw) == PriorityRecord("urgent", 1000, is_default)


@pytest.mark.parametrize("read", [trim.node, trim.deployment, trim.child, trim.claim, trim.namespace, trim.priority])
@pytest.mark.parametrize(
    "raw", [None, {}, {"metadata": 7}, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "tandem"}}}]
)
def test_a_malformed_object_is_ignored(read: Any, raw: Any) -> None:
    assert read(raw) is None


def test_a_node_with_an_unreadable_amount_is_ignored() -> None:
    assert trim.node(node(status={"allocatable": {"nvidia.com/gpu": "lots"}})) is None


def test_a_pod_group_is_its_attempt_and_what_keeps_it_from_being_bound() -> None:
    """Once it was bound it stays so by its own account, whatever becomes of its pods."""

    def group(state: str, **labels: str) -> GroupRecord | None:
        metadata = {
            "namespace": "default",
            "name": "train-a2",
            "uid": "uid-group",
            "resourceVersion": "12",
            "labels": {"app.kubernetes.io/managed-by": "tandem", "tandem.dev/attempt": "2", **labels},
            "ownerReferences": [controller("tandem.dev/v1alpha1", "TrainingRun", "train", "uid-train")],
        }
        condition = {"type": "PodGroupInitiallyScheduled", "status": state, "message": "no room for 4"}
        return trim.group({"metadata": metadata, "spec": {}, "status": {"conditions": [condition]}})

    waiting = GroupRecord(
        namespace="default",
        name="train-a2",
        uid="uid-group",
        resource_version=12,
        owner_uid="uid-train",
        owner=Key("TrainingRun", "default", "train"),
        attempt=2,
        unschedulable_message="no room for 4",
    )
    assert group("False") == waiting
    bound = group("True")
    assert bound is not None
    assert bound.unschedulable_message == ""
    assert group("False", **{"app.kubernetes.io/managed-by": "kueue"}) is None


def resource_quota(**spec: Any) -> dict[str, Any]:
    """A quota of devices and memory."""
    return {
        "metadata": {"namespace": "default", "name": "team", "resourceVersion": "5"},
        "spec": {"hard": {"requests.nvidia.com/gpu": "99"}, **spec},
        "status": {
            "hard": {"requests.nvidia.com/gpu": "8", "requests.memory": "1Gi", "pods": "1k", "count/services": "1"},
            "used": {"requests.nvidia.com/gpu": "2", "requests.memory": "1Gi", "pods": "3"},
        },
    }


def test_of_a_quota_devices_and_pods_are_kept_as_they_are_enforced() -> None:
    assert trim.quota(resource_quota()) == QuotaRecord(
        "default", "team", 5, {"requests.nvidia.com/gpu": 8, "pods": 1000}, {"requests.nvidia.com/gpu": 2, "pods": 3}
    )


@pytest.mark.parametrize(
    "spec",
    [{"scopes": ["Terminating"]}, {"scopeSelector": {"matchExpressions": []} | {"x": 1}}],
    ids=["scopes", "selector"],
)
def test_a_quota_of_some_pods_only_is_left_to_the_server(spec: dict[str, Any]) -> None:
    assert trim.quota(resource_quota(**spec)) is None


def test_a_quota_that_is_not_enforced_yet_is_none() -> None:
    raw = resource_quota()
    del raw["status"]
    assert trim.quota(raw) is None
