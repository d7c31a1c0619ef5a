"""A plan that tells: the whole status, the event worth posting, and the old pods that have to go."""

from typing import Any

from tandem.api.reasons import Reason
from tandem.api.training_run import ActiveAttempt, TrainingRunStatus
from tandem.domain import headline
from tandem.domain.headline import Headline
from tandem.domain.plan import Plan
from tandem.domain.training import deadline, predecessor, status
from tandem.domain.training.view import RunView


def report(view: RunView, after: TrainingRunStatus, why: Headline, **more: Any) -> Plan:
    """A plan with `after` as status; `more` are further fields of the plan."""
    return Plan(
        status=status.render(view, after, why),
        delete=predecessor.to_delete(view, after.active),
        events=headline.events(view.run.status.conditions, why),
        reason=why.reason,
        **more,
    )


def stay(view: RunView, active: ActiveAttempt, why: Headline, requeue_after: float | None = None) -> Plan:
    """The active attempt goes on."""
    update: dict[str, Any] = {"active": deadline.started(view, active), "attempt": active.number}
    if why.reason is Reason.RUNNING:
        update["hold_offs"] = None
    again = sooner(requeue_after, deadline.seconds_left(view, active))
    return report(view, view.run.status.model_copy(update=update), why, requeue_after=again)


def sooner(one: float | None, other: float | None) -> float | None:
    """The earlier of two pauses, of which none or only one may be needed."""
    return min((pause for pause in (one, other) if pause is not None), default=None)


def rest(
    view: RunView, why: Headline, requeue_after: float | None = None, *, release: bool = True, **update: Any
) -> Plan:
    """No attempt is active, and the status says why none starts; `update` are changed fields of status.

    Only who is told to wait for devices does: whatever else is in the way, its wait begins anew afterwards.
    """
    after = view.run.status.model_copy(update={"waiting_since": None, **update})
    return report(view, after, why, requeue_after=requeue_after, release=release)
