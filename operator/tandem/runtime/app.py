"""The operator as a whole: what starts in which order, what must keep running, and how it stops.

All that watches runs in every replica; all that decides and writes waits until this one leads.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from tandem.cluster.applier import Applier
from tandem.cluster.client import ApiError, Client
from tandem.cluster.events import EventRecorder
from tandem.cluster.lease import Lease
from tandem.cluster.metrics import Metrics
from tandem.domain.inventory import count
from tandem.domain.serving import split
from tandem.domain.serving.reservation import outstanding as replicas_outstanding
from tandem.domain.training.reservation import outstanding as gang_outstanding
from tandem.runtime import observer, optional, resync
from tandem.runtime.feeds import Feeds
from tandem.runtime.health import Check, HealthServer
from tandem.runtime.objects import StoredObject
from tandem.runtime.placer import Placer
from tandem.runtime.policy_reports import PolicyReports
from tandem.runtime.reconciler import Reconciler
from tandem.runtime.settings import Settings
from tandem.runtime.workqueue import WorkQueue

log = structlog.get_logger(__name__)

STUCK_SECONDS = 120.0
"""A key that is due and gets no worker for so long means that the process has to be restarted."""
LOOKERS = 4
"""Workers for what is urgent alone: all others may be waiting for an API server that is slow to make pods."""
DRAIN_SECONDS = 3.0
"""How long passes that have begun may take to end when the operator stops."""
FEED_SECONDS = 5.0
"""How long the feed may take to stop."""


class EndedError(Exception):
    """A part of the operator ended, which it must not while the operator runs."""


class Operator:
    """Everything that runs; `feed` is what watches the four kinds, until it is stopped."""

    def __init__(self, settings: Settings, client: Client, metrics: Metrics, lease: Lease | None = None) -> None:
        """Without a Lease it leads at once: then it has to be the only one."""
        self.settings = settings
        self.client = client
        self.metrics = metrics
        self.lease = lease
        self.timing = settings.timing()
        self._stop = asyncio.Event()
        self._filled = False
        self._elected = asyncio.Event()
        self._leading = asyncio.Event()
        self.queue = WorkQueue()
        self.feeds = Feeds(client, self.queue, settings.watch_silence, settings.status_delay)
        stores = self.feeds.stores
        self.placer = Placer(
            nodes=stores.nodes,
            pods=stores.pods,
            quotas=stores.quotas,
            pods_known=self.feeds.pods.synced.is_set,
            policies=self.feeds.policies,
            pods_of=lambda key, uid: observer.own_pods(stores, key, uid),
            wake=self.feeds.wake,
            hold_seconds=self.timing.reservation,
            metrics=metrics,
            record=partial(_append, Path(settings.decisions_file)) if settings.decisions_file else None,
        )
        self.feeds.placer = self.placer
        applier = Applier(client, self.feeds, settings.writes)
        self.policies = PolicyReports(self.feeds.objects, self.placer.snapshot, applier, settings.policy_delay)
        self.feeds.policy_news = self.policies.changed
        stores.pods.listen(self.policies.pod_changed)
        stores.namespaces.listen(lambda *_: self.policies.changed())
        self.reconciler = Reconciler(
            stores,
            self.queue,
            self.placer,
            applier,
            EventRecorder(client, instance=settings.replica_name),
            self.timing,
            metrics,
            status_delay=settings.status_delay,
        )
        metrics.watch_queue(self.queue.depth, self.queue.oldest)
        metrics.lease_held.set_function(lambda: float(self._leads()))

    def catch_signals(self) -> None:
        """Have SIGTERM and SIGINT stop this operator in its own order."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)

    async def run(self, feed: Callable[["Operator", asyncio.Event], Awaitable[None]]) -> None:
        """Run until told to stop, or until anything ends.

        Raises CrdsMissingError or ApiError when it cannot start, LeaseLostError when another replica acts now.
        """
        self.catch_signals()
        health = HealthServer(self._page, {"queue": self._queue_problem}, self._readiness(), self._role)
        port = await health.start(self.settings.listen, self.settings.port)
        log.info("listening", address=self.settings.listen, port=port)
        life = asyncio.create_task(self._live(feed))
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({life, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            life.cancel()
            await asyncio.wait({life})
            await health.stop()
        if not life.cancelled():
            life.result()

    async def _live(self, feed: Callable[["Operator", asyncio.Event], Awaitable[None]]) -> None:
        """The process lives as long as all of its tasks: one that ends, whatever the reason, ends the others."""
        patience = self.settings.start_seconds
        await resync.patiently("looking for the CRDs", partial(resync.check_served, self.client), patience)
        # Profiles come first: they name the resources whose pods are of interest.
        await resync.patiently("listing", partial(resync.fill, self.client, self.feeds.objects), patience)
        await resync.patiently("looking for optional APIs", self.look_around, patience)
        stop_feed = asyncio.Event()
        watches = {asyncio.create_task(informer.run()) for informer in self.feeds.informers}
        works: set[asyncio.Task[Any]] = set()
        feeding: set[asyncio.Future[None]] = set()
        try:
            await asyncio.gather(*(informer.synced.wait() for informer in self.feeds.informers))
            # kopf ends every task that was made after it, so what has to outlive it is made before, and waits.
            works = {asyncio.create_task(item) for item in self._works()}
            self._filled = True
            log.info("filled", objects=len(self.feeds.objects), profiles=len(self.feeds.objects.profiles))
            feeding = {asyncio.ensure_future(feed(self, stop_feed))}
            done, _ = await asyncio.wait(watches | works | feeding, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()
            raise EndedError("a part of the operator ended by itself")
        finally:
            log.info("stopping", leading=self._leads())
            await self._hand_over(works)
            await _cancel(watches)
            stop_feed.set()
            if feeding:
                await asyncio.wait(feeding, timeout=FEED_SECONDS)
            await _cancel(feeding)

    async def look_around(self) -> None:
        """Learn what only some clusters serve. Raises ApiError."""
        self.feeds.adapt(await optional.look(self.client))

    def _works(self) -> list[Coroutine[Any, Any, None]]:
        """What runs for ever beside the watches."""
        return [
            self._be_elected(),
            self._take_over(),
            resync.run(self.client, self.feeds.objects, self.settings.resync_seconds),
            self._report(),
            *(self._work(urgent=True) for _ in range(LOOKERS)),
            *(self._work(urgent=False) for _ in range(self.settings.workers)),
        ]

    async def _be_elected(self) -> None:
        if self.lease is not None:
            await self.lease.acquire()
        self._elected.set()
        if self.lease is not None:
            await self.lease.hold()
        await asyncio.Event().wait()

    async def _take_over(self) -> None:
        """Make sure of what the former leader left, then lead."""
        await self._elected.wait()
        began = time.monotonic()
        differing = await self._catch_up() if self.lease is not None else 0
        await self.restore()
        self.feeds.started = True
        self._leading.set()
        self.feeds.wake_all()
        self.feeds.count_devices()
        log.info(
            "started",
            objects=len(self.feeds.objects),
            unseen=differing,
            seconds=round(time.monotonic() - began, 3),
        )
        await self.placer.run()

    async def _report(self) -> None:
        await self._leading.wait()
        self.policies.changed()
        await self.policies.run()

    async def _work(self, *, urgent: bool) -> None:
        await self._leading.wait()
        await self.reconciler.work(urgent=urgent)

    async def _catch_up(self) -> int:
        """Read what the watches may not have brought; returns how many objects of ours differed.

        An intent that is overlooked would be granted away again, and a pod that is overlooked taken for lost.
        """
        await asyncio.gather(*(informer.catch_up() for informer in self.feeds.informers))
        while True:
            try:
                return await resync.compare(self.client, self.feeds.objects)
            except ApiError as error:
                log.warning("taking over is held up", problem=str(error))
                await asyncio.sleep(resync.START_PAUSE)

    async def _hand_over(self, works: set[asyncio.Task[Any]]) -> None:
        """End what decides and writes. The Lease is given back only when no write of ours can be under way any more."""
        quiet = False
        if self._leads():
            try:
                await asyncio.wait_for(self.reconciler.drain(), DRAIN_SECONDS)
                quiet = True
            except TimeoutError:
                log.warning("writes are still under way", seconds=DRAIN_SECONDS)
        quiet = quiet or not self._leading.is_set()
        await _cancel(works)
        if self.lease is not None and quiet:
            await self.lease.release()

    async def restore(self) -> None:
        """Rebuild reservations from the intents that stand in status, before the first decision."""
        for key in [stored.key for stored in self.feeds.objects]:
            stored = self.feeds.objects.get(key)
            if stored is not None:
                with suppress(ValidationError):
                    self._restore_one(stored)
            # Reading thousands of objects must not keep the Lease from being renewed.
            await asyncio.sleep(0)

    def _restore_one(self, stored: StoredObject) -> None:
        now = datetime.now(UTC)
        stores = self.feeds.stores
        if stored.key.kind == "TrainingRun":
            view = observer.run_view(stores, stored, stored.training_run(), now, self.timing, 0.0)
            attempt, grants = gang_outstanding(view)
            hold = view.bind_seconds + self.timing.partial_create
            self.placer.restore(stored.key, stored.uid, attempt, grants, hold)
        elif stored.key.kind == "InferenceService":
            service = observer.service_view(stores, stored, stored.inference_service(), now, self.timing)
            self.placer.restore(stored.key, stored.uid, 0, replicas_outstanding(service, split.recorded(service)))

    def _leads(self) -> bool:
        return self._leading.is_set() and (self.lease is None or self.lease.held())

    def _role(self) -> str:
        if self._leads():
            return "leading"
        leader = self.lease.leader if self.lease is not None else ""
        return f"standby, {leader or 'nobody'} leads"

    def _readiness(self) -> dict[str, Check]:
        return {"start": self._start_problem, **({"lease": self.lease.problem} if self.lease is not None else {})}

    def _queue_problem(self) -> str | None:
        oldest = self.queue.oldest()
        return f"a key has waited for {oldest:.0f} s" if oldest > STUCK_SECONDS else None

    def _start_problem(self) -> str | None:
        if not self._filled:
            return "the stores are not filled yet"
        silent = [
            informer.name
            for informer in self.feeds.informers
            if time.monotonic() - informer.last_contact > 3 * self.settings.watch_silence
        ]
        return f"nothing heard of {', '.join(silent)}" if silent else None

    def _page(self) -> bytes:
        """The page of /metrics, with devices and objects counted now."""
        self.metrics.set_devices(*self.devices())
        self.metrics.set_objects(self.feeds.objects.counts())
        self.metrics.set_shares(self.policies.shares())
        return self.metrics.render()

    def devices(self) -> tuple[dict[str, int], dict[str, int]]:
        """Free and allocated devices by profile, for the metrics."""
        state = self.placer.snapshot()
        free: dict[str, int] = {}
        used: dict[str, int] = {}
        for name, profile in self.feeds.objects.profiles.items():
            devices = count.devices_of(profile, count.nodes_of(profile, state.nodes), state, 0)
            free[name] = devices.free or 0
            used[name] = devices.others or 0
        return free, used


def _append(file: Path, line: str) -> None:
    try:
        with file.open("a", encoding="utf-8") as sink:
            sink.write(line + "\n")
    except OSError as error:
        # A decision must not fail for want of a place to note it down.
        log.warning("decision not recorded", file=str(file), problem=str(error))


async def _cancel(tasks: Collection[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
