"""A watch is followed, resumed and given up for a list, and loses nothing on the way."""

import asyncio
from itertools import pairwise

import pytest

from tandem.cluster.backoff import Backoff
from tandem.cluster.client import Client
from tandem.domain.observed import ForeignPod
from tests.cluster.fake_api import FakeApi, failure, line, lost_reply, status, text, until
from tests.cluster.informers import watching
from tests.cluster.objects import pod


async def test_changes_are_told_with_before_and_after(api: FakeApi, client: Client) -> None:
    async with watching(client) as watched:
        await api.watch_number(1)
        await api.put(pod("a"))
        await api.put(pod("a", status={"phase": "Succeeded"}))
        await api.put(pod("a", status={"phase": "Succeeded", "podIP": "10.0.0.9"}))
        await api.remove("default", "a")
        await until(lambda: len(watched.changes) == 3)
        (no, added), (before, after), (last, gone) = watched.changes
        assert (no, gone) == (None, None)
        assert added == before == ForeignPod("uid-a", "node-a", {"nvidia.com/gpu": 1})
        assert after == last == ForeignPod("uid-a", "node-a", {"nvidia.com/gpu": 1}, terminal=True)


async def test_a_bookmark_moves_the_version_and_counts_as_contact(api: FakeApi, client: Client) -> None:
    async with watching(client) as watched:
        watch = await api.watch_number(1)
        before = watched.informer.last_contact
        await watch.bookmark(5000)
        await until(lambda: watched.store.resource_version == 5000)
        assert watched.informer.last_contact > before
        watch.cut()
        assert (await api.watch_number(2)).since == 5000
    assert api.count("list") == 1


@pytest.mark.parametrize("ending", ["end", "cut"])
async def test_a_watch_that_ends_is_resumed_without_a_list(api: FakeApi, client: Client, ending: str) -> None:
    async with watching(client) as watched:
        watch = await api.watch_number(1)
        await api.put(pod("a"))
        await until(lambda: watched.names() == {"a"})
        getattr(watch, ending)()
        await api.put(pod("b"), quietly=True)
        await until(lambda: watched.names() == {"a", "b"})
        assert (await api.watch_number(2)).since == api.version - 1
    assert api.count("list") == 1


async def test_a_silent_watch_is_resumed_within_the_silence_without_a_list(api: FakeApi, client: Client) -> None:
    async with watching(client, silence=0.2, backoff=Backoff(base=30, cap=30)) as watched:
        await api.watch_number(1)
        await api.put(pod("unheard"), quietly=True)
        second = await api.watch_number(2)
        first_at, second_at = [seen.at for seen in api.seen if "watch" in seen.query][:2]
        assert 0.2 <= second_at - first_at < 2
        await until(lambda: watched.names() == {"unheard"})
        assert second.since == api.version - 1
    assert api.count("list") == 1


@pytest.mark.parametrize("in_stream", [False, True], ids=["as status", "in the stream"])
async def test_a_version_that_is_gone_leads_to_a_list(api: FakeApi, client: Client, in_stream: bool) -> None:
    api.gone_in_stream = in_stream
    async with watching(client) as watched:
        watch = await api.watch_number(1)
        await api.put(pod("missed"), quietly=True)
        api.oldest = api.version
        watch.cut()
        await until(lambda: watched.names() == {"missed"})
    asked = ["list" if "limit" in seen.query else "watch" for seen in api.seen]
    assert asked[:4] == ["list", "watch", "watch", "list"]


async def test_a_version_that_is_gone_again_and_again_is_not_asked_for_in_a_tight_loop(
    api: FakeApi, client: Client
) -> None:
    api.fail_next("watch", *[failure(410, "Expired")] * 1000)
    async with watching(client, backoff=Backoff(base=0.05, cap=0.05)):
        await until(lambda: api.count("list") >= 4)
        times = [seen.at for seen in api.seen if "limit" in seen.query]
        assert min(later - earlier for earlier, later in pairwise(times[1:])) >= 0.02


async def test_an_error_in_the_stream_leads_to_a_list(api: FakeApi, client: Client) -> None:
    async with watching(client) as watched:
        watch = await api.watch_number(1)
        await api.put(pod("missed"), quietly=True)
        await watch.send("ERROR", status(500, "InternalError"))
        await until(lambda: watched.names() == {"missed"})
    assert api.count("list") == 2


async def test_flow_control_in_the_stream_is_waited_for(api: FakeApi, client: Client) -> None:
    async with watching(client):
        watch = await api.watch_number(1)
        await watch.send("ERROR", status(429, "TooManyRequests", details={"retryAfterSeconds": 0.2}))
        told = asyncio.get_running_loop().time()
        await api.watch_number(2)
        assert api.seen[-1].at - told >= 0.15
    assert api.count("list") == 1


async def test_a_watch_that_cannot_be_opened_is_tried_again_from_the_same_version(api: FakeApi, client: Client) -> None:
    api.fail_next(
        "watch", lost_reply, failure(503, "ServiceUnavailable"), failure(429, "TooManyRequests", retry_after="0.05")
    )
    async with watching(client):
        assert (await api.watch_number(1)).since == api.version
    assert api.count("watch") == 4


async def test_a_watch_that_is_refused_three_times_begins_again_with_a_list(api: FakeApi, client: Client) -> None:
    api.fail_next("watch", *[failure(500, "InternalError")] * 3)
    async with watching(client):
        await api.watch_number(1)
    assert api.count("list") == 2


async def test_an_unreachable_server_does_not_lead_to_lists(api: FakeApi, client: Client) -> None:
    api.fail_next("watch", *[lost_reply] * 6)
    async with watching(client):
        await api.watch_number(1)
    assert api.count("list") == 1


async def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_tight_loop(
    api: FakeApi, client: Client
) -> None:
    api.fail_next("watch", *[text("")] * 1000)
    async with watching(client, backoff=Backoff(base=0.05, cap=0.05)):
        await until(lambda: api.count("watch") >= 4)
        times = [seen.at for seen in api.seen if "watch" in seen.query]
        assert min(later - earlier for earlier, later in pairwise(times)) >= 0.02


@pytest.mark.parametrize(
    "broken", [b'{"type": "ADDED", "obj', b'{"type": "ADDED"}', b"[]", b'{"type": "ADDED", "object": {}}']
)
async def test_a_line_that_is_no_event_leads_to_a_new_watch(api: FakeApi, client: Client, broken: bytes) -> None:
    async with watching(client) as watched:
        watch = await api.watch_number(1)
        await watch.raw(broken + b"\n")
        await api.watch_number(2)
        await api.put(pod("a"))
        await until(lambda: watched.names() == {"a"})
    assert api.count("list") == 1


async def test_a_cut_in_the_middle_of_a_line_loses_nothing(api: FakeApi, client: Client) -> None:
    async with watching(client) as watched:
        watch = await api.watch_number(1)
        added = await api.put(pod("a"), quietly=True)
        await watch.raw(line("ADDED", added)[:100])
        watch.cut()
        await until(lambda: watched.names() == {"a"})
    assert api.count("list") == 1


async def test_a_malformed_object_does_not_stop_the_watch(api: FakeApi, client: Client) -> None:
    async with watching(client) as watched:
        await api.watch_number(1)
        await api.put({**pod("broken"), "spec": {"containers": 7}})
        await api.put(pod("whole"))
        await until(lambda: watched.names() == {"whole"})


async def test_a_cancelled_informer_stops(api: FakeApi, client: Client) -> None:
    async with watching(client):
        await api.watch_number(1)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("watch ", "relist "))]


async def test_lag_and_records_can_be_read_as_metrics(api: FakeApi, client: Client) -> None:
    await api.put(pod("a"))
    read = client.metrics.registry.get_sample_value
    async with watching(client):
        lag = read("tandem_informer_lag_seconds", {"informer": "pods"})
        assert lag is not None
        assert 0 <= lag < 3
        assert read("tandem_informer_records", {"informer": "pods"}) == 1
        assert read("tandem_informer_lists_total", {"informer": "pods"}) == 1
