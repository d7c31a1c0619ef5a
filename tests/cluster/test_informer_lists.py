"""After a list the store is what the server was at one moment, whatever went wrong on the way."""

import asyncio

import pytest
from aiohttp import web

from tandem.cluster import trim
from tandem.cluster.backoff import Backoff
from tandem.cluster.client import Client
from tandem.domain.observed import OwnPod
from tests.cluster.fake_api import FakeApi, failure, text, until
from tests.cluster.informers import watching
from tests.cluster.objects import own_pod, pod


async def test_a_list_is_read_in_pages_to_its_end(api: FakeApi, client: Client) -> None:
    for number in range(7):
        await api.put(pod(f"pod-{number}"))
    async with watching(client) as watched:
        assert watched.names() == {f"pod-{number}" for number in range(7)}
        assert [seen.query.get("limit") for seen in api.seen[:3]] == ["3", "3", "3"]
        assert watched.store.resource_version == api.version
        assert len(watched.changes) == 7
        await api.watch_number(1)
    assert (api.count("list"), api.count("page")) == (1, 2)


async def test_the_watch_begins_where_the_list_was_taken(api: FakeApi, client: Client) -> None:
    await api.put(pod("before"))
    async with watching(client, watch_seconds=300, query={"labelSelector": "a=b"}):
        watch = await api.watch_number(1)
        assert watch.since == api.version
        query = api.seen[-1].query
        assert query["allowWatchBookmarks"] == "true"
        assert query["labelSelector"] == "a=b"
        assert 240 <= int(query["timeoutSeconds"]) <= 360
    assert api.seen[0].query["labelSelector"] == "a=b"


async def test_what_is_of_no_interest_is_not_kept(api: FakeApi, client: Client) -> None:
    await api.put(pod("idle", devices=0))
    async with watching(client) as watched:
        await api.watch_number(1)
        await api.put(pod("idle-too", devices=0))
        await api.put(pod("busy"))
        await until(lambda: watched.names() == {"busy"})
        assert len(watched.changes) == 1


async def test_deletions_missed_in_a_gap_are_told_after_a_new_list(api: FakeApi, client: Client) -> None:
    for name in ("stays", "goes", "goes-too"):
        await api.put(pod(name))
    async with watching(client) as watched:
        watch = await api.watch_number(1)
        watched.changes.clear()
        watch.cut()
        await api.remove("default", "goes", quietly=True)
        await api.remove("default", "goes-too", quietly=True)
        await api.put(pod("comes"), quietly=True)
        api.oldest = api.version
        await until(lambda: watched.names() == {"stays", "comes"})
        assert [after for _, after in watched.changes].count(None) == 2
        assert len(watched.changes) == 3


async def test_a_pod_that_lost_interest_in_a_gap_is_dropped(api: FakeApi, client: Client) -> None:
    await api.put(own_pod())
    async with watching(client) as watched:
        watch = await api.watch_number(1)
        stripped = pod("hello-a1-0", devices=0)
        watch.cut()
        await api.put(stripped, quietly=True)
        api.oldest = api.version
        await until(lambda: not watched.names())


async def test_an_own_write_newer_than_the_list_stays(api: FakeApi, client: Client) -> None:
    await api.put(pod("other"))
    async with watching(client) as watched:
        await api.watch_number(1)
        mine = trim.pod({**own_pod(), "metadata": {**own_pod()["metadata"], "resourceVersion": str(api.version + 5)}})
        assert isinstance(mine, OwnPod)
        watched.store.apply((mine.namespace, mine.name), mine, mine.resource_version)
        watched.informer.relist()
        await until(lambda: api.count("list") == 2)
        await api.watch_number(2)
        assert watched.names() == {"other", "hello-a1-0"}


async def test_a_list_whose_continue_token_expires_begins_again(api: FakeApi, client: Client) -> None:
    for number in range(5):
        await api.put(pod(f"pod-{number}"))
    api.fail_next("page", failure(410, "Expired"))
    async with watching(client) as watched:
        assert len(watched.names()) == 5
    assert (api.count("list"), api.count("page")) == (2, 2)


async def test_a_list_is_not_synced_before_its_last_page(api: FakeApi, client: Client) -> None:
    for number in range(5):
        await api.put(pod(f"pod-{number}"))
    api.fail_next("page", *[failure(500, "InternalError")] * 6)
    async with watching(client, synced=False) as watched:
        await until(lambda: api.count("page") >= 4)
        assert not watched.informer.synced.is_set()
        await until(watched.informer.synced.is_set)
        assert len(watched.names()) == 5


async def test_a_forbidden_list_is_said_so_until_it_is_allowed(api: FakeApi, client: Client) -> None:
    api.fail_next("list", failure(403, "Forbidden"), failure(403, "Forbidden"))
    async with watching(client, synced=False) as watched:
        await until(lambda: watched.informer.forbidden)
        assert not watched.informer.synced.is_set()
        await until(watched.informer.synced.is_set)
        assert not watched.informer.forbidden
    assert (
        client.metrics.registry.get_sample_value(
            "tandem_informer_failures_total", {"informer": "pods", "reason": "Forbidden"}
        )
        == 2
    )


async def test_an_api_server_that_has_just_started_is_asked_again_soon(api: FakeApi, client: Client) -> None:
    """For a moment it forbids everything; a role that is missing is asked for ever more rarely."""
    api.fail_next("list", *[failure(403, "Forbidden")] * 3)
    async with watching(client, synced=False, backoff=Backoff(base=0.01, cap=30.0)) as watched:
        await asyncio.wait_for(watched.informer.synced.wait(), 3)


async def test_a_forbidden_watch_is_said_so_and_needs_no_list(api: FakeApi, client: Client) -> None:
    api.fail_next("watch", failure(403, "Forbidden"))
    async with watching(client) as watched:
        await until(lambda: watched.informer.forbidden)
        watch = await api.watch_number(1)
        await watch.bookmark(api.version)
        await until(lambda: not watched.informer.forbidden)
    assert api.count("list") == 1


async def test_a_list_can_be_asked_for_while_a_watch_runs(api: FakeApi, client: Client) -> None:
    async with watching(client) as watched:
        await api.watch_number(1)
        watched.informer.relist()
        await api.watch_number(2)
    assert api.count("list") == 2


async def test_a_list_asked_for_during_a_list_is_made_after_it(api: FakeApi, client: Client) -> None:
    for number in range(5):
        await api.put(pod(f"pod-{number}"))
    async with watching(client, synced=False) as watched:

        async def last_page(_: web.Request) -> web.StreamResponse:
            watched.informer.relist()
            return web.json_response({"metadata": {"resourceVersion": str(api.version)}, "items": []})

        api.fail_next("page", last_page)
        await api.watch_number(1)
        assert len(watched.names()) == 5
    assert (api.count("list"), api.count("page"), api.count("watch")) == (2, 2, 1)


@pytest.mark.parametrize(
    "answer", ['{"kind": "PodList", "items": []}', '{"kind": "PodList", "metadata": {"resourceVersion": "x"}}']
)
async def test_a_list_without_a_version_is_asked_for_again(api: FakeApi, client: Client, answer: str) -> None:
    await api.put(pod("a"))
    api.fail_next("list", text(answer))
    async with watching(client) as watched:
        assert watched.names() == {"a"}


async def test_an_object_without_identity_does_not_keep_others_from_being_listed(api: FakeApi, client: Client) -> None:
    listed = '{"metadata": {"resourceVersion": "9"}, "items": [{"spec": {}}, {"metadata": {"name": "a"}}]}'
    api.fail_next("list", text(listed))
    async with watching(client) as watched:
        assert watched.store.resource_version == 9


async def test_history_that_goes_back_is_followed(api: FakeApi, client: Client) -> None:
    """After a restore from a backup every version is older than what the store holds."""
    await api.put(own_pod("hello-a1-0"))
    await api.put(own_pod("hello-a1-1"))
    async with watching(client) as watched:
        watch = await api.watch_number(1)
        api.version = 50
        api.objects.clear()
        api.history.clear()
        await api.put(own_pod("hello-a1-1", phase="Pending"), quietly=True)
        api.fail_next("watch", *[failure(504, "Timeout")] * 3)
        watch.cut()
        await until(lambda: watched.names() == {"hello-a1-1"})
        record = watched.store.get("default", "hello-a1-1")
        assert isinstance(record, OwnPod)
        assert (record.phase, record.resource_version) == ("Pending", 51)
        await until(lambda: watched.store.resource_version == 51)
        await (await api.watch_number(2)).send(
            "MODIFIED", await api.put(own_pod("hello-a1-1", phase="Failed"), quietly=True)
        )
        await until(lambda: getattr(watched.store.get("default", "hello-a1-1"), "phase", "") == "Failed")


async def test_catching_up_finds_what_a_silent_watch_did_not_bring(api: FakeApi, client: Client) -> None:
    """The connection stands and nothing comes: only a new list tells."""
    await api.put(pod("goes"))
    async with watching(client) as watched:
        await api.watch_number(1)
        await api.remove("default", "goes", quietly=True)
        await api.put(pod("comes"), quietly=True)
        assert watched.names() == {"goes"}
        await watched.informer.catch_up()
        assert watched.names() == {"comes"}
        await api.watch_number(2)


async def test_catching_up_does_not_take_a_list_that_was_under_way_for_its_own(api: FakeApi, client: Client) -> None:
    """It may have been read before what matters."""
    gate = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        answer = api._list(dict(request.query))
        await gate.wait()
        return answer

    await api.put(pod("before"))
    async with watching(client) as watched:
        await api.watch_number(1)
        api.fail_next("list", slow)
        watched.informer.relist()
        await until(lambda: api.count("list") == 2, "the list to be under way")
        await api.put(pod("after"), quietly=True)
        catching_up = asyncio.create_task(watched.informer.catch_up())
        gate.set()
        await asyncio.wait_for(catching_up, 3)
        assert watched.names() == {"before", "after"}


async def test_catching_up_bears_lists_that_fail(api: FakeApi, client: Client) -> None:
    async with watching(client) as watched:
        await api.watch_number(1)
        await api.put(pod("comes"), quietly=True)
        api.fail_next("list", *[failure(500, "InternalError")] * 5)
        await asyncio.wait_for(watched.informer.catch_up(), 3)
        assert watched.names() == {"comes"}
