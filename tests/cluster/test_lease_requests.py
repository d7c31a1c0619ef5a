"""The Lease over HTTP, by the client that the operator gives it, in real time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tandem.cluster.client import ApiError, Client, core_path
from tandem.cluster.lease import Lease, LeaseLostError, LeaseTimes
from tests.cluster.fake_api import FakeApi, no_reply, status, until
from tests.cluster.lease_world import PATH, World, free_lease

TIMES = LeaseTimes(duration=2.0, renew=1.2, retry=0.3)


@pytest.fixture
async def world(api: FakeApi) -> World:
    """The only Lease of the fake API server, free."""
    made = World()
    made._store(dict(free_lease()))

    async def serve(request: web.Request) -> web.StreamResponse:
        body = None if request.method == "GET" else await request.json()
        try:
            return web.json_response(made.carry_out("", request.method, body))
        except ApiError as error:
            return web.json_response(status(error.status, error.reason), status=error.status)

    api.answer_all(serve)
    return made


@pytest.fixture
async def leasing(api: FakeApi) -> AsyncIterator[Client]:
    """A client with the patience that the operator gives it."""
    async with Client(api.credentials(), api.reload, request_timeout=TIMES.retry) as client:
        yield client


def lease(client: Client, holder: str) -> Lease:
    return Lease(client, "tandem-system", "tandem", holder, TIMES)


async def test_it_is_taken_renewed_and_given_back_by_the_requests_that_the_role_grants(
    api: FakeApi, world: World, leasing: Client
) -> None:
    one, two = lease(leasing, "one"), lease(leasing, "two")
    await asyncio.wait_for(one.acquire(), 3)
    holding = asyncio.create_task(one.hold())
    waiting = asyncio.create_task(two.acquire())
    await until(lambda: len(world.writes) >= 4, "renewals")
    assert not waiting.done()
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    await one.release()
    await asyncio.wait_for(waiting, 3)
    assert two.held()
    assert not one.held()
    assert {(seen.method, seen.path) for seen in api.seen} == {("GET", f"{PATH}/tandem"), ("PUT", f"{PATH}/tandem")}


async def test_a_lease_that_is_missing_is_made_in_its_namespace(api: FakeApi, world: World, leasing: Client) -> None:
    world.delete()
    await asyncio.wait_for(lease(leasing, "one").acquire(), 8)
    assert [(seen.method, seen.path) for seen in api.seen if seen.method == "POST"] == [("POST", PATH)]
    assert world.holder == "one"


async def test_a_server_that_falls_silent_closes_the_fence_in_time(api: FakeApi, world: World, leasing: Client) -> None:
    """The connection stands, and no answer comes: no request of the Lease waits longer than one retry."""
    one = lease(leasing, "one")
    async with Client(api.credentials(), api.reload, fence=one.time_left) as client:
        await asyncio.wait_for(one.acquire(), 3)
        await client.request("GET", f"{PATH}/tandem")
        api.answer_all(no_reply)
        with pytest.raises(LeaseLostError, match=r"was not renewed for 1.2 s: Timeout"):
            await asyncio.wait_for(one.hold(), 3)
        before = len(api.seen)
        with pytest.raises(ApiError) as caught:
            await client.request("POST", core_path("pods", "default"), body={})
    assert caught.value.reason == "NotLeading"
    assert len(api.seen) == before
