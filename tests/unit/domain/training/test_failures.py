"""Failures of an attempt: the first cause, what it costs, and when a run is given up."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.api.conditions import ConditionType
from tandem.api.reasons import Reason
from tandem.api.training_run import Failures, LastFailure
from tandem.domain import clock
from tandem.domain.observed import OwnPod
from tandem.domain.training import restart
from tandem.domain.training.view import RunView
from tests.unit.domain.builders import (
    NOW,
    TIMING,
    complete,
    condition,
    decide_run,
    failed,
    later,
    node,
    pending,
    pod,
    run,
    run_view,
    stamp,
    status_of,
    succeeded,
    with_status,
)

GANG = run_view(run(pods=2))


def failing(*pods: OwnPod, now: float = 60, **fields: Any) -> RunView:
    """A complete gang of two in this state, a minute after it was made."""
    return replace(complete(GANG, pods), now=later(now), **fields)


def cause(view: RunView) -> LastFailure:
    """The first cause that the plan records."""
    plan = decide_run(view)
    found = with_status(view.run, plan).status.last_failure
    assert plan.intent
    assert found is not None
    return found


# The first cause


@pytest.mark.parametrize(
    ("pods", "kind", "first", "message"),
    [
        ([failed(0), pod(1)], "User", "r-a1-0", "exit code 1"),
        ([failed(0, code=137, reason="OOMKilled"), pod(1)], "User", "r-a1-0", "exit code 137 (OOMKilled)"),
        ([failed(0, reason="Error", message="loss is nan"), pod(1)], "User", "r-a1-0", "exit code 1: loss is nan"),
        ([failed(0, finished_at=later(5)), failed(1)], "User", "r-a1-1", "exit code 1"),
        ([failed(0), failed(1)], "User", "r-a1-0", "exit code 1"),
        (
            [pod(0), failed(1, code=None, reason="UnexpectedAdmissionError", message="no device")],
            "Infra",
            "r-a1-1",
            "UnexpectedAdmissionError: no device",
        ),
        ([pod(0), failed(1, code=None, finished_at=None)], "Infra", "r-a1-1", "the pod failed without an exit code"),
        ([failed(0)], "Infra", "r-a1-1", "the pod is gone and nobody saw its end"),
        ([pod(0, deleting_since=later(30)), failed(1)], "Infra", "r-a1-0", "the pod was deleted or evicted"),
        ([pod(0, deleting_since=later(30), message="preempted"), pod(1)], "Infra", "r-a1-0", "preempted"),
        ([failed(0), pod(1, node="gone")], "Infra", "r-a1-1", "node gone is gone or not ready"),
        ([succeeded(0), failed(1)], "User", "r-a1-1", "exit code 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_the_first_cause(pods: list[OwnPod], kind: str, first: str, message: str) -> None:
    found = cause(failing(*pods))
    assert (found.class_, found.pod, found.message) == (kind, first, message)


def test_a_node_that_is_not_ready_explains_an_exit_code() -> None:
    nodes = {"gpu-0": node("gpu-0"), "gpu-1": node("gpu-1", ready=False)}
    found = cause(failing(failed(0), pod(1, node="gpu-1"), nodes=nodes))
    assert (found.class_, found.node, found.exit_code) == ("Infra", "gpu-1", None)


def test_a_failure_says_where_when_and_with_which_code() -> None:
    found = cause(failing(failed(0, code=3, finished_at=later(7)), pod(1)))
    assert (found.attempt, found.node, found.exit_code, found.time) == (1, "gpu-0", 3, stamp(7))


def test_a_pod_that_failed_without_a_node_is_infra() -> None:
    assert cause(failing(failed(0, code=None, node=None), pod(1))).class_ == "Infra"


def test_a_better_explanation_is_waited_for_while_a_peer_runs() -> None:
    view = failing(failed(0), pod(1), now=4)
    plan = decide_run(view)
    assert (plan.status, plan.acts, plan.requeue_after) == (None, False, 6)
    assert decide_run(replace(view, now=later(10))).reason is Reason.USER_FAILURE


@pytest.mark.parametrize("peer", [succeeded(1), failed(1)])
def test_nothing_is_waited_for_when_no_peer_runs(peer: OwnPod) -> None:
    assert cause(failing(failed(0), peer, now=1)).class_ == "User"


def test_a_rank_that_ended_well_and_was_cleaned_away_is_not_lost() -> None:
    view = failing(succeeded(0), pod(1))
    seen = with_status(view.run, decide_run(view))
    assert decide_run(replace(view, run=seen, children=replace(view.children, pods=(pod(1),)))).reason is Reason.RUNNING


def test_a_missing_pod_of_a_half_made_gang_is_not_lost() -> None:
    view = failing()
    active = view.run.status.active
    assert active is not None
    status = view.run.status.model_copy(update={"active": active.model_copy(update={"created_time": None})})
    plan = decide_run(replace(view, run=view.run.model_copy(update={"status": status})))
    assert [item.name for item in plan.create] == ["r-tr", "r-a1-0", "r-a1-1"]


# What it costs


def test_a_failure_is_charged_in_one_write_before_the_pods_are_deleted() -> None:
    view = failing(failed(0), pod(1), now=60)
    plan = decide_run(view)
    status = with_status(view.run, plan).status
    assert (plan.intent, plan.release, [gone.name for gone in plan.delete]) == (True, True, ["r-a1-1"])
    assert status.active is None
    assert status.failures == Failures(user=1)
    assert (status.not_before, plan.requeue_after) == (stamp(70), 10)
    assert [(item.number, item.outcome, item.end_time) for item in status.attempts or []] == [
        (1, "UserFailure", stamp(60))
    ]
    assert status_of(plan, ConditionType.READY) == "True"


def test_pods_that_are_going_already_are_not_deleted_again() -> None:
    plan = decide_run(failing(pod(0, deleting_since=later(30)), pod(1)))
    assert [gone.name for gone in plan.delete] == ["r-a1-1"]


def test_the_next_attempt_waits_for_its_time() -> None:
    view = failing(failed(0), succeeded(1))
    ended = replace(view, run=with_status(view.run, decide_run(view)))
    pausing = decide_run(ended)
    assert (pausing.acts, pausing.requeue_after, pausing.reason) == (False, 10, Reason.USER_FAILURE)
    assert with_status(ended.run, pausing) == ended.run
    begun = decide_run(replace(ended, now=later(70)))
    assert [item.name for item in begun.create] == ["r-tr", "r-a2-0", "r-a2-1"]
    assert with_status(ended.run, begun).status.not_before is None


@pytest.mark.parametrize(
    ("before", "kind", "failures", "pause", "exhausted"),
    [
        (None, "User", Failures(user=1), 10, False),
        (Failures(user=1), "User", Failures(user=2), 20, False),
        (Failures(user=2, infra=9), "User", Failures(user=3, infra=9), 40, False),
        (Failures(user=3), "User", Failures(user=4), 80, True),
        (Failures(user=3), "Infra", Failures(user=3, infra=1), 10, False),
        (Failures(infra=5), "Infra", Failures(infra=6), 300, False),
        (Failures(infra=19), "Infra", Failures(infra=20), 300, False),
        (Failures(infra=20), "Infra", Failures(infra=21), 300, True),
    ],
)
def test_each_class_has_its_own_limit_and_pause(
    before: Failures | None, kind: Any, failures: Failures, pause: float, exhausted: bool
) -> None:
    failure = LastFailure(attempt=1, pod="r-a1-0", class_=kind, time=stamp())
    verdict = restart.charge(before, failure, NOW, TIMING)
    assert (verdict.failures, verdict.exhausted) == (failures, exhausted)
    assert clock.seconds_until(verdict.not_before, NOW) == pause


@given(st.integers(0, 10**6))
def test_a_pause_never_passes_its_limit(count: int) -> None:
    failure = LastFailure(attempt=1, pod="r-a1-0", class_="Infra", time=stamp())
    verdict = restart.charge(Failures(infra=count), failure, NOW, TIMING)
    assert 10 <= clock.seconds_until(verdict.not_before, NOW) <= 300


def test_past_the_limit_the_run_has_failed_for_good() -> None:
    view = failing(failed(0, message="loss is nan"), pod(1))
    status = view.run.status.model_copy(update={"failures": Failures(user=3)})
    view = replace(view, run=view.run.model_copy(update={"status": status}))
    plan = decide_run(view)
    ready = condition(plan, ConditionType.READY)
    assert ready is not None
    assert (ready.reason, ready.status) == ("RestartLimit", "False")
    assert ready.message == "3 restarts were granted for user failures; last, r-a1-0: exit code 1: loss is nan"
    assert {
        kind: status_of(plan, kind) for kind in (ConditionType.STALLED, ConditionType.FAILED, ConditionType.SUCCEEDED)
    } == {
        ConditionType.STALLED: "True",
        ConditionType.FAILED: "True",
        ConditionType.SUCCEEDED: "False",
    }
    assert [gone.name for gone in plan.delete] == ["r-a1-1"]
    given_up = replace(view, run=with_status(view.run, plan), now=later(9999))
    again = decide_run(given_up)
    assert (again.reason, again.create) == (Reason.RESTART_LIMIT, ())
    assert condition(again, ConditionType.READY) == ready
    assert status_of(again, ConditionType.FAILED) == "True"


def test_only_the_last_five_attempts_are_kept() -> None:
    view = run_view(run())
    for number in range(1, 8):
        view = replace(view, run=with_status(view.run, decide_run(view)))
        view = replace(view, children=replace(view.children, pods=(pending(0, number),)))
        view = replace(view, run=with_status(view.run, decide_run(view)))
        view = replace(
            view, children=replace(view.children, pods=(failed(0, number, code=None, finished_at=view.now),))
        )
        view = replace(view, run=with_status(view.run, decide_run(view)), children=replace(view.children, pods=()))
        view = replace(view, now=later(number * 400))
    assert [item.number for item in view.run.status.attempts or []] == [3, 4, 5, 6, 7]
    assert view.run.status.failures == Failures(infra=7)
