"""Times go to the API and come back without anybody waiting too short."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.domain import clock
from tests.unit.domain.builders import NOW

MOMENTS = st.timedeltas(timedelta(days=-2000), timedelta(days=20000)).map(lambda since: NOW + since)


@given(MOMENTS)
def test_a_stamp_reads_back_to_the_second(moment: datetime) -> None:
    assert clock.parse(clock.stamp(moment)) == moment.replace(microsecond=0)


def test_stamps_are_in_utc() -> None:
    assert clock.stamp(datetime(2026, 11, 23, 12, tzinfo=timezone(timedelta(hours=2)))) == "2026-11-23T10:00:00Z"


def test_fractions_are_read() -> None:
    assert clock.parse("2026-11-23T10:00:00.250000Z") == datetime(2026, 11, 23, 10, 0, 0, 250000, tzinfo=UTC)


def test_anything_else_is_an_error() -> None:
    with pytest.raises(ValueError, match="soon"):
        clock.parse("soon")


@given(MOMENTS, st.floats(0, 1e6))
def test_a_pause_is_never_shorter_than_asked_and_less_than_a_second_longer(moment: datetime, seconds: float) -> None:
    left = clock.seconds_until(clock.after(moment, seconds), moment)
    assert seconds - 1e-5 <= left < seconds + 1


def test_a_time_that_has_passed_is_negative() -> None:
    assert clock.seconds_until("2026-11-23T10:00:00Z", datetime(2026, 11, 23, 10, 0, 30, tzinfo=UTC)) == -30
