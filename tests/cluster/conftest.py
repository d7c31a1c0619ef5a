"""A fake API server and a client of it for every test here."""

from collections.abc import AsyncIterator

import pytest

from tandem.cluster.client import Client
from tests.cluster.fake_api import FakeApi


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    async with FakeApi() as server:
        yield server


@pytest.fixture
async def client(api: FakeApi) -> AsyncIterator[Client]:
    async with api.client() as connected:
        yield connected
