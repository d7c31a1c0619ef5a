"""Models by URI and models of variants on the real cluster."""

import pytest

from devcluster import kube
from tests.support.api import Object
from tests.support.scene import Scene, condition
from tests.support.serving import deployment, idle, until_shares

pytestmark = pytest.mark.cluster


def path_of(scene: Scene, name: str) -> str:
    """TANDEM_MODEL_PATH of a Deployment's replicas."""
    found = deployment(scene, name) or {}
    env = found["spec"]["template"]["spec"]["containers"][0]["env"]
    return str(next(item["value"] for item in env if item["name"] == "TANDEM_MODEL_PATH"))


def message(found: Object, kind: str) -> str:
    return str(condition(found, kind)["message"])


def test_a_uri_is_handed_over_and_its_change_rolls(scene: Scene, workers: list[str]) -> None:
    """The program finds it in its arguments; `kubectl get -o wide` shows it."""
    scene.devices(workers[:1], 1)
    told = ["sh", "-c", 'echo "$0" > /dev/termination-log; exit 1', "$(TANDEM_MODEL_PATH)"]
    idle(scene, "chat", accelerator=scene.profile(), command=told, model={"uri": "org/name-7b"})

    crashed = scene.reason("infsvc", "chat", "UserFailure")
    assert "org/name-7b" in message(crashed, "Ready")
    assert condition(crashed, "ModelResolved")["status"] == "True"
    assert crashed["status"]["model"] == {"source": "org/name-7b", "uri": "org/name-7b"}
    assert "org/name-7b" in kube.kubectl("--namespace", scene.name, "get", "infsvc", "chat", "-o", "wide")

    scene.patch_service("chat", {"model": {"uri": "s3://bucket/m"}})
    scene.until(lambda: path_of(scene, "chat-main") == "s3://bucket/m", "the new model")


def test_a_uri_that_nothing_loads_is_told_and_its_mend_is_taken_up(scene: Scene, workers: list[str]) -> None:
    """Nothing is made for it; the message says what to write."""
    scene.devices(workers[:1], 1)
    idle(scene, "chat", accelerator=scene.profile(), model={"uri": "hf://org/name"})

    found = scene.reason("infsvc", "chat", "NoLoader", seconds=5.0)
    assert condition(found, "ModelResolved")["reason"] == "NoLoader"
    assert condition(found, "Stalled")["status"] == "True"
    assert message(found, "Ready").endswith("write the repository's bare name, org/name")
    assert deployment(scene, "chat-main") is None

    scene.patch_service("chat", {"model": {"uri": "org/name"}})
    until_shares(scene, "chat", main=1)
    scene.reason("infsvc", "chat", "Starting")


def test_a_variant_serves_its_own_model(scene: Scene, workers: list[str]) -> None:
    """Weights are quantized for an accelerator: each pool names its own, the others take the spec's."""
    scene.devices(workers[:1], 2)
    profile = scene.profile()
    idle(
        scene,
        "chat",
        replicas=2,
        model={"uri": "org/bf16"},
        variants=[
            {"name": "npu", "accelerator": profile, "maxReplicas": 1, "model": {"uri": "org/w8a8"}},
            {"name": "gpu", "accelerator": profile},
        ],
    )
    found = until_shares(scene, "chat", npu=1, gpu=1)
    assert (path_of(scene, "chat-npu"), path_of(scene, "chat-gpu")) == ("org/w8a8", "org/bf16")
    assert found["status"]["model"] == {"source": "org/w8a8, org/bf16"}
