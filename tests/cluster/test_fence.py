"""A replica that does not hold the Lease writes nothing: the client keeps every write back, whoever asks for it."""

import asyncio
import time
from collections.abc import Callable

import pytest

from tandem.cluster.client import ApiError, Client, Credentials, core_path
from tandem.cluster.events import EventRecorder
from tandem.domain.plan import Event
from tests.cluster.fake_api import FakeApi, failure, no_reply

PODS = core_path("pods", "default")


class Gate:
    """A fence in the hands of a test: what it says at each look; then the last again."""

    def __init__(self, *looks: float) -> None:
        self.looks = list(looks)

    def __call__(self) -> float:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


def fenced(api: FakeApi, fence: Callable[[], float]) -> Client:
    return Client(api.credentials(), api.reload, request_timeout=30.0, fence=fence)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_behind_a_closed_fence_no_write_is_sent(api: FakeApi, method: str) -> None:
    """The caller learns that it did not happen, and that no second try of the same is due."""
    async with fenced(api, lambda: 0.0) as client:
        with pytest.raises(ApiError) as caught:
            await client.request(method, PODS, body={})
    assert (caught.value.status, caught.value.reason) == (0, "NotLeading")
    assert not caught.value.outcome_unknown
    assert not caught.value.refused
    assert api.seen == []


async def test_a_standby_reads(api: FakeApi) -> None:
    async with fenced(api, lambda: 0.0) as client:
        assert (await client.request("GET", PODS))["kind"] == "PodList"


async def test_behind_an_open_fence_everything_is_sent(api: FakeApi) -> None:
    async with fenced(api, lambda: 5.0) as client:
        assert (await client.request("POST", PODS, body={"a": 1}))["body"] == {"a": 1}


async def test_a_write_is_over_before_another_replica_may_begin_one(api: FakeApi) -> None:
    api.fail_next("write", no_reply)
    began = time.monotonic()
    async with fenced(api, lambda: 0.2) as client:
        with pytest.raises(ApiError) as caught:
            await client.request("POST", PODS, body={})
    assert caught.value.reason == "Timeout"
    assert caught.value.outcome_unknown
    assert time.monotonic() - began < 3


async def test_a_repetition_passes_the_fence_anew(api: FakeApi) -> None:
    """The server asked to come back later, and meanwhile the Lease was lost."""
    api.fail_next("write", failure(429, "TooManyRequests", retry_after="0.05"))
    async with fenced(api, Gate(5.0, 5.0, 0.0)) as client:
        with pytest.raises(ApiError) as caught:
            await client.request("POST", PODS, body={})
    assert caught.value.reason == "NotLeading"
    assert len(api.seen) == 1


async def test_a_process_that_was_stopped_while_it_connected_sends_nothing() -> None:
    """The Lease was held when the write began, and not when the connection stood: not a byte goes out."""
    got: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read())
        writer.close()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    credentials = Credentials(server=f"http://{host}:{port}")

    async def reload() -> Credentials:
        return credentials

    async with server, Client(credentials, reload, fence=Gate(5.0, 0.0)) as client:
        with pytest.raises(ApiError) as caught:
            await client.request("POST", PODS, body={"a": 1})
        assert "NotLeading" in caught.value.message
        await asyncio.wait_for(over.wait(), 3)
    assert got == [b""]


async def test_events_are_kept_back_too(api: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    regarding = {"kind": "TrainingRun", "apiVersion": "tandem.dev/v1alpha1", "namespace": "a", "name": "b", "uid": "c"}
    async with fenced(api, lambda: 0.0) as client:
        await EventRecorder(client).post(regarding, Event("Running", "all pods are ready"))
    assert api.seen == []
    assert "an event was not posted" in capsys.readouterr().out
