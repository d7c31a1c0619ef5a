"""The operator as a whole: what starts in which order, what must keep running, and how it stops."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic import ValidationError

from tandem.cluster.applier import Applier
from tandem.cluster.client import Client
from tandem.cluster.events import EventRecorder
from tandem.cluster.metrics import Metrics
from tandem.domain.placement.fit import snapshot
from tandem.domain.serving import split
from tandem.domain.serving.reservation import outstanding as replicas_outstanding
from tandem.domain.training.reservation import outstanding as gang_outstanding
from tandem.runtime import observer, resync
from tandem.runtime.feeds import Feeds
from tandem.runtime.health import HealthServer
from tandem.runtime.objects import StoredObject
from tandem.runtime.placer import Placer
from tandem.runtime.reconciler import Reconciler
from tandem.runtime.settings import Settings
from tandem.runtime.workqueue import WorkQueue

log = structlog.get_logger(__name__)

STUCK_SECONDS = 120.0
"""A key that is due and gets no worker for so long means that the process has to be restarted."""


class Operator:
    """Everything that runs; `feed` is what watches the four kinds, until it is stopped."""

    def __init__(self, settings: Settings, client: Client, metrics: Metrics) -> None:
        self.settings = settings
        self.client = client
        self.metrics = metrics
        self.timing = settings.timing()
        self.queue = WorkQueue()
        self.feeds = Feeds(client, self.queue, settings.watch_silence)
        stores = self.feeds.stores
        self.placer = Placer(
            nodes=stores.nodes,
            pods=stores.pods,
            pods_known=self.feeds.pods.synced.is_set,
            pods_of=lambda key, uid: observer.own_pods(stores, key, uid),
            wake=self.feeds.wake,
            hold_seconds=self.timing.reservation,
            metrics=metrics,
        )
        self.feeds.placer = self.placer
        self.reconciler = Reconciler(
            stores,
            self.queue,
            self.placer,
            Applier(client, self.feeds, settings.writes),
            EventRecorder(client),
            self.timing,
            metrics,
            status_delay=settings.status_delay,
        )
        metrics.watch_queue(self.queue.depth, self.queue.oldest)

    async def run(self, feed: Callable[["Operator", asyncio.Event], Awaitable[None]]) -> None:
        """Run until the feed stops or anything fails. Raises CrdsMissingError or ApiError when it cannot start."""
        health = HealthServer(self._page, {"queue": self._queue_problem}, {"start": self._start_problem})
        port = await health.start(self.settings.listen, self.settings.port)
        log.info("listening", address=self.settings.listen, port=port)
        try:
            await resync.check_served(self.client)
            await self._supervise(feed)
        finally:
            await health.stop()

    async def _supervise(self, feed: Callable[["Operator", asyncio.Event], Awaitable[None]]) -> None:
        """The process lives as long as all of its tasks: one that ends, whatever the reason, ends the others."""
        stop = asyncio.Event()
        # Profiles come first: they name the resources whose pods are of interest.
        await resync.fill(self.client, self.feeds.objects)
        tasks = {asyncio.create_task(informer.run()) for informer in self.feeds.informers}
        try:
            await asyncio.gather(*(informer.synced.wait() for informer in self.feeds.informers))
            self.restore()
            endless: list[Coroutine[Any, Any, None]] = [
                self.placer.run(),
                resync.run(self.client, self.feeds.objects, self.settings.resync_seconds),
                *(self.reconciler.work() for _ in range(self.settings.workers)),
            ]
            tasks |= {asyncio.create_task(item) for item in endless}
            self.feeds.started = True
            self.feeds.wake_all()
            log.info("started", objects=len(self.feeds.objects), profiles=len(self.feeds.objects.profiles))
            tasks.add(asyncio.ensure_future(feed(self, stop)))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stop.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def restore(self) -> None:
        """Rebuild reservations from the intents that stand in status, before the first decision."""
        for stored in self.feeds.objects:
            try:
                self._restore_one(stored)
            except ValidationError:
                continue

    def _restore_one(self, stored: StoredObject) -> None:
        now = datetime.now(UTC)
        stores = self.feeds.stores
        if stored.key.kind == "TrainingRun":
            view = observer.run_view(stores, stored, stored.training_run(), now, self.timing, 0.0)
            attempt, grants = gang_outstanding(view)
            self.placer.restore(stored.key, stored.uid, attempt, grants)
        elif stored.key.kind == "InferenceService":
            service = observer.service_view(stores, stored, stored.inference_service(), now, self.timing)
            self.placer.restore(stored.key, stored.uid, 0, replicas_outstanding(service, split.recorded(service)))

    def _queue_problem(self) -> str | None:
        oldest = self.queue.oldest()
        return f"a key has waited for {oldest:.0f} s" if oldest > STUCK_SECONDS else None

    def _start_problem(self) -> str | None:
        if not self.feeds.started:
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
        return self.metrics.render()

    def devices(self) -> tuple[dict[str, int], dict[str, int]]:
        """Free and allocated devices by profile, for the metrics."""
        stores = self.feeds.stores
        state = snapshot(stores.nodes.values(), stores.pods.values())
        free: dict[str, int] = {}
        used: dict[str, int] = {}
        for name, profile in stores.objects.profiles.items():
            resource = profile.spec.allocation.extended_resource.name
            wanted = profile.spec.node_selector.items()
            for node in state.nodes:
                if wanted <= node.labels.items():
                    taken = state.used.get((node.name, resource), 0)
                    used[name] = used.get(name, 0) + taken
                    free[name] = free.get(name, 0) + max(0, node.allocatable.get(resource, 0) - taken)
        return free, used
