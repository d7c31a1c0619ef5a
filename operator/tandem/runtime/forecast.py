"""What the operator would decide about an object if it were applied now: the same stores, planner and placer, and no write.

The stores are filled once, so a forecast is about one moment; what is in the queue before the object is not served first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tandem.api.conditions import ConditionType
from tandem.domain import clock
from tandem.domain.observed import Key
from tandem.domain.plan import Plan
from tandem.runtime import resync
from tandem.runtime.app import Operator

NEW = "not-yet-known"
"""Uid of an object that the API server does not have."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """One object, as it would be after the operator's first look."""

    key: Key
    exists: bool
    """The object is there already: it was judged with the spec of the file and the status of the cluster."""
    status: Mapping[str, Any]
    plan: Plan

    def condition(self, kind: ConditionType) -> Mapping[str, Any]:
        """A condition of the status; empty where there is none."""
        found = (item for item in self.status.get("conditions") or () if item["type"] == kind)
        return next(found, {})

    @property
    def placed(self) -> bool:
        """Whether all that is asked for would have its devices."""
        return self.condition(ConditionType.PLACED).get("status") == "True"


async def fill(operator: Operator) -> None:
    """Bring the operator's stores and reservations to where the cluster is. Raises CrdsMissingError, ApiError."""
    await resync.check_served(operator.client)
    await resync.fill(operator.client, operator.feeds.objects)
    await operator.look_around()
    for informer in operator.feeds.informers:
        await informer.fill()
    await operator.restore()


async def forecast(operator: Operator, kind: str, namespace: str, raw: Mapping[str, Any]) -> Forecast:
    """The decision about one object, whose devices count as taken from then on. `raw` is its manifest."""
    objects = operator.feeds.objects
    key = Key(kind, namespace, raw["metadata"]["name"])
    known = objects.get(key)
    metadata = {
        "name": key.name,
        "namespace": namespace,
        "uid": known.uid if known else NEW + "/" + key.name,
        "resourceVersion": known.resource_version + 1 if known else 0,
        "generation": known.generation + 1 if known else 1,
        "creationTimestamp": clock.stamp(known.created if known else datetime.now(UTC)),
    }
    objects.put(kind, {"metadata": metadata, "spec": raw.get("spec") or {}, "status": known.status if known else {}})
    stored = objects.get(key)
    assert stored is not None, "it was put there"
    plan = await operator.reconciler.decide(stored)
    return Forecast(key, known is not None, plan.status if plan.status is not None else stored.status, plan)
