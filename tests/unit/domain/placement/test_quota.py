"""Quotas are looked at before pods are made."""

from dataclasses import replace
from typing import Any

import pytest

from tandem.api.reasons import Reason
from tandem.domain.observed import QuotaRecord
from tandem.domain.placement.place import place
from tandem.domain.placement.quota import exceeded
from tandem.domain.placement.request import Ask, Decision
from tests.unit.domain.builders import CREATED, GPU, NOW, candidate, granted, node, option, snapshot

DEVICES = f"requests.{GPU}"


def quota(hard: dict[str, int], used: dict[str, int] | None = None, name: str = "team-a") -> QuotaRecord:
    return QuotaRecord("team", name, 1, hard, used or {})


@pytest.mark.parametrize(
    ("hard", "used", "room"),
    [
        ({DEVICES: 16}, {}, True),
        ({DEVICES: 16}, {DEVICES: 1}, False),
        ({DEVICES: 15}, {}, False),
        ({"pods": 3}, {"pods": 1}, True),
        ({"pods": 3}, {"pods": 2}, False),
        ({"count/pods": 2}, {"count/pods": 1}, False),
        ({"requests.other.com/gpu": 0}, {}, True),
    ],
)
def test_a_gang_must_find_room_whole(hard: dict[str, int], used: dict[str, int], room: bool) -> None:
    assert (exceeded("main", option(pods=2), 2, [quota({}), quota(hard, used)]) is None) is room


def test_the_message_names_the_quota_the_numbers_and_the_mend() -> None:
    found = exceeded("main", option(pods=2), 2, [quota({DEVICES: 20}, {DEVICES: 8})])
    assert found is not None
    assert found.reason is Reason.QUOTA_EXCEEDED
    assert found.message == (
        "2 pods x 8 devices asked for; quota team-a allows 20 requests.nvidia.com/gpu, 8 in use, 16 more needed:"
        " raise it, or wait until others of the namespace end"
    )


def decided(quotas: dict[str, tuple[QuotaRecord, ...]], **fields: Any) -> Decision:
    asked = Ask(
        uid="a",
        kind="TrainingRun",
        namespace="team",
        name="a",
        attempt=1,
        since=CREATED,
        candidates=(candidate("main", option(pods=2)),),
        **fields,
    )
    state = replace(snapshot([node("gpu-0"), node("gpu-1")], []), quotas=quotas)
    return place([asked], state, (), NOW)["a"]


def test_quotas_of_the_namespace_alone_keep_a_gang_waiting() -> None:
    tight = (quota({DEVICES: 8}),)
    assert granted(decided({"other": tight})) == {"main": 2}
    refused = decided({"team": tight})
    assert granted(refused) == {}
    assert [item.reason for item in refused.rejected] == [Reason.QUOTA_EXCEEDED]


def test_replicas_start_as_long_as_one_more_has_room() -> None:
    """What is beyond, the server refuses pod by pod."""
    assert granted(decided({"team": (quota({DEVICES: 8}),)}, replicas=2)) == {"main": 2}
    assert granted(decided({"team": (quota({DEVICES: 7}),)}, replicas=2)) == {}
