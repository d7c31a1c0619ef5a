"""The status of a service: conditions at every stage as kstatus reads them, counts, variants, and bounds."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.api.conditions import ConditionType
from tandem.api.inference_service import InferenceServiceStatus
from tandem.api.reasons import Reason
from tandem.domain.observed import DeploymentRecord, OwnPod
from tandem.domain.placement.fit import snapshot
from tandem.domain.plan import Plan, Problem, ProblemKind
from tandem.domain.serving import children
from tandem.domain.serving.plan import plan_service
from tests.unit.domain.builders import (
    GPUS,
    PROFILES,
    condition,
    decide_service,
    deployment,
    later,
    node,
    pending,
    pod,
    service,
    service_view,
    status_of,
)

STATE = snapshot([node("gpu-0"), node("gpu-1")], ())
DIGEST = children.hash_of(service(), service_view().variants[0], GPUS)


def placed(wanted: int, held: int, *records: DeploymentRecord, pods: tuple[OwnPod, ...] = (), **spec: Any) -> Plan:
    """The plan of a service that wants so many replicas, of which so many have a place."""
    before = {"name": "main", "accelerator": "nvidia-h20", "replicas": held, "ready": 0, "reason": "Starting"}
    view = service_view(service({"variants": [before]}, replicas=wanted, **spec), records, pods=pods)
    return decide_service(view, snapshot([], ()))


def answering(replicas: int, count: int, **fields: Any) -> DeploymentRecord:
    return deployment("main", replicas, inputs_hash=DIGEST, ready=count, available=count, **fields)


UNPULLED = pending(0, waiting_reason="ImagePullBackOff", waiting_message="no such tag", node="gpu-0", scheduled=True)
UNBOUND = pending(0, unschedulable_message="0/2 nodes are available")
CRASHED = pod(0, ready=False, waiting_reason="CrashLoopBackOff", waiting_message="back-off", message="CUDA error")

STAGES: dict[str, tuple[Plan, str]] = {
    # Ready, Stalled or Reconciling, ModelResolved, Placed, Available, RolloutComplete
    "unknown accelerator": (
        decide_service(service_view(service(accelerator="h100")), STATE),
        "UnknownAccelerator False Stalled True UnknownAccelerator:False UnknownAccelerator:False True",
    ),
    "claim missing": (
        decide_service(service_view(service(model={"claim": {"name": "none"}})), STATE),
        "ClaimMissing False Stalled False ClaimMissing:False ClaimMissing:False True",
    ),
    "no devices": (
        decide_service(service_view(service()), snapshot([], ())),
        "Queued False Reconciling True Queued:False Queued:False True",
    ),
    "begun": (
        decide_service(service_view(service()), STATE),
        "Starting False Reconciling True Placed:True Starting:False False",
    ),
    "scaled, and its Deployment not yet told": (
        placed(3, 3, answering(2, 2)),
        "Available True - True Placed:True Available:True False",
    ),
    "scaled to zero, and its Deployment not yet told": (
        placed(0, 0, answering(2, 2)),
        "ScaledToZero True - True Placed:True ScaledToZero:True False",
    ),
    "starting": (placed(1, 1, answering(1, 0)), "Starting False Reconciling True Placed:True Starting:False True"),
    "available": (placed(1, 1, answering(1, 1)), "Available True - True Placed:True Available:True True"),
    "one of four away": (placed(4, 4, answering(4, 3)), "Available True - True Placed:True Available:True True"),
    "two of four away": (
        placed(4, 4, answering(4, 2)),
        "Starting False Reconciling True Placed:True Starting:False True",
    ),
    "two of eight away": (placed(8, 8, answering(8, 6)), "Available True - True Placed:True Available:True True"),
    "partially placed": (
        placed(3, 2, answering(2, 2)),
        "PartiallyPlaced True - True PartiallyPlaced:False Available:True True",
    ),
    "scaled to zero": (placed(0, 0), "ScaledToZero True - True Placed:True ScaledToZero:True True"),
    "edited": (
        placed(2, 2, answering(2, 2), image="serve:2"),
        "Rolling True - True Placed:True Available:True False",
    ),
    "rolling": (
        placed(2, 2, answering(2, 1, updated=1)),
        "Rolling True - True Placed:True Available:True False",
    ),
    "not seen by its controller": (
        placed(2, 2, answering(2, 2, generation=2)),
        "Rolling True - True Placed:True Available:True False",
    ),
    "image pull": (
        placed(1, 1, answering(1, 0), pods=(UNPULLED,)),
        "ImagePull False Reconciling True Placed:True ImagePull:False True",
    ),
    "not bound": (
        placed(1, 1, answering(1, 0), pods=(UNBOUND,)),
        "NotBound False Reconciling True Placed:True NotBound:False True",
    ),
    "crashing": (
        placed(1, 1, answering(1, 0), pods=(CRASHED,)),
        "UserFailure False Reconciling True Placed:True UserFailure:False True",
    ),
    "refused pods": (
        placed(1, 1, answering(1, 0, refused="exceeded quota")),
        "QuotaExceeded False Reconciling True Placed:True QuotaExceeded:False True",
    ),
    "no answer in time": (
        placed(1, 1, answering(1, 0, overdue="has timed out progressing")),
        "DeadlineExceeded False Reconciling True Placed:True DeadlineExceeded:False False",
    ),
    "stuck while rolling": (
        placed(4, 4, answering(4, 3, updated=1, overdue="has timed out progressing")),
        "Rolling True - True Placed:True Available:True False",
    ),
    "name taken": (
        plan_service(service_view(), problems=[Problem(ProblemKind.NAME_CONFLICT, "s", "exists")]),
        "NameConflict False Stalled True NameConflict:False NameConflict:False True",
    ),
}


def shown(plan: Plan) -> str:
    found = {kind: condition(plan, kind) for kind in ConditionType}

    def both(kind: ConditionType) -> str:
        item = found[kind]
        assert item is not None
        return f"{item.reason}:{item.status}"

    ready = both(ConditionType.READY).replace(":", " ")
    marks = [kind.value for kind in (ConditionType.STALLED, ConditionType.RECONCILING) if found[kind]]
    single = [status_of(plan, kind) for kind in (ConditionType.MODEL_RESOLVED, ConditionType.ROLLOUT_COMPLETE)]
    parts = [
        ready,
        "+".join(marks) or "-",
        single[0],
        both(ConditionType.PLACED),
        both(ConditionType.AVAILABLE),
        single[1],
    ]
    return " ".join(str(part) for part in parts)


@pytest.mark.parametrize("stage", STAGES)
def test_conditions_at_every_stage(stage: str) -> None:
    plan, conditions = STAGES[stage]
    assert shown(plan) == conditions


@pytest.mark.parametrize("stage", STAGES)
def test_the_status_is_one_that_the_api_server_takes(stage: str) -> None:
    plan, _ = STAGES[stage]
    status = InferenceServiceStatus.model_validate(plan.status)
    assert status.observed_generation == 1
    assert len({item.type for item in status.conditions}) == len(status.conditions)
    assert plan.reason.value == next(item.reason for item in status.conditions if item.type == "Ready")
    assert status.selector == "tandem.dev/service=s,tandem.dev/role=leader"
    assert status.url == "http://s.team.svc:8000"


def ready_message(plan: Plan) -> str:
    ready = condition(plan, ConditionType.READY)
    assert ready is not None
    return ready.message


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ("image pull", "r-a1-0 on gpu-0: ImagePullBackOff: no such tag"),
        ("not bound", "r-a1-0: 0/2 nodes are available"),
        ("crashing", "r-a1-0: CUDA error"),
        ("refused pods", "exceeded quota"),
        ("no answer in time", "has timed out progressing"),
        ("stuck while rolling", "replicas are being replaced by a new revision: has timed out progressing"),
        ("partially placed", "2 of 3 replicas have a place; main on nvidia-h20: 1 pod x 8 devices asked for"),
        ("two of four away", "2 of 4 replicas answer"),
    ],
)
def test_trouble_is_told_in_the_words_of_whoever_stopped_it(stage: str, message: str) -> None:
    assert ready_message(STAGES[stage][0]).startswith(message)


def test_pods_that_are_going_and_those_of_other_variants_explain_nothing() -> None:
    going = replace(UNPULLED, deleting_since=pod().created)
    other = replace(UNPULLED, variant="other")
    assert placed(1, 1, answering(1, 0), pods=(going, other)).reason is Reason.STARTING


def test_a_service_whose_bounds_leave_no_room_says_so() -> None:
    plan = decide_service(
        service_view(
            service(accelerator=None, variants=[{"name": "a", "accelerator": "nvidia-h20", "maxReplicas": 0}])
        ),
        STATE,
    )
    assert ready_message(plan) == "no variant may take more"


def test_replicas_are_counted_over_all_variants() -> None:
    listed = [{"name": "a", "accelerator": "nvidia-h20"}, {"name": "b", "accelerator": "nvidia-h20"}]
    before = [
        {"name": name, "accelerator": "nvidia-h20", "replicas": 2, "ready": 0, "reason": "Starting"}
        for name in ("a", "b")
    ]
    obj = service({"variants": before}, accelerator=None, variants=listed, replicas=4)
    plan = plan_service(service_view(obj, [deployment("a", 2, ready=1, available=1), deployment("b", 2)]))
    assert plan.status is not None
    assert (plan.status["replicas"], plan.status["readyReplicas"], plan.status["summary"]) == (4, 3, "3/4")
    assert plan.status["placement"]["chosen"] == "nvidia-h20"


def variant(plan: Plan) -> tuple[str, str | None]:
    """Reason and message of the only variant."""
    (found,) = InferenceServiceStatus.model_validate(plan.status).variants or []
    return found.reason, found.message


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        ("available", "Available"),
        ("starting", "Starting"),
        ("one of four away", "Rolling"),
        ("image pull", "ImagePull"),
        ("scaled to zero", "Pending"),
        ("no devices", "DoesNotFitNow"),
        ("unknown accelerator", "UnknownAccelerator"),
    ],
)
def test_each_variant_has_a_state_of_its_own(stage: str, reason: str) -> None:
    assert variant(STAGES[stage][0])[0] == reason


def test_a_variant_whose_profile_is_gone_says_which() -> None:
    before = {"name": "main", "accelerator": "nvidia-h20", "replicas": 1, "ready": 1, "reason": "Available"}
    plan = plan_service(service_view(service({"variants": [before]}), [answering(1, 1)], profiles={}))
    assert variant(plan) == ("ProfileMissing", "AcceleratorProfile nvidia-h20 is gone")


def minimums(replicas: int, held: dict[str, int], free: int = 8) -> dict[str, tuple[int, str | None]]:
    """Variant -> replicas and message, of two variants with minimums of 2 and 3; `held` had a place before."""
    listed = [
        {"name": "a", "accelerator": "nvidia-h20", "minReplicas": 2},
        {"name": "b", "accelerator": "nvidia-h20", "minReplicas": 3},
    ]
    before = [
        {"name": name, "accelerator": "nvidia-h20", "replicas": count, "ready": 0, "reason": "Starting"}
        for name, count in held.items()
    ]
    obj = service(
        {"variants": before} if held else {}, accelerator=None, variants=listed, replicas=replicas, devicesPerPod=1
    )
    plan = decide_service(service_view(obj), snapshot([node("gpu-0", free)], ()))
    found = InferenceServiceStatus.model_validate(plan.status).variants or []
    return {item.name: (item.replicas, item.message) for item in found}


def test_minimums_that_are_more_than_replicas_are_served_in_listed_order_and_the_rest_is_told() -> None:
    told = "2 of minReplicas 3: all 4 replicas have a place already"
    assert minimums(4, {}) == minimums(4, {"a": 2, "b": 2}) == {"a": (2, None), "b": (2, told)}


def test_replicas_that_have_a_place_do_not_move_for_a_minimum() -> None:
    assert minimums(2, {"a": 2}) == {
        "a": (2, None),
        "b": (0, "0 of minReplicas 3: all 2 replicas have a place already"),
    }
    assert minimums(3, {"a": 2})["b"][0] == 1


def test_while_replicas_are_missing_or_none_are_wanted_the_minimum_is_not_the_trouble() -> None:
    assert minimums(0, {}) == {"a": (0, None), "b": (0, None)}
    short = minimums(5, {"a": 2}, free=0)["b"]
    assert short[0] == 0
    assert "offer no nvidia.com/gpu" in str(short[1])


@given(st.text(min_size=1, max_size=2000))
def test_a_status_stays_one_that_the_api_server_takes_whatever_servers_say(text: str) -> None:
    listed = [{"name": f"v{i}", "acceleratorSelector": {"matchLabels": {"stack": "any"}}} for i in range(8)]
    many = {
        f"p{i}": PROFILES["nvidia-h20"].model_copy(update={"name": f"p{i}", "labels": {"stack": "any"}})
        for i in range(5)
    }
    obj = service(accelerator=None, variants=listed, replicas=1000)
    queued = decide_service(service_view(obj, profiles=many), snapshot([], ()))
    status = InferenceServiceStatus.model_validate(queued.status)
    assert status.placement is not None
    assert len(status.placement.rejected or []) == 16
    for pods, trouble in (
        ((replace(UNPULLED, waiting_message=text),), {}),
        ((replace(UNBOUND, unschedulable_message=text),), {}),
        ((replace(CRASHED, message=text),), {}),
        ((), {"refused": text}),
        ((), {"overdue": text}),
    ):
        plan = placed(1, 1, answering(1, 0, **trouble), pods=pods)
        InferenceServiceStatus.model_validate(plan.status)
    refused = plan_service(service_view(), problems=[Problem(ProblemKind.REFUSED, "s", text)])
    InferenceServiceStatus.model_validate(refused.status)


def test_replicas_that_no_nodes_could_take_stall_the_service_after_ten_minutes() -> None:
    view, state = service_view(service(devicesPerPod=16)), snapshot([node()], [])
    first = decide_service(view, state)
    waiting = service((first.status or {}), devicesPerPod=16)
    assert first.reason is Reason.QUEUED
    almost = decide_service(replace(view, service=waiting, now=later(590)), state)
    assert (almost.reason, almost.requeue_after) == (Reason.QUEUED, 10)
    stalled = decide_service(replace(view, service=waiting, now=later(600)), state)
    assert stalled.reason is Reason.NEVER_FITS
    assert status_of(stalled, ConditionType.STALLED) == "True"
