"""A run from its first attempt to its end, when nothing goes wrong; suspension; edits."""

from dataclasses import replace
from typing import Any

import pytest

from tandem.api.conditions import ConditionType
from tandem.api.reasons import Reason
from tandem.domain.observed import Children, OwnPod
from tandem.domain.plan import Plan, Resource
from tandem.domain.training.plan import plan_run
from tandem.domain.training.view import RunView
from tests.unit.domain.builders import (
    PROFILES,
    begun,
    child,
    complete,
    condition,
    decide_run,
    later,
    node,
    pending,
    pod,
    profile,
    run,
    run_view,
    stamp,
    status_of,
    succeeded,
    with_status,
)


def after(view: RunView, plan: Plan, *pods: OwnPod) -> RunView:
    """The view once the plan's status was written, with these pods."""
    return replace(view, run=with_status(view.run, plan), children=replace(view.children, pods=pods))


def edited(view: RunView, **fields: Any) -> RunView:
    spec = view.run.spec.model_copy(update=fields)
    return replace(view, run=view.run.model_copy(update={"spec": spec, "generation": 2}))


def names(plan: Plan) -> list[str]:
    return [item.name for item in plan.create]


# The beginning


def test_before_anything_is_written_devices_are_asked_for() -> None:
    plan = plan_run(run_view(run(pods=2)))
    assert plan.ask is not None
    assert (plan.ask.uid, plan.ask.attempt, plan.status, plan.acts) == ("run-uid", 1, None, False)


def test_the_first_attempt_is_an_intent_with_a_service_and_all_pods() -> None:
    plan = decide_run(run_view(run(pods=2)))
    assert plan.intent
    assert [(item.resource, item.name) for item in plan.create] == [
        (Resource.SERVICE, "r-tr"),
        (Resource.POD, "r-a1-0"),
        (Resource.POD, "r-a1-1"),
    ]
    status = with_status(run(), plan).status
    assert status.active is not None
    assert (status.attempt, status.active.number, status.active.pods, status.active.created_time) == (1, 1, 2, None)
    assert status.start_time == stamp()
    assert status.placement is not None
    assert (status.placement.chosen, status.placement.decided_by) == ("nvidia-h20", "ListedOrder")


def test_one_pod_needs_no_service_and_a_known_service_is_not_made_again() -> None:
    assert names(decide_run(run_view())) == ["r-a1-0"]
    assert names(decide_run(run_view(run(pods=2), services={"r-tr": child("r-tr")}))) == ["r-a1-0", "r-a1-1"]


def test_the_candidates_before_the_chosen_one_are_told() -> None:
    listed = [{"name": "large", "accelerator": "nvidia-h20", "pods": 9}, {"name": "small", "accelerator": "nvidia-h20"}]
    plan = decide_run(run_view(run(accelerator=None, variants=listed)))
    placement = with_status(run(), plan).status.placement
    assert placement is not None
    assert placement.variant == "small"
    assert (
        placement.reason
        == "nvidia-h20 is the first listed that fits 1 pod x 8 nvidia.com/gpu; 1 candidate before it rejected"
    )
    assert [item.reason for item in placement.rejected or []] == ["DoesNotFitNow"]


@pytest.mark.parametrize(("made", "missing"), [((), ["r-tr", "r-a1-0", "r-a1-1"]), ((1,), ["r-tr", "r-a1-0"])])
def test_what_is_missing_of_a_half_made_gang_is_made(made: tuple[int, ...], missing: list[str]) -> None:
    view = begun(run_view(run(pods=2)))
    plan = decide_run(replace(view, children=Children(pods=tuple(pending(rank) for rank in made))))
    assert names(plan) == missing
    assert (plan.status, plan.intent) == (None, False)


def test_a_whole_gang_is_recorded_with_the_time_of_its_last_pod() -> None:
    view = begun(run_view(run(pods=2)))
    plan = decide_run(replace(view, children=Children(pods=(pending(0), pending(1, created=later(3))))))
    active = with_status(view.run, plan).status.active
    assert active is not None
    assert active.created_time == stamp(3)
    assert not plan.acts


def test_a_settled_gang_asks_for_nothing() -> None:
    view = complete(run_view(run(pods=2)), [pod(0), pod(1)])
    running = after(view, decide_run(view), pod(0), pod(1))
    plan = decide_run(running)
    assert not plan.acts
    assert (plan.intent, plan.requeue_after) == (False, None)
    assert with_status(running.run, plan) == running.run


def test_a_gang_runs_when_all_of_it_runs() -> None:
    starting = complete(run_view(run(pods=2)), [pod(0), pod(1, ready=False)])
    assert decide_run(starting).reason is Reason.STARTING
    assert decide_run(replace(starting, children=Children(pods=(pod(0), pod(1))))).reason is Reason.RUNNING


def test_a_rank_that_ended_well_counts_as_running_even_when_its_pod_is_gone() -> None:
    view = complete(run_view(run(pods=2)), [succeeded(0), pod(1)])
    recorded = after(view, decide_run(view), pod(1))
    plan = decide_run(recorded)
    assert plan.reason is Reason.RUNNING
    pods = with_status(recorded.run, plan).status.pods
    assert pods is not None
    assert (pods.summary, pods.succeeded) == ("2/2", "0")


# The end


def test_a_run_succeeds_when_every_rank_ended_well() -> None:
    view = complete(run_view(run(pods=2)), [succeeded(0), succeeded(1)])
    plan = decide_run(view)
    assert (plan.reason, plan.intent, plan.release, plan.delete) == (Reason.SUCCEEDED, True, True, ())
    status = with_status(view.run, plan).status
    assert status.active is None
    assert status.completion_time == stamp()
    assert status.pods is not None
    assert (status.pods.summary, status.pods.succeeded) == ("2/2", "0-1")
    assert [item.outcome for item in status.attempts or []] == ["Succeeded"]


def test_ranks_that_end_at_different_times_and_are_cleaned_away_still_succeed() -> None:
    view = complete(run_view(run(pods=2)), [succeeded(0), pod(1)])
    view = after(view, decide_run(view), succeeded(1))
    assert decide_run(view).reason is Reason.SUCCEEDED


@pytest.mark.parametrize("spec", [{"suspend": True}, {"image": "train:2"}, {"pods": 5}, {"accelerator": "none"}])
def test_a_run_that_succeeded_stays_so(spec: dict[str, Any]) -> None:
    view = complete(run_view(run(pods=2)), [succeeded(0), succeeded(1)])
    done = after(view, decide_run(view), succeeded(0), succeeded(1))
    plan = decide_run(replace(edited(done, **spec), now=later(9999)))
    ready = condition(plan, ConditionType.READY)
    assert (plan.acts, plan.reason) == (False, Reason.SUCCEEDED)
    assert ready is not None
    assert (ready.status, ready.observed_generation) == ("True", 2)
    was, is_ = with_status(done.run, plan).status, done.run.status
    assert (was.pods, was.completion_time, was.attempts) == (is_.pods, is_.completion_time, is_.attempts)


def test_an_unreadable_spec_in_between_does_not_start_it_again() -> None:
    view = complete(run_view(), [succeeded(0)])
    done = after(view, decide_run(view), succeeded(0))
    kept = [item for item in done.run.status.conditions if item.type != "Ready"]
    status = done.run.status.model_copy(update={"conditions": kept})
    plan = plan_run(replace(done, run=done.run.model_copy(update={"status": status})))
    assert (plan.reason, plan.ask) == (Reason.SUCCEEDED, None)


# Suspension


@pytest.mark.parametrize("pods", [(), (pending(0),), (pod(0), pod(1))])
def test_a_suspended_run_ends_its_attempt_uncharged_and_keeps_no_pod(pods: tuple[OwnPod, ...]) -> None:
    view = begun(run_view(run(pods=2)))
    plan = decide_run(edited(replace(view, children=Children(pods=pods)), suspend=True))
    assert (plan.reason, plan.intent, plan.release) == (Reason.SUSPENDED, True, True)
    assert [gone.uid for gone in plan.delete] == [item.uid for item in pods]
    status = with_status(view.run, plan).status
    assert (status.active, status.failures, status.attempt) == (None, None, 1)
    assert status_of(plan, ConditionType.SUSPENDED) == "True"


def test_a_run_that_is_suspended_from_the_start_asks_for_nothing() -> None:
    plan = plan_run(run_view(run(suspend=True)))
    assert (plan.ask, plan.acts, plan.reason) == (None, False, Reason.SUSPENDED)


def test_resuming_is_the_next_attempt() -> None:
    suspended = edited(complete(run_view(), [pod(0)]), suspend=True)
    ended = after(suspended, decide_run(suspended))
    plan = decide_run(edited(ended, suspend=False))
    assert names(plan) == ["r-a2-0"]
    assert status_of(plan, ConditionType.SUSPENDED) == "False"


# Edits


def test_an_edit_while_the_gang_is_being_made_starts_anew_uncharged() -> None:
    view = replace(begun(run_view(run(pods=2))), children=Children(pods=(pending(0),)))
    plan = decide_run(edited(view, image="train:2"))
    assert (plan.reason, plan.intent) == (Reason.SUPERSEDED, True)
    assert [gone.name for gone in plan.delete] == ["r-a1-0"]
    ended = after(view, plan)
    assert ended.run.status.failures is None
    assert names(decide_run(ended)) == ["r-tr", "r-a2-0", "r-a2-1"]


@pytest.mark.parametrize("gone", ["variant", "profile"])
def test_a_variant_or_a_profile_that_vanishes_ends_an_attempt_that_is_half_made(gone: str) -> None:
    listed = [{"name": "a", "accelerator": "nvidia-h20"}]
    view = begun(run_view(run(accelerator=None, variants=listed)))
    if gone == "variant":
        other = run(accelerator=None, variants=[{**listed[0], "name": "b"}])
        view = replace(view, run=other.model_copy(update={"status": view.run.status}))
    else:
        view = replace(view, profiles={})
    assert decide_run(view).reason is Reason.SUPERSEDED


def test_a_profile_s_edit_leaves_what_runs_alone_until_its_revision_is_raised() -> None:
    view = complete(run_view(), [pod(0)])
    edit = replace(view, profiles={**PROFILES, "nvidia-h20": profile(env=[{"name": "A", "value": "1"}])})
    raised = replace(view, profiles={**PROFILES, "nvidia-h20": profile(revision="2")})
    for changed, pending_change in ((edit, None), (raised, True)):
        plan = decide_run(changed)
        assert not plan.acts
        assert with_status(view.run, plan).status.pending_change is pending_change


# Waiting


FULL = [node("gpu-0", 0)]


def test_a_run_that_finds_no_devices_remembers_since_when() -> None:
    view = run_view(run(), nodes=FULL)
    waits = after(view, decide_run(view))
    assert waits.run.status.waiting_since == stamp()
    later_on = replace(waits, now=later(60))
    still = after(later_on, decide_run(later_on))
    assert still.run.status.waiting_since == stamp()
    asked = plan_run(still).ask
    assert asked is not None
    assert (asked.waits_since, asked.starves_after) == (later(0), 900)


def test_it_waits_no_more_once_it_is_placed() -> None:
    view = run_view(run(), nodes=FULL)
    waits = after(view, decide_run(view))
    assert after(waits, decide_run(replace(waits, nodes={"gpu-0": node()}))).run.status.waiting_since is None


@pytest.mark.parametrize(
    "spec", [{"suspend": True}, {"checkpoint": {"claim": {"name": "lost"}}}, {"accelerator": "h100"}]
)
def test_whatever_else_is_in_the_way_its_wait_begins_anew_afterwards(spec: dict[str, Any]) -> None:
    view = run_view(run({"waitingSince": stamp(-3600)}, **spec), nodes=FULL)
    assert after(view, decide_run(view)).run.status.waiting_since is None


@pytest.mark.parametrize(("waited", "seconds"), [(None, 30), (10, 20), (40, 60)])
def test_a_run_that_waits_for_a_better_variant_looks_again_when_that_is_over(
    waited: float | None, seconds: float
) -> None:
    since = {} if waited is None else {"waitingSince": stamp(-waited)}
    view = run_view(run(since, placement={"waitSeconds": 30}), nodes=FULL)
    plan = decide_run(view)
    assert (plan.reason, plan.requeue_after) == (Reason.QUEUED, seconds)
    asked = plan_run(view).ask
    assert asked is not None
    assert asked.patience == 30


def test_what_it_is_granted_stays_reserved_until_its_pods_must_be_bound() -> None:
    asked = plan_run(run_view(run(placement={"bindSeconds": 1200}))).ask
    assert asked is not None
    assert asked.hold == 1230
