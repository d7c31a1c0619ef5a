"""Lines that are not decoded, and those that have to be although their content says otherwise."""

from tandem.cluster.client import Client
from tandem.cluster.lines import PodSkip
from tests.cluster.fake_api import FakeApi, line, status, until
from tests.cluster.informers import watching
from tests.cluster.objects import own_pod, pod


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
