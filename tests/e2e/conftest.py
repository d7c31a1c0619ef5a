"""End to end: the operator as the chart installs it, in the image that the Dockerfile builds, with the chart's rights alone.

These tests run by themselves and last: there may be only one operator in a cluster.
"""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from devcluster import audit, kube, load, paths
from devcluster.shell import DevclusterError
from examples import demo
from tests.support.api import Api

T = TypeVar("T")
ACCOUNT = f"system:serviceaccount:{demo.NAMESPACE}:{demo.RELEASE}"


@pytest.fixture(scope="session")
def start() -> audit.Mark:
    """The place in the audit log at which the session began."""
    return audit.mark()


@pytest.fixture(scope="session")
def operator(start: audit.Mark) -> Iterator[None]:
    """The operator and the devcluster's profiles, installed as the demo installs them; uninstalled at the end."""
    demo.build_images()
    load.load(demo.OPERATOR, demo.SAMPLE)
    demo.install_operator()
    demo.install_profiles()
    demo.forget_former_story()
    yield
    demo.forget_former_story()
    demo.helm("uninstall", demo.RELEASE, "--wait", "--timeout=60s")
    kube.kubectl("delete", "namespace", demo.NAMESPACE, "--timeout=60s", timeout=70)


@pytest.fixture(scope="session")
def api() -> Api:
    """The API server as admin."""
    return Api(paths.kubeconfig())


@pytest.fixture
def namespace(request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own."""
    name = request.node.name.replace("_", "-").lower()[:50].strip("-")
    kube.kubectl("create", "namespace", name)
    yield name
    kube.kubectl("delete", "namespace", name, "--timeout=90s", timeout=100)


def until(test: Callable[[], T], what: str, seconds: float = 120.0) -> T:
    """The first true value of `test`; a failure shows pods, events and the operator's last lines."""
    deadline = time.monotonic() + seconds
    problem: object = None
    while time.monotonic() < deadline:
        try:
            if value := test():
                return value
            problem = None
        except (DevclusterError, KeyError, IndexError) as error:
            problem = error
        time.sleep(0.2)
    pods = kube.kubectl("get", "trun,infsvc,pods", "--all-namespaces", "--output=wide")
    explained = f"({problem or 'it stayed false'})\n{pods}\n{demo.operator_log()}"
    raise AssertionError(f"waited {seconds:.0f} s for {what} {explained}")


def reason(kind: str, name: str, namespace: str = "default") -> str:
    """The reason of Ready, empty before the first."""
    return demo.condition(kube.get(f"--namespace={namespace}", kind, name), "Ready").get("reason", "")
