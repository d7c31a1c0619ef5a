"""The comparison with the server: ghosts go, what was missed is read again, and what agrees costs no read."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tandem.cluster.client import Client
from tandem.runtime import resync
from tandem.runtime.objects import ObjectStore
from tests.cluster.fake_api import FakeApi, failure
from tests.unit.runtime.builders import key, profile_spec, raw, run_spec
from tests.unit.runtime.kinds import Kinds


@pytest.fixture
async def server() -> AsyncIterator[tuple[Kinds, Client]]:
    """A server of pages of two, and a client of it."""
    serve = Kinds()
    async with FakeApi() as api, api.client() as client:
        api.answer_all(serve)
        yield serve, client


@pytest.fixture
def store() -> ObjectStore:
    """An empty store that tells nobody."""
    return ObjectStore(lambda _: None, lambda _: None)


def run(name: str, version: int, **more: Any) -> dict[str, Any]:
    """A run as the server has it."""
    return raw("TrainingRun", name, version, run_spec(), **more)


async def test_the_store_is_filled_from_all_pages(server: tuple[Kinds, Client], store: ObjectStore) -> None:
    serve, client = server
    serve.items["trainingruns"] = [run(f"r{number}", number + 1) for number in range(5)]
    serve.items["acceleratorprofiles"] = [raw("AcceleratorProfile", "gpu", 9, profile_spec())]
    await resync.fill(client, store)
    assert sorted(stored.key.name for stored in store) == ["gpu", "r0", "r1", "r2", "r3", "r4"]
    assert list(store.profiles) == ["gpu"]


async def test_what_agrees_is_not_read_again(server: tuple[Kinds, Client], store: ObjectStore) -> None:
    serve, client = server
    serve.items["trainingruns"] = [run("same", 5), run("other", 6)]
    await resync.fill(client, store)
    assert await resync.compare(client, store) == 0
    assert serve.reads == []


async def test_a_ghost_is_removed(server: tuple[Kinds, Client], store: ObjectStore) -> None:
    """Its deletion fell into a gap of the watch."""
    serve, client = server
    serve.items["trainingruns"] = [run("ghost", 5)]
    serve.items["acceleratorprofiles"] = [raw("AcceleratorProfile", "gpu", 9, profile_spec())]
    await resync.fill(client, store)
    serve.items["trainingruns"] = []
    serve.items["acceleratorprofiles"] = []
    assert await resync.compare(client, store) == 2
    assert store.get(key("ghost")) is None
    assert store.profiles == {}


async def test_what_was_missed_is_read_again(server: tuple[Kinds, Client], store: ObjectStore) -> None:
    """An object that is new, one that changed, and one that was replaced by another of its name."""
    serve, client = server
    serve.items["trainingruns"] = [run("edited", 5), run("replaced", 6, uid="old"), run("same", 7)]
    await resync.fill(client, store)
    serve.items["trainingruns"] = [run("edited", 8), run("replaced", 9, uid="new"), run("same", 7), run("fresh", 10)]
    assert await resync.compare(client, store) == 3
    assert sorted(serve.reads) == ["edited", "fresh", "replaced"]
    assert {stored.key.name: (stored.uid, stored.resource_version) for stored in store} == {
        "edited": ("edited-uid", 8),
        "replaced": ("new", 9),
        "same": ("same-uid", 7),
        "fresh": ("fresh-uid", 10),
    }


async def test_what_the_store_knows_better_stays(server: tuple[Kinds, Client], store: ObjectStore) -> None:
    """The reply to an own write is newer than the list."""
    serve, client = server
    serve.items["trainingruns"] = [run("ahead", 5)]
    store.put("TrainingRun", run("ahead", 8))
    assert await resync.compare(client, store) == 0
    assert serve.reads == []


async def test_missing_crds_are_named_with_the_command_that_helps(server: tuple[Kinds, Client]) -> None:
    serve, client = server
    await resync.check_served(client)
    serve.kinds = ["TrainingRun"]
    with pytest.raises(
        resync.CrdsMissingError,
        match=r"^AcceleratorProfile, InferenceService, PlacementPolicy are not served.*tandem crds",
    ):
        await resync.check_served(client)


async def test_a_group_that_is_not_there_at_all_means_missing_crds() -> None:
    async with FakeApi() as api, api.client() as client:
        api.answer_all(failure(404, "NotFound"))
        with pytest.raises(resync.CrdsMissingError, match="TrainingRun"):
            await resync.check_served(client)
