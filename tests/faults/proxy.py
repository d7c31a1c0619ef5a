"""The proxy between the operator and the API server: it passes on, keeps a complete log, and breaks what a plan says.

The operator is told nothing: its kubeconfig names the proxy. Watches are passed on line by line.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
from aiohttp import web

from tandem.cluster.paths import describe
from tests.faults import traffic
from tests.faults.plans import ANSWERS, LEASE_SECONDS, RETRY_AFTER, STALE_SECONDS, Plan
from tests.faults.traffic import Exchange, Log

REASONS = {409: "Conflict", 410: "Expired", 429: "TooManyRequests", 500: "InternalError"}
HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "content-encoding", "host", "accept-encoding"}


class Proxy:
    """One listener on a loopback port. `arm` gives it a plan; `fired` says that the fault has happened."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        """`session` speaks to the API server as somebody who may do everything."""
        self.log = Log()
        self.events: dict[str, int] = {}
        """Events of the plan's namespace that the operator was sent: RESOURCE.TYPE -> how many."""
        self.life = 0
        self.fired = asyncio.Event()
        self.lifted = asyncio.Event()
        """Set when a poisoned object is to be well again."""
        self.crash: Callable[[], None] = lambda: None
        self.remove: Callable[[str, str], Awaitable[None]] | None = None
        """Deletes an object of ours, by resource and name, as its user."""
        self._server = server
        self._session = session
        self._plan: Plan | None = None
        self._namespace = ""
        self._heroes: Sequence[tuple[str, str]] = ()
        self._leader: int | None = None
        """The life whose Lease breaks, once the write has come after which it does."""
        self._expired: dict[str, int] = {}
        """Resource -> version that is too old for its watches, until there was a list."""
        self._slow_down: Exchange | None = None
        """What was answered 429 and will be so once more."""
        self.late: set[str] = set()
        """Resources whose events come late."""
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """End all connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    def arm(self, plan: Plan, namespace: str, heroes: Sequence[tuple[str, str]]) -> None:
        """Begin a plan in a namespace of its own; what was before is forgotten. `heroes` are the objects it is about."""
        self._plan, self._namespace, self._heroes = plan, namespace, heroes
        self.log.forget()
        self.events = {}
        self._leader = None
        self._expired = {}
        self._slow_down = None
        self.late = set()
        self.fired = asyncio.Event()
        self.lifted = asyncio.Event()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await self._watch(request)
        data = await request.read()
        number = len(self.log.exchanges)
        exchange = traffic.parse(request.method, request.path, request.query, data, number, time.monotonic(), self.life)
        self.log.add(exchange)
        if exchange.verb == "list":
            self._expired.pop(exchange.resource, None)
        action = self._action(exchange)
        if action:
            exchange.fault = action
            self.fired.set()
        return await self._break(action, request, data, exchange)

    def _action(self, exchange: Exchange) -> str:
        """The fault that is due at this request, if any."""
        plan = self._plan
        if plan is not None and plan.on_lease:
            return self._lease_action(plan, exchange)
        if plan is None or plan.on_watch or exchange.namespace != self._namespace:
            return ""
        if plan.action == "poison" and self.fired.is_set() and not self.lifted.is_set():
            return "poison" if exchange.mutating and not exchange.name.startswith("neighbour") else ""
        if self._slow_down is not None and self._slow_down.is_for_what(exchange):
            # The first is repeated by the client itself, the second is its caller's business.
            self._slow_down = None
            return "429"
        if exchange.label != plan.place or self.fired.is_set():
            return ""
        if plan.action == "429":
            self._slow_down = exchange
        return plan.action

    def _lease_action(self, plan: Plan, exchange: Exchange) -> str:
        if self._leader is None and exchange.namespace == self._namespace and exchange.label == plan.place:
            self._leader = exchange.life
        if exchange.resource != "leases" or exchange.life != self._leader:
            return ""
        if plan.action != "lease-silent" and (exchange.verb != "update" or self.fired.is_set()):
            return ""
        return plan.action

    async def _break(self, action: str, request: web.Request, data: bytes, exchange: Exchange) -> web.StreamResponse:
        """Do what the action says, and answer."""
        if action == "crash-before":
            self.crash()
            return self._cut(request)
        if action == "drop-request":
            return self._cut(request)
        if action.removeprefix("lease-") in ANSWERS:
            return self._refuse(exchange, ANSWERS[action.removeprefix("lease-")])
        if action == "lease-silent":
            # Longer than anybody waits for it.
            await asyncio.sleep(LEASE_SECONDS)
            return self._cut(request)
        if action == "lease-taken":
            await self._take(request.path)
        if action == "poison":
            return self._refuse(exchange, 500)
        if action == "gone":
            assert self.remove is not None
            await self.remove(*self._hero_of(exchange))
        if action == "exists":
            # The watch must not tell of the object before the answer does.
            self.late.add(exchange.resource)
        answer = await self._forward(request, data, exchange)
        if action == "crash-after":
            self.crash()
            return self._cut(request)
        if action in ("drop-reply", "lease-unheard"):
            return self._cut(request)
        if action == "exists" and exchange.committed:
            return self._refuse(exchange, 409, "AlreadyExists")
        exchange.status, exchange.answered = answer.status, time.monotonic()
        return answer

    async def _take(self, path: str) -> None:
        """Take the Lease as another replica would that has seen it run out."""
        async with self._session.get(self._server + path) as reply:
            lease = await reply.json()
        lease["spec"]["holderIdentity"] = "somebody-else"
        async with self._session.put(self._server + path, json=lease) as reply:
            assert reply.status == 200, await reply.text()

    def _hero_of(self, exchange: Exchange) -> tuple[str, str]:
        """The object that a write is for; children are named after it."""
        return next(hero for hero in self._heroes if exchange.name.startswith(hero[1]))

    async def _forward(self, request: web.Request, data: bytes, exchange: Exchange) -> web.Response:
        async with self._session.request(
            request.method,
            self._server + request.path_qs,
            data=data or None,
            headers={name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP},
        ) as reply:
            body = await reply.read()
            exchange.committed = reply.status < 300
            kept = {name: value for name, value in reply.headers.items() if name.lower() not in HOP_BY_HOP}
            return web.Response(status=reply.status, body=body, headers=kept)

    def _refuse(self, exchange: Exchange, code: int, reason: str = "") -> web.Response:
        exchange.status, exchange.answered = code, time.monotonic()
        headers = {"Retry-After": str(RETRY_AFTER)} if code == 429 else {}
        return web.json_response(_status(code, reason or REASONS[code]), status=code, headers=headers)

    @staticmethod
    def _cut(request: web.Request) -> web.Response:
        if request.transport is not None:
            request.transport.abort()
        # Nobody reads it; aiohttp wants every handler to return something.
        return web.Response(status=502)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        _, resource = describe("GET", request.path, request.query)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        since = int(request.query.get("resourceVersion") or 0)
        if since <= self._expired.get(resource, -1):
            await response.write(_expired_line())
            return response
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        timeout = aiohttp.ClientTimeout(total=None, sock_read=None)
        lines = Lines(self, resource, since, request, response)
        try:
            async with self._session.get(
                self._server + request.path_qs, headers=headers, timeout=timeout, read_bufsize=2**22
            ) as upstream:
                async for line in upstream.content:
                    if not await lines.take(line):
                        break
        except (aiohttp.ClientError, ConnectionError):
            # The operator went away, or the API server ended: either way this stream is over.
            self._cut(request)
        finally:
            lines.close()
        return response

    def due(self, resource: str, line: bytes) -> str:
        """Count an event of a watch; the fault that is due at it, if any."""
        event = json.loads(line)
        metadata = event["object"].get("metadata") or {}
        # Events of nodes and profiles count when they were touched for this plan.
        scope = metadata.get("namespace") or (metadata.get("annotations") or {}).get("faults/plan")
        if event["type"] not in ("ADDED", "MODIFIED", "DELETED") or scope != self._namespace:
            return ""
        key = f"{resource}.{event['type']}"
        self.events[key] = self.events.get(key, 0) + 1
        plan = self._plan
        if plan is None or not plan.on_watch or self.fired.is_set() or plan.place != f"{key}#{self.events[key]}":
            return ""
        self.fired.set()
        if plan.action == "410":
            self._expired[resource] = int(metadata["resourceVersion"]) - 1
        return plan.action


class Lines:
    """One watch's way through the proxy."""

    def __init__(
        self, proxy: Proxy, resource: str, since: int, request: web.Request, response: web.StreamResponse
    ) -> None:
        self._proxy = proxy
        self._resource = resource
        self._request = request
        self._response = response
        self._twice = False
        self._late: asyncio.Queue[tuple[float, bytes]] | None = None
        self._sender: asyncio.Task[None] | None = None

    async def take(self, line: bytes) -> bool:
        """Pass a line on, or break; False when the watch is over."""
        if self._request.transport is None or self._request.transport.is_closing():
            return False
        action = self._proxy.due(self._resource, line)
        if action == "cut":
            self._proxy._cut(self._request)
            return False
        if action == "410":
            await self._response.write(_expired_line())
            return False
        if action == "silent":
            # Until the operator hangs up.
            await asyncio.Event().wait()
        if action == "duplicate":
            self._twice = True
        if action == "stale":
            self._proxy.late.add(self._resource)
        if self._late is None and self._resource in self._proxy.late:
            self._late = asyncio.Queue()
            self._sender = asyncio.create_task(self._send_late(self._late))
        if self._late is not None:
            self._late.put_nowait((time.monotonic() + STALE_SECONDS, line))
            return True
        await self._response.write(line * 2 if self._twice else line)
        return True

    def close(self) -> None:
        """The watch is over."""
        if self._sender is not None:
            self._sender.cancel()

    async def _send_late(self, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        while True:
            due, line = await queue.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            try:
                await self._response.write(line)
            except ConnectionError:
                return


def _status(code: int, reason: str) -> dict[str, Any]:
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": f"a fault plan answers {code}",
        "reason": reason,
        "code": code,
    }
    if code == 429:
        body["details"] = {"retryAfterSeconds": RETRY_AFTER}
    return body


def _expired_line() -> bytes:
    return json.dumps({"type": "ERROR", "object": _status(410, "Expired")}).encode() + b"\n"
