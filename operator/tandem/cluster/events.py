"""Events for `kubectl describe`: sparse, aggregated, and never worth a failed reconcile."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from tandem.api.constants import MANAGED_BY
from tandem.cluster.client import MERGE_PATCH, ApiError, Client, core_path
from tandem.domain import clock
from tandem.domain.plan import Event

_log = structlog.get_logger(__name__)
_AGGREGATE_WITHIN = timedelta(minutes=10)
_MESSAGE_LENGTH = 1024
"""Limit of the API for Event.message."""
_REMEMBERED = 4096
"""Events that can still be counted up; beyond it, the oldest is posted anew when it happens again."""


@dataclass(slots=True)
class _Series:
    """An Event object in the API that can be counted up."""

    name: str
    count: int
    last: datetime


def _now() -> datetime:
    return datetime.now(UTC)


class EventRecorder:
    """Posts core/v1 Events, which every version of kubectl shows with their count."""

    def __init__(self, client: Client, *, instance: str = "", now: Callable[[], datetime] = _now) -> None:
        """`instance` names this replica, e.g. its pod."""
        self._client = client
        self._instance = instance
        self._now = now
        self._posted: OrderedDict[tuple[str, str], _Series] = OrderedDict()

    async def post(self, regarding: Mapping[str, str], event: Event) -> None:
        """Tell about an object: `regarding` has kind, apiVersion, name, uid, and namespace where it has one.

        The same reason for the same object within ten minutes of the last time counts up one Event. Raises nothing.
        """
        try:
            if not await self._count_up(regarding, event):
                await self._create(regarding, event)
        except ApiError as error:
            _log.warning(
                "an event was not posted",
                kind=regarding["kind"],
                name=regarding["name"],
                reason=event.reason,
                error=str(error),
            )

    async def _count_up(self, regarding: Mapping[str, str], event: Event) -> bool:
        now = self._now()
        series = self._posted.get((regarding["uid"], event.reason))
        if series is None or now - series.last > _AGGREGATE_WITHIN:
            return False
        series.count += 1
        series.last = now
        changes = {"count": series.count, "lastTimestamp": clock.stamp(now), **_text(event)}
        path = core_path("events", _namespace(regarding), series.name)
        try:
            await self._client.request("PATCH", path, body=changes, content_type=MERGE_PATCH)
        except ApiError as error:
            if error.not_found:
                return False
            raise
        return True

    async def _create(self, regarding: Mapping[str, str], event: Event) -> None:
        now = self._now()
        # As client-go names them: unique without asking, and readable in `kubectl get events`.
        name = f"{regarding['name']}.{int(now.timestamp() * 1e6):x}"
        await self._client.request(
            "POST", core_path("events", _namespace(regarding)), body=self._body(name, now, regarding, event)
        )
        key = (regarding["uid"], event.reason)
        self._posted[key] = _Series(name, 1, now)
        self._posted.move_to_end(key)
        if len(self._posted) > _REMEMBERED:
            self._posted.popitem(last=False)

    def _body(self, name: str, now: datetime, regarding: Mapping[str, str], event: Event) -> dict[str, Any]:
        involved = {
            field: regarding[field]
            for field in ("kind", "apiVersion", "namespace", "name", "uid")
            if field in regarding
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": _namespace(regarding)},
            "involvedObject": involved,
            "reason": event.reason,
            **_text(event),
            "count": 1,
            "firstTimestamp": clock.stamp(now),
            "lastTimestamp": clock.stamp(now),
            "source": {"component": MANAGED_BY},
            "reportingComponent": MANAGED_BY,
            "reportingInstance": self._instance,
        }


def _namespace(regarding: Mapping[str, str]) -> str:
    # Events of cluster-scoped objects live in this one, and kubectl looks for them there.
    return regarding.get("namespace") or "default"


def _text(event: Event) -> dict[str, str]:
    message = event.message
    if len(message) > _MESSAGE_LENGTH:
        message = message[: _MESSAGE_LENGTH - 1] + "…"
    return {"message": message, "type": "Warning" if event.warning else "Normal"}
