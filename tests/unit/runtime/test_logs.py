"""Logging: one JSON object a line for machines, short lines for people, the libraries' records in the same shape."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

OPERATOR = Path(__file__).resolve().parents[3] / "operator"


def logged(statements: str, format_: str = "json", level: str = "info") -> str:
    """What a process of its own writes to standard error: logging is global."""
    program = f"""
import logging, structlog
from tandem.runtime import logs
logs.configure({format_!r}, {level!r})
log = structlog.get_logger("tandem.test")
{statements}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(OPERATOR)}
    )
    assert done.stdout == ""
    return done.stderr


def lines(text: str) -> list[dict[str, Any]]:
    """Every line as JSON."""
    return [json.loads(line) for line in text.splitlines()]


def test_a_line_is_json_with_time_level_and_key() -> None:
    [line] = lines(logged('log.info("decided", name="hello", reason="Queued")'))
    assert (line["event"], line["name"], line["reason"]) == ("decided", "hello", "Queued")
    assert line["level"] == "info"
    assert line["logger"] == "tandem.test"
    assert line["timestamp"].endswith("Z")


def test_an_exception_stays_one_line() -> None:
    [line] = lines(logged('try:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception("reconcile failed")'))
    assert "ZeroDivisionError: division by zero" in line["exception"]


def test_records_of_libraries_have_the_same_shape() -> None:
    """kopf's carry the object they speak of, and its chatter is left out."""
    statements = """
reference = {"kind": "TrainingRun", "namespace": "team", "name": "hello", "uid": "u"}
logging.getLogger("kopf.objects").warning("went wrong", extra={"k8s_ref": reference})
logging.getLogger("kopf.activities").info("chatter")
logging.getLogger("other").warning("plain %s", "words")
"""
    first, second = lines(logged(statements))
    assert (first["event"], first["name"], first["level"]) == ("went wrong", "hello", "warning")
    assert second["event"] == "plain words"


def test_the_level_is_obeyed() -> None:
    assert [line["event"] for line in lines(logged('log.info("less"); log.warning("more")', level="warning"))] == [
        "more"
    ]


@pytest.mark.parametrize("format_", ["console", "auto"])
def test_nothing_is_coloured_where_no_terminal_is(format_: str) -> None:
    """Escape codes in a file or a pipe help nobody; without a terminal, auto means JSON."""
    text = logged('log.info("decided", name="hello")', format_)
    assert "\x1b" not in text
    assert "decided" in text
    assert text.startswith("{") == (format_ == "auto")


def test_credentials_show_no_secrets() -> None:
    """Whoever logs them by accident shows where they lead, not what opens the door."""
    from tandem.cluster.client import Credentials  # noqa: PLC0415 - what is tested is its text alone

    shown = repr(Credentials(server="https://api", scheme="Bearer", token="hunter2"))
    assert "https://api" in shown
    assert "hunter2" not in shown
    assert logging.getLevelName("INFO") == logging.INFO
