"""How the containers of a pod of ours ended, or why they do not start, read from its status.

The contract with the program is the termination message: its last line may be a report (see `_report`), the rest is text
for people.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tandem.api.constants import MAIN_CONTAINER
from tandem.domain.observed import Report

_MESSAGE_LENGTH = 256
_WORDS_LENGTH = 160
"""Leaves room in a condition's message for the pod's name and for what follows from its end."""
_REPORT_LENGTH = 2048
_STARTING = ("", "ContainerCreating", "PodInitializing")
"""Reasons for waiting that are no trouble."""


class Ending(NamedTuple):
    """What is known of the container that ended; all empty while none has."""

    exit_code: int | None = None
    finished_at: str | None = None
    """RFC 3339, as the API has it."""
    reason: str = ""
    message: str = ""
    report: Report | None = None


def of_main(status: Mapping[str, Any]) -> Ending:
    """Ending of the main container, or of the init container whose failure keeps it from starting.

    A main container that waits for its next start shows how it ended last. Once it has run, an init container's exit
    code says nothing: sidecars are killed when it is over.
    """
    main = _main(status)
    ended = _terminated(main)
    if ended or "running" in (main.get("state") or {}):
        return _ending(ended)
    inits = (_terminated(container) for container in status.get("initContainerStatuses") or ())
    return _ending(next((one for one in inits if one.get("exitCode")), {}))


def trouble_while_waiting(status: Mapping[str, Any]) -> tuple[str, str]:
    """Reason and message of the first container, init containers before main, that is held up by something."""
    for container in _in_order_of_start(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason") or ""
        if reason not in _STARTING:
            return reason, cut(waiting.get("message"))
    return "", ""


def cut(message: str | None) -> str:
    """Message short enough for a record, a status and a terminal."""
    text = (message or "").strip()
    return text if len(text) <= _MESSAGE_LENGTH else text[: _MESSAGE_LENGTH - 1] + "…"


def _in_order_of_start(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from status.get("initContainerStatuses") or ()
    yield _main(status)


def _main(status: Mapping[str, Any]) -> Mapping[str, Any]:
    containers = status.get("containerStatuses") or ()
    return next((one for one in containers if one.get("name") == MAIN_CONTAINER), {})


def _terminated(container: Mapping[str, Any]) -> Mapping[str, Any]:
    state = container.get("state") or {}
    if "waiting" in state:
        state = container.get("lastState") or {}
    return state.get("terminated") or {}


def _ending(terminated: Mapping[str, Any]) -> Ending:
    if not terminated:
        return Ending()
    message, report = _split(terminated.get("message") or "")
    return Ending(
        exit_code=terminated.get("exitCode"),
        finished_at=terminated.get("finishedAt"),
        reason=terminated.get("reason") or "",
        message=_last_words(message),
        report=report,
    )


def _last_words(text: str) -> str:
    """The end of what a program said, in one line: it may be the end of its log, where an error's name stands last."""
    line = " | ".join(part.strip() for part in text.splitlines() if part.strip())
    return line if len(line) <= _WORDS_LENGTH else f"…{line[1 - _WORDS_LENGTH :]}"


def _split(message: str) -> tuple[str, Report | None]:
    """Text for people and report of a termination message."""
    text = message.rstrip()
    rest, _, last = text.rpartition("\n")
    report = _report(last.strip())
    return (rest.rstrip(), report) if report else (text, None)


def _report(line: str) -> Report | None:
    """{"tandem": {"step": 1200, "checkpoint": {"path": "step-1200", "digest": "sha256:..."}}}; checkpoint is optional.

    Anything else is the program's own text, not an error. Fields that are not known are left to later versions.
    """
    if not line.startswith("{") or len(line.encode()) > _REPORT_LENGTH:
        return None
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    said = said.get("tandem")
    if not isinstance(said, dict) or type(said.get("step")) is not int or said["step"] < 0:
        return None
    if "checkpoint" not in said:
        return Report(said["step"], None, None)
    checkpoint = said["checkpoint"]
    if not isinstance(checkpoint, dict):
        return None
    path, digest = checkpoint.get("path"), checkpoint.get("digest")
    if not isinstance(path, str) or not path or not isinstance(digest, str | None):
        return None
    return Report(said["step"], path, digest)
