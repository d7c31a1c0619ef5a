"""How an attempt ends. Its outcome, its charge and the earliest next start go into one status write, before any pod goes."""

from typing import Any

from tandem.api.conditions import clip
from tandem.api.reasons import Reason
from tandem.api.training_run import ActiveAttempt, EndedAttempt, LastFailure, TrainingRunStatus
from tandem.domain import clock, headline
from tandem.domain.headline import Headline
from tandem.domain.placement.candidates import hold_off
from tandem.domain.plan import Plan
from tandem.domain.training import deadline, restart, status
from tandem.domain.training.report import report
from tandem.domain.training.view import RunView
from tandem.domain.words import times

SUSPENDED = Headline(Reason.SUSPENDED, "no pods are kept while spec.suspend is true")


def succeed(view: RunView, active: ActiveAttempt) -> Plan:
    """Every rank ended with exit code 0."""
    message = f"{times(active.pods, 'pod')} succeeded in attempt {active.number} on {active.accelerator}"
    return _ended(view, active, Headline(Reason.SUCCEEDED, message), completion_time=clock.stamp(view.now))


def fail(view: RunView, active: ActiveAttempt, cause: LastFailure) -> Plan:
    """A failure is charged; the run is given up when its class's limit is passed."""
    verdict = restart.charge(view.run.status.failures, cause, view.now, view.timing)
    update: dict[str, Any] = {"failures": verdict.failures, "last_failure": cause}
    if verdict.exhausted:
        times = f"{verdict.limit} restarts were granted for {cause.class_.lower()} failures"
        why = headline.blocked(Reason.RESTART_LIMIT, f"{times}; last, {cause.pod}: {cause.message}")
        return _ended(view, active, why, **update, completion_time=clock.stamp(view.now))
    update["not_before"] = verdict.not_before
    why = pausing(view.run.status.model_copy(update=update))
    return _ended(view, active, why, clock.seconds_until(verdict.not_before, view.now), **update)


def give_up(view: RunView, active: ActiveAttempt, why: Headline) -> Plan:
    """An end for good that is nobody's failure."""
    return _ended(view, active, why, completion_time=clock.stamp(view.now))


def end(view: RunView, active: ActiveAttempt, why: Headline) -> Plan:
    """An end that costs nothing: suspended, or superseded by an edit."""
    return _ended(view, active, why, 0.0)


def hold(view: RunView, active: ActiveAttempt, outcome: Reason, message: str) -> Plan:
    """An end that the cluster caused before the program ran: uncharged, but this variant is not tried for a while."""
    holds = hold_off(view.run.status.hold_offs or (), active.variant, message, view.now, view.timing, view.jitter)
    return _ended(view, active, headline.troubled(outcome, message), 0.0, hold_offs=holds)


def pausing(status_: TrainingRunStatus) -> Headline:
    """The headline between a failure and the next attempt, the same however often it is made."""
    last = status_.last_failure
    reason = Reason.USER_FAILURE if last and last.class_ == "User" else Reason.INFRA_FAILURE
    what = f"{last.pod}: {last.message}; " if last else ""
    return Headline(reason, f"{what}the next attempt starts at {status_.not_before}")


def _ended(
    view: RunView, active: ActiveAttempt, why: Headline, requeue_after: float | None = None, **update: Any
) -> Plan:
    record = EndedAttempt(
        number=active.number,
        variant=active.variant,
        accelerator=active.accelerator,
        outcome=why.reason.value,
        start_time=active.start_time,
        end_time=clock.stamp(view.now),
        message=clip(why.message),
    )
    after = view.run.status.model_copy(
        update={
            "attempt": active.number,
            "active": None,
            "attempts": status.with_ended(view.run.status, record),
            "not_before": None,
            "active_seconds": deadline.used(view, active) or None,
            **update,
        }
    )
    return report(view, after, why, intent=True, release=True, requeue_after=requeue_after)
