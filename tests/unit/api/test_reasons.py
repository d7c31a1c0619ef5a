"""The closed list of reasons."""

import re

import pytest

from tandem.api.reasons import Reason, reason_of


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_a_reason_is_one_camel_case_word_with_a_sentence(reason: Reason) -> None:
    # The pattern is the one of metav1.Condition.reason, without what would need a pause when spoken.
    assert re.fullmatch(r"[A-Z][A-Za-z]{2,62}", reason)
    assert reason.description.endswith(".")


@pytest.mark.parametrize("reason", Reason, ids=str)
def test_a_reason_is_found_by_its_word(reason: Reason) -> None:
    assert reason_of(reason.value) is reason


def test_the_word_of_another_operator_version_is_unknown() -> None:
    assert reason_of("InventedLater") is Reason.UNKNOWN
