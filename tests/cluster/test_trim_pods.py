"""What is kept of a pod, and which pods are kept."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tandem.api.scheduling import Toleration
from tandem.cluster import trim
from tandem.domain.observed import ForeignPod, Key, OwnPod, Requirement, Wait
from tests.cluster.objects import RUN_UID, container, controller, own_pod, pod, service_pod, terminated, waiting


def own(raw: dict[str, Any]) -> OwnPod:
    record = trim.pod(raw)
    assert isinstance(record, OwnPod)
    return record


def test_everything_of_a_pod_of_ours_is_read() -> None:
    raw = own_pod(
        "hello-a1-3",
        phase="Failed",
        conditions=[
            {"type": "Ready", "status": "False"},
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-11-23T10:01:00Z"},
        ],
        containerStatuses=[container(terminated(137, "killed", "OOMKilled"))],
    )
    raw["metadata"]["labels"]["tandem.dev/attempt"] = "2"
    raw["metadata"]["deletionTimestamp"] = "2026-11-23T10:06:00Z"
    assert own(raw) == OwnPod(
        namespace="default",
        name="hello-a1-3",
        uid="uid-hello-a1-3",
        resource_version=7,
        owner_uid=RUN_UID,
        owner=Key("TrainingRun", "default", "hello"),
        attempt=2,
        rank=3,
        variant="main",
        accelerator="nvidia-h20",
        inputs_hash="0123456789abcdef",
        node="node-a",
        devices={"nvidia.com/gpu": 8},
        phase="Failed",
        created=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
        deleting_since=datetime(2026, 11, 23, 10, 6, tzinfo=UTC),
        ready=False,
        scheduled=True,
        scheduled_at=datetime(2026, 11, 23, 10, 1, tzinfo=UTC),
        exit_code=137,
        finished_at=datetime(2026, 11, 23, 10, 5, tzinfo=UTC),
        reason="OOMKilled",
        message="killed",
    )


def test_a_pod_that_was_just_made_has_defaults() -> None:
    raw = own_pod()
    del raw["spec"]["nodeName"], raw["status"]
    record = own(raw)
    assert (record.phase, record.node, record.scheduled, record.ready) == ("Pending", None, False, False)
    assert (record.exit_code, record.finished_at, record.report, record.deleting_since) == (None, None, None, None)


@pytest.mark.parametrize("status", ["False", "Unknown"])
def test_a_pod_that_waits_for_a_node_is_not_bound_since_it_was_looked_at(status: str) -> None:
    looked = {"type": "PodScheduled", "status": status, "lastTransitionTime": "2026-11-23T10:01:00Z"}
    assert own(own_pod(conditions=[looked])).scheduled_at is None


def test_a_running_pod_is_ready_by_its_condition() -> None:
    record = own(
        own_pod(conditions=[{"type": "Ready", "status": "True"}], containerStatuses=[container({"running": {}})])
    )
    assert record.ready
    assert (record.waiting_reason, record.exit_code) == ("", None)


def test_a_pod_of_a_service_knows_its_owner_by_label_only() -> None:
    record = own(service_pod())
    assert record.owner == Key("InferenceService", "default", "chat")
    assert record.owner_uid is None


@pytest.mark.parametrize("reference", [None, controller("batch/v1", "Job", "hello", RUN_UID)], ids=["none", "a Job"])
def test_a_pod_that_only_claims_to_be_ours_has_no_owner(reference: dict[str, Any] | None) -> None:
    raw = own_pod()
    raw["metadata"]["ownerReferences"] = [reference] if reference else []
    record = own(raw)
    assert (record.owner, record.owner_uid) == (None, None)


def test_an_owner_that_is_no_controller_does_not_count() -> None:
    raw = own_pod()
    raw["metadata"]["ownerReferences"][0]["controller"] = False
    assert own(raw).owner is None


@pytest.mark.parametrize("label", ["", "one", "-1", "1.5", "9" * 30, "²"])
def test_an_attempt_that_is_no_number_is_none_of_ours(label: str) -> None:
    raw = own_pod()
    raw["metadata"]["labels"]["tandem.dev/attempt"] = label
    assert own(raw).attempt == 0


def test_the_hash_of_a_pods_inputs_is_a_label_or_an_annotation() -> None:
    raw = service_pod()
    assert own(raw).inputs_hash == ""
    raw["metadata"]["annotations"] = {"tandem.dev/inputs-hash": "feedfeedfeedfeed"}
    assert own(raw).inputs_hash == "feedfeedfeedfeed"


def test_why_a_pod_is_not_scheduled_is_kept() -> None:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/5 nodes" + "x" * 500,
    }
    record = own(own_pod(conditions=[condition]))
    assert record.unschedulable_message.startswith("0/5 nodesx")
    assert len(record.unschedulable_message) == 256
    gated = {**condition, "reason": "SchedulingGated"}
    assert own(own_pod(conditions=[gated])).unschedulable_message == ""


def test_others_pods_are_kept_for_their_devices() -> None:
    assert trim.pod(pod(devices=4)) == ForeignPod("uid-stranger", "node-a", {"nvidia.com/gpu": 4})


def unscheduled(
    spec: dict[str, Any] | None = None, *, metadata: dict[str, Any] | None = None, **status: Any
) -> ForeignPod:
    """A pod of others without a node."""
    raw = pod(devices=4)
    raw["metadata"] |= metadata or {}
    del raw["spec"]["nodeName"]
    raw["spec"] |= spec or {}
    raw["status"] = {"phase": "Pending", **status}
    record = trim.pod(raw)
    assert isinstance(record, ForeignPod)
    return record


def refused(message: str) -> list[dict[str, str]]:
    return [
        {"type": "Ready", "status": "False"},
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message},
    ]


def test_a_nominated_pod_of_others_counts_as_bound() -> None:
    assert unscheduled(nominatedNodeName="node-b") == ForeignPod("uid-stranger", "node-b", {"nvidia.com/gpu": 4})


def test_of_a_pod_of_others_that_waits_is_kept_where_it_may_go_and_who_goes_first() -> None:
    expression = {"key": "pool", "operator": "In", "values": ["a", "b"]}
    name = {"key": "metadata.name", "operator": "In", "values": ["n"]}
    terms = {"nodeSelectorTerms": [{"matchExpressions": [expression], "matchFields": [name]}]}
    record = unscheduled(
        {
            "priority": 1000,
            "nodeSelector": {"b": "2", "a": "1"},
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}},
            "tolerations": [{"key": "k" * 300, "operator": "Exists", "tolerationSeconds": 300}],
        }
    )
    assert record.wait == Wait(
        priority=1000,
        node_selector=(("a", "1"), ("b", "2")),
        terms=((Requirement("pool", "In", ("a", "b")), Requirement("metadata.name", "In", ("n",), True)),),
        tolerations=(Toleration.model_construct(key="k" * 300, operator="Exists"),),
    )


def test_waits_that_are_alike_are_one_object() -> None:
    assert unscheduled({"priority": 5000}).wait is unscheduled({"priority": 5000}).wait


@pytest.mark.parametrize(
    ("conditions", "waits"),
    [
        ([], True),
        (refused("0/5 nodes are available: 2 Insufficient cpu, 3 Insufficient nvidia.com/gpu."), True),
        (refused("x" * 1000 + " 3 Insufficient nvidia.com/gpu."), True),
        (refused("0/5 nodes are available: 5 Insufficient cpu."), False),
        (refused("0/5 nodes are available: 5 node(s) had untolerated taint(s)."), False),
    ],
    ids=["not looked at", "lacks devices", "in a long message", "lacks something else", "may not go there"],
)
def test_a_pod_of_others_waits_for_devices_if_the_scheduler_names_them(
    conditions: list[dict[str, str]], waits: bool
) -> None:
    assert (unscheduled(conditions=conditions).wait is not None) is waits


@pytest.mark.parametrize(
    "more",
    [
        {"spec": {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}},
        {"metadata": {"deletionTimestamp": "2026-11-23T10:00:00Z"}},
        {"phase": "Failed"},
        {"nominatedNodeName": "node-b"},
    ],
    ids=["gated", "ending", "ended", "nominated"],
)
def test_a_pod_of_others_that_takes_no_devices_from_anybody_does_not_wait(more: dict[str, Any]) -> None:
    assert unscheduled(**more).wait is None


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_others_ended_pods_are_told_from_running_ones(phase: str) -> None:
    record = trim.pod(pod(status={"phase": phase}))
    assert isinstance(record, ForeignPod)
    assert record.terminal


@pytest.mark.parametrize(
    "raw",
    [
        pod(devices=0),
        pod(resource="cpu"),
        pod(resource="hugepages-2Mi"),
        pod(resource="resource.kubernetes.io/x"),
        pod(spec={"containers": [{"name": "a", "resources": {"limits": {"nvidia.com/gpu": "0"}}}]}),
    ],
    ids=["none", "cpu", "hugepages", "Kubernetes's own domain", "zero"],
)
def test_others_pods_without_devices_are_not_kept(raw: dict[str, Any]) -> None:
    assert trim.pod(raw) is None


def test_only_managed_pods_with_a_run_or_service_are_ours() -> None:
    raw = own_pod()
    del raw["metadata"]["labels"]["tandem.dev/run"]
    assert isinstance(trim.pod(raw), ForeignPod)
    raw = own_pod()
    raw["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "helm"
    assert isinstance(trim.pod(raw), ForeignPod)


def test_devices_are_counted_as_the_scheduler_does() -> None:
    """A sidecar's devices add to those of main; an init step counts where it asks for more than all that come later."""

    def asks(name: str, count: int, **more: Any) -> dict[str, Any]:
        return {"name": name, "resources": {"requests": {"nvidia.com/gpu": str(count)}}, **more}

    spec = {
        "initContainers": [asks("sidecar", 1, restartPolicy="Always"), asks("step", 5)],
        "containers": [asks("main", 2), asks("other", 1)],
    }
    record = trim.pod(pod(spec=spec))
    assert record is not None
    assert record.devices == {"nvidia.com/gpu": 6}


def test_pods_alike_share_what_they_repeat() -> None:
    one, two = own(own_pod("hello-a1-0")), own(own_pod("hello-a1-1"))
    for field in (
        "namespace",
        "owner_uid",
        "owner",
        "variant",
        "accelerator",
        "inputs_hash",
        "node",
        "devices",
        "created",
    ):
        assert getattr(one, field) is getattr(two, field), field


def test_a_shared_map_of_devices_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        own(own_pod()).devices["nvidia.com/gpu"] = 0  # type: ignore[index]


def _without(raw: dict[str, Any], *path: str) -> dict[str, Any]:
    *outer, last = path
    place = raw
    for name in outer:
        place = place[name]
    del place[last]
    return raw


@pytest.mark.parametrize(
    "raw",
    [
        {},
        [],
        None,
        {"metadata": None},
        _without(pod(), "metadata", "uid"),
        _without(pod(), "spec"),
        {**pod(), "spec": {"containers": 7}},
        {**pod(), "spec": {"containers": [{"resources": {"limits": {"nvidia.com/gpu": "many"}}}]}},
        {**pod(), "metadata": {**pod()["metadata"], "labels": ["a"]}},
        _without(own_pod(), "metadata", "resourceVersion"),
        own_pod(conditions=[{"status": "True"}]),
        own_pod(containerStatuses=[container(waiting("a")), "b"]) | {"status": {"containerStatuses": ["b"]}},
        {**own_pod(), "metadata": {**own_pod()["metadata"], "creationTimestamp": "yesterday"}},
        {
            **own_pod(),
            "metadata": {
                **own_pod()["metadata"],
                "ownerReferences": [{"controller": True, "apiVersion": "tandem.dev/v1"}],
            },
        },
    ],
    ids=range(14),
)
def test_a_malformed_pod_is_ignored(raw: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert trim.pod(raw) is None
    assert "malformed" in capsys.readouterr().out
