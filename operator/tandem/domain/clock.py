"""Times as the API writes them: UTC, whole seconds, RFC 3339. The clock itself is always an argument."""

from datetime import UTC, datetime, timedelta


def stamp(moment: datetime) -> str:
    """`moment` as the API stores it, e.g. 2026-11-23T10:00:00Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> datetime:
    """The moment of an RFC 3339 time, with or without fractions. Raises ValueError on anything else."""
    return datetime.fromisoformat(text)


def seconds_until(text: str, now: datetime) -> float:
    """Seconds from `now` to the time `text`; negative when it has passed."""
    return (parse(text) - now).total_seconds()


def after(now: datetime, seconds: float) -> str:
    """The time `seconds` after `now`, rounded up so that nobody waits too short."""
    moment = now + timedelta(seconds=seconds)
    return stamp(moment + timedelta(seconds=1) if moment.microsecond else moment)
