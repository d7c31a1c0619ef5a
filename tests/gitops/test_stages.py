"""The recordings are not stale: the operator of this checkout still leaves objects of the same shape."""

import pytest

from tests.gitops import recorded
from tests.gitops.stages import STAGES, Stage
from tests.support.scene import Scene

pytestmark = pytest.mark.cluster

AGAIN = ("run-queued", "run-succeeded", "run-illegal-count", "service-available", "service-partially-placed")
"""Quick ones of different ends; the rest share their code."""


@pytest.mark.parametrize("stage", [STAGES[name] for name in AGAIN], ids=AGAIN)
def test_a_stage_looks_as_recorded(scene: Scene, workers: list[str], stage: Stage) -> None:
    """Where this fails by a change that is meant: python -m tests.gitops.record, and look at the difference."""
    made = stage.make(scene, workers)
    found = recorded.scrub(made, scene.name)
    assert recorded.shape(found) == recorded.shape(recorded.load(stage.name))
    assert recorded.shown(made, scene.name) == recorded.text_file(stage.name).read_text(encoding="utf-8")
