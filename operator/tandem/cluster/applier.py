"""Carries a plan out, in the order that makes a crash between any two writes harmless.

An intent is written first, guarded by the resourceVersion it was decided on; if that is refused nothing else is written.
Then children are made (Services before Deployments before PodGroups before pods), replaced, set right, scaled and
deleted, and last a plain status is written. Every reply goes into the stores, so the next plan never works on a cache
older than its own writes.
"""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from tandem.api.constants import API_VERSION, FIELD_MANAGER
from tandem.cluster.client import JSON, MERGE_PATCH, ApiError, Client, core_path, group_path
from tandem.domain.observed import Key
from tandem.domain.plan import Child, Delete, Plan, Problem, ProblemKind, Replace, Resource, Scale
from tandem.domain.served import GANG_API

log = structlog.get_logger(__name__)

PLURALS = {
    "TrainingRun": "trainingruns",
    "InferenceService": "inferenceservices",
    "AcceleratorProfile": "acceleratorprofiles",
    "PlacementPolicy": "placementpolicies",
}
APPLY_PATCH = "application/apply-patch+yaml"
STAGES = (Resource.SERVICE, Resource.BUDGET, Resource.DEPLOYMENT, Resource.POD_GROUP, Resource.POD)


@dataclass(frozen=True, slots=True)
class Target:
    """The object of ours that a plan is for, as it was when the plan was made."""

    key: Key
    uid: str
    resource_version: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a plan's writes."""

    problems: tuple[Problem, ...] = ()
    superseded: bool = False
    """The object changed or is gone: plan again on what it is now."""


class Mirror(Protocol):
    """Where replies go: the stores, through the eyes of the applier."""

    def child(self, resource: Resource, raw: Mapping[str, Any]) -> None:
        """A child as the server answered it."""

    def child_gone(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """A child that the server no longer has."""

    def parent(self, kind: str, raw: Mapping[str, Any]) -> None:
        """An object of ours as the server answered it."""

    def parent_gone(self, key: Key, uid: str) -> None:
        """An object of ours that the server no longer has."""


def object_path(key: Key, subresource: str | None = None) -> str:
    """API path of an object of ours."""
    return group_path(API_VERSION, PLURALS[key.kind], key.namespace, key.name, subresource)


def child_path(resource: Resource, namespace: str, name: str | None = None) -> str:
    """API path of a child, or of its collection."""
    if resource is Resource.DEPLOYMENT:
        return group_path("apps/v1", resource.value, namespace, name)
    if resource is Resource.BUDGET:
        return group_path("policy/v1", resource.value, namespace, name)
    if resource is Resource.POD_GROUP:
        return group_path(GANG_API, resource.value, namespace, name)
    return core_path(resource.value, namespace, name)


class Applier:
    """Writes plans to the API server. `limit` bounds the writes under way at once."""

    def __init__(self, client: Client, mirror: Mirror, limit: int = 50) -> None:
        self._client = client
        self._mirror = mirror
        self._slots = asyncio.Semaphore(limit)

    async def run(self, target: Target, plan: Plan, *, write_status: bool) -> Outcome:
        """Carry out `plan`. `write_status` says whether a plain status is to be written now."""
        if plan.intent and not await self._write_status(target, plan):
            return Outcome(superseded=True)
        if plan.create and not plan.intent and not await self._still_there(target):
            return Outcome(superseded=True)
        problems = await self._create(target, plan.create)
        if not problems:
            problems = await self._together(
                [
                    *(self._replace(target, item) for item in plan.replace),
                    *(self._set_again(target, item) for item in plan.apply),
                    *(self._scale(target, item) for item in plan.scale),
                    *(self._delete(target, item) for item in plan.delete),
                ]
            )
        if problems:
            return Outcome(problems=tuple(problems))
        if write_status and not plan.intent and plan.status is not None and not await self._write_status(target, plan):
            return Outcome(superseded=True)
        return Outcome()

    async def _write_status(self, target: Target, plan: Plan) -> bool:
        """Apply the whole status; False when the object is not what it was any more."""
        key = target.key
        body = {
            "apiVersion": API_VERSION,
            "kind": key.kind,
            "metadata": {
                "name": key.name,
                "namespace": key.namespace,
                "resourceVersion": str(target.resource_version),
            },
            "status": plan.status,
        }
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        try:
            reply = await self._request(
                "PATCH", object_path(key, "status"), query=query, body=body, content_type=APPLY_PATCH
            )
        except ApiError as error:
            if error.not_found:
                # Where the definition is of a release without this status, the object is there all the same.
                await self._still_there(target)
            if error.conflict or error.not_found:
                return False
            raise
        self._mirror.parent(key.kind, reply)
        # A wrong uid in the body would be ignored by the server, so it is compared here.
        return bool(reply["metadata"]["uid"] == target.uid)

    async def _still_there(self, target: Target) -> bool:
        """Read the object live: children are only made for an owner that is known to exist."""
        try:
            reply = await self._request("GET", object_path(target.key))
        except ApiError as error:
            if error.not_found:
                self._mirror.parent_gone(target.key, target.uid)
                return False
            raise
        metadata = reply["metadata"]
        return metadata["uid"] == target.uid and "deletionTimestamp" not in metadata

    async def _create(self, target: Target, children: Sequence[Child]) -> list[Problem]:
        """Make children stage by stage; a failure in one stage keeps the next from starting."""
        for stage in STAGES:
            problems = await self._together([self._create_one(target, c) for c in children if c.resource is stage])
            if problems:
                return problems
        return []

    async def _create_one(self, target: Target, child: Child) -> Problem | None:
        path = child_path(child.resource, target.key.namespace)
        try:
            reply = await self._request("POST", path, query={"fieldManager": FIELD_MANAGER}, body=child.body)
        except ApiError as error:
            if error.already_exists:
                return await self._already_exists(target, child)
            return _problem(child.name, error)
        self._mirror.child(child.resource, reply)
        return None

    async def _already_exists(self, target: Target, child: Child) -> Problem | None:
        """Ours is success (a reply was lost), one that is ending is waited for, another's is a conflict."""
        try:
            found = await self._request("GET", child_path(child.resource, target.key.namespace, child.name))
        except ApiError as error:
            return _problem(child.name, error)
        metadata = found["metadata"]
        if target.uid in {owner["uid"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")}:
            self._mirror.child(child.resource, found)
            return None
        what = f"{found.get('kind', child.resource.value)} {child.name!r}"
        if "deletionTimestamp" in metadata:
            return Problem(ProblemKind.TRANSIENT, child.name, f"{what} of somebody else is being deleted")
        if _was_made_for_namesake(target, metadata):
            message = f"{what} of an earlier {target.key.kind} {target.key.name!r} is still to be collected"
            return Problem(ProblemKind.TRANSIENT, child.name, message)
        message = f"{what} exists and is not owned by {target.key.kind} {target.key.name!r}: rename one of them"
        return Problem(ProblemKind.NAME_CONFLICT, child.name, message)

    async def _replace(self, target: Target, change: Replace) -> Problem | None:
        return await self._rewrite(target, change, "PUT", JSON, {})

    async def _set_again(self, target: Target, change: Replace) -> Problem | None:
        return await self._rewrite(target, change, "PATCH", APPLY_PATCH, {"force": "true"})

    async def _rewrite(
        self, target: Target, change: Replace, method: str, content_type: str, options: Mapping[str, str]
    ) -> Problem | None:
        child = change.child
        guard = {"uid": change.uid, "resourceVersion": str(change.resource_version)}
        body = {**child.body, "metadata": {**child.body["metadata"], **guard}}
        path = child_path(child.resource, target.key.namespace, child.name)
        query = {"fieldManager": FIELD_MANAGER, **options}
        try:
            reply = await self._request(method, path, query=query, body=body, content_type=content_type)
        except ApiError as error:
            return _problem(child.name, error)
        self._mirror.child(child.resource, reply)
        return None

    async def _scale(self, target: Target, change: Scale) -> Problem | None:
        body = {
            "metadata": {"uid": change.uid, "resourceVersion": str(change.resource_version)},
            "spec": {"replicas": change.replicas},
        }
        path = child_path(Resource.DEPLOYMENT, target.key.namespace, change.name)
        query = {"fieldManager": FIELD_MANAGER}
        try:
            reply = await self._request("PATCH", path, query=query, body=body, content_type=MERGE_PATCH)
        except ApiError as error:
            return _problem(change.name, error)
        self._mirror.child(Resource.DEPLOYMENT, reply)
        return None

    async def _delete(self, target: Target, gone: Delete) -> Problem | None:
        namespace = target.key.namespace
        preconditions: dict[str, str] = {"uid": gone.uid}
        if gone.resource_version is not None:
            preconditions["resourceVersion"] = str(gone.resource_version)
        body = {"preconditions": preconditions, "propagationPolicy": "Background"}
        try:
            reply = await self._request("DELETE", child_path(gone.resource, namespace, gone.name), body=body)
        except ApiError as error:
            if error.not_found:
                self._mirror.child_gone(gone.resource, namespace, gone.name, gone.uid)
                return None
            return _problem(gone.name, error)
        if "deletionTimestamp" in reply.get("metadata", {}):
            self._mirror.child(gone.resource, reply)
        return None

    async def _together(self, writes: Sequence[Awaitable[Problem | None]]) -> list[Problem]:
        return [problem for problem in await asyncio.gather(*writes) if problem is not None]

    async def _request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        async with self._slots:
            return await self._client.request(method, path, **more)


def _was_made_for_namesake(target: Target, metadata: Mapping[str, Any]) -> bool:
    """Whether a child's owner is gone and another of its name is there: the garbage collector is on its way."""
    return any(
        owner.get("controller")
        and owner["apiVersion"] == API_VERSION
        and (owner["kind"], owner["name"]) == (target.key.kind, target.key.name)
        for owner in metadata.get("ownerReferences") or ()
    )


def _problem(name: str, error: ApiError) -> Problem:
    """How a failed write looks to the next plan: only a refusal is final, a stale write is tried again on newer state."""
    kind = ProblemKind.REFUSED if error.refused else ProblemKind.TRANSIENT
    return Problem(kind, name, error.message, error.retry_after or 0.0)
