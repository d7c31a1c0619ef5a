"""Contenders for one Lease in a simulated time: what the network, the machines and people do is in the hands of a test.

Nothing waits for real. A contender's coroutine gives its sleeps and requests to the world, which resumes it when their
time has come, or later where the process is frozen.
"""

import heapq
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from tandem.cluster.client import ApiError, Client
from tandem.cluster.lease import Lease, LeaseLostError, LeaseTimes

Object = dict[str, Any]
TIMES = LeaseTimes()
PATH = "/apis/coordination.k8s.io/v1/namespaces/tandem-system/leases"
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Fate:
    """What becomes of a request. Times in seconds from its start; None: never."""

    done: float | None = 0.01
    answered: float | None = 0.02
    refusal: ApiError | None = None
    """The answer, instead of doing it."""


PROMPT = Fate()
LOST_REQUEST = Fate(done=None, answered=None)
LOST_REPLY = Fate(answered=None)


def refused(status: int, reason: str) -> Fate:
    """An error of the server, which does nothing."""
    return Fate(refusal=ApiError(status, reason, "told so"))


@dataclass
class _Operation:
    resume: Callable[["Contender"], None]

    def __await__(self) -> Generator["_Operation", Any, Any]:
        return (yield self)


class World:
    """The API server's only Lease, and a time that passes when told."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.lease: Object | None = None
        self.contenders: list[Contender] = []
        self.writes: list[tuple[str, str]] = []
        """Name of the contender and method of every write that was accepted."""
        self.check: Callable[[], None] = lambda: None
        """Called after everything that happens."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._versions = itertools.count(1)

    def contender(self, name: str, **more: Any) -> "Contender":
        """A process that wants the Lease, and has begun to."""
        made = Contender(self, name, **more)
        self.contenders.append(made)
        made.resume(None)
        return made

    def at(self, moment: float, event: Callable[[], None]) -> None:
        """Have something happen."""
        heapq.heappush(self._events, (moment, next(self._order), event))

    def passes(self, seconds: float) -> None:
        """Let time pass, with all that happens in it."""
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, event = heapq.heappop(self._events)
            event()
            self.check()
        self.now = end
        self.check()

    def edit(self, **spec: Any) -> None:
        """Somebody edits the Lease by hand; None takes a field away."""
        assert self.lease is not None
        merged = {**self.lease["spec"], **spec}
        self._store({**self.lease, "spec": {name: value for name, value in merged.items() if value is not None}})

    def annotate(self) -> None:
        """Somebody writes the Lease, but not its spec."""
        assert self.lease is not None
        self._store(self.lease)

    def delete(self) -> None:
        """Somebody deletes the Lease."""
        self.lease = None

    @property
    def holder(self) -> str:
        """Who holds the Lease, as it stands."""
        return str((self.lease or {}).get("spec", {}).get("holderIdentity") or "")

    def carry_out(self, who: str, method: str, body: Object | None) -> Object:
        """As the API server does. Raises ApiError."""
        if method == "POST":
            if self.lease is not None:
                raise ApiError(409, "AlreadyExists", "exists")
            assert body is not None
            self._store({**body, "metadata": {**body["metadata"], "uid": f"uid-{next(self._versions)}"}})
        elif self.lease is None:
            raise ApiError(404, "NotFound", "not found")
        elif method == "PUT":
            assert body is not None
            if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
                raise ApiError(409, "Conflict", "the object has been modified")
            self._store(body)
        if method != "GET":
            self.writes.append((who, method))
        assert self.lease is not None
        return deepcopy(self.lease)

    def _store(self, item: Object) -> None:
        metadata = {**item["metadata"], "resourceVersion": str(next(self._versions))}
        self.lease = deepcopy({**item, "metadata": metadata})


@dataclass
class Contender:
    """One replica: it waits for the Lease, and holds it until it loses it."""

    world: World
    name: str
    offset: float = 0.0
    """Of its monotonic clock."""
    drift: float = 1.0
    """How fast that clock goes."""
    wall: timedelta = timedelta()
    """Of its wall clock."""
    times: LeaseTimes = TIMES
    fates: list[Fate] = field(default_factory=list)
    """Of its next requests; then all is well."""
    elected: bool = False
    lost: str = ""
    """Why it ended."""
    frozen_until: float = 0.0
    dead: bool = False

    def __post_init__(self) -> None:
        self.lease = Lease(
            cast("Client", self),
            "tandem-system",
            "tandem",
            self.name,
            self.times,
            clock=lambda: self.offset + self.world.now * self.drift,
            now=lambda: NOON + self.wall,
            sleep=self._sleep,
        )
        self._life: Coroutine[_Operation, Any, None] = self._live()

    def held(self) -> bool:
        """Whether it would write now, if it ran."""
        return not self.dead and self.lease.held()

    def freeze(self, seconds: float) -> None:
        """As SIGSTOP does."""
        self.frozen_until = max(self.frozen_until, self.world.now + seconds)

    def die(self) -> None:
        """As SIGKILL does."""
        self.dead = True

    def ends(self) -> None:
        """As SIGTERM does: the Lease is given back instead of renewed."""
        self._life.close()
        self._life = self.lease.release()  # type: ignore[assignment]
        self.resume(None)

    async def request(self, method: str, path: str, *, body: Any = None, **_: Any) -> Object:
        """As Client.request."""
        assert path == (PATH if method == "POST" else f"{PATH}/tandem")
        fate = self.fates.pop(0) if self.fates else PROMPT
        sent = deepcopy(body)
        outcome: list[Object | ApiError] = []

        def do() -> None:
            try:
                outcome.append(self.world.carry_out(self.name, method, sent))
            except ApiError as error:
                outcome.append(error)

        def begin(contender: "Contender") -> None:
            start = self.world.now
            if fate.done is not None and fate.refusal is None:
                self.world.at(start + fate.done, do)
            answered = fate.answered if fate.answered is not None else self.times.retry
            self._later(start + answered, answer)

        def answer() -> None:
            if fate.answered is None or not (outcome or fate.refusal):
                self.resume(ApiError(0, "Timeout", "no answer in time"))
            else:
                self.resume(fate.refusal or outcome[0])

        return cast("Object", await _Operation(begin))

    def resume(self, answer: object) -> None:
        """Go on until the next sleep or request."""
        try:
            operation = self._life.throw(answer) if isinstance(answer, ApiError) else self._life.send(answer)
        except StopIteration:
            return
        except LeaseLostError as error:
            self.lost = str(error)
            return
        operation.resume(self)

    async def _live(self) -> None:
        await self.lease.acquire()
        self.elected = True
        await self.lease.hold()

    def _sleep(self, seconds: float) -> Awaitable[None]:
        return _Operation(lambda _: self._later(self.world.now + seconds / self.drift, lambda: self.resume(None)))

    def _later(self, moment: float, event: Callable[[], None]) -> None:
        life = self._life

        def due() -> None:
            if self.dead or life is not self._life:
                return
            if self.world.now < self.frozen_until:
                self.world.at(self.frozen_until, due)
            else:
                event()

        self.world.at(moment, due)


def free_lease() -> Mapping[str, Any]:
    """The Lease as the chart installs it."""
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "tandem", "uid": "uid-0"}}
