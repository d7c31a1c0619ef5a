"""When too little capacity becomes NeverFits: not before it has lasted, since nodes come and go for repairs.

Since when it lasts stands in status, so that a restart of the operator does not begin the wait anew.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from tandem.api.reasons import Reason
from tandem.api.workload import Rejected
from tandem.domain import clock
from tandem.domain.placement.request import Decision, Rejection
from tandem.domain.timing import Timing


def settle(decision: Decision, before: Iterable[Rejected], now: datetime, timing: Timing) -> Decision:
    """The decision, with what never fits told as that. `before` are the rejections that stand in status."""
    known = {(item.variant, item.accelerator): item.too_small_since for item in before}
    rejected = (
        _settled(item, known.get((item.variant, item.accelerator)), now, timing) if item.too_small else item
        for item in decision.rejected
    )
    return replace(decision, rejected=tuple(rejected))


def next_look(decision: Decision, now: datetime, timing: Timing) -> float:
    """Seconds until something may be told as never fitting, or until everything is looked at again."""
    waits = (
        timing.never_fits + clock.seconds_until(item.too_small_since, now)
        for item in decision.rejected
        if item.too_small_since is not None
    )
    return min([timing.look_again, *(seconds for seconds in waits if seconds > 0)])


def _settled(item: Rejection, since: str | None, now: datetime, timing: Timing) -> Rejection:
    since = since or clock.stamp(now)
    mend = "add nodes or ask for less"
    if timing.never_fits + clock.seconds_until(since, now) <= 0:
        return replace(item, reason=Reason.NEVER_FITS, message=f"{item.message}: {mend}", too_small_since=since)
    end = clock.after(clock.parse(since), timing.never_fits)
    return replace(item, message=f"{item.message}: {mend}, NeverFits from {end} on", too_small_since=since)
