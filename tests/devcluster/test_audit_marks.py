"""Where a mark stands when the API server is just writing a line."""

import json
from pathlib import Path

import pytest

from devcluster import audit, paths


def line(name: str) -> bytes:
    """An audit line about an object of this name."""
    event = {
        "requestReceivedTimestamp": "2026-11-23T10:00:00Z",
        "user": {},
        "verb": "create",
        "objectRef": {"name": name},
    }
    return json.dumps(event).encode() + b"\n"


def test_a_line_that_is_being_written_comes_after_the_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its request is not answered yet; half of a line could not be read either."""
    monkeypatch.setattr(paths, "audit_dir", lambda: tmp_path)
    log = tmp_path / audit.CURRENT
    begun = line("begun")
    log.write_bytes(line("before") + begun[:20])

    start = audit.mark()
    with log.open("ab") as file:
        file.write(begun[20:] + line("after"))

    assert [event.name for event in audit.since(start)] == ["begun", "after"]


def test_an_empty_log_has_a_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The very first line is after it."""
    monkeypatch.setattr(paths, "audit_dir", lambda: tmp_path)
    (tmp_path / audit.CURRENT).touch()

    start = audit.mark()
    (tmp_path / audit.CURRENT).write_bytes(line("first"))

    assert [event.name for event in audit.since(start)] == ["first"]
