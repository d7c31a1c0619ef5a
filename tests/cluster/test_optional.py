"""Which optional APIs the operator finds when it starts."""

from typing import Any

import pytest
from aiohttp import web

from tandem.cluster.client import ApiError, Client
from tandem.domain.served import Served
from tandem.runtime import optional
from tests.cluster.fake_api import FakeApi

GROUPS = "/apis/scheduling.k8s.io/v1beta1/podgroups"


def served(*names: str) -> dict[str, Any]:
    """The answer of /apis."""
    return {"groups": [{"name": name.partition("/")[0], "versions": [{"groupVersion": name}]} for name in names]}


async def look(api: FakeApi, *names: str, **refusals: web.Response) -> Served:
    """What is found where these are served."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/apis":
            return web.json_response(served(*names))
        return refusals.get("groups") or web.json_response({"metadata": {}, "items": []})

    api.answer_all(answer)
    async with Client(api.credentials(), api.reload) as client:
        return await optional.look(client)


async def test_what_is_not_served_is_not_asked_for(api: FakeApi) -> None:
    assert await look(api, "apps/v1", "scheduling.k8s.io/v1") == Served()
    assert [seen.path for seen in api.seen] == ["/apis"]


async def test_pod_groups_are_used_where_they_may_be_listed(api: FakeApi) -> None:
    assert await look(api, "scheduling.k8s.io/v1beta1", "kueue.x-k8s.io/v1beta2") == Served(gangs=True, kueue=True)
    assert [seen.path for seen in api.seen] == ["/apis", GROUPS]


@pytest.mark.parametrize("code", [403, 404])
async def test_without_the_right_it_starts_all_the_same(api: FakeApi, code: int) -> None:
    """404: the group is served for other kinds."""
    refused = web.json_response({"kind": "Status", "code": code, "message": "no"}, status=code)
    assert await look(api, "scheduling.k8s.io/v1beta1", groups=refused) == Served()


async def test_a_server_that_cannot_answer_is_asked_again(api: FakeApi) -> None:
    refused = web.json_response({"kind": "Status", "code": 500, "message": "no"}, status=500)
    with pytest.raises(ApiError):
        await look(api, "scheduling.k8s.io/v1beta1", groups=refused)
