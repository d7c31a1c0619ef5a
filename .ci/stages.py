"""All checks of the project, in order: what is cheap first, and its first failure ends the run; what needs the cluster last.

`make test`, `make test-fast`, `make lint`. Every test belongs to exactly one stage, by its folder and its marks, so a new one
needs no entry here. The last line sums up the tests of all stages; a skipped test counts as a failure.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from devcluster.shell import say

TYPED = ("operator/tandem", "devcluster", "examples/demo.py", ".ci/stages.py", ".ci/sbom.py")
SAMPLE = "examples/workload"
PARALLEL_FAST = "2"
PARALLEL_CLUSTER = "4"
"""Tests on the cluster mostly wait, so there may be more of them at a time than cores."""


@dataclass(frozen=True)
class Stage:
    """One command, run in `folder`. `tests`: it is a run of pytest; `gate`: its failure ends everything."""

    name: str
    command: tuple[str, ...]
    tests: bool = False
    gate: bool = True
    folder: str = "."


@dataclass
class Totals:
    """What the tests of all stages came to."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    broken: list[str] = field(default_factory=list)
    """Stages that failed."""

    def add(self, report: Path) -> None:
        """Count the tests of a JUnit report; a stage that was killed has left none."""
        if not report.exists():
            return
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            count = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
            bad = count["failures"] + count["errors"]
            self.failed += bad
            self.skipped += count["skipped"]
            self.passed += count["tests"] - bad - count["skipped"]

    @property
    def well(self) -> bool:
        """Whether everything passed, and nothing was left out."""
        return not (self.failed or self.skipped or self.broken)


def tool(name: str, *words: str) -> tuple[str, ...]:
    """A program of the environment this runs in."""
    return (str(Path(sys.executable).parent / name), *words)


def module(name: str, *words: str) -> tuple[str, ...]:
    """A Python module as a program."""
    return (sys.executable, "-m", name, *words)


def pytest(name: str, *words: str, gate: bool = False) -> Stage:
    """A stage of tests."""
    return Stage(name, module("pytest", "-q", *words), tests=True, gate=gate)


LINT = (
    Stage("style", tool("ruff", "check", ".")),
    Stage("format", tool("ruff", "format", "--check", "--quiet", ".")),
    Stage("types", tool("mypy", *TYPED)),
    # Its modules import each other as they lie in the image, and PyTorch is in the image alone.
    Stage(
        "types of the sample",
        tool("mypy", "--config-file=../../pyproject.toml", "--ignore-missing-imports", "."),
        folder=SAMPLE,
    ),
    Stage("import contracts", tool("lint-imports", "--no-cache")),
    Stage("generated files", module("tandem.api.generate", "--check")),
)
OFFLINE = "not cluster and not serial and not controlplane"
FAST = (
    pytest("unit tests", "tests/unit", "-m", OFFLINE, "-n", PARALLEL_FAST, "--cov", gate=True),
    pytest("tests without a cluster", "tests", "--ignore=tests/unit", "-m", OFFLINE, "-n", PARALLEL_FAST, gate=True),
)
FAULTS = (
    # Before the cluster is up: it needs the programs that the cluster is made of, and the cores to itself.
    pytest("fault plans", "tests", "-m", "controlplane", "-n", PARALLEL_FAST, "--dist=loadgroup"),
)
END_TO_END = "tests/e2e"
CLUSTER = (
    Stage("cluster up", module("devcluster", "up")),
    pytest("cluster tests", "tests", f"--ignore={END_TO_END}", "-m", "cluster and not serial", "-n", PARALLEL_CLUSTER),
    pytest("serial tests", "tests", f"--ignore={END_TO_END}", "-m", "serial"),
    # Last: it installs the operator by the chart, and there may be only one in the cluster.
    pytest("end to end", END_TO_END),
)


def run(stages: tuple[Stage, ...]) -> Totals:
    """Run the stages in order, with their output as it comes."""
    totals = Totals()
    with tempfile.TemporaryDirectory(prefix="tandem-test-") as folder:
        for number, stage in enumerate(stages, 1):
            report = Path(folder) / f"{number}.xml"
            command = (*stage.command, f"--junitxml={report}") if stage.tests else stage.command
            say(f"{number}/{len(stages)} {stage.name}")
            begin = time.monotonic()
            code = subprocess.run(command, cwd=stage.folder, check=False).returncode
            say(
                f"{number}/{len(stages)} {stage.name}: {'ok' if code == 0 else 'FAILED'}, {time.monotonic() - begin:.0f} s"
            )
            totals.add(report)
            if code:
                totals.broken.append(stage.name)
                if stage.gate:
                    break
    return totals


def main() -> int:
    """0 when everything passed and nothing was skipped."""
    parser = argparse.ArgumentParser(description="All checks of the project.")
    parser.add_argument("--fast", action="store_true", help="only what needs no cluster")
    parser.add_argument("--lint", action="store_true", help="only what runs no tests")
    given = parser.parse_args()
    begin = time.monotonic()
    stages = LINT if given.lint else LINT + FAST if given.fast else LINT + FAST + FAULTS + CLUSTER
    totals = run(stages)
    if totals.skipped:
        say(f"{totals.skipped} tests were skipped: nothing may be")
    if totals.broken:
        say(f"failed: {', '.join(totals.broken)}")
    if any(stage.tests for stage in stages):
        sys.stdout.write(f"{totals.passed} passed, {totals.failed} failed in {time.monotonic() - begin:.0f} s\n")
    return 0 if totals.well else 1


if __name__ == "__main__":
    sys.exit(main())
