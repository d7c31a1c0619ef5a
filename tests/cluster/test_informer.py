"""An informer keeps a store equal to the API server, whatever happens to lists and watches."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

from tandem.cluster import trim
from tandem.cluster.backoff import Backoff
from tandem.cluster.client import Client, core_path
from tandem.cluster.informer import Informer
from tandem.cluster.lines import PodSkip
from tandem.cluster.store import Store
from tandem.domain.observed import ForeignPod, OwnPod
from tests.cluster.fake_api import FakeApi, failure, line, lost_reply, status, text, until
from tests.cluster.objects import own_pod, pod

Pod = OwnPod | ForeignPod


class Watched:
    """A running informer of pods, and the changes it told."""

    def __init__(self, informer: Informer[Pod], changes: list[tuple[Pod | None, Pod | None]]) -> None:
        self.informer = informer
        self.store = informer.store
        self.changes = changes

    def names(self) -> set[str]:
        return {name for _, name in self.store.names()}


@asynccontextmanager
async def watching(client: Client, *, synced: bool = True, **settings: Any) -> AsyncIterator[Watched]:
    changes: list[tuple[Pod | None, Pod | None]] = []
    informer = Informer(
        client,
        core_path("pods"),
        Store[Pod](),
        trim.pod,
        on_change=lambda before, after: changes.append((before, after)),
        name="pods",
        **{"silence": 5.0, "page": 3, "backoff": Backoff(base=0.01, cap=0.05), **settings},
    )
    running = asyncio.create_task(informer.run())
    try:
        if synced:
            await asyncio.wait_for(informer.synced.wait(), 3)
        yield Watched(informer, changes)
        assert not running.done(), "the informer has stopped"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


# Lists


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
        await until(lambda: api.count("list") == 1)
        watched.informer.relist()
        await until(lambda: api.count("list") == 2)
        await api.watch_number(1)
    assert api.count("page") == 2


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


# Watches


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
    async with watching(client, silence=0.2) as watched:
        await api.watch_number(1)
        opened = api.seen[-1].at
        await api.put(pod("unheard"), quietly=True)
        second = await api.watch_number(2)
        assert 0.2 <= api.seen[-1].at - opened < 0.6
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
    assert api.count("list") == 2


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
    read: Callable[..., float | None] = client.metrics.registry.get_sample_value
    async with watching(client):
        lag = read("tandem_informer_lag_seconds", {"informer": "pods"})
        assert lag is not None
        assert 0 <= lag < 3
        assert read("tandem_informer_records", {"informer": "pods"}) == 1
        assert read("tandem_informer_lists_total", {"informer": "pods"}) == 1


# Skipped lines


def _skip() -> PodSkip:
    skip = PodSkip()
    skip.learn({"nvidia.com/gpu"})
    return skip


async def test_a_skipped_line_moves_the_version_and_is_not_decoded(api: FakeApi, client: Client) -> None:
    async with watching(client, skip=_skip()) as watched:
        watch = await api.watch_number(1)
        # A line that no decoder takes shows that none was asked.
        skipped = line("ADDED", await api.put(pod("idle", devices=0), quietly=True))
        await watch.raw(skipped[:-3] + b"\n")
        await until(lambda: watched.store.resource_version == api.version)
        await api.put(pod("busy"))
        await until(lambda: watched.names() == {"busy"})
    assert api.count("watch") == 1


async def test_bookmarks_and_errors_are_never_skipped(api: FakeApi, client: Client) -> None:
    async with watching(client, skip=lambda line: True) as watched:
        watch = await api.watch_number(1)
        await watch.bookmark(5000)
        await until(lambda: watched.store.resource_version == 5000)
        await watch.send("ERROR", status(410, "Expired"))
        await until(lambda: api.count("list") == 2)


async def test_a_pod_in_the_store_is_followed_after_its_labels_were_stripped(api: FakeApi, client: Client) -> None:
    idle = own_pod("hello-a1-0")
    idle["spec"]["containers"][0]["resources"] = {}
    async with watching(client, skip=_skip()) as watched:
        await api.watch_number(1)
        await api.put(idle)
        await until(lambda: watched.names() == {"hello-a1-0"})
        await api.put(pod("hello-a1-0", devices=0))
        await until(lambda: not watched.names())


async def test_the_deletion_of_a_pod_in_the_store_is_never_skipped(api: FakeApi, client: Client) -> None:
    skip = _skip()
    async with watching(client, skip=skip) as watched:
        await api.watch_number(1)
        await api.put(pod("busy"))
        await until(lambda: watched.names() == {"busy"})
        skip.learn(())
        await api.remove("default", "busy")
        await until(lambda: not watched.names())


async def test_a_list_finds_what_was_skipped_before(api: FakeApi, client: Client) -> None:
    skip = _skip()
    async with watching(client, skip=skip) as watched:
        await api.watch_number(1)
        await api.put(pod("ascend", resource="huawei.com/Ascend910"))
        await until(lambda: watched.store.resource_version == api.version)
        assert not watched.names()
        if skip.learn({"nvidia.com/gpu", "huawei.com/Ascend910"}):
            watched.informer.relist()
        await until(lambda: watched.names() == {"ascend"})
