"""How long a run stays with a variant: it does not leave one right after it came there, and it does not move often.

Otherwise a run that fails, and restarts just when a better variant has devices again, would go to and fro with them. Only the
last attempts in status count, so an operator that starts decides the same.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from tandem.api.reasons import Reason
from tandem.api.training_run import EndedAttempt
from tandem.api.workload import HoldOff
from tandem.domain import clock
from tandem.domain.training.view import RunView

FAILED = frozenset({Reason.USER_FAILURE.value, Reason.INFRA_FAILURE.value})
"""Outcomes after which a run goes on where it was. After others it is the cluster that does not want it there, or the user."""
HOUR = timedelta(hours=1)


def holds(view: RunView) -> tuple[HoldOff, ...]:
    """Hold-offs of all variants but the one of the last attempt; none where the run may go anywhere."""
    ended = view.run.status.attempts
    if not ended or view.run.status.observed_generation != view.run.generation:
        return ()
    last = view.variant(ended[-1].variant)
    if last is None or not last.matching(view.profiles):
        return ()
    until, why = max(_dwells(view, ended), _moves(view, ended))
    if until <= view.now:
        return ()
    stamp = clock.stamp(until)
    return tuple(
        HoldOff(variant=other.name, until=stamp, count=1, message=why)
        for other in view.variants
        if other.name != last.name
    )


def _dwells(view: RunView, ended: Sequence[EndedAttempt]) -> tuple[datetime, str]:
    """Until when it stays for having come lately, unless its variant is refused it."""
    last = ended[-1]
    held_off = any(
        hold.variant == last.variant and clock.parse(hold.until) > view.now for hold in view.run.status.hold_offs or ()
    )
    if held_off or last.outcome not in FAILED:
        return view.now, ""
    came = clock.parse(last.start_time)
    for before in reversed(ended):
        if before.variant != last.variant:
            break
        came = clock.parse(before.start_time)
    why = f"the run came to {last.variant} at {clock.stamp(came)} and stays there for {view.timing.dwell:.0f} s"
    return came + timedelta(seconds=view.timing.dwell), why


def _moves(view: RunView, ended: Sequence[EndedAttempt]) -> tuple[datetime, str]:
    """Until when it stays for having moved often."""
    limit = view.timing.moves_per_hour
    moves = [clock.parse(after.start_time) for before, after in pairwise(ended) if before.variant != after.variant]
    if len(moves) < limit:
        return view.now, ""
    why = f"the run may move {limit} times in an hour between variants, and stays with {ended[-1].variant}"
    return moves[-limit] + HOUR, why
