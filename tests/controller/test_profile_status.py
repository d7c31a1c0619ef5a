"""`kubectl get accel`: what the cluster has of each accelerator, at a glance and as it changes."""

import pytest

from devcluster import kube
from tests.support.api import Object
from tests.support.programs import STEERED
from tests.support.scene import TANDEM, Scene, condition

pytestmark = pytest.mark.cluster


def counts(scene: Scene, profile: str) -> Object:
    """The devices in the profile's status."""
    found: Object = scene.api.get(f"{TANDEM}/acceleratorprofiles/{profile}")["status"].get("devices") or {}
    return found


def test_the_inventory_says_who_holds_what(scene: Scene, workers: list[str]) -> None:
    scene.devices(workers[:2], 4)
    profile = scene.profile()
    scene.foreign_pod("other", devices=1)
    scene.run("mine", accelerator=profile, devicesPerPod=2, command=STEERED)
    told = {"capacity": 8, "allocatable": 8, "unhealthy": 0, "free": 5, "ours": 2, "others": 1}
    scene.until(lambda: counts(scene, profile) == told, f"the profile to tell of {told}")

    header, line = kube.kubectl("get", "accel", profile).splitlines()
    assert header.split() == ["NAME", "STATUS", "NODES", "DEVICES", "FREE", "OURS", "OTHERS", "UNHEALTHY", "AGE"]
    assert line.split()[1:-1] == ["Offered", "2", "8", "5", "2", "1", "0"]

    scene.delete_pod("other")
    scene.until(lambda: counts(scene, profile).get("free") == 6, "the device to be free again")


def test_a_profile_that_matches_nothing_says_so_and_is_no_failure(scene: Scene) -> None:
    path = f"{TANDEM}/acceleratorprofiles/{scene.profile(nodeSelector={'no-such': 'node'})}"
    told = scene.until(lambda: condition(scene.api.get(path), "Ready"), "the profile to be looked at")
    assert (told["status"], told["reason"]) == ("True", "NoNodes")
