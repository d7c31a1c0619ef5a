"""What is measured, one phase after another; every figure comes from the API server's log of requests or from /proc."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from devcluster.audit import Event
from devcluster.shell import say, wait_for
from tests.bench import loops
from tests.bench.bodies import PODS, run
from tests.bench.loops import Poster
from tests.bench.stage import DEVICES_PER_NODE, PROFILE, TANDEM, Stage
from tests.bench.subject import AGENT, FEED, Rest, Subject, by_kind
from tests.support.api import Object

RUN = "devices.example/run"
BEFORE = "devices.example/before"
AFTER = "devices.example/after"
SAME = "devices.example/same"
RESOURCES = (RUN, BEFORE, AFTER, SAME)


@dataclass(frozen=True)
class Rate:
    """How fast the pods of one phase were made, and what it cost."""

    seconds: float
    """From the first object that was created until the last pod was."""
    pods: int
    cpu: float
    """CPU seconds of all processes of the benchmark, the operator's included, until all pods ran. Other people's load on
    the machine slows a phase down but adds little to this."""
    others: float
    """Share of the machine that other people's processes had meanwhile."""

    @property
    def per_second(self) -> float:
        """Pods made per second."""
        return self.pods / self.seconds

    @property
    def cpu_per_pod(self) -> float:
        """CPU seconds for one pod."""
        return self.cpu / self.pods


@dataclass(frozen=True)
class Burst:
    """Many runs at once, from an operator's view."""

    rate: Rate
    running_seconds: float
    """From the first run created until every run said that it runs."""
    cpu: float
    """CPU seconds of the operator until then."""
    peak_rss: float
    steady_rss: float
    writes: Counter[str]
    events: int
    lists: int
    """Lists that it made meanwhile; it needs none, since the stores were full before."""
    watches: int
    """Its watches that ended meanwhile, because it was too slow or their time was over."""


def loop(stage: Stage, work: Callable[[Poster], Coroutine[Any, Any, None]], namespace: str) -> Rate:
    """The rate at which a loop makes pods in its namespace."""
    say(f"{namespace}: a loop makes pods")
    stage.namespace(namespace)

    async def job() -> None:
        async with await Poster.connect(stage.kubeconfig) as poster:
            await work(poster)

    return _measured(stage, lambda: asyncio.run(job()), namespace)


def bare(stage: Stage, namespace: str, resource: str, runs: int) -> Rate:
    """The bare create loop."""
    return loop(stage, lambda poster: loops.bare(poster, namespace, resource, runs), namespace)


def same(stage: Stage, namespace: str, runs: int) -> Rate:
    """The loop that makes the operator's writes."""
    stage.profile("same", SAME)
    return loop(stage, lambda poster: loops.same(poster, namespace, SAME, "same", runs), namespace)


def burst(stage: Stage, subject: Subject, namespace: str, runs: int, profile: str = PROFILE) -> Burst:
    """Create all runs at once and wait until all of them run."""
    say(f"{namespace}: {runs} runs at once")
    stage.namespace(namespace)
    mark, cpu, began = stage.mark(), subject.cpu, time.monotonic()
    running = 0.0

    def work() -> None:
        nonlocal running
        bodies = [run(f"run-{number:04d}", accelerator=profile) for number in range(runs)]
        asyncio.run(_create(stage, namespace, bodies))
        wait_for("all runs to run", lambda: count(stage, namespace, "Running") == runs, 900, interval=1.0)
        running = time.monotonic() - began

    rate = _measured(stage, work, namespace, subject)
    used = subject.cpu - cpu
    wait_for("the operator's last writes", lambda: subject.rest(6) == 0, 120, interval=0.0)
    written = subject.writes(mark, namespace)
    asked = Counter(one.verb for one in stage.requests(mark) if AGENT in one.user_agent or FEED in one.user_agent)
    return Burst(
        rate=rate,
        running_seconds=running,
        cpu=used,
        peak_rss=subject.peak_rss,
        steady_rss=subject.rss,
        writes=by_kind([one for one in written if one.resource != "events"]),
        events=sum(one.resource == "events" for one in written),
        lists=asked["list"],
        watches=asked["watch"],
    )


def count(stage: Stage, namespace: str, reason: str) -> int:
    """Runs of a namespace whose Ready has this reason."""
    found = stage.api.get(f"{TANDEM}/namespaces/{namespace}/trainingruns")["items"]
    return sum(_ready_reason(item) == reason for item in found)


def _ready_reason(item: dict[str, Any]) -> str:
    conditions = (item.get("status") or {}).get("conditions") or ()
    return next((str(one["reason"]) for one in conditions if one["type"] == "Ready"), "")


async def _create(stage: Stage, namespace: str, bodies: list[Object]) -> None:
    async with await Poster.connect(stage.kubeconfig) as poster:
        await loops.create_runs(poster, namespace, bodies)


def _measured(stage: Stage, work: Callable[[], None], namespace: str, subject: Subject | None = None) -> Rate:
    mark, before, began = stage.mark(), stage.usage(), time.monotonic()
    cpu = subject.cpu if subject else 0.0
    work()
    wait_for("all pods to run", lambda: not _not_running(stage, namespace), 900, interval=1.0)
    seconds = time.monotonic() - began
    after = stage.usage()
    cpu = subject.cpu - cpu if subject else 0.0
    made = [
        one
        for one in stage.requests(mark)
        if one.namespace == namespace
        and one.verb == "create"
        and one.code == 201
        and one.resource in ("trainingruns", "pods")
        and not one.subresource
    ]
    pods = [one.time for one in made if one.resource == "pods"]
    spent = (max(pods) - min(one.time for one in made)).total_seconds()
    return Rate(spent, len(pods), after.own - before.own + cpu, after.others_since(before, seconds, cpu))


def _not_running(stage: Stage, namespace: str) -> list[Any]:
    found = stage.api.get(f"/api/v1/namespaces/{namespace}/pods?fieldSelector=status.phase!=Running&limit=1")
    return list(found["items"])


@dataclass(frozen=True)
class Life:
    """Runs from their creation to their success, with wrong ones among them."""

    latencies: list[float]
    """Seconds from the creation of a wrong run until the operator told so, sorted."""
    writes: Counter[str]
    """Of the right ones, events apart."""
    events: int
    runs: int

    @property
    def p99(self) -> float:
        """99 of 100 wrong runs heard within so many seconds."""
        return self.latencies[min(len(self.latencies) - 1, round(0.99 * len(self.latencies)))]


WRONG: tuple[dict[str, Any], ...] = (
    {"accelerator": "no-such-profile"},
    {"checkpoint": {"claim": {"name": "no-such-claim"}}},
)
"""Specs that the API server takes and the operator must complain about."""


def life(stage: Stage, subject: Subject, namespace: str, runs: int) -> Life:
    """A burst in which every fourth run is wrong; the others are let run and succeed."""
    say(f"{namespace}: {runs} runs at once, wrong ones among them")
    stage.namespace(namespace)
    mark = stage.mark()
    bodies = []
    for number in range(runs):
        bodies.append(run(f"run-{number:04d}"))
        if number % 4 == 0:
            bodies.append(run(f"wrong-{number:04d}", **WRONG[number // 4 % len(WRONG)]))
    asyncio.run(_create(stage, namespace, bodies))
    wait_for("the right runs to run", lambda: count(stage, namespace, "Running") == runs, 900, interval=1.0)
    stage.play("kwok.yaml", "kwok-end.yaml")
    wait_for("the right runs to succeed", lambda: count(stage, namespace, "Succeeded") == runs, 900, interval=1.0)
    wait_for("the operator's last writes", lambda: subject.rest(6) == 0, 120, interval=0.0)
    stage.play("kwok.yaml")
    created = {one.name: one.time for one in stage.requests(mark) if _creates_run(one, namespace)}
    written = subject.writes(mark, namespace)
    told: dict[str, float] = {}
    for one in written:
        if one.name.startswith("wrong-") and one.resource == "trainingruns" and one.name not in told:
            told[one.name] = (one.time - created[one.name]).total_seconds()
    assert len(told) == sum(name.startswith("wrong-") for name in created), "a wrong run was never told so"
    right = [one for one in written if not one.name.startswith("wrong-")]
    return Life(
        latencies=sorted(told.values()),
        writes=by_kind([one for one in right if one.resource != "events"]),
        events=sum(one.resource == "events" for one in right),
        runs=runs,
    )


def _creates_run(one: Event, namespace: str) -> bool:
    return one.verb == "create" and one.resource == "trainingruns" and one.namespace == namespace


def idle(stage: Stage, subject: Subject, runs: int, seconds: float) -> Rest:
    """The operator's start among many runs that need nothing: their pods are bound and start some day."""
    say(f"idle: making {runs} runs with their pods and statuses")
    stage.namespace("idle")
    stage.add_nodes(max(1, runs * PODS // DEVICES_PER_NODE))

    async def make() -> None:
        async with await Poster.connect(stage.kubeconfig) as poster:
            await loops.settled(poster, "idle", RUN, runs)

    asyncio.run(make())
    say("idle: starting the operator")
    return subject.restart(seconds)
