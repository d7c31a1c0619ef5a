"""The status of a run: conditions at every stage as kstatus reads them, checkpoints, and bounds."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.api.conditions import ConditionType
from tandem.api.training_run import CheckpointStatus, Failures, TrainingRunStatus
from tandem.domain.observed import Children, OwnPod, Report
from tandem.domain.plan import Plan, Problem, ProblemKind
from tandem.domain.training.view import RunView
from tests.unit.domain.builders import (
    PROFILES,
    begun,
    complete,
    condition,
    decide_run,
    failed,
    later,
    pending,
    pod,
    run,
    run_view,
    stamp,
    succeeded,
    with_status,
)

GANG = run_view(run(pods=2))
UNPULLED = pending(1, scheduled=True, node="gpu-0", waiting_reason="ImagePullBackOff", waiting_message="no such tag")


def suspended(view: RunView) -> RunView:
    return replace(view, run=view.run.model_copy(update={"spec": view.run.spec.model_copy(update={"suspend": True})}))


def after(view: RunView, *pods: OwnPod, now: float = 0) -> RunView:
    """The view once the plan was carried out."""
    return replace(view, run=with_status(view.run, decide_run(view)), children=Children(pods=pods), now=later(now))


def exhausted(view: RunView) -> RunView:
    status = view.run.status.model_copy(update={"failures": Failures(user=3)})
    return replace(view, run=view.run.model_copy(update={"status": status}))


FAILED = replace(complete(GANG, [failed(0), pod(1)]), now=later(60))
QUOTA = Problem(ProblemKind.REFUSED, "r-a1-1", "exceeded quota")
TAKEN = Problem(ProblemKind.NAME_CONFLICT, "r-tr", "Service 'r-tr' exists")

STAGES: dict[str, tuple[Plan, str]] = {
    # Ready, Stalled or Reconciling, Placed, PodsReady, Progressing, Suspended, Succeeded, Failed
    "queued": (decide_run(run_view(run(pods=9))), "Queued True - DoesNotFitNow:False False False False Unknown -"),
    "unknown accelerator": (
        decide_run(run_view(run(accelerator="h100"))),
        "UnknownAccelerator False Stalled UnknownAccelerator:False False False False Unknown -",
    ),
    "claim missing": (
        decide_run(run_view(run(checkpoint={"claim": {"name": "none"}}))),
        "ClaimMissing False Stalled ClaimMissing:False False False False Unknown -",
    ),
    "begun": (decide_run(GANG), "Starting True - Placed:True False False False Unknown -"),
    "name taken": (
        decide_run(begun(GANG), [TAKEN]),
        "NameConflict False Stalled Placed:True False False False Unknown -",
    ),
    "refused": (
        decide_run(replace(begun(GANG), children=Children(pods=(pending(0),))), [QUOTA]),
        "QuotaExceeded False Reconciling QuotaExceeded:False False False False Unknown -",
    ),
    "starting": (
        decide_run(complete(GANG, [pod(0), pod(1, ready=False)])),
        "Starting True - Placed:True False False False Unknown -",
    ),
    "image pull": (
        decide_run(complete(GANG, [pod(0), UNPULLED])),
        "ImagePull False Reconciling Placed:True False False False Unknown -",
    ),
    "running": (
        decide_run(complete(GANG, [pod(0), pod(1)])),
        "Running True - Placed:True True True False Unknown -",
    ),
    "failed attempt": (decide_run(FAILED), "UserFailure True - UserFailure:False False False False Unknown -"),
    "backoff": (
        decide_run(after(FAILED, now=61)),
        "UserFailure True - UserFailure:False False False False Unknown -",
    ),
    "waiting": (
        decide_run(after(FAILED, pod(1, deleting_since=later(90)), now=75)),
        "WaitingForPredecessor True - WaitingForPredecessor:False False False False Unknown -",
    ),
    "stuck": (
        decide_run(after(FAILED, pod(1, deleting_since=later(90)), now=999)),
        "TerminationStuck False Reconciling TerminationStuck:False False False False Unknown -",
    ),
    "suspended": (
        decide_run(suspended(complete(GANG, [pod(0), pod(1)]))),
        "Suspended True - Suspended:False False False True Unknown -",
    ),
    "succeeded": (
        decide_run(complete(GANG, [succeeded(0), succeeded(1)])),
        "Succeeded True - Placed:True True False False True -",
    ),
    "given up": (
        decide_run(exhausted(FAILED)),
        "RestartLimit False Stalled RestartLimit:False False False False False True",
    ),
}


def shown(plan: Plan) -> str:
    found = {kind: condition(plan, kind) for kind in ConditionType}
    ready, placed = found[ConditionType.READY], found[ConditionType.PLACED]
    assert ready is not None
    assert placed is not None
    marks = [kind.value for kind in (ConditionType.STALLED, ConditionType.RECONCILING) if found[kind]]
    rest = (
        ConditionType.PODS_READY,
        ConditionType.PROGRESSING,
        ConditionType.SUSPENDED,
        ConditionType.SUCCEEDED,
        ConditionType.FAILED,
    )
    states = [item.status if (item := found[kind]) else "-" for kind in rest]
    return " ".join([ready.reason, ready.status, "+".join(marks) or "-", f"{placed.reason}:{placed.status}", *states])


@pytest.mark.parametrize("stage", STAGES)
def test_conditions_at_every_stage(stage: str) -> None:
    plan, conditions = STAGES[stage]
    assert shown(plan) == conditions


@pytest.mark.parametrize("stage", STAGES)
def test_every_condition_speaks_of_the_same_generation_and_has_a_reason_of_the_closed_list(stage: str) -> None:
    plan, _ = STAGES[stage]
    status = TrainingRunStatus.model_validate(plan.status)
    assert status.observed_generation == 1
    assert {item.observed_generation for item in status.conditions} == {1}
    assert len({item.type for item in status.conditions}) == len(status.conditions)
    assert plan.reason.value == next(item.reason for item in status.conditions if item.type == "Ready")


def test_a_condition_that_stays_keeps_its_time() -> None:
    view = complete(GANG, [pod(0), pod(1)])
    running = after(view, pod(0), pod(1), now=60)
    plan = decide_run(running)
    assert {item.last_transition_time for item in with_status(running.run, plan).status.conditions} == {stamp()}
    lost = decide_run(replace(running, children=Children(pods=(pod(0, deleting_since=later(90)), pod(1)))))
    changed = {
        item.type for item in with_status(running.run, lost).status.conditions if item.last_transition_time != stamp()
    }
    assert changed == {"Placed", "PodsReady", "Progressing"}


# Pods


@pytest.mark.parametrize(
    ("pods", "summary", "done"),
    [
        ([pod(0), pod(1)], "2/2", None),
        ([pod(0), pending(1)], "1/2", None),
        ([pod(0, ready=False), pod(1)], "1/2", None),
        ([pod(0, ready=False, exit_code=0), pod(1)], "2/2", None),
        ([pod(0), succeeded(1)], "2/2", "1"),
    ],
)
def test_pods_are_counted_never_listed(pods: list[OwnPod], summary: str, done: str | None) -> None:
    view = complete(GANG, pods)
    counts = with_status(view.run, decide_run(view)).status.pods
    assert counts is not None
    assert (counts.wanted, counts.summary, counts.succeeded) == (2, summary, done)


def test_between_attempts_no_pod_is_ready() -> None:
    counts = with_status(FAILED.run, STAGES["failed attempt"][0]).status.pods
    assert counts is not None
    assert (counts.summary, counts.succeeded) == ("0/2", None)


def test_before_the_first_attempt_there_are_no_counts() -> None:
    assert "pods" not in (STAGES["queued"][0].status or {})


# Checkpoints


def reported(*reports: Report | None, before: dict[str, Any] | None = None) -> CheckpointStatus | None:
    """The checkpoint in status after pods said these things."""
    view = run_view(run({"checkpoint": before} if before else None, pods=max(1, len(reports))))
    view = complete(view, [pod(rank, report=report) for rank, report in enumerate(reports)])
    return with_status(view.run, decide_run(view)).status.checkpoint


def test_the_checkpoint_with_the_highest_step_is_kept() -> None:
    newest = Report(20, "step-20", "sha256:b")
    assert reported(Report(10, "step-10", None), newest) == CheckpointStatus(step=20, path="step-20", digest="sha256:b")
    assert reported(Report(10, "step-10", None), before={"step": 30, "path": "step-30"}) == CheckpointStatus(
        step=30, path="step-30"
    )


def test_of_the_same_step_the_lowest_rank_speaks() -> None:
    assert reported(Report(10, "from-0", None), Report(10, "from-1", None)) == CheckpointStatus(step=10, path="from-0")


@pytest.mark.parametrize(
    "report",
    [
        None,
        Report(10, None, None),
        Report(2**60, "far", None),
        Report(-1, "early", None),
        Report(10, "../outside", None),
        Report(10, "/absolute", None),
        Report(10, "x" * 300, None),
        Report(10, "step", "x" * 300),
    ],
)
def test_what_is_no_checkpoint_changes_nothing_and_breaks_nothing(report: Report | None) -> None:
    assert reported(report) is None


def test_the_next_attempt_resumes_from_a_reported_checkpoint() -> None:
    for before, resume in ((None, "0"), ({"checkpoint": {"step": 5, "path": "step-5"}}, "1")):
        plan = decide_run(run_view(run(before)))
        env = {item["name"]: item["value"] for item in plan.create[0].body["spec"]["containers"][0]["env"]}
        assert env["TANDEM_RESUME"] == resume


# Bounds


@given(st.text(min_size=1, max_size=2000), st.integers(0, 30))
def test_a_status_stays_one_that_the_api_server_takes_whatever_programs_and_servers_say(text: str, ended: int) -> None:
    listed = [{"name": f"v{i}", "acceleratorSelector": {"matchLabels": {"stack": "any"}}} for i in range(8)]
    many = {
        f"p{i}": PROFILES["nvidia-h20"].model_copy(update={"name": f"p{i}", "labels": {"stack": "any"}})
        for i in range(5)
    }
    attempts = [
        {
            "number": i + 1,
            "variant": "v0",
            "accelerator": "p0",
            "outcome": "NotBound",
            "startTime": stamp(),
            "endTime": stamp(),
        }
        for i in range(min(5, ended))
    ]
    obj = run({"attempt": ended, "attempts": attempts}, accelerator=None, variants=listed, pods=9)
    queued = decide_run(run_view(obj, profiles=many))
    status = TrainingRunStatus.model_validate(queued.status)
    assert status.placement is not None
    assert len(status.placement.rejected or []) == 16

    for plan in (
        decide_run(replace(complete(GANG, [failed(0, message=text), pod(1)]), now=later(60))),
        decide_run(complete(GANG, [pod(0), replace(UNPULLED, waiting_message=text)])),
        decide_run(replace(complete(GANG, [pod(0), pending(1, unschedulable_message=text)]), now=later(200))),
        decide_run(replace(begun(GANG), children=Children(pods=(pending(0),))), [replace(QUOTA, message=text)]),
        decide_run(begun(GANG), [replace(TAKEN, message=text)]),
    ):
        TrainingRunStatus.model_validate(plan.status)


def test_a_gang_of_thousands_is_no_larger_in_status() -> None:
    size = 5000
    view = run_view(run({"attempt": 0}, pods=size), nodes=[], profiles=PROFILES)
    pods = [succeeded(rank) if rank % 2 else pod(rank) for rank in range(size)]
    plan = decide_run(replace(view, children=Children(pods=tuple(pods))))
    TrainingRunStatus.model_validate(plan.status)
    assert len(repr(plan.status)) < 8000
