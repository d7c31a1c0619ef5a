"""What others change in a Deployment: seen by who owns its fields, put right from the same rendering or else told."""

from dataclasses import replace
from typing import Any

from tandem.api.constants import ANNOTATION_RENDERED
from tandem.api.inference_service import InferenceService, InferenceServiceStatus, VariantStatus
from tandem.domain.observed import DeploymentRecord
from tandem.domain.plan import Plan
from tandem.domain.serving import children
from tandem.domain.serving.drift import LEFT
from tandem.domain.serving.plan import plan_service
from tandem.domain.serving.view import ServiceView
from tests.unit.domain.builders import GPUS, child, deployment, profile, service, service_view

EDITED_PROFILE = profile(env=[{"name": "A", "value": "1"}])


def made(owned: str = "ours", **spec: Any) -> ServiceView:
    """A service of two replicas whose Deployment was just made."""
    before = {"name": "main", "accelerator": "nvidia-h20", "replicas": 2, "ready": 2, "reason": "Available"}
    obj = service({"variants": [before]}, replicas=2, **spec)
    notes = children.deployment(obj, service_view(obj).variants[0], GPUS, 2).body["metadata"]["annotations"]
    record = deployment(
        "main",
        2,
        inputs_hash=notes["tandem.dev/inputs-hash"],
        rendered=notes[ANNOTATION_RENDERED],
        owned=owned,
    )
    front = child("s", inputs_hash=children.front_hash(obj))
    return service_view(obj, [record], services={"s": front}, budgets={"s": child("s")})


def record_of(view: ServiceView) -> DeploymentRecord:
    return view.children.deployments["s-main"]


def with_record(view: ServiceView, **fields: Any) -> ServiceView:
    record = replace(record_of(view), **fields)
    return replace(view, children=replace(view.children, deployments={"s-main": record}))


def written(view: ServiceView, plan: Plan) -> ServiceView:
    """The view once the plan's status was written."""
    obj = InferenceService.model_validate({**view.service.model_dump(by_alias=True), "status": plan.status})
    return replace(view, service=obj)


def seen(owned: str = "ours", **spec: Any) -> ServiceView:
    """The service once its own write was recorded."""
    view = made(owned, **spec)
    return written(view, plan_service(view))


def variant(plan: Plan) -> VariantStatus:
    return (InferenceServiceStatus.model_validate(plan.status).variants or [])[0]


def test_what_was_written_is_recorded_and_then_asks_for_nothing() -> None:
    view = seen()
    assert (view.service.status.variants or [])[0].owned_fields == f"{record_of(view).inputs_hash}:ours"
    plan = plan_service(view)
    assert not plan.acts
    assert plan.status == view.service.status.model_dump(by_alias=True, exclude_none=True)


def test_a_field_that_somebody_else_wrote_is_set_again_and_the_outcome_learnt_anew() -> None:
    view = with_record(seen(), owned="less", resource_version=7)
    plan = plan_service(view)
    (change,) = plan.apply
    assert (change.child.name, change.uid, change.resource_version) == ("s-main", "uid-main", 7)
    assert (plan.intent, plan.replace, plan.scale, plan.status) == (False, (), (), None)

    repaired = with_record(view, owned="ours, by another verb")
    learnt = plan_service(replace(repaired, repaired={"s-main"}))
    assert not learnt.acts
    assert variant(learnt).owned_fields == f"{record_of(view).inputs_hash}:ours, by another verb"


def test_an_edit_that_follows_a_repair_before_status_tells_of_it_is_put_right_too() -> None:
    """Once it was taken for ours: the record of what is ours had been given up until the pass after the repair."""
    view = with_record(seen(), owned="less")
    assert plan_service(view).status is None
    assert len(plan_service(with_record(view, owned="less again")).apply) == 1


def test_a_repair_brings_the_number_of_replicas_with_it() -> None:
    plan = plan_service(with_record(seen(), owned="less", wanted=5))
    assert ([change.child.body["spec"]["replicas"] for change in plan.apply], plan.scale) == ([2], ())


def test_a_change_of_shares_goes_first_and_forgets_nothing() -> None:
    view = with_record(seen(), owned="less")
    fewer = replace(view, service=service(view.service.status.model_dump(), replicas=1))
    plan = plan_service(fewer)
    assert (plan.intent, plan.apply, [scale.replicas for scale in plan.scale]) == (True, (), [1])
    assert variant(plan).owned_fields == f"{record_of(view).inputs_hash}:ours"
    assert len(plan_service(with_record(written(fewer, plan), wanted=1)).apply) == 1


def test_scaling_by_others_is_no_such_change() -> None:
    plan = plan_service(with_record(seen(), wanted=5))
    assert (plan.apply, [scale.replicas for scale in plan.scale]) == ((), [2])


def test_a_repair_that_would_bring_in_an_edited_profile_is_told_instead() -> None:
    drifted = replace(with_record(seen(), owned="less"), profiles={"nvidia-h20": EDITED_PROFILE})
    plan = plan_service(drifted)
    assert not plan.acts
    assert variant(plan).message == LEFT
    assert len(LEFT) <= 256
    again = plan_service(written(drifted, plan))
    assert (again.acts, variant(again).message) == (False, LEFT)
    back = plan_service(replace(written(drifted, plan), profiles={"nvidia-h20": GPUS}))
    assert len(back.apply) == 1


def test_an_edit_of_the_profile_alone_is_no_change_of_the_deployment() -> None:
    plan = plan_service(replace(seen(), profiles={"nvidia-h20": EDITED_PROFILE}))
    assert (plan.acts, variant(plan).message) == (False, None)


def test_a_new_revision_goes_before_a_repair_and_is_learnt_anew() -> None:
    view = with_record(seen(), owned="less")
    edited = replace(view, service=service(view.service.status.model_dump(), replicas=2, image="serve:2"))
    plan = plan_service(edited)
    assert (len(plan.replace), plan.apply, variant(plan).message) == (1, (), None)
    rolled = with_record(written(edited, plan), inputs_hash=children.hash_of(edited.service, edited.variants[0], GPUS))
    assert variant(plan_service(rolled)).owned_fields == f"{record_of(rolled).inputs_hash}:less"


def test_without_its_profile_nothing_is_put_right() -> None:
    plan = plan_service(replace(with_record(seen(), owned="less"), profiles={}))
    assert (plan.acts, variant(plan).reason) == (False, "ProfileMissing")


def test_a_deployment_without_replicas_is_left_until_it_has_some() -> None:
    view = with_record(seen(), owned="less", wanted=0)
    none = service(view.service.status.model_dump(), replicas=0)
    plan = plan_service(replace(view, service=none))
    assert (plan.apply, plan.scale) == ((), ())
    assert variant(plan).owned_fields == f"{record_of(view).inputs_hash}:ours"


def test_while_the_spec_cannot_be_rendered_nothing_is_put_right() -> None:
    view = with_record(seen(), owned="less")
    broken = service(view.service.status.model_dump(), replicas=2, model={"claim": {"name": "gone"}})
    plan = plan_service(replace(view, service=broken))
    assert (plan.acts, variant(plan).owned_fields) == (False, f"{record_of(view).inputs_hash}:ours")


def test_a_deployment_that_is_gone_is_forgotten() -> None:
    view = seen()
    plan = plan_service(replace(view, children=replace(view.children, deployments={})))
    assert len(plan.create) == 1
    assert variant(plan).owned_fields is None
