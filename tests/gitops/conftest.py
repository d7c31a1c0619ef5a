"""The programs of other people by which objects are judged, and the stage of the controller tests."""

import json
import subprocess
from collections.abc import Callable

import pytest

from devcluster import gobuild
from tests.controller.conftest import api, crds, scene, shared_operator, workers
from tests.support.api import Object

__all__ = ["api", "crds", "scene", "shared_operator", "workers"]

Judge = Callable[..., Object]


@pytest.fixture(scope="session")
def health() -> Judge:
    """What a tool says of an object, as {status, message} or {error}; the tool by its arguments, e.g. "kstatus"."""
    program = gobuild.ensure(gobuild.HEALTH) / "health"

    def judge(found: Object, *tool: str) -> Object:
        done = subprocess.run([program, *tool], input=json.dumps(found), text=True, capture_output=True, check=True)
        answer: Object = json.loads(done.stdout)
        return answer

    return judge
