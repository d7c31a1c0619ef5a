"""What the operator would decide about an object now: the same stores, planner and placer, and no write.

The stores are filled once, so a forecast is about one moment. For an object that exists those before it in the queue are
served first; for a manifest nobody is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from tandem.api.conditions import ConditionType
from tandem.domain import clock
from tandem.domain.observed import Key
from tandem.domain.placement import candidates
from tandem.domain.placement.fit import Room
from tandem.domain.plan import Plan
from tandem.domain.variants import Variant, serving_variants, training_variants
from tandem.runtime import resync
from tandem.runtime.app import Operator
from tandem.runtime.objects import WORKLOADS, StoredObject


class UnknownObjectError(Exception):
    """The API server has no such object."""


NEW = "not-yet-known"
"""Uid of an object that the API server does not have."""


@dataclass(frozen=True, slots=True)
class Chance:
    """A variant on one accelerator that would do, and the devices there before the decision."""

    variant: str
    accelerator: str
    """Of a variant that no profile matches: what it asks for."""
    pods: int
    devices: int
    """Of each pod."""
    room: Room | None
    """None where no profile matches, or the devices are not known."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A place in the queue."""

    place: int
    """1 is the head."""
    of: int
    priority: int
    waits_since: datetime | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """One object, as it would be after the operator's first look."""

    key: Key
    exists: bool
    """The object is there already: it was judged with the spec of the file and the status of the cluster."""
    status: Mapping[str, Any]
    plan: Plan
    chances: tuple[Chance, ...] = ()
    """In listed order."""
    turn: Turn | None = None
    """Of an object that exists and waits."""

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
    return await _decided(operator, stored, exists=known is not None)


async def explain(operator: Operator, key: Key) -> tuple[StoredObject, Forecast]:
    """An object that exists, and what would be decided about it now. Raises UnknownObjectError."""
    objects = operator.feeds.objects
    stored = objects.get(key)
    if stored is None:
        raise UnknownObjectError(f"there is no {key.kind} {key.name} in namespace {key.namespace}")
    waiting = {
        item.key: ask
        for item in objects
        if item.key.kind in WORKLOADS and not item.deleting and (ask := operator.reconciler.ask(item)) is not None
    }
    line = sorted(waiting, key=lambda one: waiting[one].order)
    turn = None
    if key in waiting:
        own = waiting[key]
        place = line.index(key)
        turn = Turn(place + 1, len(line), own.priority, own.waits_since)
        for ahead in line[:place]:
            before = objects.get(ahead)
            assert before is not None, "nothing feeds the stores meanwhile"
            await operator.reconciler.decide(before)
    return stored, await _decided(operator, stored, exists=True, turn=turn)


async def _decided(operator: Operator, stored: StoredObject, *, exists: bool, turn: Turn | None = None) -> Forecast:
    chances = _chances(operator, stored)
    plan = await operator.reconciler.decide(stored)
    status = plan.status if plan.status is not None else stored.status
    return Forecast(stored.key, exists, status, plan, chances, turn)


def _chances(operator: Operator, stored: StoredObject) -> tuple[Chance, ...]:
    """All that the object may use; nothing where its spec cannot be read."""
    try:
        if stored.key.kind == "TrainingRun":
            variants = training_variants(stored.training_run().spec)
            pods = {variant.name: variant.pods for variant in variants}
        else:
            spec = stored.inference_service().spec
            variants = serving_variants(spec)
            pods = {variant.name: spec.replicas for variant in variants}
    except ValidationError:
        return ()
    ask = operator.reconciler.ask(stored)
    return tuple(
        chance
        for variant in variants
        for chance in _of_variant(operator, variant, pods[variant.name], ask.priority if ask else 0)
    )


def _of_variant(operator: Operator, variant: Variant, pods: int, priority: int) -> list[Chance]:
    options = [candidates.option(variant, item, pods) for item in variant.matching(operator.feeds.objects.profiles)]
    if not options:
        return [Chance(variant.name, variant.wants(), pods, variant.devices, None)]
    found = operator.placer.rooms(options, priority)
    known = operator.placer.pods_known()
    return [
        Chance(variant.name, option.profile.name, pods, variant.devices, room if known else None)
        for option, room in zip(options, found, strict=True)
    ]
