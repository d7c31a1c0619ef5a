"""Policies: an edit wakes all work, since whoever waits may be allowed elsewhere; the operator's own status is no news."""

from typing import Any, cast

import pytest

from tandem.cluster.client import Client
from tandem.domain.observed import Key
from tandem.runtime.feeds import Feeds
from tandem.runtime.workqueue import WorkQueue
from tests.unit.runtime.builders import key, raw, run_spec
from tests.unit.runtime.small_api import SmallApi

BOTH = [key(), key("chat", "InferenceService")]
FORBID = {"forbid": [{"accelerator": "gpu"}]}


@pytest.fixture
async def feeds() -> Feeds:
    """A run and a service that are settled, and a policy that was told to them."""
    made = Feeds(cast("Client", SmallApi()), WorkQueue(), 60)
    made.objects.put("TrainingRun", raw("TrainingRun", "hello", 1, run_spec()))
    made.objects.put("InferenceService", raw("InferenceService", "chat", 1, run_spec()))
    made.objects.put("PlacementPolicy", raw("PlacementPolicy", "p", 2, FORBID))
    made.started = True
    return made


def put(feeds: Feeds, version: int, spec: dict[str, Any], **status: Any) -> None:
    feeds.objects.put("PlacementPolicy", {**raw("PlacementPolicy", "p", version, spec), "status": status})


async def woken(feeds: Feeds) -> list[Key]:
    return [(await feeds.queue.get())[0] for _ in range(feeds.queue.depth())]


async def test_an_edited_policy_wakes_all_work(feeds: Feeds) -> None:
    put(feeds, 3, {**FORBID, "priority": 1})
    assert await woken(feeds) == BOTH


async def test_a_policy_that_goes_wakes_all_work(feeds: Feeds) -> None:
    feeds.objects.remove("PlacementPolicy", "", "p", "p-uid", 3)
    assert await woken(feeds) == BOTH


async def test_a_policys_status_wakes_nobody(feeds: Feeds) -> None:
    put(feeds, 3, FORBID, observedGeneration=1)
    assert await woken(feeds) == []
