"""Deployments that others change: fields of ours are put right, what others add stays, and a settled service asks for nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from devcluster import audit, kube
from tests.support.api import Object
from tests.support.operator import HostOperator
from tests.support.scene import Scene
from tests.support.serving import APPS, deployment, idle, until_shares, variant
from tests.support.writes import writes

pytestmark = pytest.mark.cluster

STRATEGIC = "application/strategic-merge-patch+json"
NAME = "chat-main"


def settled(scene: Scene) -> Object:
    """The service, once status records what was written of its Deployment and that has been rolled out."""

    def reached() -> Object | None:
        found = scene.get_service("chat")
        made = deployment(scene, NAME) or {}
        rolled = made["status"].get("updatedReplicas") == made["spec"]["replicas"] == made["status"].get("replicas")
        return found if rolled and variant(found, "main").get("ownedFields") else None

    return scene.until(reached, "the service to settle") or {}


def edit(scene: Scene, spec: Object) -> None:
    """A person's edit of the Deployment."""
    path = scene.path("deployments", NAME, APPS) + "?fieldManager=kubectl-edit"
    scene.api.request("PATCH", path, {"spec": spec}, STRATEGIC)


def main(**fields: Any) -> Object:
    """An edit of the main container."""
    return {"template": {"spec": {"containers": [{"name": "main", **fields}]}}}


def container(scene: Scene) -> Object:
    """The main container of the Deployment."""
    found: Object = (deployment(scene, NAME) or {})["spec"]["template"]["spec"]["containers"][0]
    return found


def names(scene: Scene) -> list[str]:
    """Names of the main container's variables."""
    return [item["name"] for item in container(scene).get("env", ())]


def test_what_others_change_or_take_away_is_put_right(scene: Scene, workers: list[str]) -> None:
    """An image, a variable, and the way of rolling out; each edit comes right after the repair of the one before."""
    scene.devices(workers[:1], 1)
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]
    idle(scene, "chat", accelerator=scene.profile(), env=env)
    settled(scene)
    before = (deployment(scene, NAME) or {})["spec"]

    for change in (
        main(image="tandem-dev/other:1"),
        main(env=[{"name": "A", "$patch": "delete"}]),
        main(env=[{"name": "B", "value": "3"}]),
        {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}},
    ):
        edit(scene, change)
        scene.until(lambda: (deployment(scene, NAME) or {})["spec"] == before, f"{change} to be put right", pause=0.02)
    settled(scene)
    assert scene.get_service("chat")["status"]["variants"][0]["replicas"] == 1


def test_what_others_add_stays_and_costs_nothing(scene: Scene, workers: list[str]) -> None:
    """`kubectl rollout restart`, a variable of somebody else's: theirs, and no reason to write."""
    scene.devices(workers[:1], 1)
    idle(scene, "chat", accelerator=scene.profile(), env=[{"name": "A", "value": "1"}])
    settled(scene)
    old = scene.pod_names()

    kube.kubectl("--namespace", scene.name, "rollout", "restart", f"deployment/{NAME}")
    scene.until(lambda: scene.pod_names() and not set(scene.pod_names()) & set(old), "another pod")
    edit(scene, main(env=[{"name": "Z", "value": "1"}]))
    settled(scene)
    mark = audit.mark()
    scene.patch_service("chat", {"replicas": 0})
    until_shares(scene, "chat", main=0)

    assert "Z" in names(scene)
    template = (deployment(scene, NAME) or {})["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert {(event.verb, event.resource) for event in writes(mark, scene.name)} == {
        ("patch", "deployments"),
        ("patch", "inferenceservices"),
    }


def test_a_repair_that_would_bring_in_another_profile_is_told_instead(scene: Scene, workers: list[str]) -> None:
    """Whoever edits a profile must not find replicas restarted for it; the next edit of the service mends both."""
    scene.devices(workers[:1], 1)
    profile = scene.profile()
    idle(scene, "chat", accelerator=profile)
    settled(scene)
    change = {"env": [{"name": "NEW", "value": "1"}], "counts": {"perPod": [1]}}
    scene.patch_profile(profile, change)
    idle(scene, "probe", accelerator=profile, devicesPerPod=2)
    # By this the operator shows that it knows the profile as it is now.
    scene.reason("infsvc", "probe", "IllegalCount")
    edit(scene, main(image="tandem-dev/other:1"))

    def told() -> bool:
        return "changed by somebody else" in variant(scene.get_service("chat"), "main").get("message", "")

    scene.until(told, "the change to be told")
    assert container(scene)["image"] == "tandem-dev/other:1"
    assert "NEW" not in names(scene)

    scene.patch_service("chat", {"env": [{"name": "A", "value": "1"}]})
    scene.until(lambda: container(scene)["image"] == "tandem-dev/tools:dev", "the Deployment to be made anew")
    assert {"NEW", "A"} <= set(names(scene))
    scene.until(lambda: not told(), "the message to go")


@pytest.mark.serial
def test_what_was_changed_while_no_operator_ran_is_put_right_by_the_next(
    quiet_scene: Scene, workers: list[str], operators: Callable[..., HostOperator]
) -> None:
    """What was written stands in status; after the repair everything is at rest."""
    scene = quiet_scene
    scene.devices(workers[:1], 1)
    first = operators()
    first.start()
    idle(scene, "chat", accelerator=scene.profile(), env=[{"name": "A", "value": "1"}])
    settled(scene)
    first.kill()
    edit(scene, main(env=[{"name": "A", "$patch": "delete"}]))

    second = operators()
    second.start()

    scene.until(lambda: "A" in names(scene), "the variable to be back")
    settled(scene)
    second.kill()
    mark = audit.mark()
    third = operators()
    third.start()
    scene.patch_service("chat", {"replicas": 0})
    until_shares(scene, "chat", main=0)
    assert not [event for event in writes(mark, scene.name) if event.verb not in ("patch",)]
