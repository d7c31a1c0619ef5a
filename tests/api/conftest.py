"""The real API server with the CRDs of this checkout, and a namespace for each test process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from devcluster import kube, paths
from devcluster.shell import wait_for
from tests.api.server import PLURALS, Server
from tests.support.api import Api, Object

CRDS = Path(__file__).parents[2] / "crds"


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server that holds the CRDs (installed idempotently, never taken away) and a namespace of one's own."""
    kube.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(CRDS))
    kube.kubectl("wait", "--for=condition=Established", "--timeout=30s", "--filename", str(CRDS))
    wait_for("the kinds to be discovered", _are_discovered, seconds=60)
    api = Api(paths.kubeconfig())
    namespace = f"api-{uuid4().hex[:8]}"
    api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    yield Server(api, namespace)
    api.delete(f"/api/v1/namespaces/{namespace}")


def _are_discovered() -> bool:
    """Whether kubectl finds the kinds: a busy API server publishes them a while after it serves them."""
    found = kube.kubectl("api-resources", "--api-group=tandem.dev", "--output=name", "--cached=false")
    return set(found.split()) >= {f"{plural}.tandem.dev" for plural in PLURALS.values()}


@pytest.fixture
def create(server: Server) -> Iterator[Callable[[Object], Object]]:
    """Applies an object for real, as the manager `owner`, and deletes it after the test."""
    created: list[Object] = []

    def apply(item: Object) -> Object:
        created.append(item)
        return server.apply(item, "owner")

    yield apply
    for item in created:
        server.delete(item)


@pytest.fixture
def name() -> str:
    """A name that no other test uses; profiles share one scope."""
    return f"t{uuid4().hex[:10]}"
