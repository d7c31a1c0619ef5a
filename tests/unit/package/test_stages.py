"""How `make test` goes through its stages, and what it makes of their reports."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.package.conftest import script

REPORT = '<testsuites><testsuite tests="10" failures="2" errors="1" skipped="{skipped}"/></testsuites>'


@pytest.fixture(scope="module")
def stages() -> ModuleType:
    return script("stages")


def test_a_report_is_counted(stages: ModuleType, tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(skipped=3))
    totals = stages.Totals()
    totals.add(report)
    totals.add(report)
    totals.add(tmp_path / "none.xml")
    assert (totals.passed, totals.failed, totals.skipped) == (8, 6, 6)


@pytest.mark.parametrize(
    ("given", "well"),
    [({"passed": 3}, True), ({"failed": 1}, False), ({"skipped": 1}, False), ({"broken": ["types"]}, False)],
)
def test_nothing_may_fail_or_be_skipped(stages: ModuleType, given: dict[str, object], well: bool) -> None:
    assert stages.Totals(**given).well is well


def test_a_failed_gate_ends_the_run_and_another_stage_does_not(stages: ModuleType, tmp_path: Path) -> None:
    def stage(name: str, code: int, gate: bool) -> object:
        command = (sys.executable, "-c", f"open({name!r}, 'w').close(); raise SystemExit({code})")
        return stages.Stage(name, command, gate=gate, folder=str(tmp_path))

    totals = stages.run((stage("a", 1, False), stage("b", 0, True), stage("c", 2, True), stage("d", 0, True)))
    assert totals.broken == ["a", "c"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_every_mark_has_its_stage(stages: ModuleType) -> None:
    """Of the sets that the marks make, each is run once."""
    commands = [" ".join(stage.command) for stage in (*stages.FAST, *stages.FAULTS, *stages.CLUSTER) if stage.tests]
    for marks in ("not cluster and not serial and not controlplane", "cluster and not serial"):
        assert [command for command in commands if f"-m {marks}" in command]
    assert len([command for command in commands if "-m controlplane" in command]) == 1
    assert [command for command in commands if command.endswith("-m serial")]
    assert sum("tests/e2e" in command and "--ignore=tests/e2e" not in command for command in commands) == 1
