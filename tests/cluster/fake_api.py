"""An API server for tests, under their control: paged lists, watches, and everything that goes wrong on the way.

It keeps objects and their history of one group of collections, answers lists and watches from them as the real one does,
and lets a test put a failure before any answer (`fail_next`) or take a watch into its hands (`watches`).
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from aiohttp import web

from tandem.cluster.backoff import Backoff
from tandem.cluster.client import Client, Credentials

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
DEADLINE = 3.0


async def until(condition: Callable[[], Any], what: str = "the condition") -> None:
    """Wait for a condition; a test that waits longer than the deadline has failed."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + DEADLINE
    while not condition():
        assert loop.time() < deadline, f"{what} did not come about in {DEADLINE:g} s"
        await asyncio.sleep(0.002)


def status(code: int, reason: str, message: str = "told so", **more: Any) -> dict[str, Any]:
    """A Status object."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        **more,
    }


def failure(code: int, reason: str, retry_after: str | None = None) -> Answer:
    """An answer that is an error."""

    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        return web.json_response(status(code, reason), status=code, headers=headers)

    return answer


def text(body: str, code: int = 200) -> Answer:
    """An answer that may be no JSON."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=body, status=code)

    return answer


async def lost_reply(request: web.Request) -> web.StreamResponse:
    """The request arrived; the connection breaks before the answer."""
    await request.read()
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def no_reply(request: web.Request) -> web.StreamResponse:
    """The request arrived; nothing ever comes back."""
    await asyncio.Event().wait()
    return web.Response()


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any
    at: float


@dataclass
class Watch:
    """An open watch, in the hands of a test."""

    response: web.StreamResponse
    request: web.Request
    since: int
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def raw(self, data: bytes) -> None:
        await self.response.write(data)

    async def send(self, kind: str, item: dict[str, Any]) -> None:
        await self.raw(line(kind, item) + b"\n")

    async def bookmark(self, version: int) -> None:
        await self.send("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}})

    def end(self) -> None:
        """End it as the server does when its time is over."""
        self.over.set()

    def cut(self) -> None:
        """Break the connection."""
        assert self.request.transport is not None
        self.request.transport.abort()
        self.over.set()


def line(kind: str, item: dict[str, Any]) -> bytes:
    """A watch event as the API server writes it."""
    return json.dumps({"type": kind, "object": item}, separators=(",", ":")).encode()


class FakeApi:
    """One collection, served at any path."""

    def __init__(self) -> None:
        self.version = 100
        self.oldest = 0
        """Watches from before this version are answered with 410."""
        self.gone_in_stream = False
        """Whether that 410 comes as a status or as an ERROR event."""
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.history: list[tuple[int, str, dict[str, Any]]] = []
        self.seen: list[Seen] = []
        self.watches: list[Watch] = []
        self.token = "first"
        """What requests have to bring, once `secured`."""
        self.secured = False
        self.reloads = 0
        self._answers: dict[str, deque[Answer]] = {"list": deque(), "page": deque(), "watch": deque(), "write": deque()}
        self._always: Answer | None = None
        self._snapshots: dict[str, tuple[int, list[dict[str, Any]]]] = {}
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        # Handlers of aborted connections are cancelled, or a watch whose client is gone would keep the server open.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for watch in self.watches:
            watch.end()
        await self._runner.cleanup()

    def credentials(self) -> Credentials:
        """What is valid now."""
        return Credentials(server=self.url, scheme="Bearer", token=self.token)

    async def reload(self) -> Credentials:
        """As a rotated token file is read again."""
        self.reloads += 1
        return self.credentials()

    def client(self, reload: Callable[[], Awaitable[Credentials]] | None = None) -> Client:
        """A client of this server, with short waits."""
        backoff = Backoff(base=0.01, cap=0.5)
        return Client(self.credentials(), reload or self.reload, request_timeout=2.0, backoff=backoff)

    def kubeconfig(self, folder: Path) -> Path:
        """A file that leads here, for what is run as a program."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": self.token}}],
        }
        path = folder / "kubeconfig"
        path.write_text(json.dumps(config))
        return path

    def fail_next(self, what: str, *answers: Answer) -> None:
        """Answer the next requests so. `what`: list (its first page), page (the pages after), watch, write."""
        self._answers[what].extend(answers)

    def answer_all(self, answer: Answer) -> None:
        """Answer everything so, but for what `fail_next` says."""
        self._always = answer

    def count(self, what: str) -> int:
        """Requests of one sort so far."""
        return sum(1 for seen in self.seen if _sort(seen.method, seen.query) == what)

    async def put(self, item: dict[str, Any], *, quietly: bool = False) -> dict[str, Any]:
        """Create or replace an object. Quietly: no watch is told, as in a gap."""
        key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
        kind = "MODIFIED" if key in self.objects else "ADDED"
        return await self._record(kind, key, item, quietly)

    async def remove(self, namespace: str, name: str, *, quietly: bool = False) -> None:
        """Delete an object."""
        await self._record("DELETED", (namespace, name), self.objects[namespace, name], quietly)
        del self.objects[namespace, name]

    async def watch_number(self, number: int) -> Watch:
        """The n-th watch since the start (from 1), once it is open."""
        await until(lambda: len(self.watches) >= number, f"watch {number}")
        return self.watches[number - 1]

    async def _record(self, kind: str, key: tuple[str, str], item: dict[str, Any], quietly: bool) -> dict[str, Any]:
        self.version += 1
        item = {**item, "metadata": with_version(item["metadata"], self.version)}
        self.objects[key] = item
        self.history.append((self.version, kind, item))
        if not quietly:
            for watch in self.watches:
                # A client that has just gone is noticed a moment later; its next watch gets the event from history.
                if not watch.over.is_set():
                    with suppress(ConnectionResetError):
                        await watch.send(kind, item)
        return item

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        query, raw = dict(request.query), await request.read()
        body = json.loads(raw) if raw else None
        now = asyncio.get_running_loop().time()
        self.seen.append(Seen(request.method, request.path, query, dict(request.headers), body, now))
        if self.secured and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.json_response(status(401, "Unauthorized"), status=401)
        sort = _sort(request.method, query)
        if self._answers[sort]:
            return await self._answers[sort].popleft()(request)
        if self._always is not None:
            return await self._always(request)
        if sort == "watch":
            return await self._watch(request, int(query["resourceVersion"]))
        if sort == "write":
            return web.json_response({"kind": "Echo", "body": body, "path": request.path})
        return self._list(query)

    def _list(self, query: dict[str, str]) -> web.Response:
        """A page of the snapshot that the first page took; the token names the snapshot and the place in it."""
        limit = int(query.get("limit", "1000000"))
        token = query.get("continue", "")
        if token:
            snapshot, _, place = token.partition(":")
            start = int(place)
        else:
            snapshot, start = str(len(self._snapshots)), 0
            self._snapshots[snapshot] = (self.version, list(self.objects.values()))
        version, items = self._snapshots[snapshot]
        more = f"{snapshot}:{start + limit}" if start + limit < len(items) else ""
        metadata = {"resourceVersion": str(version), "continue": more}
        return web.json_response({"kind": "PodList", "metadata": metadata, "items": items[start : start + limit]})

    async def _watch(self, request: web.Request, since: int) -> web.StreamResponse:
        if since < self.oldest and not self.gone_in_stream:
            return web.json_response(status(410, "Expired", "too old resource version"), status=410)
        response = web.StreamResponse()
        await response.prepare(request)
        watch = Watch(response, request, since)
        self.watches.append(watch)
        if since < self.oldest:
            await watch.send("ERROR", status(410, "Expired", "too old resource version"))
            watch.end()
        for version, kind, item in list(self.history):
            if version > since:
                await watch.send(kind, item)
        try:
            await watch.over.wait()
        finally:
            watch.end()
        return response


def with_version(metadata: dict[str, Any], version: int) -> dict[str, Any]:
    """Metadata in the order in which the API server writes it."""
    rest = {name: value for name, value in metadata.items() if name not in _ORDER}
    known = {**metadata, "resourceVersion": str(version)}
    return {**{name: known[name] for name in _ORDER if name in known}, **rest}


_ORDER = ("name", "generateName", "namespace", "uid", "resourceVersion")


def _sort(method: str, query: dict[str, str]) -> str:
    if method != "GET":
        return "write"
    if "watch" in query:
        return "watch"
    return "page" if "continue" in query else "list"
