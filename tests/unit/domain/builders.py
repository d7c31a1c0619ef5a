"""Small objects for tests of decisions: a valid default for everything, so that a test names only what it is about."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tandem.api.accelerator_profile import AcceleratorProfile, AcceleratorProfileSpec
from tandem.api.conditions import Condition, ConditionType
from tandem.api.inference_service import InferenceService
from tandem.api.training_run import TrainingRun
from tandem.domain import clock, naming
from tandem.domain.observed import (
    ChildRecord,
    Children,
    DeploymentRecord,
    ForeignPod,
    GroupRecord,
    NamespaceRecord,
    NodeRecord,
    OwnPod,
    Taint,
)
from tandem.domain.placement.fit import Snapshot, snapshot
from tandem.domain.placement.place import place
from tandem.domain.placement.request import Candidate, Decision, Option
from tandem.domain.plan import Plan, Problem
from tandem.domain.serving.plan import plan_service
from tandem.domain.serving.view import ServiceView
from tandem.domain.timing import Timing
from tandem.domain.training.plan import plan_run
from tandem.domain.training.view import RunView

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
CREATED = NOW - timedelta(hours=1)
TIMING = Timing()
GPU = "nvidia.com/gpu"
NPU = "huawei.com/Ascend910"


def later(seconds: float) -> datetime:
    """`seconds` after NOW."""
    return NOW + timedelta(seconds=seconds)


def stamp(seconds: float = 0) -> str:
    """`seconds` after NOW, as the API writes it."""
    return clock.stamp(later(seconds))


def profile(
    name: str = "nvidia-h20", resource: str = GPU, labels: Mapping[str, str] | None = None, **spec: Any
) -> AcceleratorProfile:
    """A profile whose nodes carry the label accel=<name>. `spec` holds further fields, in camelCase."""
    fields = {
        "nodeSelector": {"accel": name},
        "allocation": {"type": "ExtendedResource", "extendedResource": {"name": resource}},
        **spec,
    }
    return AcceleratorProfile(name=name, labels=dict(labels or {}), spec=AcceleratorProfileSpec.model_validate(fields))


GPUS = profile("nvidia-h20", GPU, {"tandem.dev/stack": "cuda"})
NPUS = profile("ascend-910b", NPU, {"tandem.dev/stack": "cann"})
PROFILES = {item.name: item for item in (GPUS, NPUS)}


def node(name: str = "gpu-0", devices: int = 8, accelerator: AcceleratorProfile = GPUS, **fields: Any) -> NodeRecord:
    """A ready node of a profile. `fields` replace those of the record."""
    resources = {accelerator.spec.allocation.extended_resource.name: devices}
    record = NodeRecord(
        name=name,
        labels={**accelerator.spec.node_selector, "kubernetes.io/arch": "amd64"},
        taints=(),
        cordoned=False,
        ready=True,
        not_ready_since=None,
        allocatable=resources,
        capacity=resources,
    )
    return replace(record, **fields)


def taint(key: str, value: str = "", effect: str = "NoSchedule") -> Taint:
    """A taint that keeps pods away, unless said otherwise."""
    return Taint(key, value, effect)


def foreign(node_name: str | None = "gpu-0", devices: int = 1, resource: str = GPU, **fields: Any) -> ForeignPod:
    """Another's pod that holds devices."""
    return replace(
        ForeignPod(uid=f"foreign-{node_name}-{devices}", node=node_name, devices={resource: devices}), **fields
    )


def option(accelerator: AcceleratorProfile = GPUS, pods: int = 1, devices: int = 8, **fields: Any) -> Option:
    """Pods of a profile."""
    base = Option(
        profile=accelerator,
        pods=pods,
        devices=devices,
        node_selector={},
        tolerations=tuple(accelerator.spec.tolerations or ()),
    )
    return replace(base, **fields)


def candidate(name: str = "main", *options: Option, **fields: Any) -> Candidate:
    """A variant that may use these options."""
    return replace(Candidate(variant=name, wants="nvidia-h20", options=options), **fields)


# Training


def run(status: Mapping[str, Any] | None = None, **spec: Any) -> TrainingRun:
    """A run of one pod with eight devices. `spec` and `status` are in camelCase; a spec field of None is left out."""
    fields = {"accelerator": "nvidia-h20", "devicesPerPod": 8, "image": "train:1", **spec}
    return TrainingRun.model_validate(
        {
            "name": "r",
            "namespace": "team",
            "uid": "run-uid",
            "generation": 1,
            "spec": {name: value for name, value in fields.items() if value is not None},
            "status": status or {},
        }
    )


def pod(rank: int = 0, attempt: int = 1, **fields: Any) -> OwnPod:
    """A pod of `run()` that runs well on gpu-0."""
    name = naming.pod("r", attempt, rank)
    record = OwnPod(
        namespace="team",
        name=name,
        uid=f"uid-{name}",
        resource_version=1,
        owner_uid="run-uid",
        owner=None,
        attempt=attempt,
        rank=rank,
        variant="main",
        accelerator="nvidia-h20",
        inputs_hash="",
        node="gpu-0",
        devices={GPU: 8},
        phase="Running",
        created=NOW,
        ready=True,
        scheduled=True,
    )
    return replace(record, **fields)


def pending(rank: int = 0, attempt: int = 1, **fields: Any) -> OwnPod:
    """A pod that has no node yet."""
    return pod(rank, attempt, **{"phase": "Pending", "ready": False, "scheduled": False, "node": None, **fields})


def failed(rank: int = 0, attempt: int = 1, *, code: int | None = 1, **fields: Any) -> OwnPod:
    """A pod whose program ended with an error."""
    return pod(rank, attempt, **{"phase": "Failed", "ready": False, "exit_code": code, "finished_at": NOW, **fields})


def succeeded(rank: int = 0, attempt: int = 1, **fields: Any) -> OwnPod:
    """A pod whose program ended well."""
    return pod(rank, attempt, **{"phase": "Succeeded", "ready": False, "exit_code": 0, "finished_at": NOW, **fields})


def group(attempt: int = 1, **fields: Any) -> GroupRecord:
    """The PodGroup of an attempt of `run()`."""
    name = naming.pod_group("r", attempt)
    record = GroupRecord(
        namespace="team",
        name=name,
        uid=f"uid-{name}",
        resource_version=1,
        owner_uid="run-uid",
        owner=None,
        attempt=attempt,
    )
    return replace(record, **fields)


def run_view(obj: TrainingRun | None = None, pods: Iterable[OwnPod] = (), **fields: Any) -> RunView:
    """What a decision about `obj` sees: two GPU nodes of eight, both profiles, and no claims."""
    nodes = fields.pop("nodes", [node("gpu-0"), node("gpu-1")])
    groups = {group.name: group for group in fields.pop("groups", ())}
    children = Children(pods=tuple(pods), services=fields.pop("services", {}), groups=groups)
    base = RunView(
        run=obj or run(),
        created=CREATED,
        now=NOW,
        timing=TIMING,
        children=children,
        claims=frozenset(),
        profiles=PROFILES,
        namespace=NamespaceRecord("team"),
        nodes={item.name: item for item in nodes},
    )
    return replace(base, **fields)


def decide_run(view: RunView, problems: Iterable[Problem] = ()) -> Plan:
    """The plan, after the placer has answered where one asks."""
    plan = plan_run(view, problems=tuple(problems))
    if plan.ask is None:
        return plan
    decision = place([plan.ask], snapshot(view.nodes.values(), view.children.pods), (), view.now)[plan.ask.uid]
    return plan_run(view, decision=decision, problems=tuple(problems))


def with_status(obj: TrainingRun, plan: Plan) -> TrainingRun:
    """The run after the plan's status was written."""
    assert plan.status is not None
    return TrainingRun.model_validate({**obj.model_dump(by_alias=True), "status": plan.status})


def begun(view: RunView) -> RunView:
    """The view once the first attempt was decided and written; its pods are still to be made."""
    return replace(view, run=with_status(view.run, decide_run(view)))


def complete(view: RunView, pods: Iterable[OwnPod]) -> RunView:
    """The view of an attempt whose pods all exist and were recorded as made; `pods` are the later ones to look at."""
    started = begun(view)
    size = started.run.status.active.pods if started.run.status.active else 0
    made = replace(started, children=Children(pods=tuple(pending(rank) for rank in range(size))))
    recorded = with_status(made.run, decide_run(made))
    return replace(made, run=recorded, children=replace(made.children, pods=tuple(pods)))


# Serving


def service(status: Mapping[str, Any] | None = None, **spec: Any) -> InferenceService:
    """A service of one replica with eight devices."""
    fields = {"accelerator": "nvidia-h20", "devicesPerPod": 8, "image": "serve:1", **spec}
    return InferenceService.model_validate(
        {
            "name": "s",
            "namespace": "team",
            "uid": "service-uid",
            "generation": 1,
            "spec": {name: value for name, value in fields.items() if value is not None},
            "status": status or {},
        }
    )


def deployment(variant: str = "main", replicas: int = 1, **fields: Any) -> DeploymentRecord:
    """The Deployment of a variant whose replicas all answer."""
    record = DeploymentRecord(
        namespace="team",
        name=naming.deployment("s", variant),
        uid=f"uid-{variant}",
        resource_version=1,
        owner_uid="service-uid",
        owner=None,
        variant=variant,
        accelerator="nvidia-h20",
        inputs_hash="",
        generation=1,
        observed_generation=1,
        wanted=replicas,
        replicas=replicas,
        updated=replicas,
        ready=replicas,
        available=replicas,
    )
    return replace(record, **fields)


def child(name: str, **fields: Any) -> ChildRecord:
    """A Service or a budget of `service()`."""
    record = ChildRecord(
        namespace="team",
        name=name,
        uid=f"uid-{name}",
        resource_version=1,
        owner_uid="service-uid",
        owner=None,
        inputs_hash="",
    )
    return replace(record, **fields)


def service_view(
    obj: InferenceService | None = None, deployments: Iterable[DeploymentRecord] = (), **fields: Any
) -> ServiceView:
    """What a decision about `obj` sees."""
    children = Children(
        pods=tuple(fields.pop("pods", ())),
        deployments={item.name: item for item in deployments},
        services=fields.pop("services", {}),
        budgets=fields.pop("budgets", {}),
    )
    base = ServiceView(
        service=obj or service(),
        created=CREATED,
        now=NOW,
        timing=TIMING,
        children=children,
        claims=frozenset(),
        profiles=PROFILES,
        namespace=NamespaceRecord("team"),
    )
    return replace(base, **fields)


def decide_service(view: ServiceView, state: Snapshot, problems: Iterable[Problem] = ()) -> Plan:
    """The plan, after the placer has answered where one asks."""
    plan = plan_service(view, problems=tuple(problems))
    if plan.ask is None:
        return plan
    return plan_service(view, decision=place([plan.ask], state, (), view.now)[plan.ask.uid], problems=tuple(problems))


# Status


def condition(plan: Plan, kind: ConditionType) -> Condition | None:
    """One condition of the status that a plan writes."""
    found = [item for item in (plan.status or {}).get("conditions", ()) if item["type"] == kind.value]
    return Condition.model_validate(found[0]) if found else None


def status_of(plan: Plan, kind: ConditionType) -> str | None:
    """True, False or Unknown; None where the condition is absent."""
    found = condition(plan, kind)
    return found.status if found else None


def granted(decision: Decision) -> dict[str, int]:
    """Variant -> pods granted."""
    return {grant.variant: grant.pods for grant in decision.grants}
