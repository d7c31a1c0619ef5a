"""activeDeadlineSeconds: only time with all pods bound counts, over all attempts, and then the run fails for good."""

from dataclasses import replace

import pytest

from tandem.api.conditions import ConditionType
from tandem.api.reasons import Reason
from tandem.domain.observed import Children, OwnPod
from tandem.domain.plan import Plan
from tandem.domain.training.view import RunView
from tests.unit.domain.builders import (
    complete,
    decide_run,
    failed,
    later,
    pending,
    pod,
    run,
    run_view,
    stamp,
    status_of,
    succeeded,
    with_status,
)

LIMITED = run_view(run(pods=2, activeDeadlineSeconds=100))


def bound(rank: int = 0, attempt: int = 1, at: float = 0, **fields: object) -> OwnPod:
    return pod(rank, attempt, scheduled_at=later(at), **fields)


def after(view: RunView, plan: Plan, *pods: OwnPod, now: float) -> RunView:
    """The view once the plan's status was written."""
    return replace(view, run=with_status(view.run, plan), children=Children(pods=pods), now=later(now))


def running(*pods: OwnPod, now: float, view: RunView = LIMITED) -> RunView:
    """A gang that was made at once, as it is `now` seconds later."""
    return replace(complete(view, pods), now=later(now))


def with_limit(view: RunView, **spec: object) -> RunView:
    edited = view.run.spec.model_copy(update=spec)
    return replace(view, run=view.run.model_copy(update={"spec": edited, "generation": 2}))


GANG = (bound(0), bound(1, at=20))


def test_the_clock_starts_when_the_last_pod_has_a_node() -> None:
    view = running(*GANG, now=30)
    plan = decide_run(view)
    active = with_status(view.run, plan).status.active
    assert active is not None
    assert active.bound_time == stamp(20)
    assert plan.requeue_after == 90


def test_while_a_pod_waits_for_a_node_no_time_is_used() -> None:
    view = running(bound(0), pending(1), now=100)
    plan = decide_run(view)
    active = with_status(view.run, plan).status.active
    assert active is not None
    assert (active.bound_time, plan.reason, plan.requeue_after) == (None, Reason.STARTING, 20)


def test_without_a_limit_nothing_is_waited_for() -> None:
    assert decide_run(running(*GANG, now=10**9, view=run_view(run(pods=2)))).requeue_after is None


def test_past_the_deadline_the_run_has_failed_for_good_and_its_pods_go() -> None:
    view = running(*GANG, now=120)
    plan = decide_run(view)
    assert (plan.reason, plan.intent, plan.release) == (Reason.DEADLINE_EXCEEDED, True, True)
    assert [gone.name for gone in plan.delete] == ["r-a1-0", "r-a1-1"]
    done = with_status(view.run, plan).status
    assert (done.active, done.active_seconds, done.completion_time, done.failures) == (None, 100, stamp(120), None)
    assert [item.outcome for item in done.attempts or []] == ["DeadlineExceeded"]
    assert [(event.reason, event.warning) for event in plan.events] == [("DeadlineExceeded", True)]
    states = [status_of(plan, kind) for kind in (ConditionType.READY, ConditionType.STALLED, ConditionType.FAILED)]
    assert states == ["False", "True", "True"]
    assert status_of(plan, ConditionType.SUCCEEDED) == "False"


def test_a_second_before_it_goes_on() -> None:
    assert decide_run(running(*GANG, now=119)).reason is Reason.RUNNING


@pytest.mark.parametrize("edit", [{"active_deadline_seconds": 10**6}, {"active_deadline_seconds": None}, {"pods": 1}])
def test_once_it_has_failed_no_edit_starts_it_again(edit: dict[str, object]) -> None:
    view = running(*GANG, now=120)
    done = after(view, decide_run(view), now=9999)
    plan = decide_run(with_limit(done, **edit))
    assert (plan.ask, plan.acts, plan.reason) == (None, False, Reason.DEADLINE_EXCEEDED)
    assert status_of(plan, ConditionType.FAILED) == "True"


def test_a_failure_for_a_reason_of_another_version_stays_one() -> None:
    view = running(*GANG, now=120)
    done = after(view, decide_run(view), now=121)
    strange = [item.model_copy(update={"reason": "Strange"}) for item in done.run.status.conditions]
    status = done.run.status.model_copy(update={"conditions": strange})
    again = replace(done, run=done.run.model_copy(update={"status": status}))
    assert status_of(decide_run(again), ConditionType.FAILED) == "True"


def test_attempts_add_up_and_pauses_between_them_do_not_count() -> None:
    view = running(bound(0), failed(1, scheduled_at=later(0), finished_at=later(40)), now=60)
    ended = after(view, decide_run(view), now=1000)
    assert ended.run.status.active_seconds == 60
    second = after(ended, decide_run(ended), pending(0, 2), pending(1, 2), now=1001)
    made = after(second, decide_run(second), bound(0, 2, 1010), bound(1, 2, 1010), now=1020)
    plan = decide_run(made)
    assert (plan.reason, plan.requeue_after) == (Reason.RUNNING, 30)
    assert decide_run(replace(made, now=later(1050))).reason is Reason.DEADLINE_EXCEEDED


def test_what_an_absent_operator_finds_ended_has_used_nothing_since() -> None:
    ends = [failed(rank, scheduled_at=later(0), finished_at=later(40 + rank)) for rank in range(2)]
    view = running(*ends, now=9999)
    plan = decide_run(view)
    assert plan.reason is Reason.USER_FAILURE
    assert with_status(view.run, plan).status.active_seconds == 41


def test_a_rank_that_ended_well_and_is_gone_does_not_stop_the_clock() -> None:
    view = running(succeeded(0, scheduled_at=later(0)), bound(1), now=10)
    gone = after(view, decide_run(view), bound(1), now=100)
    assert decide_run(gone).reason is Reason.DEADLINE_EXCEEDED


def test_a_pod_that_does_not_say_since_when_it_is_bound_counts_from_now() -> None:
    view = running(pod(0), pod(1), now=50)
    active = with_status(view.run, decide_run(view)).status.active
    assert active is not None
    assert active.bound_time == stamp(50)


# What goes before it, and what does not


def test_a_success_goes_before_the_deadline() -> None:
    assert decide_run(running(succeeded(0), succeeded(1), now=10**6)).reason is Reason.SUCCEEDED


def test_suspension_goes_before_the_deadline_and_uses_no_time() -> None:
    view = with_limit(running(*GANG, now=120), suspend=True)
    plan = decide_run(view)
    assert (plan.reason, status_of(plan, ConditionType.FAILED)) == (Reason.SUSPENDED, None)
    suspended = after(view, plan, now=10**6)
    assert decide_run(suspended).reason is Reason.SUSPENDED
    resumed = decide_run(with_limit(suspended, suspend=False))
    assert (resumed.reason, resumed.ask, resumed.create) == (Reason.DEADLINE_EXCEEDED, None, ())
    assert with_status(suspended.run, resumed).status.completion_time == clock_of(suspended)


def clock_of(view: RunView) -> str:
    return stamp((view.now - later(0)).total_seconds())


def test_the_deadline_goes_before_a_failure() -> None:
    view = running(bound(0), failed(1, scheduled_at=later(0)), now=100)
    plan = decide_run(view)
    assert (plan.reason, with_status(view.run, plan).status.failures) == (Reason.DEADLINE_EXCEEDED, None)


def test_while_a_first_cause_is_looked_for_the_deadline_is_not_missed() -> None:
    view = running(bound(0), failed(1, scheduled_at=later(0), finished_at=later(95)), now=96)
    assert decide_run(view).requeue_after == 4


def test_a_limit_that_is_lowered_below_what_was_used_ends_a_run_between_attempts() -> None:
    view = running(bound(0), failed(1, scheduled_at=later(0), finished_at=later(40)), now=60)
    ended = after(view, decide_run(view), now=61)
    plan = decide_run(with_limit(ended, active_deadline_seconds=30))
    assert (plan.reason, status_of(plan, ConditionType.FAILED)) == (Reason.DEADLINE_EXCEEDED, "True")
