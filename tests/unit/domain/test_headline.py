"""Ready, Reconciling and Stalled as kstatus reads them, and the events that people get."""

import pytest

from tandem.api.conditions import MESSAGE_LIMIT, Condition, ConditionType
from tandem.api.reasons import Reason
from tandem.domain import headline
from tandem.domain.headline import ConditionWriter, Headline
from tests.unit.domain.builders import NOW

WRITE = ConditionWriter(7, NOW)


def ready(reason: Reason) -> list[Condition]:
    return WRITE.readiness(Headline(reason, "before"))


@pytest.mark.parametrize(
    ("state", "conditions"),
    [
        (Headline(Reason.RUNNING, "well"), {"Ready": "True"}),
        (headline.troubled(Reason.IMAGE_PULL, "no image"), {"Ready": "False", "Reconciling": "True"}),
        (headline.blocked(Reason.INVALID_SPEC, "no claim"), {"Ready": "False", "Stalled": "True"}),
    ],
)
def test_reconciling_and_stalled_exist_only_while_true(state: Headline, conditions: dict[str, str]) -> None:
    written = WRITE.readiness(state)
    assert {item.type: item.status for item in written} == conditions
    assert {(item.reason, item.message) for item in written} == {(state.reason.value, state.message)}


def test_a_condition_speaks_of_its_generation_and_moment() -> None:
    written = WRITE(ConditionType.PLACED, None, Reason.PENDING)
    assert (written.status, written.observed_generation, written.last_transition_time) == (
        "Unknown",
        7,
        "2026-11-23T10:00:00Z",
    )


def test_messages_are_cut_to_what_a_condition_holds() -> None:
    assert len(WRITE(ConditionType.READY, True, Reason.RUNNING, "x" * 1000).message) == MESSAGE_LIMIT


@pytest.mark.parametrize(
    ("before", "state", "warning"),
    [
        (None, Headline(Reason.QUEUED, "waits"), False),
        (Reason.QUEUED, Headline(Reason.STARTING, "starts"), False),
        (None, headline.troubled(Reason.STARTING, "0 of 2 replicas answer"), False),
        (None, headline.troubled(Reason.QUEUED, "0 of 8 devices are free"), False),
        (Reason.RUNNING, Headline(Reason.USER_FAILURE, "exit code 1"), True),
        (Reason.RUNNING, Headline(Reason.INFRA_FAILURE, "node gone"), True),
        (Reason.STARTING, headline.troubled(Reason.IMAGE_PULL, "no image"), True),
        (Reason.QUEUED, headline.blocked(Reason.ILLEGAL_COUNT, "3"), True),
    ],
)
def test_a_new_reason_is_told(before: Reason | None, state: Headline, warning: bool) -> None:
    (event,) = headline.events(ready(before) if before else [], state)
    assert (event.reason, event.message, event.warning) == (state.reason.value, state.message, warning)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (Reason.QUEUED, Reason.QUEUED),
        (Reason.STARTING, Reason.RUNNING),
        (None, Reason.WAITING_FOR_PREDECESSOR),
        (Reason.STARTING, Reason.AVAILABLE),
    ],
)
def test_the_same_reason_and_one_that_follows_from_another_are_not(before: Reason | None, now: Reason) -> None:
    assert headline.events(ready(before) if before else [], Headline(now, "other words")) == ()
