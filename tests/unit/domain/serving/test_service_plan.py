"""What a service has made, changed, scaled and deleted, and what stands in its way."""

from dataclasses import replace
from typing import Any

import pytest

from tandem.api.conditions import ConditionType
from tandem.api.reasons import Reason
from tandem.domain.observed import DeploymentRecord
from tandem.domain.placement.fit import snapshot
from tandem.domain.plan import Plan, Problem, ProblemKind, Resource
from tandem.domain.serving import children
from tandem.domain.serving.plan import plan_service
from tandem.domain.serving.view import ServiceView
from tests.unit.domain.builders import (
    GPU,
    GPUS,
    PROFILES,
    child,
    condition,
    decide_service,
    deployment,
    node,
    profile,
    service,
    service_view,
    status_of,
)

STATE = snapshot([node("gpu-0"), node("gpu-1")], ())
TIDY: dict[str, Any] = {"budgets": {"s": child("s")}}


def status(replicas: int, name: str = "main") -> dict[str, Any]:
    return {
        "variants": [
            {"name": name, "accelerator": "nvidia-h20", "replicas": replicas, "ready": replicas, "reason": "Available"}
        ]
    }


def settled(replicas: int = 1, record: DeploymentRecord | None = None, **spec: Any) -> ServiceView:
    """A service whose children are all there and made from its spec."""
    obj = service(status(replicas), replicas=replicas, **spec)
    made = service_view(obj)
    digest = children.hash_of(obj, made.variants[0], GPUS)
    front = child("s", inputs_hash=children.front_hash(obj))
    return service_view(
        obj, [record or deployment("main", replicas, inputs_hash=digest)], services={"s": front}, **TIDY
    )


def with_spec(view: ServiceView, **fields: Any) -> ServiceView:
    """The view after an edit."""
    spec = {**view.service.spec.model_dump(by_alias=True, exclude_none=True), **fields}
    before = view.service.status.model_dump(by_alias=True, exclude_none=True)
    return replace(view, service=service(before, **spec))


def message(plan: Plan) -> str:
    ready = condition(plan, ConditionType.READY)
    assert ready is not None
    return ready.message


def test_a_new_service_asks_for_devices_before_anything_is_written() -> None:
    plan = plan_service(service_view(service(replicas=2)))
    assert plan.ask is not None
    assert (plan.ask.replicas, plan.status, plan.acts) == (2, None, False)


def test_its_shares_are_an_intent_and_its_children_follow() -> None:
    plan = decide_service(service_view(service(replicas=2)), STATE)
    assert plan.intent
    assert [(item.resource, item.name) for item in plan.create] == [
        (Resource.SERVICE, "s"),
        (Resource.BUDGET, "s"),
        (Resource.DEPLOYMENT, "s-main"),
    ]
    assert plan.create[2].body["spec"]["replicas"] == 2


def test_a_settled_service_asks_for_nothing() -> None:
    plan = plan_service(settled(2))
    assert (plan.acts, plan.intent, plan.requeue_after, plan.reason) == (False, False, None, Reason.AVAILABLE)


@pytest.mark.parametrize(
    "edit",
    [{"image": "serve:2"}, {"devicesPerPod": 4}, {"drain": {"seconds": 1}}, {"env": [{"name": "A", "value": "1"}]}],
)
def test_an_edit_that_shapes_replicas_rolls_the_deployment(edit: dict[str, Any]) -> None:
    view = with_spec(settled(2), **edit)
    (change,) = plan_service(view).replace
    assert (change.child.name, change.uid, change.resource_version) == ("s-main", "uid-main", 1)
    assert change.child.body["spec"]["replicas"] == 2


def test_another_port_changes_the_service_too() -> None:
    plan = plan_service(with_spec(settled(), port=9000))
    assert [change.child.resource for change in plan.replace] == [Resource.SERVICE, Resource.DEPLOYMENT]


def test_a_service_of_somebody_else_is_never_written() -> None:
    view = settled()
    others = {"s": child("s", owner_uid="another")}
    view = replace(view, children=replace(view.children, services=others))
    assert plan_service(view).replace == ()


def test_a_profile_s_edit_changes_nothing_until_its_revision_is_raised() -> None:
    edited = profile(env=[{"name": "A", "value": "1"}], perDevice={"cpu": "1"})
    raised = profile(revision="2")
    for accelerator, changed in ((edited, 0), (raised, 1)):
        assert len(plan_service(replace(settled(), profiles={"nvidia-h20": accelerator})).replace) == changed


def test_a_profile_that_vanished_leaves_what_runs_alone() -> None:
    plan = plan_service(replace(settled(2), profiles={}))
    assert not plan.acts
    assert plan.status is not None
    assert plan.status["variants"][0]["reason"] == "ProfileMissing"


def test_a_deployment_that_went_missing_under_a_profile_that_vanished_is_not_made() -> None:
    view = settled(2)
    plan = plan_service(replace(view, profiles={}, children=replace(view.children, deployments={})))
    assert plan.create == ()


@pytest.mark.parametrize(("replicas", "wanted"), [(1, 1), (0, 0)])
def test_fewer_replicas_scale_the_deployment_and_nothing_else(replicas: int, wanted: int) -> None:
    plan = plan_service(with_spec(settled(2), replicas=replicas))
    (scale,) = plan.scale
    assert (scale.name, scale.uid, scale.resource_version, scale.replicas) == ("s-main", "uid-main", 1, wanted)
    assert (plan.intent, plan.create, plan.replace, plan.delete) == (True, (), (), ())


def test_a_deployment_that_is_made_anew_gets_its_number_there() -> None:
    plan = plan_service(with_spec(settled(2), replicas=1, image="serve:2"))
    assert [change.child.body["spec"]["replicas"] for change in plan.replace] == [1]
    assert plan.scale == ()


def test_a_number_that_somebody_else_set_is_put_right() -> None:
    digest = settled().children.deployments["s-main"].inputs_hash
    plan = plan_service(settled(2, deployment("main", 5, inputs_hash=digest)))
    assert [scale.replicas for scale in plan.scale] == [2]
    assert not plan.intent


def test_a_variant_that_moves_to_another_accelerator_without_devices_is_scaled_to_zero() -> None:
    plan = decide_service(with_spec(settled(2), accelerator="ascend-910b"), STATE)
    assert [scale.replicas for scale in plan.scale] == [0]
    assert (plan.intent, plan.reason) == (True, Reason.QUEUED)


def test_a_variant_that_is_gone_loses_its_deployment() -> None:
    obj = service(status(1, "old"), accelerator=None, variants=[{"name": "new", "accelerator": "nvidia-h20"}])
    plan = decide_service(service_view(obj, [deployment("old")]), STATE)
    assert [(gone.resource, gone.name, gone.uid) for gone in plan.delete] == [(Resource.DEPLOYMENT, "s-old", "uid-old")]


# Bad input


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        (
            {"model": {"claim": {"name": "models"}}},
            "ClaimMissing",
            "PersistentVolumeClaim 'models' does not exist in team",
        ),
        (
            {"template": {"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}}},
            "ClaimMissing",
            "'data'",
        ),
        (
            {"model": {"uri": "http://models/m"}},
            "NoLoader",
            "use a repository's name (org/name), s3://, gs://, az:// or",
        ),
        ({"env": [{"name": "VISIBLE", "value": "0"}]}, "InvalidSpec", "VISIBLE"),
        ({"accelerator": "h100"}, "UnknownAccelerator", "h100"),
        ({"devicesPerPod": 3}, "IllegalCount", "1, 8"),
        ({"accelerator": "closed"}, "NamespaceNotAllowed", "namespace team may not use closed"),
    ],
)
def test_bad_input_stalls_with_a_stable_reason(spec: dict[str, Any], reason: str, words: str) -> None:
    strict = profile(counts={"perPod": [1, 8]}, forbidEnv=["VISIBLE"])
    closed = profile("closed", allowedNamespaces={"names": ["other"]})
    plan = decide_service(service_view(service(**spec), profiles={item.name: item for item in (strict, closed)}), STATE)
    ready = condition(plan, ConditionType.READY)
    assert ready is not None
    assert (ready.reason, ready.status, status_of(plan, ConditionType.STALLED)) == (reason, "False", "True")
    assert words in ready.message
    assert plan.requeue_after == 60
    assert not any(item.resource is Resource.DEPLOYMENT for item in plan.create)


def test_what_runs_goes_on_while_the_spec_cannot_be_rendered() -> None:
    view = with_spec(settled(3), model={"claim": {"name": "gone"}})
    plan = plan_service(view)
    assert (plan.acts, plan.release, plan.reason) == (False, True, Reason.CLAIM_MISSING)
    assert plan.status is not None
    assert plan.status["variants"][0]["replicas"] == 3


def test_while_a_claim_is_missing_a_service_can_still_be_scaled_down() -> None:
    plan = plan_service(with_spec(settled(3), replicas=1, model={"claim": {"name": "gone"}}))
    assert [(scale.name, scale.replicas) for scale in plan.scale] == [("s-main", 1)]
    assert (plan.intent, plan.create, plan.replace, plan.delete) == (True, (), (), ())
    assert (plan.reason, status_of(plan, ConditionType.STALLED)) == (Reason.CLAIM_MISSING, "True")
    assert plan.status is not None
    assert plan.status["variants"][0]["replicas"] == 1
    assert "unplacedReplicas" not in plan.status
    assert status_of(plan, ConditionType.PLACED) == "True"


def test_it_is_not_scaled_up_nor_is_a_failed_write_repeated_at_once() -> None:
    hindered = with_spec(settled(3), replicas=5, model={"claim": {"name": "gone"}})
    assert not plan_service(hindered).acts
    fewer = with_spec(settled(3), replicas=1, model={"claim": {"name": "gone"}})
    answer = plan_service(fewer, problems=[Problem(ProblemKind.TRANSIENT, "s-main", "conflict")])
    assert (answer.acts, answer.reason) == (False, Reason.CLAIM_MISSING)


def two_variants(claims: set[str], **nvidia: Any) -> ServiceView:
    """Two replicas on each of two variants of a service whose model is missing; `nvidia` changes the second."""
    listed = [
        {"name": "ascend", "accelerator": "ascend-910b"},
        {"name": "nvidia", "accelerator": "nvidia-h20", **nvidia},
    ]
    known = [
        {"name": item["name"], "accelerator": item["accelerator"], "replicas": 2, "ready": 2, "reason": "Available"}
        for item in ({**listed[0]}, {"name": "nvidia", "accelerator": "nvidia-h20"})
    ]
    model = {"claim": {"name": "models"}}
    obj = service({"variants": known}, accelerator=None, variants=listed, replicas=3, model=model)
    return service_view(obj, [deployment("ascend", 2), deployment("nvidia", 2)], claims=claims)


@pytest.mark.parametrize(
    ("nvidia", "scaled"),
    [
        ({}, [("s-nvidia", 1)]),
        ({"maxReplicas": 0}, [("s-nvidia", 0)]),
        ({"minReplicas": 2}, [("s-ascend", 1)]),
        ({"accelerator": "other"}, [("s-nvidia", 1)]),
        ({"name": "renamed"}, []),
    ],
)
def test_what_shrinks_then_is_what_the_order_and_the_bounds_say(nvidia: Any, scaled: Any) -> None:
    plan = plan_service(two_variants(set(), **nvidia))
    assert [(scale.name, scale.replicas) for scale in plan.scale] == scaled
    assert plan.delete == ()


def test_a_service_without_its_claim_can_still_be_scaled_to_zero() -> None:
    plan = plan_service(with_spec(settled(3), replicas=0, model={"claim": {"name": "gone"}}))
    assert [change.replicas for change in plan.scale] == [0]
    assert plan.reason is Reason.SCALED_TO_ZERO
    assert status_of(plan, ConditionType.MODEL_RESOLVED) == "False"


def test_scaling_to_zero_needs_no_spec_that_can_be_rendered() -> None:
    plan = plan_service(with_spec(settled(3), replicas=0, model={"claim": {"name": "gone"}}))
    assert [scale.replicas for scale in plan.scale] == [0]
    assert (plan.create, plan.replace) == ((), ())


def test_it_heals_when_the_claim_comes() -> None:
    view = service_view(service(model={"claim": {"name": "models"}}), claims={"models"})
    plan = decide_service(view, STATE)
    assert plan.create
    assert status_of(plan, ConditionType.MODEL_RESOLVED) == "True"


# Writes that fail


@pytest.mark.parametrize("replicas", [1, 4])
@pytest.mark.parametrize(
    ("kind", "reason", "stalled"),
    [(ProblemKind.NAME_CONFLICT, "NameConflict", "True"), (ProblemKind.REFUSED, "CreateRefused", None)],
)
def test_a_refused_write_is_told_also_while_replicas_lack(
    replicas: int, kind: ProblemKind, reason: str, stalled: str | None
) -> None:
    view = service_view(service(status(1), replicas=replicas))
    plan = plan_service(view, problems=[Problem(ProblemKind.TRANSIENT, "s", "timeout"), Problem(kind, "s", "why")])
    ready = condition(plan, ConditionType.READY)
    assert ready is not None
    assert (ready.reason, ready.status, ready.message) == (reason, "False", "why")
    assert status_of(plan, ConditionType.STALLED) == stalled
    assert (plan.ask, plan.acts, plan.requeue_after) == (None, False, 10)


def test_a_write_that_may_succeed_when_repeated_changes_no_status() -> None:
    view = service_view(service(status(1)))
    assert plan_service(view, problems=[Problem(ProblemKind.TRANSIENT, "s", "timeout")]) == Plan()


def test_a_service_that_waits_for_devices_is_looked_at_again() -> None:
    plan = decide_service(service_view(service(replicas=3)), STATE)
    assert plan.requeue_after == 60
    assert plan.status is not None
    assert plan.status["unplacedReplicas"] == 1
    assert GPU not in message(plan)
    assert PROFILES.keys() >= {plan.status["placement"]["chosen"]}
