"""A TrainingRun on the real cluster: from spec to Succeeded."""

import pytest

from tests.support.scene import Scene, condition

pytestmark = pytest.mark.cluster


def test_a_gang_runs_to_success_with_exact_pods(scene: Scene, workers: list[str]) -> None:
    """Four pods on two nodes, named after attempt and rank, and one headless Service."""
    scene.devices(workers[:2], 4)
    profile = scene.profile()
    scene.run("gang", accelerator=profile, pods=4, devicesPerPod=2, command=["sh", "-c", "exit 0"])

    done = scene.reason("trun", "gang", "Succeeded")

    assert scene.pod_names() == ["gang-a1-0", "gang-a1-1", "gang-a1-2", "gang-a1-3"]
    assert done["status"]["pods"]["summary"] == "4/4"
    assert condition(done, "Succeeded")["status"] == "True"
