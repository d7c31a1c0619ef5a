"""Decisions are written to a file where an admin asks for it."""

from pathlib import Path
from typing import Any, cast

import structlog

from tandem.cluster.client import Client
from tandem.cluster.metrics import Metrics
from tandem.domain.placement.record import replay
from tandem.runtime.app import Operator
from tandem.runtime.settings import Settings
from tests.unit.runtime.builders import ask, key
from tests.unit.runtime.small_api import SmallApi


def operator(**settings: Any) -> Operator:
    return Operator(Settings(**settings), cast("Client", SmallApi()), Metrics())


async def test_every_decision_is_a_line_that_can_be_replayed(tmp_path: Path) -> None:
    file = tmp_path / "decisions"
    placer = operator(decisions_file=str(file)).placer
    for name in ("first", "second"):
        decision = await placer.decide(key(name), ask(f"{name}-uid"))
        assert replay(file.read_text().splitlines()[-1]) == {f"{name}-uid": decision}
    assert len(file.read_text().splitlines()) == 2


async def test_a_file_that_cannot_be_written_fails_no_decision(tmp_path: Path) -> None:
    placer = operator(decisions_file=str(tmp_path)).placer
    with structlog.testing.capture_logs() as logs:
        await placer.decide(key(), ask())
    assert [entry["event"] for entry in logs] == ["decision not recorded"]


def test_unless_asked_for_no_record_is_made() -> None:
    assert operator().placer.record is None
