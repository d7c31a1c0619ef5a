"""Sets of ranks as short text."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.domain.training import ranges


@pytest.mark.parametrize(
    ("ranks", "text"),
    [([], ""), ([3], "3"), ([0, 1, 2], "0-2"), ([5, 2, 0, 1], "0-2,5"), ([0, 2, 4], "0,2,4"), ([1, 1, 2], "1-2")],
)
def test_neighbours_are_written_as_ranges(ranks: list[int], text: str) -> None:
    assert ranges.to_text(ranks) == text


@pytest.mark.parametrize("text", [None, ""])
def test_nothing_is_no_rank(text: str | None) -> None:
    assert ranges.from_text(text) == frozenset()


@given(st.sets(st.integers(0, 150)))
def test_a_small_set_reads_back(ranks: set[int]) -> None:
    assert ranges.from_text(ranges.to_text(ranks)) == ranks


@given(st.integers(), st.integers(150, 5000))
def test_a_large_set_is_cut_to_what_status_holds_and_invents_no_rank(seed: int, size: int) -> None:
    ranks = set(Random(seed).sample(range(5000), size))
    text = ranges.to_text(ranks)
    assert len(text) <= 1024
    assert ranges.from_text(text) <= ranks


def test_every_other_of_five_thousand_ranks_fills_the_limit() -> None:
    text = ranges.to_text(range(0, 5000, 2))
    assert 1019 <= len(text) <= 1024
    assert ranges.from_text(text) == set(range(0, 2 * len(text.split(",")), 2))
