"""One thing that was looked at, how it is, and the mend."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "OK"
    INFO = "INFO"
    """Neither good nor bad: what Tandem will make of it."""
    WARN = "WARN"
    """Odd, or not to be seen: something will not be as somebody thinks."""
    FAIL = "FAIL"
    """The operator does not work, or not for everybody."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A line of `tandem check`."""

    level: Level
    subject: str
    """What was looked at; one word, closed list: scripts match on it."""
    message: str
    mend: str = ""
    """What to do about it; a command where there is one."""


@dataclass(frozen=True, slots=True)
class Unread:
    """In the place of what could not be read: the caller's rights, or the server, did not allow it."""

    why: str

    def finding(self, subject: str, what: str) -> Finding:
        """Not knowing is a warning of its own."""
        return Finding(Level.WARN, subject, f"not checked: cannot read {what}: {self.why}")


NAMES_SHOWN = 3


def some(names: Sequence[str]) -> str:
    """The first names of a list that may be long."""
    shown = ", ".join(names[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
