"""The Lease that says which replica acts.

No wall clock is trusted. A holder may write for `renew` seconds from the moment at which it sent the last renewal that was
accepted; nobody takes the Lease from it before having watched it unchanged for `duration` seconds, which is longer. Both
count their own seconds only, so it does not matter what the other's clock says. Every write of the Lease carries the
resourceVersion that was read, so of two that take it one is refused.

A Lease without a holder and without a duration was given back, or never held: it is free at once. One that is gone may have
been deleted under its holder. So whoever waits and finds none makes one without a holder but with a duration, and watches
that for its time like any other; a holder who lives puts its name there meanwhile.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil, inf
from typing import Any

import structlog

from tandem.cluster.client import ApiError, Client, group_path

log = structlog.get_logger(__name__)
API_VERSION = "coordination.k8s.io/v1"
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_TICK = timedelta(microseconds=1)


def seconds_since_boot() -> float:
    """A clock that nobody sets; where the system knows one, it counts the time for which the machine was suspended too."""
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True)
class LeaseTimes:
    """In seconds: retry < renew < duration."""

    duration: float = 15.0
    """How long the others watch an unchanged Lease before one takes it."""
    renew: float = 10.0
    """How long the holder may write after a renewal."""
    retry: float = 2.0
    """Between renewals, and between looks of those who wait."""


class LeaseLostError(Exception):
    """This replica may not write any more: another took the Lease, or it could not be renewed in time."""


class Lease:
    """This replica's part in one Lease. `acquire`, then `hold` until it is lost; `release` gives it back."""

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        holder: str,
        times: LeaseTimes,
        *,
        clock: Callable[[], float] = seconds_since_boot,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`holder` names this process, and no other that ever lived. `now` is only written, for people to read.

        The client's patience with a request has to be about `times.retry`, and nobody else's requests should queue in it.
        """
        self.holder = holder
        self.name = f"{namespace}/{name}"
        self.leader = ""
        """Who holds it, as far as is known."""
        self._client = client
        self._collection = group_path(API_VERSION, "leases", namespace)
        self._path = group_path(API_VERSION, "leases", namespace, name)
        self._metadata = {"name": name, "namespace": namespace}
        self._times = times
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._sent = -inf
        """When the newest accepted renewal was sent."""
        self._tried = -inf
        self._last: dict[str, Any] = {}
        """The Lease as the server answered the last write."""
        self._seen: object = self
        """Identity and content of the Lease at the last look."""
        self._seen_at = -inf
        """When it was first seen so."""
        self._heard = -inf
        self._stamp = datetime.min.replace(tzinfo=UTC)
        self._trouble = ""

    def held(self) -> bool:
        """Whether this replica may begin a write now."""
        return self._clock() < self._sent + self._times.renew

    def time_left(self) -> float:
        """Seconds within which a write that begins now has to be over; 0 when none may begin."""
        return self._sent + self._times.duration - self._clock() if self.held() else 0.0

    def problem(self) -> str | None:
        """What keeps this replica from following the Lease, once it has lasted."""
        if not self._trouble or self._clock() < self._heard + self._times.duration:
            return None
        return f"the Lease {self.name} can neither be read nor taken: {self._trouble}"

    async def acquire(self) -> None:
        """Wait until this replica holds the Lease."""
        while True:
            try:
                won = await self._try()
            except ApiError as error:
                self._note(error)
                won = False
            if won:
                return
            await self._sleep(self._until_next_look())

    async def hold(self) -> None:
        """Renew for ever. Raises LeaseLostError as soon as this replica may not write any more."""
        while True:
            due = min(self._tried + self._times.retry, self._sent + self._times.renew)
            await self._sleep(max(0.0, due - self._clock()))
            self._still_held()
            try:
                await self._renew()
            except ApiError as error:
                self._note(error)

    async def release(self) -> None:
        """Give the Lease back, so that another takes it at once. Only when no write is under way. Raises nothing."""
        if not self.held():
            return
        self._sent = -inf
        try:
            await self._give_back(self._last)
        except ApiError as error:
            log.warning("the lease was not given back: it runs out by itself", lease=self.name, problem=str(error))

    # Waiting for it

    async def _try(self) -> bool:
        found = await self._read()
        now = self._clock()
        if found is None:
            log.warning("there is no lease: making one, to be taken when nobody claims it", lease=self.name)
            await self._make({"leaseDurationSeconds": ceil(self._times.duration)})
            return False
        self._observe(found, now)
        if not self._is_free(_spec(found), now):
            return False
        try:
            await self._write(found)
        except ApiError as error:
            if error.conflict or error.not_found:
                return False
            raise
        return True

    def _observe(self, found: dict[str, Any], now: float) -> None:
        # Not the resourceVersion: whoever writes an annotation again and again is no holder that lives.
        seen = (found["metadata"]["uid"], _spec(found))
        if seen != self._seen:
            self._seen, self._seen_at = seen, now
        self._know(_holder(found))

    def _is_free(self, spec: Mapping[str, Any], now: float) -> bool:
        holder, duration = spec.get("holderIdentity"), spec.get("leaseDurationSeconds")
        # Our own name stands there when the reply to our taking it was lost.
        if holder == self.holder or (not holder and not duration):
            return True
        # The holder may have been configured with longer times than we were.
        return now >= self._seen_at + max(self._times.duration, float(duration or 0))

    def _until_next_look(self) -> float:
        left = self._seen_at + self._times.duration - self._clock()
        return min(self._times.retry, left + 0.01) if left > 0 else self._times.retry

    # Having it

    async def _renew(self) -> None:
        try:
            await self._write(self._last)
        except ApiError as error:
            if error.not_found:
                log.warning("the lease was deleted, making it anew", lease=self.name)
                self._tried = sent = self._clock()
                made = await self._make(self._filled({}))
                if made is not None:
                    self._accepted(made, sent)
                else:
                    await self._look_who_wrote()
            elif error.conflict:
                await self._look_who_wrote()
            else:
                raise

    async def _look_who_wrote(self) -> None:
        """The Lease is not what we wrote. Ours all the same when only a reply was lost, or somebody edited it."""
        found = await self._read()
        if found is None:
            return
        other = _holder(found)
        if other not in ("", self.holder):
            self._sent = -inf
            self._know(other)
            raise LeaseLostError(f"{other} holds the Lease {self.name} now")
        self._still_held()
        await self._write(found)

    def _still_held(self) -> None:
        if not self.held():
            why = f": {self._trouble}" if self._trouble else ", this process was frozen, or had too little time"
            raise LeaseLostError(f"the Lease {self.name} was not renewed for {self._times.renew:g} s{why}")

    async def _give_back(self, last: Mapping[str, Any]) -> None:
        spec = {
            field: value
            for field, value in _spec(last).items()
            if field not in ("holderIdentity", "leaseDurationSeconds")
        }
        try:
            await self._client.request("PUT", self._path, body={**last, "spec": spec})
        except ApiError as error:
            if not error.conflict:
                raise
            # A renewal whose reply we did not wait for.
            found = await self._read()
            if found is not None and found != last and _holder(found) == self.holder:
                await self._give_back(found)

    # Requests

    async def _read(self) -> dict[str, Any] | None:
        try:
            found = await self._client.request("GET", self._path)
        except ApiError as error:
            if not error.not_found:
                raise
            found = None
        self._heard, self._trouble = self._clock(), ""
        return found

    async def _write(self, found: Mapping[str, Any]) -> None:
        """Take the Lease or renew it, unless somebody has written it since it was found so."""
        self._tried = sent = self._clock()
        body = {**found, "spec": self._filled(_spec(found))}
        self._accepted(await self._client.request("PUT", self._path, body=body), sent)

    async def _make(self, spec: Mapping[str, Any]) -> dict[str, Any] | None:
        """A new Lease; None when somebody else has made one."""
        body = {"apiVersion": API_VERSION, "kind": "Lease", "metadata": self._metadata, "spec": spec}
        try:
            return await self._client.request("POST", self._collection, body=body)
        except ApiError as error:
            if error.already_exists:
                return None
            raise

    def _filled(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """The spec with which we hold it. Its times never repeat, or a renewal would look like none."""
        self._stamp = max(self._now(), self._stamp + _TICK)
        stamp = self._stamp.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = before.get("holderIdentity") == self.holder
        transitions = int(before.get("leaseTransitions") or 0)
        return {
            **before,
            "holderIdentity": self.holder,
            "leaseDurationSeconds": ceil(self._times.duration),
            "acquireTime": before.get("acquireTime") if ours else stamp,
            "renewTime": stamp,
            "leaseTransitions": transitions if ours or not before else transitions + 1,
        }

    def _accepted(self, reply: dict[str, Any], sent: float) -> None:
        self._last, self._sent = reply, sent
        self._heard, self._trouble = self._clock(), ""
        self._know(self.holder)

    def _know(self, leader: str) -> None:
        if leader != self.leader:
            self.leader = leader
            log.info("the lease is held by", lease=self.name, leader=leader or "nobody", us=leader == self.holder)

    def _note(self, error: ApiError) -> None:
        if str(error) != self._trouble:
            self._trouble = str(error)
            log.warning("the lease cannot be read or written", lease=self.name, problem=self._trouble)


def _spec(found: Mapping[str, Any]) -> dict[str, Any]:
    return dict(found.get("spec") or {})


def _holder(found: Mapping[str, Any]) -> str:
    return str(_spec(found).get("holderIdentity") or "")
