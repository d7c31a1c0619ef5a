"""A pass for one key, with real plans: what is written, what waits, and that nobody suffers for another."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import structlog.testing

from tandem.cluster.applier import Applier
from tandem.cluster.client import ApiError, Client
from tandem.cluster.events import EventRecorder
from tandem.domain.observed import Key, OwnPod
from tandem.domain.plan import Plan
from tandem.domain.timing import Timing
from tandem.runtime import observer
from tandem.runtime.feeds import Feeds
from tandem.runtime.placer import Placer
from tandem.runtime.reconciler import Reconciler, RetryError, same_stage
from tandem.runtime.workqueue import Lane, WorkQueue
from tests.cluster.fake_api import until
from tests.unit.runtime.builders import GPU, key, node, profile_spec, raw, run_spec
from tests.unit.runtime.small_api import Object, SmallApi

TEAM = "/apis/tandem.dev/v1alpha1/namespaces/team/trainingruns"
PODS = "/api/v1/namespaces/team/pods"
GATHER = 0.02


class Setting:
    """A reconciler over real stores and a small API server, with a node of 4 devices and a profile for it."""

    def __init__(self) -> None:
        self.api = SmallApi()
        client = cast("Client", self.api)
        metrics = self.api.metrics
        self.queue = WorkQueue(first_retry=0.01)
        self.feeds = Feeds(client, self.queue, 60, GATHER)
        self.stores = self.feeds.stores
        self.placer = Placer(
            nodes=self.stores.nodes,
            pods=self.stores.pods,
            pods_known=lambda: True,
            pods_of=lambda key, uid: observer.own_pods(self.stores, key, uid),
            policies=self.feeds.policies,
            wake=self.feeds.wake,
            hold_seconds=600,
            metrics=metrics,
        )
        self.feeds.placer = self.placer
        self.metrics = metrics
        self.reconciler = Reconciler(
            self.stores,
            self.queue,
            self.placer,
            Applier(client, self.feeds),
            EventRecorder(client),
            Timing(),
            metrics,
            now=lambda: datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
            jitter=lambda: 0.0,
            status_delay=GATHER,
        )
        self.feeds.objects.put("AcceleratorProfile", raw("AcceleratorProfile", "gpu", 1, profile_spec()))
        self.stores.nodes.feed(("", "node-a"), node(devices=4), 1)
        # From here on a change is a reason to act; the profile's own status is looked at elsewhere.
        self.feeds.started = True

    def run(self, name: str = "hello", **spec: Any) -> Key:
        """A run, on the server and in the store."""
        stored = self.api.put(f"{TEAM}/{name}", raw("TrainingRun", name, 1, run_spec(**spec)))
        self.feeds.objects.put("TrainingRun", stored)
        return key(name)

    def status(self, name: str = "hello") -> Object:
        return dict(self.api.objects[f"{TEAM}/{name}"].get("status") or {})

    def reason(self, name: str = "hello") -> str:
        """Reason of Ready, as the server has it."""
        return next((c["reason"] for c in self.status(name).get("conditions", ()) if c["type"] == "Ready"), "")

    async def passes(self, settled: Callable[[], Any], workers: int = 1) -> None:
        """Let workers run until something is so."""
        tasks = [asyncio.create_task(self.reconciler.work()) for _ in range(workers)]
        try:
            await until(settled, "the passes to settle")
        finally:
            for task in tasks:
                task.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*tasks)


@pytest.fixture
async def setting() -> Setting:
    """Nothing has happened yet."""
    return Setting()


async def test_a_new_run_is_decided_and_made_in_one_pass(setting: Setting) -> None:
    """Intent, Service, pods: no status before or after."""
    await setting.reconciler.reconcile(setting.run(pods=2), Lane.WORK)
    writes = [what for what in setting.api.writes() if "events" not in what]
    assert writes == ["PATCH trainingruns/hello/status", "POST services", "POST pods", "POST pods"]
    assert "GET trainingruns/hello" not in setting.api.asked
    assert setting.status()["attempt"] == 1
    assert sorted(path.rpartition("/")[2] for path in setting.api.objects if path.startswith(PODS)) == [
        "hello-a1-0",
        "hello-a1-1",
    ]


async def test_a_pass_over_what_is_settled_asks_nothing(setting: Setting) -> None:
    """The stores hold the replies of the first pass, so the second needs no watch to have caught up."""
    queued = setting.run(pods=9)
    await setting.reconciler.reconcile(queued, Lane.WORK)
    assert setting.reason() == "Queued"
    before = [what for what in setting.api.asked if "events" not in what]
    for lane in Lane:
        await setting.reconciler.reconcile(queued, lane)
    assert [what for what in setting.api.asked if "events" not in what] == before


async def test_an_edit_between_plan_and_write_makes_nothing(setting: Setting) -> None:
    """The store is older than the server: the intent is refused, the devices are not lost, the next pass decides anew."""
    edited = setting.run(pods=4)
    newer = setting.api.put(f"{TEAM}/hello", raw("TrainingRun", "hello", 1, run_spec(pods=3)))
    with pytest.raises(RetryError):
        await setting.reconciler.reconcile(edited, Lane.WORK)
    assert setting.api.writes() == ["PATCH trainingruns/hello/status"]

    setting.feeds.objects.put("TrainingRun", newer)
    await setting.reconciler.reconcile(edited, Lane.WORK)
    assert setting.api.writes().count("POST pods") == 3


async def test_half_a_gang_is_completed_after_a_lost_reply(setting: Setting) -> None:
    """One create was carried out though nobody heard of it, another never arrived: at the end each exists once."""
    setting.run(pods=2)
    setting.api.fail("POST pods", ApiError(0, "Unreachable", "cut"), done=True)
    setting.api.fail("POST pods", ApiError(503, "ServiceUnavailable", "busy"))
    await setting.passes(lambda: len(setting.stores.pods) == 2)
    assert setting.status()["attempt"] == 1
    assert sum(path.startswith(PODS) for path in setting.api.objects) == 2


async def test_a_refused_gang_is_rolled_back_and_says_why(setting: Setting) -> None:
    setting.run(pods=2)
    setting.api.fail("POST pods", ApiError(403, "Forbidden", "exceeded quota: pods=1"))
    await setting.passes(
        lambda: setting.reason() == "QuotaExceeded" and not any(path.startswith(PODS) for path in setting.api.objects)
    )
    ready = setting.status()["conditions"][0]
    assert "exceeded quota: pods=1" in ready["message"]


async def test_later_statuses_are_gathered_into_one_write(setting: Setting) -> None:
    """Every change is reconciled at once, but what only tells waits, so that the last word alone is written."""
    waiting = setting.run(pods=9)
    await setting.reconciler.reconcile(waiting, Lane.WORK)
    setting.api.asked.clear()
    for devices in (5, 6, 7):
        setting.stores.nodes.feed(("", "node-a"), node(devices=devices), devices)
        await setting.reconciler.reconcile(waiting, Lane.WORK)
    await setting.passes(lambda: "with 7 devices in all" in setting.status()["placement"]["rejected"][0]["message"])
    assert [what for what in setting.api.asked if "events" not in what] == ["PATCH trainingruns/hello/status"]


@pytest.mark.parametrize(
    ("after", "same"),
    [
        ({"pods": {"wanted": 4, "ready": 3, "summary": "3/4"}}, True),
        ({"pods": {"wanted": 4, "ready": 3, "summary": "3/4", "succeeded": "0"}}, False),
        ({"active": {"number": 1, "createdTime": "2026-11-23T10:00:00Z"}}, True),
        ({"active": {"number": 2}}, False),
        ({"conditions": [{"type": "Ready", "status": "True", "reason": "Starting", "message": "so"}]}, True),
        ({"conditions": [{"type": "Ready", "status": "True", "reason": "Running", "message": "so"}]}, False),
        ({"observedGeneration": 2}, False),
    ],
)
def test_a_status_that_only_counts_on_may_wait_longer(after: Object, same: bool) -> None:
    """A rank's end and every change of a reason may not."""
    before = {
        "observedGeneration": 1,
        "pods": {"wanted": 4, "ready": 1, "summary": "1/4"},
        "active": {"number": 1},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Starting", "message": "how"}],
    }
    assert same_stage(before, {**before, **after}) is same


async def test_an_object_that_cannot_be_read_says_so_in_its_status(setting: Setting) -> None:
    """It was stored past the schema; its other status fields stay, and it is not tried again without end."""
    broken = setting.run(pods="many")
    setting.api.objects[f"{TEAM}/hello"]["status"] = {"attempt": 3}
    setting.feeds.objects.put("TrainingRun", setting.api.put(f"{TEAM}/hello", setting.api.objects[f"{TEAM}/hello"]))
    await setting.reconciler.reconcile(broken, Lane.WORK)
    if setting.reason() != "InvalidSpec":
        await setting.reconciler.reconcile(broken, Lane.STATUS)
    assert setting.reason() == "InvalidSpec"
    assert setting.status()["attempt"] == 3
    assert setting.status()["conditions"][0]["message"].startswith("spec.pods: ")
    told = {item["type"]: item["status"] for item in setting.status()["conditions"]}
    assert (told["Stalled"], told["Placed"], told["Succeeded"]) == ("True", "False", "Unknown")
    # Its event is posted beside the passes.
    asked = len([what for what in setting.api.asked if "events" not in what])
    await setting.reconciler.reconcile(broken, Lane.WORK)
    assert len([what for what in setting.api.asked if "events" not in what]) == asked


async def test_a_poisoned_object_slows_nobody(setting: Setting) -> None:
    """Its every write fails; with a single worker all others are made, and it alone is paused longer and longer."""
    setting.run("poisoned")
    for number in range(3):
        setting.run(f"good-{number}")
    for _ in range(50):
        setting.api.fail("PATCH trainingruns/poisoned/status", ApiError(500, "InternalError", "no"))
    await setting.passes(lambda: all(setting.status(f"good-{number}").get("attempt") for number in range(3)))
    assert setting.status("poisoned") == {}
    tries = setting.api.asked.count("PATCH trainingruns/poisoned/status")
    assert 1 <= tries < 20


async def test_a_bug_costs_its_own_key_alone(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker survives, the log has the key and the trace, the metric counts it."""
    setting.run("good")
    buggy = setting.run("buggy")
    reconcile = setting.reconciler.reconcile

    async def stumble(what: Key, lane: Lane, waited: float) -> None:
        if what == buggy:
            raise ZeroDivisionError
        await reconcile(what, lane, waited)

    monkeypatch.setattr(setting.reconciler, "reconcile", stumble)
    with structlog.testing.capture_logs() as logs:
        await setting.passes(lambda: setting.status("good").get("attempt"))
        await setting.passes(lambda: b'outcome="bug"} ' in setting.metrics.render())
    assert {"event": "reconcile failed", "name": "buggy", "log_level": "error"}.items() <= next(
        dict(line) for line in logs if line["event"] == "reconcile failed"
    ).items()


async def test_the_servers_wish_for_a_pause_is_honoured(setting: Setting) -> None:
    setting.run()
    setting.api.fail("PATCH trainingruns/hello/status", ApiError(429, "TooManyRequests", "later", retry_after=30))
    await setting.passes(lambda: "PATCH trainingruns/hello/status" in setting.api.asked and not setting.queue.depth())
    assert setting.api.asked.count("PATCH trainingruns/hello/status") == 1


BUSY = ApiError(429, "TooManyRequests", "later", retry_after=30)


async def test_the_wish_stands_for_every_write_and_whatever_changes(setting: Setting) -> None:
    """A pod's create is answered so; its siblings' watch events do not bring the run back sooner."""
    hello = setting.run()
    setting.api.fail("POST pods", BUSY)
    taken, lane, _ = await setting.queue.get()
    await setting.reconciler._guarded(taken, lane)
    setting.queue.done(taken)
    setting.queue.add(hello)
    setting.queue.add(hello, Lane.STATUS)
    assert setting.queue.depth() == 0
    assert setting.api.asked.count("POST pods") == 1


async def test_a_delete_that_has_to_wait_is_not_repeated_by_the_answer_to_its_failure(setting: Setting) -> None:
    """The other pods of the gang go, and it alone waits."""
    hello = setting.run(pods=2)
    await setting.reconciler._guarded(hello, Lane.WORK)
    stored = setting.api.put(f"{TEAM}/hello", {**setting.api.objects[f"{TEAM}/hello"], "spec": run_spec(suspend=True)})
    setting.feeds.objects.put("TrainingRun", stored)
    setting.api.fail("DELETE pods/hello-a1-0", BUSY)
    await setting.reconciler._guarded(hello, Lane.WORK)
    assert setting.api.asked.count("DELETE pods/hello-a1-0") == 1
    assert "DELETE pods/hello-a1-1" in setting.api.asked


async def test_nothing_is_done_for_an_object_that_is_going(setting: Setting) -> None:
    """Its children are the garbage collector's, and its devices are free for others at once."""
    held = setting.run(pods=4)
    await setting.reconciler.reconcile(held, Lane.WORK)
    for path in [path for path in setting.api.objects if path.startswith(PODS)]:
        name = path.rpartition("/")[2]
        setting.stores.pods.feed(("team", name), None, 10_000)
    going = raw("TrainingRun", "hello", 1, run_spec(pods=4), metadata={"deletionTimestamp": "2026-11-23T10:00:00Z"})
    setting.feeds.objects.put("TrainingRun", setting.api.put(f"{TEAM}/hello", going))
    asked = len([what for what in setting.api.asked if "events" not in what])
    await setting.reconciler.reconcile(held, Lane.WORK)
    assert len([what for what in setting.api.asked if "events" not in what]) == asked

    await setting.reconciler.reconcile(setting.run("heir", pods=4), Lane.WORK)
    assert setting.reason("heir") == "Starting"


async def test_a_decision_is_one_line_of_log_with_its_inputs(setting: Setting) -> None:
    """Who looks at night finds what was decided for whom, from which version, and why not elsewhere."""
    with structlog.testing.capture_logs() as logs:
        await setting.reconciler.reconcile(setting.run(pods=9, env=[{"name": "TOKEN", "value": "hunter2"}]), Lane.WORK)
    [line] = [dict(line) for line in logs if line["event"] == "decided"]
    assert (line["name"], line["reason"], line["attempt"]) == ("hello", "Queued", 0)
    assert line["rejected"] == ["gpu: DoesNotFitNow"]
    assert line["generation"] == 1
    assert "hunter2" not in str(logs)
    assert GPU not in line["rejected"]


async def test_events_are_posted_behind_what_waits_to_make_pods(setting: Setting) -> None:
    """They say what status says already; each would cost a burst as much as a pod."""
    setting.run("waits")
    await setting.reconciler.reconcile(setting.run("queued", pods=9), Lane.WORK)
    assert setting.reason("queued") == "Queued"
    await asyncio.sleep(0.02)
    assert "POST events" not in setting.api.asked
    while setting.queue.backlog():
        await setting.queue.get()
    await until(lambda: "POST events" in setting.api.asked, "the event")


async def test_one_that_is_wrong_hears_so_before_pods_are_made_for_those_that_came_earlier(setting: Setting) -> None:
    for name in ("first", "second"):
        setting.run(name)
    wrong = setting.run("wrong", accelerator="no-such-thing")
    await setting.passes(lambda: setting.reason("second") == "Starting")
    statuses = [what for what in setting.api.writes() if what.endswith("/status")]
    assert statuses[0] == f"PATCH trainingruns/{wrong.name}/status"
    assert statuses[1:3] == ["PATCH trainingruns/first/status", "PATCH trainingruns/second/status"]


async def test_an_edit_is_looked_at_before_what_waits_and_an_end_of_a_pod_as_well(setting: Setting) -> None:
    hello = setting.run()
    await setting.reconciler.reconcile(hello, Lane.WORK)
    await asyncio.wait_for(setting.queue.get(), 3)
    setting.queue.done(hello)
    setting.queue.add(key("other"))
    pod = setting.stores.pods.get("team", "hello-a1-0")
    assert pod is not None
    setting.feeds._pod_changed(pod, replace(pod, phase="Failed"))
    assert (await setting.queue.get())[:2] == (hello, Lane.URGENT)
    setting.queue.done(hello)
    setting.feeds.objects.put(
        "TrainingRun", raw("TrainingRun", "hello", 10**6, run_spec(devicesPerPod=2), generation=2)
    )
    assert (await setting.queue.get())[:2] == (hello, Lane.URGENT)


async def test_pods_that_only_get_on_are_looked_at_together(setting: Setting) -> None:
    hello = setting.run(pods=4)
    await setting.reconciler.reconcile(hello, Lane.WORK)
    await setting.queue.get()
    setting.queue.done(hello)
    assert setting.queue.depth() == 0
    for rank in range(4):
        name = f"hello-a1-{rank}"
        pod = setting.stores.pods.get("team", name)
        assert pod is not None
        setting.feeds._pod_changed(pod, replace(pod, node="node-a", scheduled=True))
    assert setting.queue.depth() == 0
    assert (await asyncio.wait_for(setting.queue.get(), 3))[:2] == (hello, Lane.LOOK)
    setting.queue.done(hello)
    assert setting.queue.depth() == 0


async def test_ranks_that_end_well_get_on_and_one_that_fails_does_not(setting: Setting) -> None:
    hello = setting.run(pods=2)
    await setting.reconciler.reconcile(hello, Lane.WORK)
    await setting.queue.get()
    setting.queue.done(hello)
    first, second = (setting.stores.pods.get("team", f"hello-a1-{rank}") for rank in range(2))
    assert isinstance(first, OwnPod)
    assert isinstance(second, OwnPod)
    setting.feeds._pod_changed(first, replace(first, exit_code=0))
    setting.feeds._pod_changed(first, replace(first, exit_code=0, phase="Succeeded"))
    assert setting.queue.depth() == 0
    setting.feeds._pod_changed(second, replace(second, exit_code=1))
    assert (await setting.queue.get())[:2] == (hello, Lane.URGENT)


async def test_what_own_writes_changed_is_looked_at_once(setting: Setting) -> None:
    """Status, Service and pods of one pass, and the echo of all of them, make one more pass."""
    hello = setting.run(pods=2)
    taken, lane, _ = await setting.queue.get()
    await setting.reconciler.reconcile(taken, lane)
    setting.feeds.objects.put("TrainingRun", setting.api.objects[f"{TEAM}/hello"])
    setting.queue.done(hello)
    assert setting.queue.depth() == 0
    assert (await asyncio.wait_for(setting.queue.get(), 3))[:2] == (hello, Lane.LOOK)
    setting.queue.done(hello)
    await asyncio.sleep(2 * GATHER)
    assert setting.queue.depth() == 0


async def test_a_status_that_others_wrote_over_and_a_deletion_are_not_put_off(setting: Setting) -> None:
    hello = setting.run()
    taken, lane, _ = await setting.queue.get()
    await setting.reconciler.reconcile(taken, lane)
    setting.queue.done(hello)
    item = setting.api.objects[f"{TEAM}/hello"]
    setting.feeds.objects.put("TrainingRun", setting.api.put(f"{TEAM}/hello", {**item, "status": {}}))
    assert (await setting.queue.get())[:2] == (hello, Lane.URGENT)
    setting.queue.done(hello)
    going = {**item, "metadata": {**item["metadata"], "deletionTimestamp": "2026-11-23T10:00:00Z"}}
    setting.feeds.objects.put("TrainingRun", setting.api.put(f"{TEAM}/hello", going))
    assert (await setting.queue.get())[:2] == (hello, Lane.WORK)


async def test_a_child_that_goes_is_missed_at_once(setting: Setting) -> None:
    hello = setting.run(pods=2)
    taken, lane, _ = await setting.queue.get()
    await setting.reconciler.reconcile(taken, lane)
    setting.queue.done(hello)
    service = next(iter(setting.stores.services.values()))
    setting.feeds._child_changed(service, None)
    assert (await setting.queue.get())[:2] == (hello, Lane.WORK)


@pytest.mark.parametrize(
    ("lane", "waited", "told"), [(Lane.WORK, 0.0, False), (Lane.WORK, 1.0, True), (Lane.LOOK, 0, True)]
)
async def test_the_wait_of_a_status_begins_before_the_pass(
    setting: Setting, lane: Lane, waited: float, told: bool
) -> None:
    """What was gathered, or looked at late because of a burst, must not wait a second time to be told."""
    hello = setting.run(pods=9)
    await setting.reconciler.reconcile(hello, Lane.WORK)
    setting.stores.nodes.feed(("", "node-a"), node(devices=7), 7)
    before = setting.status()
    await setting.reconciler.reconcile(hello, lane, waited)
    assert (setting.status() != before) is told


async def test_a_count_of_pods_waits_the_longer_the_older_the_attempt_is(setting: Setting) -> None:
    hello = setting.run(pods=2)
    await setting.reconciler.reconcile(hello, Lane.WORK)
    status = setting.status()
    assert setting.reconciler._age(status) == 0
    status["active"]["startTime"] = "2026-11-23T09:59:00Z"
    assert setting.reconciler._age(status) == 60


@pytest.mark.parametrize(
    ("began", "seconds"),
    [("2026-11-23T10:00:00Z", 0.2), ("2026-11-23T09:59:40Z", 20.0), ("2026-11-21T10:00:00Z", 60.0)],
)
async def test_a_count_of_pods_is_told_after_a_minute_at_most(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, began: str, seconds: float
) -> None:
    hello = setting.run(pods=2)
    await setting.reconciler.reconcile(hello, Lane.WORK)
    stored = setting.stores.objects.get(hello)
    assert stored is not None
    status = {**stored.status, "active": {**stored.status["active"], "startTime": began}}
    waits: list[tuple[float, Lane]] = []
    monkeypatch.setattr(setting.queue, "add_after", lambda _key, pause, lane=Lane.WORK: waits.append((pause, lane)))
    counted = Plan(status={**status, "pods": {**status["pods"], "ready": 1, "summary": "1/2"}})
    await setting.reconciler._apply(replace(stored, status=status), counted, Lane.WORK)
    assert waits == [(seconds, Lane.STATUS)]
