"""Scaling up, down and to zero, and the repair of what others changed."""

import pytest

from devcluster import audit, kube
from tests.support.scene import TANDEM, Scene, condition
from tests.support.serving import (
    APPS,
    POLICY,
    bound,
    deployment,
    idle,
    scale,
    serve,
    shares,
    until_shares,
    wanted_replicas,
)

pytestmark = pytest.mark.cluster


def test_kubectl_scale_sets_the_replicas_and_reads_them_back(scene: Scene, workers: list[str]) -> None:
    """/scale is what a HorizontalPodAutoscaler uses: wanted, existing and the selector."""
    scene.devices(workers[:1], 3)
    idle(scene, "chat", accelerator=scene.profile())
    until_shares(scene, "chat", main=1)

    scale(scene, "chat", 3)

    until_shares(scene, "chat", main=3)
    path = scene.path("inferenceservices", "chat", TANDEM) + "/scale"
    found = scene.until(lambda: _if_existing(scene.api.get(path), 3), "three replicas in /scale")
    assert found["spec"]["replicas"] == 3
    assert len(scene.pods(found["status"]["selector"])) == 3


def test_zero_keeps_the_service_and_comes_back(scene: Scene, workers: list[str]) -> None:
    """At zero nothing holds a device, the address stays, and one replica is soon there again."""
    scene.devices(workers[:1], 1)
    serve(scene, "chat", accelerator=scene.profile())
    scene.reason("infsvc", "chat", "Available")
    address = scene.api.get(scene.path("services", "chat"))["spec"]["clusterIP"]

    scale(scene, "chat", 0)
    found = scene.reason("infsvc", "chat", "ScaledToZero")
    assert condition(found, "Ready")["status"] == "True"
    scene.until(lambda: scene.pods() == [], "the replica to go")
    assert scene.until(lambda: scene.get_service("chat")["status"]["summary"] == "0/0", "an empty summary")
    assert wanted_replicas(scene, "chat-main") == 0

    scale(scene, "chat", 1)
    scene.reason("infsvc", "chat", "Available")
    assert scene.api.get(scene.path("services", "chat"))["spec"]["clusterIP"] == address


def test_fewer_replicas_are_taken_from_the_last_listed_variant(scene: Scene, workers: list[str]) -> None:
    """Above its minimum first; the preferred variant keeps its own as long as it can."""
    scene.devices(workers[:1], 6)
    profile = scene.profile()
    variants = [
        {"name": "a", "accelerator": profile, "maxReplicas": 3},
        {"name": "b", "accelerator": profile, "minReplicas": 1},
    ]
    idle(scene, "mix", replicas=6, variants=variants)
    until_shares(scene, "mix", a=3, b=3)

    scale(scene, "mix", 4)
    until_shares(scene, "mix", a=3, b=1)
    scale(scene, "mix", 2)
    until_shares(scene, "mix", a=1, b=1)
    scale(scene, "mix", 5)
    until_shares(scene, "mix", a=3, b=2)


def test_a_smaller_maximum_moves_replicas_to_the_next_variant(scene: Scene, workers: list[str]) -> None:
    """The bound is the user's word: what is above it goes, and what is missing is placed anew."""
    scene.devices(workers[:1], 4)
    profile = scene.profile()
    variants = [{"name": "a", "accelerator": profile}, {"name": "b", "accelerator": profile}]
    idle(scene, "mix", replicas=3, variants=variants)
    until_shares(scene, "mix", a=3, b=0)

    scene.patch_service("mix", {"variants": [{**variants[0], "maxReplicas": 1}, variants[1]]})

    until_shares(scene, "mix", a=1, b=2)
    scene.until(lambda: len(bound(scene)) == 3 == len(scene.pods()), "three bound replicas")


def test_a_deployment_scaled_by_hand_is_put_back(scene: Scene, workers: list[str]) -> None:
    """The InferenceService is what is scaled; a hand on the Deployment would take devices that others were given."""
    scene.devices(workers[:1], 3)
    idle(scene, "chat", accelerator=scene.profile())
    until_shares(scene, "chat", main=1)

    for replicas in (3, 0):
        kube.kubectl("--namespace", scene.name, "scale", "deployment/chat-main", f"--replicas={replicas}")
        until_shares(scene, "chat", main=1)
    assert scene.get_service("chat")["spec"]["replicas"] == 1


@pytest.mark.parametrize(
    ("plural", "name", "group"),
    [("deployments", "chat-main", APPS), ("services", "chat", "/api/v1"), ("poddisruptionbudgets", "chat", POLICY)],
)
def test_a_child_deleted_by_hand_comes_back(
    scene: Scene, workers: list[str], plural: str, name: str, group: str
) -> None:
    """Whatever a service is made of is made again."""
    scene.devices(workers[:1], 1)
    idle(scene, "chat", accelerator=scene.profile())
    path = scene.path(plural, name, group)
    before = scene.until(lambda: scene.api.find(path), f"{plural} {name}")

    scene.api.delete(path)

    def back() -> bool:
        found = scene.api.find(path)
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    scene.until(back, f"a new {plural} {name}")
    until_shares(scene, "chat", main=1)


def test_a_deployment_deleted_with_its_pods_first_comes_back(scene: Scene, workers: list[str]) -> None:
    """Foreground deletion leaves it there for a while, ending: it is waited for."""
    scene.devices(workers[:1], 1)
    idle(scene, "chat", accelerator=scene.profile())
    before = scene.until(lambda: deployment(scene, "chat-main"), "the Deployment")
    scene.until(lambda: len(bound(scene)) == 1, "the replica")

    scene.api.request("DELETE", scene.path("deployments", "chat-main", APPS), {"propagationPolicy": "Foreground"})

    def back() -> bool:
        found = deployment(scene, "chat-main")
        return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]

    scene.until(back, "a new Deployment")


def test_another_port_reaches_service_and_replicas(scene: Scene, workers: list[str]) -> None:
    """The Service is changed in place and keeps its address."""
    scene.devices(workers[:1], 1)
    idle(scene, "chat", accelerator=scene.profile())
    before = scene.until(lambda: scene.api.find(scene.path("services", "chat")), "the Service")
    until_shares(scene, "chat", main=1)

    scene.patch_service("chat", {"port": 9001})

    def moved() -> bool:
        [port] = scene.api.get(scene.path("services", "chat"))["spec"]["ports"]
        template = (deployment(scene, "chat-main") or {})["spec"]["template"]["spec"]
        return port["port"] == template["containers"][0]["ports"][0]["containerPort"] == 9001

    scene.until(moved, "the new port everywhere")
    after = scene.api.get(scene.path("services", "chat"))
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]
    assert scene.get_service("chat")["status"]["url"].endswith(":9001")


def test_a_settled_service_makes_no_request(scene: Scene, workers: list[str]) -> None:
    """An edit of the profile has every service looked at again; the one that has all it needs is left alone."""
    scene.devices(workers[:1], 4)
    profile = scene.profile(counts={"perPod": [1]})
    serve(scene, "settled", accelerator=profile)
    idle(scene, "witness", accelerator=profile, devicesPerPod=2)
    scene.reason("infsvc", "settled", "Available")
    scene.reason("infsvc", "witness", "IllegalCount")
    scene.until(lambda: shares(scene.get_service("settled")) == {"main": 1}, "the settled service")
    start = audit.mark()

    # The same edit that wakes both gives the witness its place.
    scene.patch_profile(profile, {"counts": {"perPod": [1, 2]}})
    until_shares(scene, "witness", main=1)

    touched = {
        event.name for event in audit.since(start, user_agent="tandem/") if event.namespace == scene.name and event.name
    }
    assert "witness" in touched
    assert not {name for name in touched if name.startswith("settled")}


def _if_existing(found: dict[str, dict[str, object]], replicas: int) -> dict[str, dict[str, object]] | None:
    return found if found["status"].get("replicas") == replicas else None
