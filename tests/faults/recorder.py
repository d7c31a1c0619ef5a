"""Watches the API server directly and keeps all that happened: what the oracles look at, and what the fake kubelet hears."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.faults.traffic import API

Object = dict[str, Any]
WATCHED = {
    "pods": "/api/v1/pods",
    "services": "/api/v1/services",
    "deployments": "/apis/apps/v1/deployments",
    "poddisruptionbudgets": "/apis/policy/v1/poddisruptionbudgets",
    "trainingruns": f"{API}/trainingruns",
    "inferenceservices": f"{API}/inferenceservices",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One event of one object."""

    time: float
    """Monotonic, when it was seen here."""
    type: str
    """ADDED | MODIFIED | DELETED"""
    resource: str
    name: str
    raw: Object


class Recorder:
    """Objects as they are and as they were, of one namespace at a time."""

    def __init__(self, server: str, session: aiohttp.ClientSession) -> None:
        self.history: list[Seen] = []
        self.objects: dict[tuple[str, str], Object] = {}
        """(resource, name) -> object, in the namespace that is looked at."""
        self.changed = asyncio.Event()
        self.listeners: list[Callable[[Seen], None]] = []
        """Told of every event of every namespace."""
        self._server = server
        self._session = session
        self._namespace = ""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Watch everything from now on."""
        for resource, path in WATCHED.items():
            async with self._session.get(self._server + path, raise_for_status=True) as answer:
                version = (await answer.json())["metadata"]["resourceVersion"]
            self._tasks.append(asyncio.create_task(self._watch(resource, path, version)))

    async def stop(self) -> None:
        """Watch no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def look_at(self, namespace: str) -> None:
        """Begin anew with another namespace."""
        self._namespace = namespace
        self.history = []
        self.objects = {}

    def get(self, resource: str, name: str) -> Object | None:
        """An object as it is now."""
        return self.objects.get((resource, name))

    def of(self, resource: str) -> list[Object]:
        """All objects of a resource, by name."""
        return [raw for (kind, _), raw in sorted(self.objects.items()) if kind == resource]

    async def until(self, test: Callable[[], bool], seconds: float) -> bool:
        """Wait until a test of what is known here holds; False when it did not in time."""
        deadline = time.monotonic() + seconds
        while not test():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.changed.clear()
            try:
                await asyncio.wait_for(self.changed.wait(), min(left, 0.5))
            except TimeoutError:
                continue
        return True

    async def _watch(self, resource: str, path: str, version: str) -> None:
        # No fault is between here and the API server, so whatever ends a watch is the end of the session.
        timeout = aiohttp.ClientTimeout(total=None, sock_read=None)
        while True:
            query = {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
            async with self._session.get(
                self._server + path, params=query, timeout=timeout, read_bufsize=2**22
            ) as stream:
                async for line in stream.content:
                    event = json.loads(line)
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._take(resource, event["type"], event["object"])

    def _take(self, resource: str, kind: str, raw: Object) -> None:
        seen = Seen(time.monotonic(), kind, resource, raw["metadata"]["name"], raw)
        if raw["metadata"].get("namespace") == self._namespace:
            self.history.append(seen)
            if kind == "DELETED":
                self.objects.pop((resource, seen.name), None)
            else:
                self.objects[resource, seen.name] = raw
            self.changed.set()
        for listener in self.listeners:
            listener(seen)
