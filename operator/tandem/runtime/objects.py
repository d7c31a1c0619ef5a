"""The store of the four kinds' objects: fed by kopf's watches, by own replies, and by the resync.

Whatever feeds it, the higher resourceVersion wins, so a late event cannot undo what is known.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError

from tandem.api.accelerator_profile import AcceleratorProfile, AcceleratorProfileSpec
from tandem.api.constants import UNSEEN
from tandem.api.inference_service import InferenceService
from tandem.api.placement_policy import PlacementPolicy, PlacementPolicySpec
from tandem.api.training_run import TrainingRun
from tandem.domain import clock
from tandem.domain.observed import Key

log = structlog.get_logger(__name__)
WORKLOADS = ("TrainingRun", "InferenceService")
PROFILE = "AcceleratorProfile"
POLICY = "PlacementPolicy"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as last seen; spec and status as plain data, read into models only when it is reconciled."""

    key: Key
    uid: str
    resource_version: int
    generation: int
    created: datetime
    deleting: bool
    labels: Mapping[str, str]
    spec: Mapping[str, Any]
    status: Mapping[str, Any]

    @property
    def seen(self) -> bool:
        """Whether its status is about its spec as it is now."""
        return self.status.get("observedGeneration") == self.generation

    def training_run(self) -> TrainingRun:
        """The object as a model. Raises pydantic.ValidationError when it is not one."""
        return TrainingRun.model_validate(self._fields())

    def inference_service(self) -> InferenceService:
        """The object as a model. Raises pydantic.ValidationError when it is not one."""
        return InferenceService.model_validate(self._fields())

    def _fields(self) -> dict[str, Any]:
        return {
            "name": self.key.name,
            "namespace": self.key.namespace,
            "uid": self.uid,
            "generation": self.generation,
            "spec": self.spec,
            "status": self.status,
        }


class ObjectStore:
    """Objects of our kinds by key; profiles and policies are kept as models."""

    def __init__(self, on_change: Callable[[Key], None], on_gone: Callable[[str], None]) -> None:
        """`on_change` gets the key of whatever changed, `on_gone` the uid of what does not exist any more."""
        self._objects: dict[Key, StoredObject] = {}
        self._profiles: dict[str, AcceleratorProfile] = {}
        self._policies: dict[str, PlacementPolicy] = {}
        self._unreadable: dict[Key, str] = {}
        self._gone: dict[str, int] = {}
        self._on_change = on_change
        self._on_gone = on_gone

    def get(self, key: Key) -> StoredObject | None:
        """The object, if it is known."""
        return self._objects.get(key)

    def __iter__(self) -> Iterator[StoredObject]:
        return iter(list(self._objects.values()))

    def __len__(self) -> int:
        return len(self._objects)

    def counts(self) -> dict[str, int]:
        """Objects by kind, the kinds of which there is none included."""
        counts = dict.fromkeys((*WORKLOADS, PROFILE, POLICY), 0)
        for key in self._objects:
            counts[key.kind] += 1
        return counts

    @property
    def profiles(self) -> Mapping[str, AcceleratorProfile]:
        """Profiles that could be read, by name."""
        return self._profiles

    @property
    def policies(self) -> Mapping[str, PlacementPolicy]:
        """Policies that could be read, by name."""
        return self._policies

    def problem(self, key: Key) -> str | None:
        """What is wrong with a policy that could not be read."""
        return self._unreadable.get(key)

    def put(self, kind: str, raw: Mapping[str, Any]) -> None:
        """Take over an object from a watch, a list or a reply, unless something newer is known.

        A new object of the same name may come before the old one's end: their events are not ordered.
        """
        stored = _stored(kind, raw)
        known = self._objects.get(stored.key)
        if known is not None and known.resource_version >= stored.resource_version:
            return
        if stored.resource_version <= self._gone.get(stored.uid, -1):
            return
        self._objects[stored.key] = stored
        if known is not None and known.uid != stored.uid:
            self._on_gone(known.uid)
        if kind == PROFILE:
            self._read_profile(stored)
        if kind == POLICY:
            self._read_policy(stored)
        self._on_change(stored.key)

    def remove(self, kind: str, namespace: str, name: str, uid: str, resource_version: int = 0) -> None:
        """An object is gone. A newer one of the same name stays."""
        key = Key(kind, namespace, name)
        known = self._objects.get(key)
        if known is None or known.uid != uid:
            return
        # A reply or event that is still under way must not bring it back.
        self._gone[uid] = max(known.resource_version, resource_version)
        if len(self._gone) > 1000:
            self._gone.pop(next(iter(self._gone)))
        del self._objects[key]
        if kind == PROFILE:
            self._profiles.pop(name, None)
        if kind == POLICY:
            self._policies.pop(name, None)
            self._unreadable.pop(key, None)
        self._on_gone(uid)
        self._on_change(key)

    def _read_profile(self, stored: StoredObject) -> None:
        name = stored.key.name
        try:
            self._profiles[name] = read_profile(name, stored.labels, stored.spec)
        except ValidationError as error:
            self._profiles.pop(name, None)
            log.error("profile cannot be read", profile=name, problem=describe(error))

    def _read_policy(self, stored: StoredObject) -> None:
        name = stored.key.name
        try:
            spec = PlacementPolicySpec.model_validate(stored.spec)
        except ValidationError as error:
            self._policies.pop(name, None)
            self._unreadable[stored.key] = describe(error)
            log.error("policy cannot be read", policy=name, problem=describe(error))
            return
        self._unreadable.pop(stored.key, None)
        self._policies[name] = PlacementPolicy(name=name, spec=spec)


def read_profile(name: str, labels: Mapping[str, str], spec: Mapping[str, Any]) -> AcceleratorProfile:
    """A profile as a model. Raises pydantic.ValidationError when it is not one."""
    read = AcceleratorProfileSpec.model_validate(spec)
    return AcceleratorProfile(name=name, labels=dict(labels), spec=read)


def describe(error: ValidationError) -> str:
    """A validation error in one line: the field and what is wrong with it."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}"


def _stored(kind: str, raw: Mapping[str, Any]) -> StoredObject:
    metadata = raw["metadata"]
    return StoredObject(
        key=Key(kind, metadata.get("namespace", ""), metadata["name"]),
        uid=metadata["uid"],
        resource_version=int(metadata["resourceVersion"]),
        generation=int(metadata.get("generation", 0)),
        created=clock.parse(metadata["creationTimestamp"]),
        deleting="deletionTimestamp" in metadata,
        labels=dict(metadata.get("labels") or {}),
        spec=raw.get("spec") or {},
        status=_status(raw.get("status") or {}),
    )


def _status(shown: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the operator wrote; the API server's stand-in for no status is none."""
    return {} if shown.get("observedGeneration") == UNSEEN else shown


MERGED_LISTS = {"conditions": "type", "variants": "name", "holdOffs": "variant"}
"""Lists of status that server-side apply merges by a key, and may hand back in another order."""


def in_order(status: Mapping[str, Any]) -> dict[str, Any]:
    """A status as it is compared with another one."""
    return {
        field: sorted(value, key=lambda item: str(item[MERGED_LISTS[field]])) if field in MERGED_LISTS else value
        for field, value in status.items()
    }
