"""Profiles: an edit wakes all work; their own status is no news, follows what changes in the cluster, and is written once."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from tandem.cluster.applier import Applier
from tandem.cluster.client import ApiError, Client
from tandem.cluster.events import EventRecorder
from tandem.domain.observed import ForeignPod, Key
from tandem.domain.timing import Timing
from tandem.runtime import feeds as feeds_module
from tandem.runtime import observer
from tandem.runtime.feeds import Feeds
from tandem.runtime.placer import Placer
from tandem.runtime.reconciler import Reconciler, RetryError
from tandem.runtime.workqueue import Lane, WorkQueue
from tests.unit.runtime.builders import GPU, key, node, profile_spec, raw, run_spec
from tests.unit.runtime.small_api import Object, SmallApi

PATH = "/apis/tandem.dev/v1alpha1/acceleratorprofiles/gpu"
PROFILE = Key("AcceleratorProfile", "", "gpu")
HELD = ForeignPod(uid="other", node="node-a", devices={GPU: 3})


class Setting:
    """A profile and a node of four devices, and a run that is settled; what changes is gathered for no time at all."""

    def __init__(self) -> None:
        self.api = SmallApi()
        client = cast("Client", self.api)
        self.queue = WorkQueue()
        self.feeds = Feeds(client, self.queue, 60)
        stores = self.feeds.stores
        self.placer = Placer(
            nodes=stores.nodes,
            pods=stores.pods,
            pods_known=lambda: True,
            pods_of=lambda key, uid: observer.own_pods(stores, key, uid),
            wake=self.feeds.wake,
            hold_seconds=600,
            metrics=self.api.metrics,
        )
        self.reconciler = Reconciler(
            stores,
            self.queue,
            self.placer,
            Applier(client, self.feeds),
            EventRecorder(client),
            Timing(),
            self.api.metrics,
            now=lambda: datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
        )
        self.feeds.objects.put("TrainingRun", raw("TrainingRun", "hello", 1, run_spec()))
        self.profile(profile_spec())
        self.nodes(node(devices=4), 1)
        self.feeds.started = True

    def profile(self, spec: Object, **status: Any) -> None:
        """The profile, on the server and as a watch tells of it."""
        stored = self.api.put(PATH, {**raw("AcceleratorProfile", "gpu", 1, spec), "status": status})
        self.feeds.objects.put("AcceleratorProfile", stored)

    def nodes(self, record: Any, version: int) -> None:
        change = self.feeds.stores.nodes.feed(("", record.name), record, version)
        assert change is not None
        self.feeds._node_changed(*change)

    async def woken(self) -> list[Key]:
        return [(await self.queue.get())[0] for _ in range(self.queue.depth())]

    def shown(self) -> Object:
        return dict(self.api.objects[PATH]["status"])


@pytest.fixture
async def setting(monkeypatch: pytest.MonkeyPatch) -> Setting:
    monkeypatch.setattr(feeds_module, "COUNT_SECONDS", 0.0)
    return Setting()


async def test_an_edited_profile_is_looked_at_and_wakes_all_work(setting: Setting) -> None:
    setting.profile({**profile_spec(), "revision": "2"})
    assert set(await setting.woken()) == {PROFILE, key()}


async def test_a_profiles_own_status_wakes_nobody(setting: Setting) -> None:
    setting.profile(profile_spec(), observedGeneration=1, nodes={"found": 1, "usable": 1})
    assert await setting.woken() == []


async def test_a_status_of_another_release_that_cannot_be_read_is_written_anew(setting: Setting) -> None:
    setting.profile(profile_spec(), observedGeneration=1, nodes="many")
    await setting.reconciler.reconcile(PROFILE, Lane.STATUS)
    assert setting.shown()["nodes"] == {"found": 1, "usable": 1}


async def test_a_profiles_devices_are_told_once_and_again_when_they_change(setting: Setting) -> None:
    await setting.reconciler.reconcile(PROFILE, Lane.STATUS)
    assert setting.shown()["devices"] == {
        "capacity": 4,
        "allocatable": 4,
        "unhealthy": 0,
        "free": 4,
        "ours": 0,
        "others": 0,
    }
    await setting.reconciler.reconcile(PROFILE, Lane.STATUS)
    assert len(setting.api.writes()) == 1

    await setting.woken()
    change = setting.feeds.stores.pods.feed(("team", "other"), HELD, 7)
    assert change is not None
    setting.feeds._pod_changed(*change)
    assert await setting.woken() == [PROFILE]
    await setting.reconciler.reconcile(PROFILE, Lane.STATUS)
    assert (setting.shown()["devices"]["free"], setting.shown()["devices"]["others"]) == (1, 3)


async def test_a_profile_whose_definition_has_no_status_yet_is_used_all_the_same(setting: Setting) -> None:
    """The API server answers 404 to a status that its older definition of the kind does not have."""
    setting.api.fail("acceleratorprofiles/gpu/status", ApiError(404, "NotFound", "the server could not find it"))
    with pytest.raises(RetryError):
        await setting.reconciler.reconcile(PROFILE, Lane.STATUS)
    assert "gpu" in setting.feeds.objects.profiles


async def test_a_node_that_changes_has_its_devices_counted_anew(setting: Setting) -> None:
    setting.nodes(replace(node(devices=4), allocatable={GPU: 2}), 2)
    assert PROFILE in await setting.woken()
    await setting.reconciler.reconcile(PROFILE, Lane.STATUS)
    assert setting.shown()["devices"]["unhealthy"] == 2


async def test_a_profile_that_cannot_be_read_says_so(setting: Setting) -> None:
    setting.profile({"nodeSelector": {}})
    await setting.reconciler.reconcile(PROFILE, Lane.URGENT)
    [ready] = [item for item in setting.shown()["conditions"] if item["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")
