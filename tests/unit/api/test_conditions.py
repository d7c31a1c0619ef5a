"""Conditions: transition times, lookups and the length of messages."""

from hypothesis import given
from hypothesis import strategies as st

from tandem.api.conditions import (
    MESSAGE_LIMIT,
    Condition,
    ConditionStatus,
    ConditionType,
    clip,
    find,
    is_true,
    merge_conditions,
)

EARLIER, LATER = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


def condition(
    kind: ConditionType, status: ConditionStatus = "True", time: str = EARLIER, message: str = ""
) -> Condition:
    return Condition(
        type=kind, status=status, reason="Running", message=message, last_transition_time=time, observed_generation=1
    )


CONDITIONS = st.dictionaries(st.sampled_from(ConditionType), st.sampled_from(["True", "False", "Unknown"]))


def at(time: str, statuses: dict[ConditionType, ConditionStatus]) -> list[Condition]:
    return [condition(kind, status, time) for kind, status in statuses.items()]


@given(CONDITIONS, CONDITIONS)
def test_a_time_changes_exactly_when_the_status_does(
    old: dict[ConditionType, ConditionStatus], new: dict[ConditionType, ConditionStatus]
) -> None:
    for merged in merge_conditions(at(EARLIER, old), at(LATER, new)):
        kind = ConditionType(merged.type)
        assert merged.last_transition_time == (EARLIER if old.get(kind) == merged.status else LATER)


@given(CONDITIONS, CONDITIONS)
def test_but_for_times_the_new_conditions_stand(
    old: dict[ConditionType, ConditionStatus], new: dict[ConditionType, ConditionStatus]
) -> None:
    merged = merge_conditions(at(EARLIER, old), at(LATER, new))
    assert [(item.type, item.status) for item in merged] == list(new.items())


@given(CONDITIONS)
def test_merging_the_same_again_changes_nothing(statuses: dict[ConditionType, ConditionStatus]) -> None:
    before = at(EARLIER, statuses)
    assert merge_conditions(before, at(LATER, statuses)) == before


def test_a_new_message_does_not_move_the_time() -> None:
    old = [condition(ConditionType.READY, message="2 of 4 pods run")]
    new = [condition(ConditionType.READY, time=LATER, message="3 of 4 pods run")]
    assert merge_conditions(old, new) == [condition(ConditionType.READY, message="3 of 4 pods run")]


def test_a_condition_is_found_by_its_type() -> None:
    ready, stalled = condition(ConditionType.READY, "False"), condition(ConditionType.STALLED)
    assert find([ready, stalled], ConditionType.STALLED) is stalled
    assert find([ready, stalled], ConditionType.PLACED) is None


def test_only_a_condition_that_is_there_and_true_is_true() -> None:
    conditions = [condition(ConditionType.READY), condition(ConditionType.PLACED, "Unknown")]
    assert is_true(conditions, ConditionType.READY)
    assert not is_true(conditions, ConditionType.PLACED)
    assert not is_true(conditions, ConditionType.FAILED)


@given(st.text(max_size=2 * MESSAGE_LIMIT))
def test_a_clipped_message_fits_and_keeps_its_beginning(message: str) -> None:
    clipped = clip(message)
    assert len(clipped) <= MESSAGE_LIMIT
    assert message.startswith(clipped.removesuffix("…")) or clipped == message
    assert (clipped == message) == (len(message) <= MESSAGE_LIMIT)
