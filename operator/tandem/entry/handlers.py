"""kopf as the feed of the four kinds: it watches, reconnects and logs in again; nothing else of it is used."""

import asyncio
from typing import Any

import kopf

from tandem.api.constants import GROUP, VERSION
from tandem.cluster.applier import PLURALS
from tandem.cluster.client import Client, Credentials
from tandem.runtime.app import Operator
from tandem.runtime.objects import ObjectStore


class NoDiffBase(kopf.DiffBaseStorage):
    """kopf builds a diff base of every event (1.5 ms for 24 kB) even when no handler asks for diffs."""

    def build(self, *, body: kopf.Body, extra_fields: Any = None) -> kopf.BodyEssence:
        """Nothing to compare."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        """Nothing was stored."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Nothing is stored: the users' objects carry no annotations of ours."""


class NoProgress(kopf.ProgressStorage):
    """The state of a pass stands in status and in the queue, never in annotations."""

    def fetch(self, *, key: kopf.HandlerId, body: kopf.Body) -> kopf.ProgressRecord | None:
        """Nothing was stored."""
        return None

    def store(self, *, key: kopf.HandlerId, record: kopf.ProgressRecord, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing is stored."""

    def purge(self, *, key: kopf.HandlerId, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing to purge."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: str | None) -> None:
        """Nothing to touch."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        """Nothing to clear."""
        return essence


def settings() -> kopf.OperatorSettings:
    """kopf's settings, each for a reason given in the runtime rules of the design."""
    chosen = kopf.OperatorSettings()
    chosen.persistence.diffbase_storage = NoDiffBase()
    chosen.persistence.progress_storage = NoProgress()
    chosen.persistence.finalizer = f"{GROUP}/unused"
    chosen.posting.enabled = False
    chosen.peering.mandatory = False
    chosen.scanning.disabled = True
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330
    chosen.watching.connect_timeout = 10
    chosen.watching.inactivity_timeout = 70
    chosen.watching.chunk_size = 500
    chosen.networking.request_timeout = 30
    chosen.networking.enforce_retry_after = True
    chosen.networking.error_backoffs = EndlessBackoffs()
    chosen.queueing.worker_limit = None
    chosen.queueing.exit_timeout = 2
    chosen.process.ultimate_exiting_timeout = 20
    return chosen


class EndlessBackoffs:
    """Pauses between retries: 1, 2, 4 ... 30 s, then 30 s for ever. A finite list would end the process."""

    def __iter__(self) -> Any:
        """A fresh sequence for each request."""
        pause = 1.0
        while True:
            yield pause
            pause = min(30.0, pause * 2)


def registry(objects: ObjectStore, client: Client) -> kopf.OperatorRegistry:
    """Handlers that put bodies into the store, and return None (any other value would be patched into status)."""
    handlers = kopf.OperatorRegistry()

    @kopf.on.login(registry=handlers)
    async def login(**_: Any) -> kopf.ConnectionInfo:
        return connection(await client.refresh(stale=None))

    for kind, plural in PLURALS.items():
        _watch(handlers, objects, kind, plural)
    return handlers


def _watch(handlers: kopf.OperatorRegistry, objects: ObjectStore, kind: str, plural: str) -> None:
    @kopf.on.event(GROUP, VERSION, plural, id=f"feed-{plural}", registry=handlers)
    async def feed(event: kopf.RawEvent, **_: Any) -> None:
        raw = event["object"]
        metadata = raw["metadata"]
        if event["type"] == "DELETED":
            version = int(metadata["resourceVersion"])
            objects.remove(kind, metadata.get("namespace", ""), metadata["name"], metadata["uid"], version)
        else:
            objects.put(kind, raw)


def connection(credentials: Credentials) -> kopf.ConnectionInfo:
    """The client's credentials as kopf wants them."""
    return kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=credentials.ca_path,
        scheme=credentials.scheme,
        token=credentials.token,
        certificate_path=credentials.certificate_path,
        private_key_path=credentials.private_key_path,
        insecure=credentials.insecure,
        proxy_url=credentials.proxy,
    )


async def watch(operator: Operator, stop: asyncio.Event) -> None:
    """Feed the store until told to stop. A kopf exit is a process exit."""
    before = asyncio.all_tasks()
    tasks = await kopf.spawn_tasks(
        registry=registry(operator.feeds.objects, operator.client),
        settings=settings(),
        standalone=True,
        clusterwide=True,
        # kopf would ask for the user's name, which a bare uid in a container does not have.
        identity="tandem",  # type: ignore[arg-type]
        stop_flag=stop,
    )
    # kopf has taken the signals, and would be gone before the operator's writes are over and its Lease given back.
    operator.catch_signals()
    await kopf.run_tasks(tasks, ignored=before)
