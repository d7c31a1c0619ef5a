"""Start, standby, take-over and stop of the whole operator: what each replica does, and does not do, and when."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from math import inf
from typing import Any, cast

import aiohttp
import pytest

from tandem.cluster.client import ApiError, Client
from tandem.cluster.lease import Lease, LeaseLostError
from tandem.cluster.metrics import Metrics
from tandem.entry import cli
from tandem.runtime import app, resync
from tandem.runtime.app import EndedError, Operator
from tandem.runtime.objects import ObjectStore
from tandem.runtime.settings import Settings
from tests.cluster.fake_api import FakeApi, failure, until
from tests.unit.runtime.builders import key, raw, run_spec
from tests.unit.runtime.kinds import Kinds

FORBIDDEN = failure(403, "Forbidden")


class GivenLease:
    """A Lease in the hands of a test."""

    def __init__(self) -> None:
        self.elected = asyncio.Event()
        self.lost = asyncio.Event()
        self.released = False
        self.leader = "other"

    def held(self) -> bool:
        return self.elected.is_set() and not self.lost.is_set() and not self.released

    def time_left(self) -> float:
        return inf if self.held() else 0.0

    def problem(self) -> str | None:
        return None

    async def acquire(self) -> None:
        await self.elected.wait()

    async def hold(self) -> None:
        await self.lost.wait()
        raise LeaseLostError("other holds the Lease now")

    async def release(self) -> None:
        self.released = self.held()


class Setting:
    """A server, and one operator against it."""

    def __init__(self, api: FakeApi, lease: GivenLease | None) -> None:
        self.api = api
        self.lease = lease
        self.kinds = Kinds()
        self.kinds.items["trainingruns"] = [raw("TrainingRun", "hello", 7, run_spec())]
        api.answer_all(self.kinds)
        self.feed_ends = asyncio.Event()
        fence = lease.time_left if lease is not None else None
        self.client = Client(api.credentials(), api.reload, fence=fence)
        settings = Settings(listen="127.0.0.1", port=0, start_seconds=30, workers=2)
        self.operator = Operator(settings, self.client, Metrics(), cast("Lease | None", lease))
        self.running: asyncio.Task[None] | None = None
        self.url = ""

    def start(self) -> "asyncio.Task[None]":
        self.running = asyncio.create_task(self.operator.run(self._feed))
        return self.running

    async def ready(self) -> None:
        self.start()
        await until(lambda: self.operator._start_problem() is None, "the operator to be ready")

    async def page(self, path: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
        """A page of the operator's own server, whose port is in its log."""
        if not self.url:
            said = next(line for line in capsys.readouterr().out.splitlines() if "listening" in line)
            self.url = f"http://127.0.0.1:{said.split('port=')[1].split()[0]}"
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            return answer.status, await answer.text()

    async def _feed(self, operator: Operator, stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (stop, self.feed_ends)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def close(self) -> None:
        self.kinds.gate.set()
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)
        await self.client.close()


@pytest.fixture
async def setting() -> AsyncIterator[Callable[[GivenLease | None], Setting]]:
    """Makes the one setting of a test."""
    made: list[Setting] = []
    async with FakeApi() as api:

        def make(lease: GivenLease | None) -> Setting:
            made.append(Setting(api, lease))
            return made[-1]

        yield make
        for one in made:
            await one.close()


Make = Callable[[GivenLease | None], Setting]


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def ended(running: "asyncio.Task[None] | None") -> None:
    assert running is not None
    await asyncio.wait_for(asyncio.shield(running), 10)


async def test_a_standby_is_warm_and_ready_and_writes_nothing(
    setting: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = setting(GivenLease())
    await stage.ready()
    assert await stage.page("/readyz", capsys) == (200, "ok: standby, other leads\n")
    assert await stage.page("/healthz", capsys) == (200, "ok\n")
    assert "tandem_lease_held 0.0" in (await stage.page("/metrics", capsys))[1]
    assert stage.operator.feeds.objects.get(key()) is not None
    # What comes later goes into the stores too, and wakes nobody.
    stage.operator.feeds.objects.put("TrainingRun", raw("TrainingRun", "later", 8, run_spec()))
    await asyncio.sleep(0.1)
    assert stage.operator.queue.depth() == 0
    assert {seen.method for seen in stage.api.seen} == {"GET"}


async def test_an_elected_standby_takes_over(setting: Make, capsys: pytest.CaptureFixture[str]) -> None:
    lease = GivenLease()
    stage = setting(lease)
    await stage.ready()
    lease.elected.set()
    await until(lambda: stage.kinds.statuses, "the first write")
    assert await stage.page("/readyz", capsys) == (200, "ok: leading\n")
    assert "tandem_lease_held 1.0" in (await stage.page("/metrics", capsys))[1]


async def test_what_the_former_leader_wrote_last_is_read_before_the_first_decision(setting: Make) -> None:
    """Its watch event may be still to come when the Lease has been given back."""
    lease = GivenLease()
    stage = setting(lease)
    await stage.ready()
    stage.kinds.items["trainingruns"] = [
        raw("TrainingRun", "hello", 9, run_spec(suspend=True)),
        raw("TrainingRun", "new", 8, run_spec()),
    ]
    lease.elected.set()
    await until(lambda: len(stage.kinds.statuses) == 2, "both statuses")
    written = {body["metadata"]["name"]: body["metadata"]["resourceVersion"] for body in stage.kinds.statuses}
    assert written == {"hello": "9", "new": "8"}


async def test_pods_and_nodes_are_listed_again_before_the_first_decision(setting: Make) -> None:
    """Whatever cut the former leader off may have cut a watch of this one too, and a pod that is overlooked looks lost."""
    lease = GivenLease()
    stage = setting(lease)
    await stage.ready()
    before = len(stage.api.seen)
    lease.elected.set()
    await until(lambda: stage.kinds.statuses, "the first write")
    asked = stage.api.seen[before:]
    first = next(number for number, seen in enumerate(asked) if seen.method == "PATCH")
    listed = {seen.path.rpartition("/")[2] for seen in asked[:first] if "watch" not in seen.query}
    assert listed >= {"pods", "nodes", "deployments", "services", "poddisruptionbudgets", "persistentvolumeclaims"}


async def test_taking_over_bears_an_api_server_that_fails(setting: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "START_PAUSE", 0.01)
    compare, failures = resync.compare, [ApiError(403, "Forbidden", "no"), ApiError(503, "Unavailable", "no")]

    async def failing(client: Client, objects: ObjectStore) -> int:
        if failures:
            raise failures.pop()
        return await compare(client, objects)

    monkeypatch.setattr(resync, "compare", failing)
    lease = GivenLease()
    stage = setting(lease)
    await stage.ready()
    lease.elected.set()
    await until(lambda: stage.kinds.statuses, "the first write")
    assert failures == []


async def test_without_a_lease_it_leads_at_once(setting: Make, capsys: pytest.CaptureFixture[str]) -> None:
    stage = setting(None)
    await stage.ready()
    await until(lambda: stage.kinds.statuses, "the first write")
    assert await stage.page("/readyz", capsys) == (200, "ok: leading\n")


async def test_a_signal_ends_it_when_its_writes_are_over_and_gives_the_lease_back(setting: Make) -> None:
    lease = GivenLease()
    stage = setting(lease)
    await stage.ready()
    stage.kinds.gate.clear()
    lease.elected.set()
    await until(lambda: stage.kinds.statuses, "a write under way")
    terminate()
    await asyncio.sleep(0.2)
    assert not lease.released
    stage.kinds.gate.set()
    await ended(stage.running)
    assert lease.released
    assert "status" in stage.kinds.items["trainingruns"][0]


async def test_a_write_that_does_not_end_keeps_the_lease_from_being_given_back(
    setting: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows when the server carries it out; the Lease runs out by itself."""
    monkeypatch.setattr(app, "DRAIN_SECONDS", 0.1)
    lease = GivenLease()
    stage = setting(lease)
    await stage.ready()
    stage.kinds.gate.clear()
    lease.elected.set()
    await until(lambda: stage.kinds.statuses, "a write under way")
    terminate()
    await ended(stage.running)
    assert not lease.released


async def test_a_standby_that_is_ended_just_ends(setting: Make) -> None:
    lease = GivenLease()
    stage = setting(lease)
    await stage.ready()
    terminate()
    await ended(stage.running)
    assert not lease.released
    assert stage.kinds.statuses == []


async def test_a_lost_lease_ends_the_process(setting: Make) -> None:
    lease = GivenLease()
    stage = setting(lease)
    await stage.ready()
    lease.elected.set()
    await until(lambda: stage.kinds.statuses, "the first write")
    lease.lost.set()
    with pytest.raises(LeaseLostError):
        await ended(stage.running)
    assert not lease.released


async def test_a_feed_that_ends_by_itself_ends_the_process(setting: Make) -> None:
    """The others would go on deciding on what is no longer true."""
    lease = GivenLease()
    stage = setting(lease)
    await stage.ready()
    lease.elected.set()
    await until(lambda: stage.kinds.statuses, "the first write")
    stage.feed_ends.set()
    with pytest.raises(EndedError):
        await ended(stage.running)
    assert lease.released


async def test_an_api_server_that_has_just_started_does_not_end_the_start(
    setting: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until it has read the roles it answers 403 to everybody."""
    monkeypatch.setattr(resync, "START_PAUSE", 0.01)
    stage = setting(None)
    stage.api.fail_next("list", FORBIDDEN, FORBIDDEN, failure(500, "InternalError"))
    await stage.ready()
    assert capsys.readouterr().out.count("the start is held up") >= 2


async def test_a_start_is_given_up_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "START_PAUSE", 0.01)
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise ApiError(403, "Forbidden", "no role")

    with pytest.raises(ApiError, match="no role"):
        await resync.patiently("listing", call, 0.3)
    assert calls >= 2


@pytest.mark.parametrize("error", [ApiError(422, "Invalid", "no"), resync.CrdsMissingError("no CRDs")])
async def test_what_waiting_cannot_mend_ends_the_start_at_once(error: Exception) -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        raise error

    with pytest.raises(type(error)):
        await resync.patiently("looking", call, 60)
    assert calls == 1


async def test_a_signal_ends_a_start_that_is_held_up(setting: Make) -> None:
    stage = setting(GivenLease())
    stage.api.answer_all(FORBIDDEN)
    running = stage.start()
    await until(lambda: stage.api.seen, "the first request")
    terminate()
    await ended(running)


async def test_passes_that_wait_for_nothing_let_others_run(setting: Make) -> None:
    """The Lease has to be renewed while ten thousand settled objects are looked at."""
    stage = setting(None)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    for number in range(50):
        stage.operator.queue.add(key(f"gone-{number}"))
    workers = [stage.operator.reconciler.work() for _ in range(10)]
    tasks = [asyncio.create_task(task) for task in (other(), *workers)]
    await until(lambda: not stage.operator.queue.depth(), "the queue to be empty")
    # Ten workers are not to decide ten times between two turns of the others.
    assert turns >= 40
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (LeaseLostError("other holds the Lease now"), "lost the leadership"),
        (EndedError("a part ended"), "cannot run"),
        (resync.CrdsMissingError("no CRDs"), "cannot run"),
    ],
)
def test_the_exit_code_and_the_last_line_tell_why(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def operate(settings: Any) -> None:
        raise error

    def quiet(*_: Any) -> None:
        """The test's own logging stays."""

    monkeypatch.setattr(cli, "_operate", operate)
    monkeypatch.setattr(cli.logs, "configure", quiet)
    assert cli.main(["run"]) == 1
    assert line in capsys.readouterr().out
