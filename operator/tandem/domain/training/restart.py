"""What a failure costs: charge it, and either give the run up or say when the next attempt may start."""

from dataclasses import dataclass
from datetime import datetime

from tandem.api.training_run import Failures, LastFailure
from tandem.domain import clock
from tandem.domain.timing import Timing


@dataclass(frozen=True, slots=True)
class Verdict:
    """The run's account after a failure."""

    failures: Failures
    exhausted: bool
    """True when the limit of the failure's class is passed: the run has failed for good."""
    not_before: str
    """When the next attempt may start."""
    limit: int


def charge(before: Failures | None, failure: LastFailure, now: datetime, timing: Timing) -> Verdict:
    """Charge a failure to its class. The pause doubles with the class's own failures, up to `max_backoff`."""
    old = before or Failures()
    if failure.class_ == "User":
        count, limit = old.user + 1, timing.user_limit
        failures = Failures(user=count, infra=old.infra)
    else:
        count, limit = old.infra + 1, timing.infra_limit
        failures = Failures(user=old.user, infra=count)
    pause = min(timing.max_backoff, timing.backoff * 2 ** min(count - 1, 16))
    return Verdict(failures=failures, exhausted=count > limit, not_before=clock.after(now, pause), limit=limit)
