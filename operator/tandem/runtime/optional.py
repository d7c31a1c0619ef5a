"""Looks up which optional APIs there are for the operator, when it starts; its domain side is `domain/served.py`."""

from dataclasses import replace

import structlog

from tandem.cluster.applier import child_path
from tandem.cluster.client import ApiError, Client
from tandem.domain import served
from tandem.domain.plan import Resource
from tandem.domain.served import GANG_API, Served

log = structlog.get_logger(__name__)


async def apis(client: Client) -> frozenset[str]:
    """group/version of all that is served. Raises ApiError."""
    groups = (await client.request("GET", "/apis")).get("groups") or ()
    return frozenset(one["groupVersion"] for group in groups for one in group.get("versions") or ())


async def look(client: Client) -> Served:
    """What is served and may be used: everything works without, so a right that is missing is no reason not to start."""
    found = served.of(await apis(client))
    if found.gangs and not await _may_use_groups(client):
        found = replace(found, gangs=False)
    log.info("optional APIs", gangs=found.gangs, kueue=found.kueue)
    return found


async def _may_use_groups(client: Client) -> bool:
    try:
        await client.request("GET", child_path(Resource.POD_GROUP, ""), query={"limit": "1"})
    except ApiError as error:
        if not (error.forbidden or error.not_found):
            raise
        log.warning("gangs are bound pod by pod", api=GANG_API, problem=error.message)
        return False
    return True
