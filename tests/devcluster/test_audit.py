"""Reading the audit log from a mark on: whole lines only, through a rotation."""

import json
from pathlib import Path

import pytest

from devcluster import audit, paths


def line(name: str, verb: str = "get", agent: str = "tandem/1", user: str = "u") -> str:
    event = {
        "requestReceivedTimestamp": "2026-01-02T03:04:05.678901Z",
        "user": {"username": user},
        "userAgent": agent,
        "verb": verb,
        "objectRef": {"apiGroup": "tandem.dev", "resource": "trainingruns", "namespace": "n", "name": name},
        "responseStatus": {"code": 200},
        "requestURI": f"/apis/tandem.dev/v1alpha1/namespaces/n/trainingruns/{name}",
    }
    return json.dumps(event) + "\n"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TANDEM_CACHE", str(tmp_path))
    path = paths.audit_dir() / audit.CURRENT
    path.write_text(line("before"))
    return path


def names(start: audit.Mark, **filters: str) -> list[str]:
    return [event.name for event in audit.since(start, **filters)]


def test_only_what_came_after_the_mark(log: Path) -> None:
    start = audit.mark()
    assert names(start) == []
    with log.open("a") as file:
        file.write(line("a") + line("b"))
    assert names(start) == ["a", "b"]


def test_a_half_written_line_waits_for_its_end(log: Path) -> None:
    start = audit.mark()
    with log.open("a") as file:
        file.write(line("a") + line("b")[:20])
    assert names(start) == ["a"]


def test_rotation_loses_and_doubles_nothing(log: Path) -> None:
    start = audit.mark()
    with log.open("a") as file:
        file.write(line("a"))
    log.rename(log.with_name("audit-2026-01-02T03-04-05.678.log"))
    log.write_text(line("b"))
    assert names(start) == ["a", "b"]


def test_filters(log: Path) -> None:
    start = audit.mark()
    with log.open("a") as file:
        file.write(line("a", agent="kubectl/v1") + line("b", user="system:serviceaccount:n:x"))
    assert names(start, user_agent="tandem") == ["b"]
    assert names(start, user="system:serviceaccount:n:x") == ["b"]
    assert names(start, user="system") == []


def test_an_event_carries_its_request(log: Path) -> None:
    start = audit.mark()
    with log.open("a") as file:
        file.write(line("a", verb="patch"))
    (event,) = audit.since(start)
    assert event.is_write
    assert (event.verb, event.group, event.resource, event.namespace, event.code) == (
        "patch",
        "tandem.dev",
        "trainingruns",
        "n",
        200,
    )
