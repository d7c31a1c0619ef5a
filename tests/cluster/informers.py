"""A running informer of pods, as the tests of informers use it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tandem.cluster import trim
from tandem.cluster.backoff import Backoff
from tandem.cluster.client import Client, core_path
from tandem.cluster.informer import Informer
from tandem.cluster.store import Store
from tandem.domain.observed import ForeignPod, OwnPod

Pod = OwnPod | ForeignPod


class Watched:
    """A running informer of pods, and the changes it told."""

    def __init__(self, informer: Informer[Pod], changes: list[tuple[Pod | None, Pod | None]]) -> None:
        self.informer = informer
        self.store = informer.store
        self.changes = changes

    def names(self) -> set[str]:
        return {name for _, name in self.store.names()}


@asynccontextmanager
async def watching(client: Client, *, synced: bool = True, **settings: Any) -> AsyncIterator[Watched]:
    changes: list[tuple[Pod | None, Pod | None]] = []
    informer = Informer(
        client,
        core_path("pods"),
        Store[Pod](),
        trim.pod,
        on_change=lambda before, after: changes.append((before, after)),
        name="pods",
        **{"silence": 5.0, "page": 3, "backoff": Backoff(base=0.01, cap=0.05), **settings},
    )
    running = asyncio.create_task(informer.run())
    try:
        if synced:
            await asyncio.wait_for(informer.synced.wait(), 3)
        yield Watched(informer, changes)
        assert not running.done(), "the informer has stopped"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
