"""The level of a namespace's Pod Security: whoever works there is told when it changes, and nobody else. A class of priority
may concern everybody."""

from typing import cast

from tandem.cluster.client import Client
from tandem.domain.observed import Key, NamespaceRecord, PriorityRecord
from tandem.runtime.feeds import Feeds
from tandem.runtime.workqueue import WorkQueue
from tests.unit.runtime.builders import key, raw, run_spec
from tests.unit.runtime.small_api import SmallApi


async def woken(*changes: tuple[object, object], feed: str = "namespaces") -> list[Key]:
    """Keys in the queue after these changes, with a run and a service in the namespace `team`."""
    queue = WorkQueue()
    feeds = Feeds(cast("Client", SmallApi()), queue, 60)
    feeds.objects.put("TrainingRun", raw("TrainingRun", "hello", 1, run_spec()))
    feeds.objects.put("InferenceService", raw("InferenceService", "chat", 1, run_spec()))
    feeds.started = True
    (informer,) = (one for one in feeds.informers if one.name == feed)
    for change in changes:
        informer._on_change(*change)
    return [(await queue.get())[0] for _ in range(queue.depth())]


def namespace(level: str = "", name: str = "team") -> NamespaceRecord:
    return NamespaceRecord(name, level)


BOTH = [key(), key("chat", "InferenceService")]


async def test_a_new_level_wakes_all_work_of_the_namespace() -> None:
    assert await woken((namespace(), namespace("restricted"))) == BOTH
    assert await woken((namespace("restricted"), namespace())) == BOTH
    assert await woken((None, namespace("restricted"))) == BOTH


async def test_a_label_by_which_policies_may_select_wakes_all_work_of_the_namespace() -> None:
    labelled = NamespaceRecord("team", labels={"team": "research"})
    assert await woken((namespace(), labelled)) == BOTH
    assert await woken((labelled, labelled)) == []


async def test_other_changes_of_a_namespace_wake_nobody() -> None:
    assert await woken((namespace("restricted"), namespace("restricted"))) == []
    assert await woken((namespace("restricted"), None)) == []
    assert await woken((namespace(name="other"), namespace("restricted", "other"))) == []


async def test_a_class_of_priority_that_comes_or_goes_wakes_all_work() -> None:
    urgent = PriorityRecord("urgent", 1000)
    assert await woken((None, urgent), feed="priorities") == BOTH
    assert await woken((urgent, None), feed="priorities") == BOTH
