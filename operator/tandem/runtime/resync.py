"""Lists of the four kinds: the first fill of the store, and the comparison that finds what a watch has missed.

kopf never reports an object that vanished while its watch was down, so every few minutes a metadata-only list is compared
with the store: ghosts go, and what differs is read again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from tandem.api.constants import API_VERSION
from tandem.cluster.applier import PLURALS, object_path
from tandem.cluster.client import METADATA_ONLY_LIST, ApiError, Client, group_path
from tandem.cluster.pages import pages
from tandem.domain.observed import Key
from tandem.runtime.objects import ObjectStore

log = structlog.get_logger(__name__)
START_PAUSE = 1.0
"""Seconds between tries of what a start needs."""


class CrdsMissingError(Exception):
    """The API server does not serve the kinds that the operator needs."""


async def patiently(what: str, call: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do what a start needs, again and again for `seconds` while it may yet succeed. Raises the last ApiError.

    An API server that has just started answers 403 to everybody until it has read the roles.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return await call()
        except ApiError as error:
            if not (error.transient or error.forbidden) or time.monotonic() >= end:
                raise
            log.warning(
                "the start is held up", doing=what, problem=str(error), given_up_in=round(end - time.monotonic())
            )
            await asyncio.sleep(max(error.retry_after or 0.0, START_PAUSE))


async def check_served(client: Client) -> None:
    """Raise CrdsMissingError, saying what to do, unless all kinds are served."""
    try:
        found = await client.request("GET", f"/apis/{API_VERSION}")
    except ApiError as error:
        if not error.not_found:
            raise
        found = {}
    served = {item["kind"] for item in found.get("resources", ())}
    missing = sorted(set(PLURALS) - served)
    if missing:
        kinds = ", ".join(missing)
        raise CrdsMissingError(
            f"{kinds} are not served: install the CRDs first, with `tandem crds | kubectl apply --server-side -f -`"
        )


async def fill(client: Client, objects: ObjectStore) -> None:
    """Put every object of our kinds into the store."""
    for kind in PLURALS:
        async for item in pages(client, group_path(API_VERSION, PLURALS[kind])):
            objects.put(kind, item)


async def compare(client: Client, objects: ObjectStore) -> int:
    """Bring the store in line with the server; returns how many objects differed."""
    differing = 0
    for kind in PLURALS:
        before = {stored.key: stored for stored in objects if stored.key.kind == kind}
        seen: set[Key] = set()
        async for item in pages(client, group_path(API_VERSION, PLURALS[kind]), accept=METADATA_ONLY_LIST):
            metadata = item["metadata"]
            key = Key(kind, metadata.get("namespace", ""), metadata["name"])
            seen.add(key)
            known = objects.get(key)
            if (
                known is None
                or known.uid != metadata["uid"]
                or known.resource_version < int(metadata["resourceVersion"])
            ):
                differing += 1
                await _read_again(client, objects, key)
        for key in before.keys() - seen:
            differing += 1
            await _read_again(client, objects, key)
    return differing


async def run(client: Client, objects: ObjectStore, seconds: float) -> None:
    """Compare every `seconds`, for ever."""
    while True:
        await asyncio.sleep(seconds)
        try:
            differing = await compare(client, objects)
        except ApiError as error:
            log.warning("resync failed", problem=str(error))
            continue
        if differing:
            log.warning("the watches had missed changes", objects=differing)


async def _read_again(client: Client, objects: ObjectStore, key: Key) -> None:
    path = object_path(key) if key.namespace else group_path(API_VERSION, PLURALS[key.kind], None, key.name)
    known = objects.get(key)
    try:
        found = await client.request("GET", path)
    except ApiError as error:
        if not error.not_found:
            raise
        if known is not None:
            objects.remove(key.kind, key.namespace, key.name, known.uid)
        return
    if known is not None and known.uid != found["metadata"]["uid"]:
        objects.remove(key.kind, key.namespace, key.name, known.uid)
    objects.put(key.kind, found)
