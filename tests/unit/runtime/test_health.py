"""/healthz, /readyz and /metrics: well, or what is wrong in words."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tandem.runtime.health import HealthServer


class Probe:
    """A server whose checks a test can break."""

    def __init__(self) -> None:
        self.problems: dict[str, str | None] = {"queue": None, "start": "the stores are not filled yet", "feed": None}
        self.url = ""

    async def get(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(self.url + path) as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def probe() -> AsyncIterator[Probe]:
    """Alive, not ready yet."""
    made = Probe()
    server = HealthServer(
        lambda: b"tandem_queue_depth 3\n",
        {"queue": lambda: made.problems["queue"]},
        {name: (lambda name=name: made.problems[name]) for name in ("start", "feed")},
    )
    made.url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    yield made
    await server.stop()


async def test_a_process_that_starts_is_alive_and_not_ready(probe: Probe) -> None:
    """A restart would not help it; traffic and leadership have to wait."""
    assert await probe.get("/healthz") == (200, "ok\n")
    assert await probe.get("/readyz") == (503, "start: the stores are not filled yet\n")
    probe.problems["start"] = None
    assert await probe.get("/readyz") == (200, "ok\n")


async def test_every_problem_is_named(probe: Probe) -> None:
    probe.problems |= {"queue": "a key has waited for 130 s", "feed": "nothing heard of pods"}
    assert await probe.get("/healthz") == (503, "queue: a key has waited for 130 s\n")
    status, text = await probe.get("/readyz")
    assert status == 503
    assert text.splitlines() == ["start: the stores are not filled yet", "feed: nothing heard of pods"]


async def test_metrics_are_served_as_prometheus_reads_them(probe: Probe) -> None:
    async with aiohttp.ClientSession() as session, session.get(probe.url + "/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert await answer.text() == "tandem_queue_depth 3\n"


async def test_a_taken_port_is_an_error_at_start(probe: Probe) -> None:
    second = HealthServer(lambda: b"", {}, {})
    with pytest.raises(OSError, match="address already in use"):
        await second.start("127.0.0.1", int(probe.url.rpartition(":")[2]))
    await second.stop()


async def test_a_ready_replica_says_what_it_does() -> None:
    server = HealthServer(lambda: b"", {}, {}, lambda: "standby, other leads")
    url = f"http://127.0.0.1:{await server.start('127.0.0.1', 0)}"
    async with aiohttp.ClientSession() as session:
        texts = [await (await session.get(url + path)).text() for path in ("/readyz", "/healthz")]
    await server.stop()
    assert texts == ["ok: standby, other leads\n", "ok\n"]
