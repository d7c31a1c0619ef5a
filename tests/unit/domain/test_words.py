"""Numbers in sentences."""

import pytest

from tandem.domain.words import times


@pytest.mark.parametrize(("number", "text"), [(0, "0 pods"), (1, "1 pod"), (3, "3 pods")])
def test_one_thing_is_told_in_the_singular(number: int, text: str) -> None:
    assert times(number, "pod") == text
