"""One pass for one key: observe, plan, ask the placer if need be, apply, and write the status once."""

import asyncio
import random
from collections.abc import Callable, Mapping, Set
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic import ValidationError

from tandem.cluster.applier import Applier, Target
from tandem.cluster.client import ApiError
from tandem.cluster.events import EventRecorder
from tandem.cluster.metrics import Metrics
from tandem.domain import clock
from tandem.domain.invalid import plan_invalid
from tandem.domain.inventory.plan import plan_profile
from tandem.domain.observed import Key
from tandem.domain.placement.place import may_fit
from tandem.domain.placement.request import Ask, Decision
from tandem.domain.plan import Event, Plan, Problem, ProblemKind
from tandem.domain.serving.plan import plan_service
from tandem.domain.timing import Timing
from tandem.domain.training.plan import plan_run
from tandem.runtime import observer
from tandem.runtime.objects import PROFILE, WORKLOADS, StoredObject, describe, in_order
from tandem.runtime.observer import Stores
from tandem.runtime.placer import Placer
from tandem.runtime.workqueue import Lane, WorkQueue

log = structlog.get_logger(__name__)

STATUS_DELAY = 0.5
"""Seconds over which later statuses of an object are gathered into one write."""


COUNTS_FACTOR = 10
"""How many times longer, at least, a status waits that only tells how far a gang has started: its pods start one by one. It
waits as long as the attempt is old already, so that a slow start takes a few writes more and not many."""
COUNTS_LONGEST = 60.0
"""Seconds that such a status waits at most: on a run of days, too, a minute later it is told."""
EVENTS_AT_ONCE = 8
"""Events that are posted at the same time, beside the writes that the applier counts."""


class RetryError(Exception):
    """The pass could not be finished; it is to be tried again after a pause of at least `at_least` seconds."""

    def __init__(self, why: str, at_least: float = 0.0) -> None:
        super().__init__(why)
        self.at_least = at_least


class Reconciler:
    """Brings one object at a time to what its spec says."""

    def __init__(
        self,
        stores: Stores,
        queue: WorkQueue,
        placer: Placer,
        applier: Applier,
        recorder: EventRecorder,
        timing: Timing,
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
        status_delay: float = STATUS_DELAY,
    ) -> None:
        self._stores = stores
        self._queue = queue
        self._placer = placer
        self._applier = applier
        self._recorder = recorder
        self._timing = timing
        self._metrics = metrics
        self._now = now
        self._jitter = jitter
        self._status_delay = status_delay
        self._background: set[asyncio.Task[None]] = set()
        self._telling = asyncio.Semaphore(EVENTS_AT_ONCE)
        self._turn = asyncio.Lock()
        """Of whoever decides: one in a round of the event loop."""

    async def work(self, *, urgent: bool = False) -> None:
        """A worker: reconcile keys for ever; `urgent` ones only, so that these need not wait for a worker that waits."""
        while True:
            key, lane, waited = await self._queue.get(urgent=urgent)
            try:
                await self._guarded(key, lane, waited)
            finally:
                self._queue.done(key)

    async def drain(self) -> None:
        """Wait until every pass that has begun is over and its events are posted; no other begins."""
        await self._queue.close()
        if self._background:
            await asyncio.wait(self._background)

    async def _guarded(self, key: Key, lane: Lane, waited: float = 0.0) -> None:
        """Reconcile, and turn whatever goes wrong into a later try of this key alone."""
        with self._metrics.reconcile_seconds.labels(key.kind).time():
            try:
                await self.reconcile(key, lane, waited)
            except RetryError as error:
                pause = self._queue.retry(key, error.at_least)
                outcome = "retry"
                log.info("to be tried again", **_words(key), why=str(error), pause=round(pause, 2))
            except ApiError as error:
                pause = self._queue.retry(key, error.retry_after or 0.0)
                outcome = "error"
                log.warning("API call failed", **_words(key), problem=error.message, status=error.status, pause=pause)
            except Exception:
                self._queue.retry(key)
                outcome = "bug"
                log.exception("reconcile failed", **_words(key))
            else:
                self._queue.succeeded(key)
                outcome = "ok"
        self._metrics.reconciles.labels(key.kind, outcome).inc()

    async def reconcile(self, key: Key, lane: Lane, waited: float = 0.0) -> None:
        """One pass for a key that `waited` so many seconds for it. Raises RetryError or ApiError when it has to be repeated."""
        async with self._turn:
            # A plan takes milliseconds and waits for nothing. Many in a row would keep the Lease from being renewed in time.
            await asyncio.sleep(0)
            stored = self._stores.objects.get(key)
            if stored is None or stored.deleting:
                self._gone(key, stored)
                return
            plan = self._plan(stored)
            if lane is Lane.URGENT and self._queue.backlog() and self._makes(plan):
                # Nothing is wrong with it, so it does not overtake those whose pods are to be made before its own.
                self._queue.add(key, Lane.WORK)
                return
            plan = await self._answered(stored, plan)
        problems = await self._apply(stored, plan, lane, waited)
        if problems:
            await self._after_problems(key, stored, problems)

    def _makes(self, plan: Plan) -> bool:
        """Whether children would be made, if the devices are there."""
        return bool(plan.create) or (plan.ask is not None and may_fit(plan.ask, self._placer.snapshot()))

    async def decide(self, stored: StoredObject) -> Plan:
        """The plan, with the placer's answer in it where one is needed."""
        return await self._answered(stored, self._plan(stored))

    def ask(self, stored: StoredObject) -> Ask | None:
        """What it would ask the placer for now; None where it needs no decision."""
        return self._plan(stored).ask

    async def _answered(self, stored: StoredObject, plan: Plan) -> Plan:
        if plan.ask is None:
            self._placer.withdraw(stored.uid)
            if plan.release:
                self._placer.release(stored.uid)
            if plan.standing is not None:
                self._placer.restore(stored.key, stored.uid, 0, plan.standing)
            return plan
        decision = await self._placer.decide(stored.key, plan.ask)
        answered = self._plan(stored, decision=decision)
        if answered.ask is not None:
            raise AssertionError("a plan that was given a decision must not ask again")
        return answered

    def _plan(
        self,
        stored: StoredObject,
        *,
        decision: Decision | None = None,
        problems: tuple[Problem, ...] = (),
        repaired: Set[str] = frozenset(),
    ) -> Plan:
        now = self._now()
        try:
            if stored.key.kind == PROFILE:
                ours = self._placer.devices_on(stored.key.name)
                return plan_profile(observer.profile_view(self._stores, stored, self._placer.snapshot(), ours, now))
            if stored.key.kind == "TrainingRun":
                run = stored.training_run()
                view = observer.run_view(self._stores, stored, run, now, self._timing, self._jitter())
                return plan_run(view, decision=decision, problems=problems)
            service = stored.inference_service()
            return plan_service(
                observer.service_view(self._stores, stored, service, now, self._timing, repaired),
                decision=decision,
                problems=problems,
            )
        except ValidationError as error:
            return plan_invalid(stored.key.kind, stored.status, stored.generation, describe(error), now)

    async def _apply(self, stored: StoredObject, plan: Plan, lane: Lane, waited: float = 0.0) -> tuple[Problem, ...]:
        """Carry the plan out; a status that changed alone waits in the slow lane, where later ones overtake it.

        What was gathered before a look, and every wait in the queue, counts: one pass both looks at a gang and tells of it.
        """
        changed = plan.status is not None and in_order(plan.status) != in_order(stored.status)
        later = changed and not plan.intent and not plan.acts and lane is not Lane.STATUS and bool(stored.status)
        if later:
            pause = self._status_delay
            if same_stage(stored.status, plan.status or {}):
                pause = max(pause * COUNTS_FACTOR, min(COUNTS_LONGEST, self._age(stored.status)))
            later = waited + (self._status_delay if lane is Lane.LOOK else 0.0) < pause
        if later:
            self._queue.add_after(stored.key, pause, Lane.STATUS)
        if changed and not later:
            self._log(stored, plan)
        target = Target(stored.key, stored.uid, stored.resource_version)
        if (changed and not later) or plan.acts:
            plan = plan if changed else replace(plan, intent=False)
            outcome = await self._applier.run(target, plan, write_status=changed and not later)
            if outcome.superseded:
                raise RetryError("the object changed meanwhile")
            if outcome.problems:
                return outcome.problems
            if changed and not later:
                self._queue.told(stored.key)
                self._tell(stored, plan)
            if plan.apply:
                return await self._learn(stored, plan)
        if plan.requeue_after is not None:
            self._queue.add_after(stored.key, max(plan.requeue_after, 0.05))
        return ()

    async def _learn(self, stored: StoredObject, done: Plan) -> tuple[Problem, ...]:
        """Record what the replies of repairs show, at once: what others change from now on must not be taken for ours."""
        current = self._stores.objects.get(stored.key)
        if current is None or current.uid != stored.uid:
            return ()
        learnt = self._plan(current, repaired={change.name for change in done.apply})
        return () if learnt.ask is not None else await self._apply(current, learnt, Lane.STATUS)

    def _age(self, status: Mapping[str, Any]) -> float:
        """Seconds since the active attempt began; 0 without one."""
        began = (status.get("active") or {}).get("startTime")
        return (self._now() - clock.parse(began)).total_seconds() if began else 0.0

    async def _after_problems(self, key: Key, stored: StoredObject, problems: tuple[Problem, ...]) -> None:
        """Let the planner answer refused writes; what may succeed later is tried again."""
        log.warning("writes failed", **_words(key), problems=[f"{item.kind}: {item.message}" for item in problems[:3]])
        current = self._stores.objects.get(key)
        if current is None or current.uid != stored.uid:
            raise RetryError("the object changed meanwhile")
        answer = self._plan(current, problems=problems)
        if answer.ask is None:
            # The server asked to be left alone with these for now.
            answer = answer.without({item.name for item in problems if item.retry_after})
            if answer.release:
                self._placer.release(current.uid)
            again = await self._apply(current, answer, Lane.STATUS)
            if not again and any(item.kind is not ProblemKind.TRANSIENT for item in problems):
                return
        raise RetryError(problems[0].message, max(item.retry_after for item in problems))

    def _gone(self, key: Key, stored: StoredObject | None) -> None:
        """Nothing is done for an object that is going: its children are the garbage collector's."""
        if stored is not None:
            self._placer.release(stored.uid)
        else:
            self._queue.forget(key)

    def _tell(self, stored: StoredObject, plan: Plan) -> None:
        """Post events beside the pass: they must neither delay nor fail it."""
        ended = _newest_ended(plan.status or {})
        if ended is not None and ended != _newest_ended(stored.status):
            self._metrics.attempts.labels(ended["outcome"]).inc()
        regarding = {
            "apiVersion": "tandem.dev/v1alpha1",
            "kind": stored.key.kind,
            "namespace": stored.key.namespace,
            "name": stored.key.name,
            "uid": stored.uid,
        }
        for event in plan.events:
            task = asyncio.create_task(self._post(regarding, event))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def _post(self, regarding: Mapping[str, str], event: Event) -> None:
        """Post an event, behind a burst and a few at a time: it takes as much of the API server as a pod does."""
        await self._queue.calm()
        async with self._telling:
            await self._recorder.post(regarding, event)

    def _log(self, stored: StoredObject, plan: Plan) -> None:
        if stored.key.kind not in WORKLOADS:
            # Counts; nothing was decided.
            return
        status = plan.status or {}
        placement = status.get("placement") or {}
        log.info(
            "decided",
            **_words(stored.key),
            reason=plan.reason.value,
            attempt=status.get("attempt"),
            accelerator=placement.get("chosen"),
            rejected=[f"{item['accelerator']}: {item['reason']}" for item in placement.get("rejected") or ()],
            intent=plan.intent,
            create=len(plan.create),
            delete=len(plan.delete),
            repaired=[change.name for change in plan.apply],
            generation=stored.generation,
            resource_version=stored.resource_version,
        )


def same_stage(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two statuses differ only in words, in the number of ready pods and in what follows from the pods alone."""
    return _stage(before) == _stage(after)


def _stage(status: Mapping[str, Any]) -> dict[str, Any]:
    pods = status.get("pods") or {}
    active = status.get("active") or {}
    return {
        **status,
        "conditions": [(item["type"], item["status"], item["reason"]) for item in status.get("conditions") or ()],
        "pods": (pods.get("wanted"), pods.get("succeeded")),
        "active": {name: value for name, value in active.items() if name not in ("createdTime", "boundTime")},
    }


def _words(key: Key) -> dict[str, str]:
    return {"kind": key.kind, "namespace": key.namespace, "name": key.name}


def _newest_ended(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    attempts = status.get("attempts")
    return attempts[-1] if attempts else None
