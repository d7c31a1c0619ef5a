"""What is left of a run goes a while after its end, and the run goes nowhere."""

from dataclasses import replace

import pytest

from tandem.api.reasons import Reason
from tandem.api.training_run import Failures
from tandem.domain.observed import Children, OwnPod
from tandem.domain.plan import Resource
from tandem.domain.training.view import RunView
from tests.unit.domain.builders import (
    child,
    complete,
    decide_run,
    failed,
    later,
    pod,
    run,
    run_view,
    succeeded,
    with_status,
)

DAY = 86400
RANKS = (succeeded(0), succeeded(1))


def done(*pods: OwnPod, now: float, **spec: object) -> RunView:
    """A gang that succeeded at NOW, as it is `now` seconds later, with these pods and its Service."""
    view = complete(run_view(run(pods=2, **spec)), RANKS)
    children = Children(pods=pods, services={"r-tr": child("r-tr", owner_uid="run-uid")})
    return replace(view, run=with_status(view.run, decide_run(view)), children=children, now=later(now))


def deleted(view: RunView) -> list[tuple[Resource, str]]:
    return [(gone.resource, gone.name) for gone in decide_run(view).delete]


ALL = [(Resource.POD, "r-a1-0"), (Resource.POD, "r-a1-1"), (Resource.SERVICE, "r-tr")]


@pytest.mark.parametrize(
    ("spec", "seconds"), [({}, DAY), ({"cleanup": {}}, DAY), ({"cleanup": {"podsAfterSeconds": 60}}, 60)]
)
def test_pods_and_service_go_when_their_time_has_come(spec: dict[str, object], seconds: int) -> None:
    early = done(*RANKS, now=seconds - 1, **spec)
    assert (decide_run(early).acts, decide_run(early).requeue_after) == (False, 1)
    view = done(*RANKS, now=seconds, **spec)
    assert deleted(view) == ALL
    assert {gone.uid for gone in decide_run(view).delete} == {"uid-r-a1-0", "uid-r-a1-1", "uid-r-tr"}
    assert decide_run(view).requeue_after is None


def test_nothing_of_its_status_changes_then() -> None:
    view = done(*RANKS, now=DAY)
    plan = decide_run(view)
    gone = replace(view, children=Children(), now=later(2 * DAY))
    for after in (plan, decide_run(gone)):
        assert after.reason is Reason.SUCCEEDED
        assert with_status(view.run, after) == view.run


def test_a_run_that_has_been_cleaned_up_asks_for_nothing_and_waits_for_nothing() -> None:
    plan = decide_run(replace(done(now=DAY), children=Children()))
    assert (plan.acts, plan.ask, plan.requeue_after) == (False, None, None)


def test_an_edit_in_between_moves_the_time() -> None:
    view = done(*RANKS, now=120)
    spec = run(pods=2, cleanup={"podsAfterSeconds": 120}).spec
    assert deleted(replace(view, run=view.run.model_copy(update={"spec": spec, "generation": 2}))) == ALL


def test_pods_of_a_run_that_failed_go_too() -> None:
    view = replace(complete(run_view(run(pods=2)), [failed(0), failed(1)]), now=later(60))
    status = view.run.status.model_copy(update={"failures": Failures(user=3)})
    view = replace(view, run=view.run.model_copy(update={"status": status}))
    plan = decide_run(view)
    assert plan.reason is Reason.RESTART_LIMIT
    view = replace(view, run=with_status(view.run, plan), now=later(60 + DAY))
    assert deleted(view) == ALL[:2]


def test_what_is_going_already_or_is_another_s_is_left_alone() -> None:
    view = done(succeeded(0, deleting_since=later(0)), succeeded(1, owner_uid="another"), now=DAY)
    for front in (child("r-tr", owner_uid="another"), child("r-tr", owner_uid="run-uid", deleting=True)):
        assert deleted(replace(view, children=replace(view.children, services={"r-tr": front}))) == []


def test_a_pod_that_still_runs_is_not_kept_for_its_logs() -> None:
    assert deleted(done(succeeded(0), pod(1), now=5)) == [(Resource.POD, "r-a1-1")]


def test_without_the_time_of_its_end_nothing_is_due() -> None:
    view = done(*RANKS, now=10 * DAY)
    status = view.run.status.model_copy(update={"completion_time": None})
    plan = decide_run(replace(view, run=view.run.model_copy(update={"status": status})))
    assert (plan.acts, plan.requeue_after) == (False, None)
