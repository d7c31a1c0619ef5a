"""A fake API server and a client of it for every test here, and what tests of commands share."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from tandem.cluster.client import Client
from tests.cluster.devices_world import Cluster
from tests.cluster.fake_api import FakeApi


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as server:
        yield server


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    async with api.client() as connected:
        yield connected


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """A command configures logging for a process of its own."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def cluster(api: FakeApi) -> Cluster:
    """A few nodes, pods and objects behind the API server."""
    made = Cluster()
    api.answer_all(made.answer)
    return made
