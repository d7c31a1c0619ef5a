"""The decision about one TrainingRun: from what is observed to what is to be written.

An ordered chain; the first rule that applies decides:
finished > succeeded > suspended > deadline > failed > half made > overtaken by an edit > not bound > running, for an active
attempt, and finished > suspended > deadline > backoff > predecessor > bad input > placement > the next attempt, between
attempts.

Whenever an attempt begins or ends, that is an intent: it is written before any pod is made or deleted for it, so whoever
goes on after a crash finds the reason for what it sees.
"""

from collections.abc import Sequence

from tandem.api.conditions import ConditionType
from tandem.api.reasons import Reason, reason_of
from tandem.api.training_run import ActiveAttempt
from tandem.domain import clock, headline
from tandem.domain.headline import Headline
from tandem.domain.placement import never
from tandem.domain.placement.request import Decision
from tandem.domain.plan import Plan, Problem
from tandem.domain.training import attempt, choose, cleanup, deadline, ending, failure, gang, predecessor
from tandem.domain.training.report import rest, sooner, stay
from tandem.domain.training.view import RunView


def plan_run(
    view: RunView,
    *,
    decision: Decision | None = None,
    problems: Sequence[Problem] = (),
) -> Plan:
    """What to do for one run now.

    `decision` answers the `ask` of an earlier plan of the same pass; `problems` are its writes that failed.
    """
    view = view.after_edit()
    done = _finished(view)
    if done is not None:
        return cleanup.ended(view, done)
    active = attempt.active(view)
    if active is None:
        return _between_attempts(view, decision)
    return _with_active(view, active, problems)


def _with_active(view: RunView, active: ActiveAttempt, problems: Sequence[Problem]) -> Plan:
    finished = view.finished_ranks(active)
    if len(finished) == active.pods:
        return ending.succeed(view, active)
    if view.run.spec.suspend:
        return ending.end(view, active, ending.SUSPENDED)
    late = deadline.exceeded(view, active)
    if late is not None:
        return ending.give_up(view, active, late)
    cause = failure.first_cause(view, active, finished)
    if isinstance(cause, failure.Collecting):
        return Plan(requeue_after=sooner(cause.seconds, deadline.seconds_left(view, active)), reason=Reason.RUNNING)
    if cause is not None:
        return ending.fail(view, active, cause)
    if active.created_time is None:
        return gang.complete(view, active, finished, problems)
    trouble = gang.overtaken(view, active) or gang.not_bound(view, active) or gang.not_pulled(view, active)
    if trouble is not None:
        return trouble
    return stay(view, active, gang.progress(view, active, finished), gang.next_look(view, active))


def _between_attempts(view: RunView, decision: Decision | None) -> Plan:
    if view.run.spec.suspend:
        return rest(view, ending.SUSPENDED)
    late = deadline.exceeded(view, None)
    if late is not None:
        return rest(view, late, completion_time=clock.stamp(view.now))
    waiting = predecessor.waiting(view)
    if waiting is not None and waiting.stuck:
        stuck = headline.troubled(Reason.TERMINATION_STUCK, waiting.message)
        return rest(view, stuck, view.timing.look_again)
    not_before = view.run.status.not_before
    if not_before is not None and clock.parse(not_before) > view.now:
        return rest(view, ending.pausing(view.run.status), clock.seconds_until(not_before, view.now))
    if waiting is not None:
        return rest(view, Headline(Reason.WAITING_FOR_PREDECESSOR, waiting.message), view.timing.look_again)
    problem = choose.input_problem(view)
    if problem is not None:
        return rest(view, problem, view.timing.look_again)
    if decision is None:
        return Plan(ask=choose.ask(view))
    decision = never.settle(decision, choose.rejected_before(view), view.now, view.timing)
    if decision.grant is None:
        why = choose.waiting_headline(view, decision)
        return rest(
            view,
            why,
            min(choose.next_look(view), never.next_look(decision, view.now, view.timing)),
            release=False,
            placement=choose.rejected(decision),
            waiting_since=None if why.stalled else view.run.status.waiting_since or clock.stamp(view.now),
        )
    return gang.begin(view, decision)


def _finished(view: RunView) -> Headline | None:
    """The headline with which the run finished, from the condition that says so; it never changes again."""
    for condition in view.run.status.conditions:
        if condition.status == "True" and condition.type == ConditionType.SUCCEEDED:
            return Headline(Reason.SUCCEEDED, condition.message)
        if condition.status == "True" and condition.type == ConditionType.FAILED:
            return headline.blocked(reason_of(condition.reason), condition.message)
    return None
