"""Bad input and refusals: each is told with a stable reason within seconds, and heals when its cause goes."""

import pytest

from tests.support.api import Object
from tests.support.scene import Scene, condition
from tests.support.serving import APPS, POLICY, deployment, idle, serve, until_shares, variant

pytestmark = pytest.mark.cluster

SOON = 5.0
"""Seconds after the cluster shows a cause."""


def message(found: Object) -> str:
    """Message of Ready."""
    return str(condition(found, "Ready")["message"])


def test_a_missing_claim_is_told_and_heals(scene: Scene, workers: list[str]) -> None:
    """Nothing is made before the model can be mounted; creating the claim is all a person has to do."""
    scene.devices(workers[:1], 1)
    serve(scene, "chat", accelerator=scene.profile(), model={"claim": {"name": "models"}})

    found = scene.reason("infsvc", "chat", "ClaimMissing", seconds=SOON)
    assert "'models'" in message(found)
    assert condition(found, "Ready")["status"] == "False"
    assert condition(found, "Stalled")["status"] == "True"
    assert condition(found, "ModelResolved")["status"] == "False"
    assert deployment(scene, "chat-main") is None

    scene.claim("models")
    healed = scene.reason("infsvc", "chat", "Available")
    assert condition(healed, "ModelResolved")["status"] == "True"


def test_while_its_claim_is_missing_a_service_goes_on_and_can_be_scaled_down(scene: Scene, workers: list[str]) -> None:
    """An edit that cannot be carried out stops no replica; wishing for fewer is always heard."""
    scene.devices(workers[:1], 3)
    idle(scene, "chat", accelerator=scene.profile(), replicas=3)
    until_shares(scene, "chat", main=3)

    scene.patch_service("chat", {"model": {"claim": {"name": "models"}}, "replicas": 2})

    found = scene.reason("infsvc", "chat", "ClaimMissing", seconds=SOON)
    scene.until(lambda: (deployment(scene, "chat-main") or {})["spec"]["replicas"] == 2, "two replicas")
    assert variant(found, "main")["replicas"] == 2
    assert "volumes" not in (deployment(scene, "chat-main") or {})["spec"]["template"]["spec"]


@pytest.mark.parametrize(
    ("plural", "name", "group", "spec"),
    [
        ("services", "chat", "/api/v1", {"ports": [{"port": 80}]}),
        (
            "deployments",
            "chat-main",
            APPS,
            {
                "replicas": 0,
                "selector": {"matchLabels": {"app": "other"}},
                "template": {
                    "metadata": {"labels": {"app": "other"}},
                    "spec": {"containers": [{"name": "main", "image": "tandem-dev/tools:dev"}]},
                },
            },
        ),
        ("poddisruptionbudgets", "chat", POLICY, {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "other"}}}),
    ],
)
def test_a_name_that_somebody_else_holds_is_told_and_heals(
    scene: Scene, workers: list[str], plural: str, name: str, group: str, spec: Object
) -> None:
    """What is not ours is never touched, however long it is in the way."""
    scene.devices(workers[:1], 1)
    foreign = scene.api.create(
        scene.path(plural, group=group),
        {
            "apiVersion": group.removeprefix("/apis/").removeprefix("/api/"),
            "kind": {"services": "Service", "deployments": "Deployment"}.get(plural, "PodDisruptionBudget"),
            "metadata": {"name": name},
            "spec": spec,
        },
    )
    idle(scene, "chat", accelerator=scene.profile())

    found = scene.reason("infsvc", "chat", "NameConflict", seconds=SOON)
    assert f"'{name}'" in message(found)
    assert condition(found, "Stalled")["status"] == "True"
    there = scene.api.get(scene.path(plural, name, group))
    assert there["metadata"]["uid"] == foreign["metadata"]["uid"]
    assert there["spec"] == foreign["spec"]
    assert "ownerReferences" not in there["metadata"]

    scene.api.delete(scene.path(plural, name, group))
    until_shares(scene, "chat", main=1)
    scene.until(lambda: _is_ours(scene, plural, name, group), f"{plural} {name} of the service")
    scene.reason("infsvc", "chat", "Starting")


def test_a_name_conflict_is_told_while_devices_are_waited_for(scene: Scene, workers: list[str]) -> None:
    """Of two troubles the one that a person has to mend is told."""
    scene.devices(workers[:1], 1)
    scene.api.create(scene.path("services"), {"metadata": {"name": "chat"}, "spec": {"ports": [{"port": 80}]}})
    idle(scene, "chat", accelerator=scene.profile(), devicesPerPod=2)

    scene.reason("infsvc", "chat", "NameConflict", seconds=SOON)

    scene.api.delete(scene.path("services", "chat"))
    found = scene.reason("infsvc", "chat", "Queued")
    assert "1 pod x 2 devices asked for" in message(found)


def test_an_image_that_cannot_be_pulled_is_told_and_heals(scene: Scene, workers: list[str]) -> None:
    """The message names pod, node and what the kubelet says."""
    scene.devices(workers[:1], 1)
    serve(scene, "chat", accelerator=scene.profile(), image="tandem-dev/none:1")

    found = scene.reason("infsvc", "chat", "ImagePull")
    assert "chat-main-" in message(found)
    assert workers[0] in message(found)
    assert "tandem-dev/none:1" in message(found)
    assert variant(found, "main")["reason"] == "ImagePull"

    scene.patch_service("chat", {"image": "tandem-dev/tools:dev"})
    scene.reason("infsvc", "chat", "Available")


def test_a_crash_loop_is_told_in_the_programs_own_words(scene: Scene, workers: list[str]) -> None:
    """The termination message is what the program has to say; a mended command heals."""
    scene.devices(workers[:1], 1)
    crash = ["sh", "-c", "echo 'no such model' > /dev/termination-log; exit 3"]
    serve(scene, "chat", accelerator=scene.profile(), command=crash)

    found = scene.reason("infsvc", "chat", "UserFailure")
    assert "no such model" in message(found)
    assert condition(found, "Ready")["status"] == "False"

    scene.patch_service("chat", {"command": ["sh", "-c", "sleep 3600"]})
    scene.reason("infsvc", "chat", "Starting")


def test_replicas_that_find_no_node_are_told_in_the_schedulers_words(scene: Scene, workers: list[str]) -> None:
    """The devices fit, but the program asks for more memory than any node has."""
    scene.devices(workers[:1], 1)
    huge = {"requests": {"memory": "900Ti"}, "limits": {"memory": "900Ti"}}
    idle(scene, "chat", accelerator=scene.profile(), resources=huge)

    found = scene.reason("infsvc", "chat", "NotBound")
    assert "Insufficient memory" in message(found)

    scene.patch_service("chat", {"resources": None})
    scene.reason("infsvc", "chat", "Starting")
    scene.until(lambda: [pod["spec"].get("nodeName") for pod in scene.pods()] == [workers[0]], "a bound replica")


def test_a_quota_without_room_is_told_and_heals(scene: Scene, workers: list[str]) -> None:
    """It is seen before a replica is made."""
    scene.devices(workers[:1], 2)
    quota = {"metadata": {"name": "devices"}, "spec": {"hard": {f"requests.{scene.resource}": "0"}}}
    scene.api.create(scene.path("resourcequotas"), quota)
    scene.until(
        lambda: scene.api.get(scene.path("resourcequotas", "devices"))["status"]["hard"], "the quota to be in force"
    )
    serve(scene, "chat", accelerator=scene.profile())

    found = scene.reason("infsvc", "chat", "Queued")
    assert f"quota devices allows 0 requests.{scene.resource}, 0 in use, 1 more needed" in message(found)
    assert scene.pods() == []

    scene.api.delete(scene.path("resourcequotas", "devices"))
    scene.reason("infsvc", "chat", "Available")


def test_forbidden_environment_is_told_before_anything_is_made(scene: Scene, workers: list[str]) -> None:
    """The device plugin sets it; a value of the user's would hide devices or show those of others."""
    scene.devices(workers[:1], 1)
    profile = scene.profile(forbidEnv=["VISIBLE_DEVICES"])
    idle(scene, "chat", accelerator=profile, env=[{"name": "VISIBLE_DEVICES", "value": "0"}])

    found = scene.reason("infsvc", "chat", "InvalidSpec", seconds=SOON)
    assert "VISIBLE_DEVICES" in message(found)
    assert deployment(scene, "chat-main") is None

    scene.patch_service("chat", {"env": None})
    until_shares(scene, "chat", main=1)


def _is_ours(scene: Scene, plural: str, name: str, group: str) -> bool:
    found = scene.api.find(scene.path(plural, name, group))
    return found is not None and bool(found["metadata"].get("ownerReferences"))
