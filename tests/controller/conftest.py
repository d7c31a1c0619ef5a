"""Controller tests: one operator of this host for all parallel tests, and a scene of its own for each.

Tests that kill or freeze the operator, or disturb nodes, are marked `serial` and run alone, with operators of their own.
"""

import fcntl
import itertools
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devcluster import paths
from tests.support.api import Api
from tests.support.operator import PATIENT, HostOperator, make_room
from tests.support.scene import Scene

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def api() -> Api:
    """The API server as admin."""
    return Api(paths.kubeconfig())


@pytest.fixture(scope="session")
def workers(api: Api) -> list[str]:
    """Names of the worker nodes."""
    items = api.get("/api/v1/nodes")["items"]
    return sorted(
        n["metadata"]["name"] for n in items if "node-role.kubernetes.io/control-plane" not in n["metadata"]["labels"]
    )


@pytest.fixture(scope="session")
def crds() -> None:
    """The CRDs as generated, and no operator but the tests'."""
    make_room()


@pytest.fixture(scope="session")
def shared_operator(crds: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The one operator of all parallel workers: the first starts it, the last stops it. Yields its log."""
    parallel = "PYTEST_XDIST_WORKER" in os.environ
    shared = tmp_path_factory.getbasetemp().parent if parallel else tmp_path_factory.getbasetemp()
    log, users = shared / "operator.log", shared / "operator.users"
    operator = HostOperator(paths.kubeconfig(), log)
    with (shared / "operator.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        state = json.loads(users.read_text()) if users.exists() else {"users": 0, "pid": 0}
        if not state["users"]:
            operator.start()
            state["pid"] = operator.pid
        state["users"] += 1
        users.write_text(json.dumps(state))
    try:
        yield log
    finally:
        with (shared / "operator.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            state = json.loads(users.read_text())
            state["users"] -= 1
            users.write_text(json.dumps(state))
            if not state["users"]:
                _end(state["pid"])


@pytest.fixture
def scene(request: pytest.FixtureRequest, api: Api, shared_operator: Path) -> Iterator[Scene]:
    """A stage of the test's own, served by the shared operator."""
    made = Scene(api, scene_name(request), lambda: _tail(shared_operator))
    yield made
    made.close()


@pytest.fixture
def quiet_scene(request: pytest.FixtureRequest, api: Api, crds: None) -> Iterator[Scene]:
    """A stage without an operator, for serial tests that bring their own."""
    made = Scene(api, scene_name(request), lambda: "")
    yield made
    made.close()


@pytest.fixture
def own_operator(crds: None, tmp_path: Path) -> Iterator[HostOperator]:
    """An operator of the test's own, for serial tests; running."""
    operator = HostOperator(paths.kubeconfig(), tmp_path / "operator.log")
    operator.start()
    yield operator
    operator.stop()


@pytest.fixture
def operators(quiet_scene: Scene, tmp_path: Path) -> Iterator[Callable[..., HostOperator]]:
    """Makes operators for a serial test that kills, freezes or doubles them; none is started yet.

    Their times leave room for a restart in the middle of everything on a busy machine. All are ended with the test.
    """
    made: list[HostOperator] = []

    def make(**environment: str) -> HostOperator:
        log = tmp_path / f"operator-{len(made)}.log"
        operator = HostOperator(paths.kubeconfig(), log, **{**PATIENT, **environment})
        made.append(operator)
        return operator

    quiet_scene.log = lambda: "\n".join(operator.tail() for operator in made)
    yield make
    for operator in made:
        operator.kill()


def scene_name(request: pytest.FixtureRequest) -> str:
    """A short name that no other test, worker or earlier session uses."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:20].strip("-")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "m")
    return f"t-{worker}-{os.getpid() % 10000}-{next(_numbers)}-{words}"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-40:])


def _end(pid: int) -> None:
    """SIGTERM, and wait until the process is gone, or a zombie of the worker that started it."""
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    stat = Path(f"/proc/{pid}/stat")
    while time.monotonic() < deadline and stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z":
        time.sleep(0.1)
