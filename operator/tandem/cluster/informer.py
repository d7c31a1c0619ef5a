"""Keeps a store equal to the API server: list, then watch from there, for ever.

- A list is read in pages. What the store holds and the list does not is deleted: nobody sends DELETED after a gap.
- A watch is resumed from the last resourceVersion when it ends, is cut or falls silent. Bookmarks move that version.
- 410 Gone, at whatever moment and in whatever form, means a new list.
- A failed watch is tried again from the same version; after a few refusals, or an error inside the stream, a new list is
  the way out of states (a restore from a backup) that no watch comes out of.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any, Generic, TypeVar

import structlog

from tandem.cluster import errors
from tandem.cluster.backoff import Backoff
from tandem.cluster.client import JSON, METADATA_ONLY, METADATA_ONLY_LIST, Client
from tandem.cluster.errors import ApiError
from tandem.cluster.lines import head
from tandem.cluster.store import Change, Store

R = TypeVar("R")

_log = structlog.get_logger(__name__)
_BACKOFF = Backoff(base=0.5, cap=30.0)
_REFUSALS_BEFORE_LIST = 3
_SHORTEST_WATCH = 1.0


class Informer(Generic[R]):
    """Feeds one store from one collection of the API."""

    def __init__(
        self,
        client: Client,
        path: str,
        store: Store[R],
        trim: Callable[[dict[str, Any]], R | None],
        *,
        on_change: Callable[[R | None, R | None], None],
        name: str,
        query: Mapping[str, str] | None = None,
        skip: Callable[[bytes], bool] | None = None,
        silence: float = 75.0,
        page: int = 500,
        watch_seconds: float = 300.0,
        metadata_only: bool = False,
        backoff: Backoff = _BACKOFF,
    ) -> None:
        """`trim` makes records, None for what is of no interest, and raises nothing.

        `on_change` is called after the store has changed, with the record before and after, and must not block.
        `query` holds selectors for list and watch. `skip` says of a raw watch line that it cannot matter; lines of
        objects in the store are read whatever it says. `silence` is in seconds and longer than the minute between
        bookmarks. `watch_seconds` is asked of the server, give or take a fifth, so that watches do not end together.
        """
        self.store = store
        self.name = name
        self.synced = asyncio.Event()
        """Set for good once the first list is in the store."""
        self.forbidden = False
        """The last try met 403: a role is missing."""
        self.last_contact = time.monotonic()
        """Monotonic time at which the server was last heard of."""
        self._client = client
        self._path = path
        self._trim = trim
        self._on_change = on_change
        self._query = dict(query or {})
        self._skip = skip
        self._silence = silence
        self._page = page
        self._watch_seconds = watch_seconds
        self._accept_list = METADATA_ONLY_LIST if metadata_only else JSON
        self._accept_watch = METADATA_ONLY if metadata_only else JSON
        self._backoff = backoff
        self._failures = 0
        self._list_wanted = asyncio.Event()
        self._list_wanted.set()
        self._begun = 0
        """Lists so far."""
        self._finished = 0
        """Number of the newest list that is in the store."""
        self._list_ended = asyncio.Event()
        client.metrics.watch_informer(name, lambda: time.monotonic() - self.last_contact, lambda: len(store))

    def relist(self) -> None:
        """Begin a new list as soon as possible, e.g. because `skip` has learnt a new name."""
        self._list_wanted.set()

    async def catch_up(self) -> None:
        """Wait until the store is no older than this call. A watch may have been silent for a while without anybody's notice."""
        wanted = self._begun + 1
        self.relist()
        while self._finished < wanted:
            self._list_ended.clear()
            await self._list_ended.wait()

    async def run(self) -> None:
        """Feed the store until cancelled."""
        while True:
            try:
                while self._list_wanted.is_set():
                    await self.fill()
                await self._watch_until_list_is_wanted()
            except ApiError as error:
                self._note(error)
                await asyncio.sleep(self._pause(error))

    async def fill(self) -> None:
        """Bring the store to one moment of history: `run` does so by itself.

        Raises ApiError; the store is then left between two moments, and the list still wanted.
        """
        self._list_wanted.clear()
        self._begun += 1
        number = self._begun
        listed: set[tuple[str, str]] = set()
        version, rewound, token = 0, False, ""
        try:
            while True:
                answer = await self._client.request(
                    "GET", self._path, query=self._page_query(token), accept=self._accept_list
                )
                metadata = answer.get("metadata") or {}
                self._heard()
                if not version:
                    version = _list_version(metadata)
                    rewound = version < self.store.resource_version
                self._take_page(answer.get("items") or (), listed, rewound)
                token = metadata.get("continue") or ""
                if not token:
                    break
        except BaseException:
            self._list_wanted.set()
            raise
        self._finish_list(listed, version, rewound)
        self._finished = number
        self._list_ended.set()

    def _page_query(self, token: str) -> dict[str, str]:
        query = {**self._query, "limit": str(self._page)}
        return {**query, "continue": token} if token else query

    def _take_page(self, items: Any, listed: set[tuple[str, str]], rewound: bool) -> None:
        for item in items:
            try:
                key, version = _identity(item)
            except (KeyError, TypeError, ValueError) as error:
                _log.warning("an object without identity is ignored", informer=self.name, error=repr(error))
                continue
            record = self._trim(item)
            if record is not None:
                listed.add(key)
            self._tell(self.store.feed(key, record, version, rewound=rewound))

    def _finish_list(self, listed: set[tuple[str, str]], version: int, rewound: bool) -> None:
        if rewound:
            _log.warning("history went back, a restore from a backup?", informer=self.name, resource_version=version)
            self.store.rewind(version)
        # What an own write made after the list was taken has a newer version, and stays.
        for key in [key for key in self.store.names() if key not in listed]:
            self._tell(self.store.feed(key, None, version, rewound=rewound))
        self.store.advance(version)
        self._client.metrics.informer_lists.labels(self.name).inc()
        self.synced.set()

    async def _watch_until_list_is_wanted(self) -> None:
        watch = asyncio.create_task(self._watch(), name=f"watch {self.name}")
        wanted = asyncio.create_task(self._list_wanted.wait(), name=f"relist {self.name}")
        try:
            await asyncio.wait({watch, wanted}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (watch, wanted):
                task.cancel()
            await asyncio.gather(watch, wanted, return_exceptions=True)
        if not watch.cancelled():
            watch.result()

    async def _watch(self) -> None:
        """Follow history from the store's version until the server ends the watch, which it does after a while."""
        query = {
            **self._query,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": str(self.store.resource_version),
            "timeoutSeconds": str(max(1, round(self._watch_seconds * random.uniform(0.8, 1.2)))),
        }
        stream = self._client.stream(self._path, query=query, silence=self._silence, accept=self._accept_watch)
        started, heard = time.monotonic(), False
        async with aclosing(stream) as lines:
            async for line in lines:
                self._take_line(line)
                self._heard()
                heard = True
                self._failures = 0
        if not heard and time.monotonic() - started < _SHORTEST_WATCH:
            # A server that ends every watch at once must not be asked in a tight loop.
            raise ApiError(0, "Empty", "the watch ended before anything came")
        self._failures = 0

    def _take_line(self, line: bytes) -> None:
        if self._skip is not None and self._skip(line):
            begin = head(line)
            if begin is not None and self.store.get(begin.namespace, begin.name) is None:
                self.store.advance(begin.resource_version)
                return
        try:
            event = json.loads(line)
            kind, item = event["type"], event["object"]
            if kind != "ERROR":
                key, version = _identity(item)
        except (ValueError, KeyError, TypeError) as error:
            raise ApiError(0, "Unreadable", f"a watch line is no event: {error!r}") from error
        if kind == "ERROR":
            failure = errors.from_status(item)
            if failure.status != 429:
                self.relist()
            raise failure
        self.store.advance(version)
        if kind != "BOOKMARK":
            record = None if kind == "DELETED" else self._trim(item)
            self._tell(self.store.feed(key, record, version))

    def _tell(self, change: Change[R] | None) -> None:
        if change is not None:
            self._on_change(*change)

    def _heard(self) -> None:
        self.last_contact = time.monotonic()
        self.forbidden = False

    def _note(self, error: ApiError) -> None:
        self._failures += 1
        self._client.metrics.informer_failures.labels(self.name, error.reason).inc()
        if error.forbidden and not self.forbidden:
            _log.error("not allowed to list or watch: check the operator's role", informer=self.name, error=str(error))
        self.forbidden = error.forbidden
        if error.gone or (error.status >= 400 and self._failures >= _REFUSALS_BEFORE_LIST):
            self.relist()

    def _pause(self, error: ApiError) -> float:
        """Seconds until the next try. The first failure in a row that a new connection or list cures costs none."""
        if error.forbidden:
            # An API server that has just started refuses everybody until it has read the roles.
            return self._backoff.delay(self._failures)
        if error.gone or error.reason == "Silent":
            return self._backoff.delay(self._failures - 1)
        _log.info("list or watch failed", informer=self.name, failures=self._failures, error=str(error))
        return self._backoff.delay(self._failures, error.retry_after)


def _list_version(metadata: Mapping[str, Any]) -> int:
    try:
        return int(metadata["resourceVersion"])
    except (KeyError, TypeError, ValueError) as error:
        raise ApiError(0, "Unreadable", f"a list without a resourceVersion: {error!r}") from error


def _identity(item: Mapping[str, Any]) -> tuple[tuple[str, str], int]:
    metadata = item["metadata"]
    return (metadata.get("namespace") or "", metadata.get("name") or ""), int(metadata["resourceVersion"])
