"""The keyed work queue: each key stands in it once, and never has two workers.

Four lanes. Urgent is what is quickly decided and dearly waited for: an object never looked at may be wrong, and its owner
waits to hear so; a pod that ended may mean a new attempt. Then what makes pods, and behind it later statuses, and a look at
what merely got on, but neither waits longer than `patience`.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum

from tandem.domain.observed import Key


class Lane(IntEnum):
    """Priority of an entry."""

    URGENT = 0
    WORK = 1
    STATUS = 2
    LOOK = 3


@dataclass(slots=True)
class _Entry:
    lane: Lane
    since: float


CALM_SECONDS = 1.0
"""For how long at most a key that failed is left alone by changes that are not urgent."""


class WorkQueue:
    """Keys to reconcile. All methods are called on the event loop's thread."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        first_retry: float = 0.2,
        last_retry: float = 60.0,
        patience: float = 10.0,
    ) -> None:
        self._clock = clock
        self._first_retry = first_retry
        self._last_retry = last_retry
        self._patience = patience
        self._lanes: dict[Lane, dict[Key, _Entry]] = {lane: {} for lane in Lane}
        self._running: set[Key] = set()
        self._again: dict[Key, Lane] = {}
        self._timers: dict[tuple[Key, Lane], tuple[float, asyncio.TimerHandle]] = {}
        self._failures: dict[Key, int] = {}
        self._not_before: dict[Key, float] = {}
        """When a key may be reconciled again whose write the server asked to be left alone with."""
        self._calm_until: dict[Key, float] = {}
        """When a key that failed may be reconciled again for what gets on around it, as pods that start one by one."""
        self._ready = asyncio.Event()
        self._closed = False
        self._idle = asyncio.Event()
        self._calm = asyncio.Event()
        """Set while nothing waits to make pods, and once the queue is closed."""
        self._calm.set()

    def add(self, key: Key, lane: Lane = Lane.WORK) -> None:
        """Have `key` reconciled soon; while it is being reconciled, once more afterwards."""
        if key in self._running:
            self._again[key] = min(lane, self._again.get(key, lane))
            return
        until = self._not_before.get(key, 0.0)
        if lane is not Lane.URGENT:
            until = max(until, self._calm_until.get(key, 0.0))
        asked = until - self._clock()
        if asked > 0:
            # What has changed meanwhile is no reason to bother a server that said when it wants to be asked again, nor to
            # repeat a write with each pod for as long as it fails.
            self.add_after(key, asked, lane)
            return
        standing = next((one for one in Lane if key in self._lanes[one]), None)
        if standing is not None:
            if standing <= lane:
                return
            del self._lanes[standing][key]
        self._lanes[lane][key] = _Entry(lane, self._clock())
        self._ready.set()
        if lane <= Lane.WORK and not self._closed:
            self._calm.clear()

    def add_after(self, key: Key, seconds: float, lane: Lane = Lane.WORK) -> None:
        """Have `key` reconciled in `seconds`; of several times in one lane the earliest counts."""
        if seconds <= 0:
            self.add(key, lane)
            return
        due = self._clock() + seconds
        slot = (key, lane)
        known = self._timers.get(slot)
        if known is not None:
            if known[0] <= due:
                return
            known[1].cancel()
        handle = asyncio.get_running_loop().call_later(seconds, self._fire, slot)
        self._timers[slot] = (due, handle)

    def retry(self, key: Key, at_least: float = 0.0) -> float:
        """Have a failed `key` tried again after its own backoff, which doubles with each failure. Returns the pause.

        What is urgent may bring it back sooner, but never before `at_least` seconds are over; other changes after a second.
        """
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        pause = max(at_least, min(self._last_retry, self._first_retry * 2.0 ** min(count, 16)))
        now = self._clock()
        if at_least > 0:
            self._not_before[key] = now + at_least
        self._calm_until[key] = now + min(pause, CALM_SECONDS)
        self.add_after(key, pause)
        return pause

    def succeeded(self, key: Key) -> None:
        """Forget the failures of `key`, unless a status was put off: until that is written, nobody knows whether it can be."""
        if (key, Lane.STATUS) in self._timers:
            return
        self._failures.pop(key, None)
        self._not_before.pop(key, None)
        self._calm_until.pop(key, None)

    def told(self, key: Key) -> None:
        """The status of `key` was written: none that is due later is still to be."""
        self._cancel(key, Lane.STATUS)

    def forget(self, key: Key) -> None:
        """Drop everything about a key whose object is gone."""
        for lane in Lane:
            self._cancel(key, lane)
        self.succeeded(key)

    async def get(self, *, urgent: bool = False) -> tuple[Key, Lane, float]:
        """The next key, its lane and the seconds it waited; none once the queue is closed. The caller must call `done`.

        `urgent` takes from the urgent lane alone.
        """
        while True:
            entry = None if self._closed else self._pop(urgent)
            if entry is not None:
                return entry
            self._ready.clear()
            await self._ready.wait()

    def done(self, key: Key) -> None:
        """The worker has finished with `key`."""
        self._running.discard(key)
        if not self._running:
            self._idle.set()
        lane = self._again.pop(key, None)
        if lane is not None:
            self.add(key, lane)

    async def close(self) -> None:
        """Give out no more keys, and wait until the workers are done with theirs."""
        self._closed = True
        self._calm.set()
        while self._running:
            self._idle.clear()
            await self._idle.wait()

    def backlog(self) -> int:
        """Keys that wait for their turn to make pods, or to be looked at before."""
        return len(self._lanes[Lane.WORK]) + len(self._lanes[Lane.URGENT])

    async def calm(self) -> None:
        """Wait until no key waits for its turn to make pods, but no longer than `patience`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._calm.wait(), self._patience)

    def depth(self) -> int:
        """Keys that wait for a worker."""
        return sum(len(lane) for lane in self._lanes.values())

    def oldest(self) -> float:
        """Seconds that the oldest waiting key has waited."""
        firsts = [next(iter(lane.values())).since for lane in self._lanes.values() if lane]
        return self._clock() - min(firsts) if firsts else 0.0

    def _pop(self, urgent: bool) -> tuple[Key, Lane, float] | None:
        lane = self._lanes[Lane.URGENT] if urgent else self._next_lane()
        if not lane:
            return None
        key = next(iter(lane))
        entry = lane.pop(key)
        self._running.add(key)
        if not self.backlog():
            self._calm.set()
        return key, entry.lane, self._clock() - entry.since

    def _next_lane(self) -> dict[Key, _Entry]:
        urgent, work, *behind = (self._lanes[lane] for lane in Lane)
        if urgent:
            return urgent
        latest = self._clock() - self._patience
        impatient = (lane for lane in behind if lane and next(iter(lane.values())).since < latest)
        return next(impatient, work) or next((lane for lane in behind if lane), work)

    def _cancel(self, key: Key, lane: Lane) -> None:
        known = self._timers.pop((key, lane), None)
        if known is not None:
            known[1].cancel()

    def _fire(self, slot: tuple[Key, Lane]) -> None:
        self._timers.pop(slot, None)
        self.add(*slot)
