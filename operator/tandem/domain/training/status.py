"""The whole status of a run, from what was decided. Never per-rank lists; bounded whatever happens."""

from typing import Any

from pydantic import ValidationError

from tandem.api.base import dump
from tandem.api.conditions import Condition, ConditionType, is_true, merge_conditions
from tandem.api.reasons import Reason, reason_of
from tandem.api.training_run import ActiveAttempt, CheckpointStatus, EndedAttempt, PodCounts, TrainingRunStatus
from tandem.domain.headline import ConditionWriter, Headline
from tandem.domain.observed import OwnPod
from tandem.domain.training import ranges
from tandem.domain.training.attempt import outdated
from tandem.domain.training.view import RunView

ATTEMPTS_KEPT = 5
GIVEN_UP = frozenset({Reason.RESTART_LIMIT, Reason.DEADLINE_EXCEEDED})
"""Reasons with which a run fails for good."""


def render(view: RunView, status: TrainingRunStatus, headline: Headline) -> dict[str, Any]:
    """`status` completed with counts, checkpoint and conditions, as it is written."""
    run = view.run
    complete = status.model_copy(
        update={
            "observed_generation": run.generation,
            "pods": _counts(view, status, headline),
            "checkpoint": newest_checkpoint(view),
            "pending_change": True if status.active and outdated(view, status.active) else None,
        }
    )
    conditions = _conditions(view, complete, headline)
    complete = complete.model_copy(update={"conditions": merge_conditions(run.status.conditions, conditions)})
    return dump(complete)


def with_ended(status: TrainingRunStatus, ended: EndedAttempt) -> list[EndedAttempt]:
    """The ended attempts with one more, the oldest dropped."""
    kept = [attempt for attempt in status.attempts or [] if attempt.number != ended.number]
    return [*kept, ended][-ATTEMPTS_KEPT:]


def newest_checkpoint(view: RunView) -> CheckpointStatus | None:
    """The checkpoint with the highest step that any pod reported, now or before."""
    best = view.run.status.checkpoint
    for pod in view.pods:
        reported = _checkpoint(pod)
        if reported is not None and (best is None or reported.step > best.step):
            best = reported
    return best


def _checkpoint(pod: OwnPod) -> CheckpointStatus | None:
    """The checkpoint in a pod's report. What a program says must not break its run, so a report out of bounds is none."""
    if pod.report is None or pod.report.path is None:
        return None
    try:
        return CheckpointStatus(step=pod.report.step, path=pod.report.path, digest=pod.report.digest)
    except ValidationError:
        return None


def ready_ranks(view: RunView, active: ActiveAttempt, finished: frozenset[int]) -> frozenset[int]:
    """Ranks that run or ended well. One whose program has just ended counts until its phase tells how."""
    running = (
        rank
        for rank, pod in view.gang(active.number).items()
        if pod.phase == "Running" and (pod.ready or pod.exit_code is not None) and pod.deleting_since is None
    )
    return finished.union(running)


def _counts(view: RunView, status: TrainingRunStatus, headline: Headline) -> PodCounts | None:
    if status.active is not None:
        finished = view.finished_ranks(status.active)
        ready = ready_ranks(view, status.active, finished)
        return _pod_counts(status.active.pods, len(ready), ranges.to_text(finished))
    before = view.run.status.pods
    if before is None or view.run.status.completion_time is not None:
        return before
    if headline.reason is Reason.SUCCEEDED:
        return _pod_counts(before.wanted, before.wanted, ranges.to_text(range(before.wanted)))
    return _pod_counts(before.wanted, 0, "")


def _pod_counts(wanted: int, ready: int, succeeded: str) -> PodCounts:
    return PodCounts(wanted=wanted, ready=ready, summary=f"{ready}/{wanted}", succeeded=succeeded or None)


def _conditions(view: RunView, status: TrainingRunStatus, headline: Headline) -> list[Condition]:
    write = ConditionWriter(view.run.generation, view.now)
    reason, message = headline.reason, headline.message
    succeeded = reason is Reason.SUCCEEDED
    # A run that has failed stays so, whatever reason an operator of another version gave.
    failed = reason in GIVEN_UP or is_true(view.run.status.conditions, ConditionType.FAILED)
    running = reason is Reason.RUNNING
    conditions = write.readiness(headline)
    if status.active or succeeded:
        conditions.append(write(ConditionType.PLACED, True, Reason.PLACED, _placed_message(status)))
    else:
        conditions.append(write(ConditionType.PLACED, False, _unplaced_reason(status, headline), message))
    conditions.append(write(ConditionType.PODS_READY, running or succeeded, reason, message))
    conditions.append(write(ConditionType.PROGRESSING, running, reason, message))
    suspended = reason is Reason.SUSPENDED
    conditions.append(write(ConditionType.SUSPENDED, suspended, reason, message if suspended else ""))
    done = True if succeeded else False if failed else None
    conditions.append(write(ConditionType.SUCCEEDED, done, reason, message))
    if failed:
        conditions.append(write(ConditionType.FAILED, True, reason, message))
    return conditions


def _unplaced_reason(status: TrainingRunStatus, headline: Headline) -> Reason:
    rejected = (status.placement and status.placement.rejected) or []
    if headline.reason is Reason.QUEUED and rejected:
        return reason_of(rejected[0].reason)
    return headline.reason


def _placed_message(status: TrainingRunStatus) -> str:
    return (status.placement and status.placement.reason) or ""
