"""Statuses of policies: written a while after a change, only where they differ, and never at rest."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest

from tandem.cluster.applier import Applier, Outcome, Target
from tandem.cluster.client import ApiError, Client
from tandem.domain.observed import NamespaceRecord
from tandem.domain.placement.fit import Snapshot, snapshot
from tandem.domain.placement.holders import Held
from tandem.domain.plan import Plan
from tandem.runtime.feeds import Feeds
from tandem.runtime.policy_reports import PolicyReports
from tandem.runtime.workqueue import WorkQueue
from tests.unit.domain.builders import NOW
from tests.unit.runtime.builders import foreign, own_pod, profile_spec, raw
from tests.unit.runtime.small_api import SmallApi

SHARE = {"shares": [{"accelerator": "gpu", "percent": 60}]}


class World:
    """Feeds with one profile and one namespace, and an API server that takes statuses, or does not."""

    def __init__(self) -> None:
        self.feeds = Feeds(cast("Client", SmallApi()), WorkQueue(), 60)
        self.written: list[tuple[str, str]] = []
        """Policy and reason of Ready of each write."""
        self.answers: list[Exception | Outcome] = []
        """Of the next writes, in place of success."""
        self.version = 10
        self.reports = PolicyReports(
            self.feeds.objects, self.snapshot, cast("Applier", self), delay=0.01, now=lambda: NOW
        )
        self.feeds.policy_news = self.reports.changed
        self.feeds.stores.namespaces.feed(("", "team"), NamespaceRecord("team"), 1)
        self.feeds.objects.put("AcceleratorProfile", raw("AcceleratorProfile", "gpu", 1, profile_spec()))

    def snapshot(self) -> Snapshot:
        return replace(snapshot([], []), held=Held(self.feeds.policies()))

    def put(self, name: str, spec: Mapping[str, Any], status: Mapping[str, Any] | None = None) -> None:
        self.version += 1
        self.feeds.objects.put(
            "PlacementPolicy", {**raw("PlacementPolicy", name, self.version, dict(spec)), "status": status or {}}
        )

    async def run(self, target: Target, plan: Plan, *, write_status: bool) -> Outcome:
        """The applier's part."""
        assert write_status
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        assert plan.status is not None
        found = {item["type"]: item["reason"] for item in plan.status["conditions"]}
        self.written.append((target.key.name, found["Ready"]))
        stored = self.feeds.objects.get(target.key)
        assert stored is not None
        # The server hands conditions back in an order of its own.
        self.put(target.key.name, stored.spec, {**plan.status, "conditions": plan.status["conditions"][::-1]})
        return Outcome()


@pytest.fixture
def world() -> World:
    return World()


async def settled(world: World) -> list[tuple[str, str]]:
    """What is written until nothing is left to be."""
    task = asyncio.create_task(world.reports.run())
    for _ in range(500):
        await asyncio.sleep(0.02)
        if not world.reports._due.is_set():
            break
    task.cancel()
    return world.written


async def test_every_policy_gets_a_status_once_and_at_rest_nothing_is_written(world: World) -> None:
    world.put("a", SHARE)
    world.put("b", {"forbid": [{"accelerator": "none"}]})
    assert await settled(world) == [("a", "InForce"), ("b", "NothingSelected")]
    world.reports.changed()
    assert len(await settled(world)) == 2


async def test_a_policy_that_cannot_be_read_is_told_what_is_wrong_and_later_that_it_counts(world: World) -> None:
    world.put("a", {"priority": "high"})
    assert await settled(world) == [("a", "InvalidSpec")]
    stored = next(item for item in world.feeds.objects if item.key.name == "a")
    conditions = {item["type"]: item for item in stored.status["conditions"]}
    assert conditions.keys() == {"Ready", "Stalled"}
    assert conditions["Ready"]["message"].startswith("priority: ")
    world.put("a", SHARE, stored.status)
    assert (await settled(world))[1:] == [("a", "InForce")]


async def test_a_status_that_nobody_can_read_is_written_anew(world: World) -> None:
    world.put("a", SHARE, {"conditions": "all well"})
    assert list(world.reports.shares()) == []
    assert await settled(world) == [("a", "InForce")]
    world.put("b", {"priority": "high"}, {"conditions": "all well"})
    assert (await settled(world))[1:] == [("b", "InvalidSpec")]


async def test_a_write_that_fails_or_comes_too_late_is_made_again(world: World) -> None:
    world.put("a", SHARE)
    world.answers = [ApiError(500, "InternalError", "no"), Outcome(superseded=True)]
    assert await settled(world) == [("a", "InForce")]


async def test_a_report_that_cannot_be_made_ends_nothing(world: World) -> None:
    world.put("a", SHARE)
    world.answers = [RuntimeError("a bug")]
    assert await settled(world) == []
    world.reports.changed()
    assert await settled(world) == [("a", "InForce")]


async def test_without_policies_nobody_looks_at_the_cluster(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "snapshot", None)
    world.reports.changed()
    assert await settled(world) == []


async def test_pods_of_ours_are_news_and_those_of_others_are_not(world: World) -> None:
    world.reports._due.clear()
    world.reports.pod_changed(None, foreign("other", 1))
    assert not world.reports._due.is_set()
    world.reports.pod_changed(own_pod(), None)
    assert world.reports._due.is_set()


async def test_metrics_tell_what_status_tells(world: World) -> None:
    world.put("a", SHARE)
    await settled(world)
    assert list(world.reports.shares()) == [("a", "gpu", 60, 0)]
