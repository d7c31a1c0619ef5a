"""How long a run has held its devices, over all attempts, and when that is too long.

The clock runs from the moment that the last pod of an attempt got its node to the attempt's end. It is made of times in
status and in pods alone, so neither a restart of the operator nor its absence stops it.
"""

from datetime import datetime

from tandem.api.reasons import Reason
from tandem.api.training_run import ActiveAttempt
from tandem.domain import clock, headline
from tandem.domain.headline import Headline
from tandem.domain.training.view import RunView
from tandem.domain.words import times


def started(view: RunView, active: ActiveAttempt) -> ActiveAttempt:
    """The attempt with the time at which all its pods had a node, once they have."""
    since = _bound_since(view, active)
    return active if since is None else active.model_copy(update={"bound_time": clock.stamp(since)})


def used(view: RunView, active: ActiveAttempt | None) -> int:
    """Whole seconds that the run has held all pods of an attempt."""
    before = view.run.status.active_seconds or 0
    since = _bound_since(view, active) if active is not None else None
    if active is None or since is None:
        return before
    return before + max(0, int((_until(view, active) - since).total_seconds()))


def seconds_left(view: RunView, active: ActiveAttempt) -> float | None:
    """Seconds until the deadline of an attempt whose clock runs; None when none will pass."""
    limit = view.run.spec.active_deadline_seconds
    since = _bound_since(view, active)
    if limit is None or since is None:
        return None
    return limit - (view.run.status.active_seconds or 0) - (view.now - since).total_seconds()


def exceeded(view: RunView, active: ActiveAttempt | None) -> Headline | None:
    """Why the run has to be ended for good; None while it has time left, or no limit."""
    limit = view.run.spec.active_deadline_seconds
    if limit is None or used(view, active) < limit:
        return None
    spent = times(limit, "second")
    return headline.blocked(Reason.DEADLINE_EXCEEDED, f"activeDeadlineSeconds: the run held all its pods for {spent}")


def _bound_since(view: RunView, active: ActiveAttempt) -> datetime | None:
    if active.bound_time is not None:
        return clock.parse(active.bound_time)
    gang = view.gang(active.number)
    finished = view.finished_ranks(active)
    if any(rank not in finished and (rank not in gang or gang[rank].node is None) for rank in range(active.pods)):
        return None
    return max((pod.scheduled_at or view.now for pod in gang.values()), default=None)


def _until(view: RunView, active: ActiveAttempt) -> datetime:
    """Now, or the end of its last pod: what an operator that was away finds ended has held nothing since."""
    ends = [pod.finished_at if pod.terminal else None for pod in view.gang(active.number).values()]
    return max((end or view.now for end in ends), default=view.now)
