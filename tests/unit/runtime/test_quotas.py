"""A quota that leaves more room is news for those that wait; one that fills up is not."""

from dataclasses import replace

import pytest

from tandem.domain.observed import QuotaRecord
from tandem.runtime.feeds import _leaves_more

QUOTA = QuotaRecord("team", "q", 1, {"pods": 4}, {"pods": 2})


@pytest.mark.parametrize(
    ("new", "more"),
    [
        (replace(QUOTA, used={"pods": 3}), False),
        (replace(QUOTA, hard={"pods": 3}), False),
        (replace(QUOTA, hard={"pods": 5}, used={"pods": 3}), False),
        (replace(QUOTA, used={"pods": 1}), True),
        (replace(QUOTA, hard={"pods": 5}), True),
        (replace(QUOTA, hard={"requests.gpu": 1}), True),
    ],
)
def test_room_is_what_is_allowed_less_what_is_used(new: QuotaRecord, more: bool) -> None:
    assert _leaves_more(QUOTA, new) is more
