"""Writes what policies come to into their status: a while after something changed, and only what differs."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from pydantic import ValidationError

from tandem.api.base import dump
from tandem.api.placement_policy import PlacementPolicyStatus
from tandem.cluster.applier import Applier, Target
from tandem.cluster.client import ApiError
from tandem.domain.invalid import plan_invalid
from tandem.domain.observed import ForeignPod, OwnPod
from tandem.domain.placement.fit import Snapshot
from tandem.domain.placement.policy_status import policy_status
from tandem.domain.plan import Plan
from tandem.runtime.objects import POLICY, ObjectStore, StoredObject, in_order

log = structlog.get_logger(__name__)


class PolicyReports:
    """The statuses of all policies. Whoever changes what they tell of calls `changed`."""

    def __init__(
        self,
        objects: ObjectStore,
        snapshot: Callable[[], Snapshot],
        applier: Applier,
        delay: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._objects = objects
        self._snapshot = snapshot
        self._applier = applier
        self._delay = delay
        self._now = now
        self._due = asyncio.Event()

    def changed(self) -> None:
        """A policy, a profile, a namespace, or who holds devices."""
        self._due.set()

    def pod_changed(self, old: OwnPod | ForeignPod | None, new: OwnPod | ForeignPod | None) -> None:
        """A pod appeared, changed or went; those of others count for nobody."""
        if isinstance(old, OwnPod) or isinstance(new, OwnPod):
            self._due.set()

    def shares(self) -> Iterator[tuple[str, str, int, int]]:
        """(policy, accelerators, wished, actual) of every share, as status tells them."""
        for stored in self._objects:
            if stored.key.kind == POLICY:
                for share in _read(stored.status).shares or ():
                    yield stored.key.name, share.accelerators, share.wished, share.actual

    async def run(self) -> None:
        """Write for ever. Changes within the delay are one write of each policy at most."""
        while True:
            await self._due.wait()
            await asyncio.sleep(self._delay)
            self._due.clear()
            try:
                await self.write()
            except ApiError as error:
                log.warning("statuses of policies were not written", problem=error.message)
                self._due.set()
            except Exception:
                # What is wrong with a report must not end the placing of work; the next change is another try.
                log.exception("statuses of policies could not be made")

    async def write(self) -> None:
        """Bring every policy's status up to date. Raises ApiError."""
        for stored, plan in list(self._plans()):
            if in_order(plan.status or {}) != in_order(dump(_read(stored.status))):
                target = Target(stored.key, stored.uid, stored.resource_version)
                if (await self._applier.run(target, plan, write_status=True)).superseded:
                    self._due.set()

    def _plans(self) -> Iterator[tuple[StoredObject, Plan]]:
        policies = [stored for stored in self._objects if stored.key.kind == POLICY and not stored.deleting]
        if not policies:
            return
        state, now = self._snapshot(), self._now()
        for stored in policies:
            policy = self._objects.policies.get(stored.key.name)
            if policy is None:
                problem = self._objects.problem(stored.key) or "it cannot be read"
                yield stored, plan_invalid(POLICY, dump(_read(stored.status)), stored.generation, problem, now)
            else:
                status = policy_status(policy, stored.generation, _read(stored.status), state, now)
                yield stored, Plan(status=dump(status))


def _read(status: Mapping[str, Any]) -> PlacementPolicyStatus:
    """What was written last; nothing, where it cannot be read."""
    try:
        return PlacementPolicyStatus.model_validate(status)
    except ValidationError:
        return PlacementPolicyStatus()
