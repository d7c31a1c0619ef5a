"""A lane runs plans one after the other: its own control plane, proxy, kubelet and operator."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

from tandem.cluster import credentials
from tests.faults import oracles, state
from tests.faults.kubelet import DEVICES, Kubelet
from tests.faults.operator import PlannedOperator
from tests.faults.plans import CLEAN, LEASE_LOST, LEASE_SECONDS, Places, Plan
from tests.faults.proxy import Proxy
from tests.faults.recorder import Recorder
from tests.faults.stage import CONVERGE_SECONDS, GoneError, Stage, StuckError, profile, send
from tests.faults.state import Facts
from tests.faults.stories import HEROES, RUN, STORIES, training_run
from tests.faults.traffic import API, Exchange
from tests.support.controlplane import COLLECTORS, ROOT, WORKLOADS, ControlPlane

REST_SECONDS = 1.0
"""How long an operator is watched for writes that it must not make."""


@dataclass(frozen=True)
class Reference:
    """What a story comes to without faults, from two runs."""

    stations: dict[str, Facts]
    masked: frozenset[str]
    """Facts that differed between the two."""
    counts: Counter[str]
    unsure: frozenset[str]
    """Children whose counts differed between the two."""
    places: Places


@dataclass
class Result:
    """What became of a plan."""

    plan: Plan
    violations: list[str] = field(default_factory=list)
    fired: bool = False
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)
    """The exchanges, for whoever replays it."""
    operator_log: str = ""


class Lane:
    """As an asynchronous context manager: started when it is entered, gone when it is left."""

    def __init__(self, source: Path = ROOT / "operator") -> None:
        """`source` is the folder that holds the package `tandem`."""
        self._source = source
        self._plane = ControlPlane(
            controllers=(*COLLECTORS, *WORKLOADS),
            # Events of hundreds of plans are of no use once a plan is over.
            options={"kube-apiserver": ["--event-ttl=10m"]},
        )
        self._number = 0
        self._references: dict[str, Reference] = {}
        self._environment: dict[str, str] = {}
        self._restarting: asyncio.Task[None] | None = None
        self._dwelt = False

    async def __aenter__(self) -> Self:
        self._plane.start()
        try:
            await self._open()
        except BaseException:
            self._plane.stop()
            raise
        return self

    async def _open(self) -> None:
        admin = await credentials.load(str(self._plane.kubeconfig))
        context = admin.ssl_context()
        assert context is not None
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=context))
        self._proxy = Proxy(self._plane.server, self._session)
        self._recorder = Recorder(self._plane.server, self._session)
        self._kubelet = Kubelet(self._plane.server, self._session, self._recorder)
        await self._proxy.start()
        await self._recorder.start()
        await self._kubelet.make_nodes()
        for accelerator in DEVICES:
            await send(self._session, "POST", f"{self._plane.server}{API}/acceleratorprofiles", profile(accelerator))
        self.operator = self._new_operator(self._source)
        self._proxy.crash = self._crash

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.operator.close()
        await self._kubelet.stop()
        await self._recorder.stop()
        await self._proxy.stop()
        await self._session.close()
        self._plane.stop()

    async def reference(self, story: str) -> Reference:
        """What a story comes to without faults; learnt when it is asked for first. Raises AssertionError."""
        if story not in self._references:
            self._references[story] = await self._learn(story)
        return self._references[story]

    def know(self, references: Mapping[str, Reference]) -> None:
        """Take over what another lane has learnt."""
        self._references.update(references)

    def use(self, source: Path) -> None:
        """Go on with the operator in another folder."""
        self.operator.close()
        self.operator = self._new_operator(source)

    def _new_operator(self, source: Path) -> PlannedOperator:
        return PlannedOperator(f"http://127.0.0.1:{self._proxy.port}", self._plane.folder, source)

    async def run_surely(self, plan: Plan) -> Result:
        """As `run`; a fault whose place did not come up is tried once more: some statuses come in one run and not in another."""
        result = await self.run(plan)
        return result if result.fired or result.violations else await self.run(plan)

    async def run(self, plan: Plan) -> Result:
        """Carry a plan out and judge it."""
        reference = await self.reference(plan.story)
        begin = time.monotonic()
        result, _ = await self._tell(plan, reference)
        result.seconds = time.monotonic() - begin
        return result

    async def _learn(self, story: str) -> Reference:
        runs = []
        for _ in range(2):
            result, stage = await self._tell(Plan(story), None)
            if result.violations:
                raise AssertionError("without any fault:\n" + "\n".join([*result.violations, *result.log]))
            writes = [item.label for item in self._proxy.log.of(stage.namespace) if item.mutating]
            events = [f"{name}#1" for name in self._proxy.events]
            runs.append((stage.learnt, state.counts(self._recorder.history), writes, events))
        (stations, counts, writes, events), (stations2, counts2, writes2, events2) = runs
        masked = {
            line.split(": ", 1)[0]
            for name, facts in stations.items()
            for line in state.difference(facts, stations2[name])
        }
        unsure = {key for key in counts.keys() | counts2.keys() if counts[key] != counts2[key]}
        places = Places(
            writes=[label for label in writes if label in set(writes2) and not _one_of_many(label)],
            events=[name for name in events if name in set(events2)],
        )
        return Reference(stations, frozenset(masked), counts, frozenset(unsure), places)

    async def _tell(self, plan: Plan, reference: Reference | None) -> tuple[Result, Stage]:
        """One run of a story, with what its plan does to it."""
        await self._operator_with(dict(plan.environment))
        self._number += 1
        namespace = f"plan-{self._number:04}"
        stage = Stage(
            self._plane.server,
            self._session,
            self._recorder,
            self._kubelet,
            self._proxy,
            namespace,
            wanted=reference.stations if reference else None,
            masked=reference.masked if reference else frozenset(),
            cut_short=lambda: plan.action == "gone" and self._proxy.fired.is_set(),
            dwell=lambda: self._dwell(plan),
        )
        self._dwelt = False
        self.operator.empty_log()
        self._kubelet.release()
        self._proxy.remove = stage.remove
        await stage.open()
        self._proxy.arm(plan, namespace, HEROES[plan.story])
        helper = asyncio.create_task(self._be_the_neighbour(plan, stage))
        keeper = asyncio.create_task(self._keep_alive(plan))
        problems: list[str] = []
        restarted: list[Exchange] = []
        ended_early = False
        try:
            await STORIES[plan.story](stage)
        except GoneError:
            ended_early = True
            # Whoever does not hear that the object is gone goes on now.
            await asyncio.sleep(REST_SECONDS)
        except StuckError as error:
            problems.append(f"P1 P10 {error}")
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)
        if not problems and not ended_early:
            restarted = await self._start_again(stage)
        if not problems:
            # Where the plan has taken one of them away, the others go as well.
            for hero in HEROES[plan.story]:
                await stage.remove(*hero)
        if not problems and not await stage.all_gone():
            left = sorted({path.split("/", 2)[0] + "/" + path.split("/", 2)[1] for path in stage.facts()})
            problems.append(f"P4 P11 still there {CONVERGE_SECONDS:.0f} s after the object was deleted: {left}")
        problems += await self._neighbour_verdict(plan, helper)
        if self._restarting is not None:
            await self._restarting
        exchanges = self._proxy.log.of(namespace)
        story = oracles.Told(
            exchanges=exchanges,
            history=list(self._recorder.history),
            events=await stage.events(),
            operator_log=self.operator.text(),
            after_restart=restarted,
            operator_runs=self.operator.running(),
            leases=[item for item in self._proxy.log.exchanges if item.resource == "leases"],
        )
        problems += oracles.check(story)
        if reference is not None and not ended_early:
            problems += oracles.compare_counts(story, reference.counts, reference.unsure)
        result = Result(plan, problems, fired=self._proxy.fired.is_set() or plan.action == CLEAN)
        result.log = [item.line() for item in exchanges]
        result.operator_log = story.operator_log
        await stage.clear()
        if problems:
            # What is left must not hold devices that the next plan needs.
            await stage.all_gone()
        return result, stage

    async def _operator_with(self, environment: dict[str, str]) -> None:
        """An operator with these settings, running."""
        if self.operator.running() and environment == self._environment:
            return
        self.operator.kill()
        self._environment = environment
        self._proxy.life += 1
        await self.operator.start(environment)

    async def _start_again(self, stage: Stage) -> list[Exchange]:
        """Restart over settled objects; returns what the new operator wrote."""
        if self._restarting is not None:
            await self._restarting
        self.operator.kill()
        self._proxy.life += 1
        await self.operator.start(self._environment)
        # Where there is a Lease, the dead one's has to run out before the new one acts.
        await asyncio.sleep(REST_SECONDS + (LEASE_SECONDS if "TANDEM_LEASE_NAME" in self._environment else 0))
        life = self._proxy.life
        return [item for item in self._proxy.log.of(stage.namespace) if item.life == life and item.mutating]

    def _crash(self) -> None:
        """SIGKILL at this very moment, and a new operator as soon as may be, as a kubelet brings it."""
        self.operator.kill()
        self._proxy.life += 1
        self._restarting = asyncio.create_task(self.operator.start(self._environment))

    def _dwell(self, plan: Plan) -> float:
        """Seconds until the Lease that has just broken has run out: only a story that goes on after it tells who writes then."""
        if self._dwelt or plan.action not in LEASE_LOST or not self._proxy.fired.is_set():
            return 0.0
        self._dwelt = True
        return LEASE_SECONDS + 0.2

    async def _keep_alive(self, plan: Plan) -> None:
        """Whoever has lost the Lease ends by itself, and is started again as a kubelet would."""
        while plan.on_lease:
            await asyncio.sleep(0.05)
            if not self.operator.running():
                self._proxy.life += 1
                await self.operator.start(self._environment)

    async def _be_the_neighbour(self, plan: Plan, stage: Stage) -> str:
        """While an object is poisoned, another one must come up as if nothing were."""
        if plan.action != "poison":
            return ""
        await self._proxy.fired.wait()
        await stage.create(RUN, training_run("neighbour", 1))
        well = await self._recorder.until(lambda: stage.reason(RUN, "neighbour") == "Running", CONVERGE_SECONDS / 2)
        # Long enough to see that the pauses between tries grow.
        await asyncio.sleep(1.0)
        self._proxy.lifted.set()
        return "" if well else "P13 a healthy object did not come up beside a poisoned one"

    async def _neighbour_verdict(self, plan: Plan, helper: asyncio.Task[str]) -> list[str]:
        if not self._proxy.fired.is_set():
            helper.cancel()
            return []
        verdict = await helper
        return [verdict] if verdict else []


def _one_of_many(label: str) -> bool:
    """Whether the same was written before: how often a write is tried, or a count is told, is a matter of time."""
    return not label.endswith("#1")
