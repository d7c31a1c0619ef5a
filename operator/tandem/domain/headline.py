"""The one sentence that stands for an object's state: reason and message of Ready, and what kstatus makes of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from tandem.api.conditions import Condition, ConditionStatus, ConditionType, clip, find
from tandem.api.reasons import Reason
from tandem.domain import clock
from tandem.domain.plan import Event

QUIET = frozenset(
    {Reason.RUNNING, Reason.AVAILABLE, Reason.PENDING, Reason.UNKNOWN, Reason.ROLLING, Reason.WAITING_FOR_PREDECESSOR}
)
"""Reasons that follow from another and deserve no event of their own."""

EXPECTED = frozenset({Reason.QUEUED, Reason.STARTING})
"""A service that waits or starts is not ready yet, but nothing is wrong with it."""

FAILURES = frozenset({Reason.USER_FAILURE, Reason.INFRA_FAILURE})
"""The object is accepted and goes on by itself, but people want to be told."""


@dataclass(frozen=True, slots=True)
class Headline:
    """State of an object in one sentence."""

    reason: Reason
    message: str
    ready: bool = True
    stalled: bool = False
    """Waiting will not help: a person has to change something."""


def blocked(reason: Reason, message: str) -> Headline:
    """Not ready, and somebody has to act."""
    return Headline(reason, message, ready=False, stalled=True)


def troubled(reason: Reason, message: str) -> Headline:
    """Not ready, but it may become so by itself."""
    return Headline(reason, message, ready=False)


class ConditionWriter:
    """Makes conditions that all speak of the same generation and moment."""

    def __init__(self, generation: int, now: datetime) -> None:
        self._generation = generation
        self._now = clock.stamp(now)

    def __call__(self, kind: ConditionType, status: bool | None, reason: Reason, message: str = "") -> Condition:
        """One condition; a status of None is Unknown."""
        word: ConditionStatus = "Unknown" if status is None else "True" if status else "False"
        return Condition(
            type=kind.value,
            status=word,
            reason=reason.value,
            message=clip(message),
            last_transition_time=self._now,
            observed_generation=self._generation,
        )

    def readiness(self, headline: Headline) -> list[Condition]:
        """Ready, and Reconciling or Stalled, which exist only while True."""
        conditions = [self(ConditionType.READY, headline.ready, headline.reason, headline.message)]
        if headline.stalled:
            conditions.append(self(ConditionType.STALLED, True, headline.reason, headline.message))
        elif not headline.ready:
            conditions.append(self(ConditionType.RECONCILING, True, headline.reason, headline.message))
        return conditions


def events(old: Sequence[Condition], headline: Headline) -> tuple[Event, ...]:
    """An event when the reason of Ready changed to one worth telling."""
    before = find(old, ConditionType.READY)
    if headline.reason in QUIET or (before is not None and before.reason == headline.reason):
        return ()
    warning = headline.reason in FAILURES or not (headline.ready or headline.reason in EXPECTED)
    return (Event(headline.reason.value, clip(headline.message), warning),)
