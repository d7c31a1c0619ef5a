"""Seeded bugs are caught; `python -m tests.faults.mutants` tries all of them."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.lane import Lane
from tests.faults.mutants import MUTANTS, Mutant, hunt, plant

SAMPLE = ("intent written after what it speaks of", "AlreadyExists taken for a refusal")
"""One that only a crash at the right moment shows, and one that only an answer shows that is rare."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_bug_still_fits_the_operator_and_is_python(mutant: Mutant, tmp_path: Path) -> None:
    source = plant(mutant, tmp_path)
    for name, _, _ in mutant.changes:
        compile((source / "tandem" / name).read_text(), name, "exec")


@pytest.mark.controlplane
# Where the lane of the same story is.
@pytest.mark.xdist_group("training")
def test_a_sample_of_seeded_bugs_is_caught() -> None:
    async def try_them() -> None:
        async with Lane() as lane:
            verdicts = await hunt([mutant for mutant in MUTANTS if mutant.name in SAMPLE], lane)
        assert {verdict.mutant.name for verdict in verdicts if verdict.killer} == set(SAMPLE)

    asyncio.run(try_them())
