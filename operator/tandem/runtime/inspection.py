"""Reads what `tandem check` looks at, with the caller's rights and without writing anything.

What the caller may not read becomes an Unread; every other failure ends the inspection.
"""

from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.constants import API_VERSION
from tandem.cluster import trim
from tandem.cluster.applier import PLURALS
from tandem.cluster.client import ApiError, Client, core_path, group_path
from tandem.cluster.pages import pages
from tandem.domain.observed import NodeRecord
from tandem.domain.prerequisites.check import Seen
from tandem.domain.prerequisites.finding import Unread
from tandem.domain.prerequisites.rights import GANGS, Account, Right, needed
from tandem.runtime import optional
from tandem.runtime.objects import PROFILE, describe, read_profile

T = TypeVar("T")
Body = dict[str, Any]
AUTHORIZATION = "authorization.k8s.io/v1"


async def inspect(client: Client, operator: Account, definitions: Sequence[str]) -> Seen:
    """What is there. `definitions`: names of the CustomResourceDefinitions to read. Raises ApiError."""
    version = await client.request("GET", "/version")
    readable, unreadable = await profiles(client)
    return Seen(
        version=version,
        apis=await _allowed(optional.apis(client)),
        definitions=await _allowed(_definitions(client, definitions)),
        operator=operator,
        installed=await _allowed(_installed(client, operator)),
        denied=await _allowed(_denied(client, operator)),
        namespace=await _allowed(_namespace(client, operator.namespace)),
        nodes=await _allowed(nodes(client)),
        profiles=readable,
        unreadable=unreadable,
    )


async def nodes(client: Client) -> list[NodeRecord]:
    """All nodes. Raises ApiError."""
    found = [trim.node(raw) async for raw in pages(client, core_path("nodes"))]
    return [node for node in found if node is not None]


async def profiles(client: Client) -> tuple[dict[str, AcceleratorProfile] | Unread, dict[str, str]]:
    """Profiles by name, and what is wrong with those that cannot be read. Where the kind is missing there are none."""
    readable: dict[str, AcceleratorProfile] = {}
    unreadable: dict[str, str] = {}
    try:
        async for raw in pages(client, group_path(API_VERSION, PLURALS[PROFILE])):
            name, labels = raw["metadata"]["name"], raw["metadata"].get("labels") or {}
            try:
                readable[name] = read_profile(name, labels, raw.get("spec") or {})
            except ValidationError as error:
                unreadable[name] = describe(error)
    except ApiError as error:
        if error.forbidden:
            return Unread(error.message), {}
        if not error.not_found:
            raise
    return readable, unreadable


async def _allowed(reading: Awaitable[T]) -> T | Unread:
    try:
        return await reading
    except ApiError as error:
        if error.forbidden:
            return Unread(error.message)
        raise


async def _found(client: Client, path: str) -> Body | None:
    try:
        return await client.request("GET", path)
    except ApiError as error:
        if error.not_found:
            return None
        raise


async def _definitions(client: Client, names: Sequence[str]) -> dict[str, Body]:
    definitions: dict[str, Body] = {}
    for name in names:
        found = await _found(client, group_path("apiextensions.k8s.io/v1", "customresourcedefinitions", None, name))
        if found is not None:
            definitions[name] = found
    return definitions


async def _installed(client: Client, account: Account) -> bool:
    # Who is the account need not look: it may not, and it exists.
    if await _caller(client) == account.user:
        return True
    return await _found(client, core_path("serviceaccounts", account.namespace, account.name)) is not None


async def _namespace(client: Client, name: str) -> dict[str, str] | None:
    found = await _found(client, core_path("namespaces", None, name))
    return None if found is None else found["metadata"].get("labels") or {}


async def _caller(client: Client) -> str:
    """User name of whoever runs this."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    told = await client.request("POST", group_path("authentication.k8s.io/v1", "selfsubjectreviews"), body=body)
    return str(told["status"]["userInfo"].get("username", ""))


async def _denied(client: Client, account: Account) -> list[Right]:
    """What the account may not do. It may ask for itself; for another one asks who may create SubjectAccessReviews."""
    own = await _caller(client) == account.user
    kind = "SelfSubjectAccessReview" if own else "SubjectAccessReview"
    subject = {} if own else {"user": account.user, "groups": list(account.groups)}

    async def allowed(right: Right) -> bool:
        resource, _, subresource = right.resource.partition("/")
        wish = {
            "group": right.group,
            "resource": resource,
            "subresource": subresource,
            "verb": right.verb,
            "namespace": right.namespace,
            "name": right.name,
        }
        body = {"apiVersion": AUTHORIZATION, "kind": kind, "spec": {**subject, "resourceAttributes": wish}}
        told = await client.request("POST", group_path(AUTHORIZATION, f"{kind.lower()}s"), body=body)
        return bool(told["status"]["allowed"])

    return [right for right in (*needed(account), *sorted(GANGS)) if not await allowed(right)]
