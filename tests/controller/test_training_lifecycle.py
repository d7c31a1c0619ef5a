"""Suspend, delete, recreate and edit a run."""

import pytest

from devcluster import kube
from tests.support.api import Object
from tests.support.programs import STEERED, fails_on_rank
from tests.support.scene import TANDEM, Scene, condition

pytestmark = pytest.mark.cluster


def outcomes(run: Object) -> list[str]:
    """Outcomes of the attempts that ended."""
    return [item["outcome"] for item in run["status"].get("attempts", ())]


def test_a_running_run_is_suspended_and_resumed_uncharged(scene: Scene, workers: list[str]) -> None:
    """Suspending gives the devices back; resuming is the next attempt."""
    scene.devices(workers[:2], 1)
    scene.run("nap", accelerator=scene.profile(), pods=2, command=STEERED)
    scene.reason("trun", "nap", "Running")

    scene.patch_run("nap", {"suspend": True})
    suspended = scene.reason("trun", "nap", "Suspended")
    scene.until(lambda: scene.pods() == [], "all pods to go")
    assert condition(suspended, "Suspended")["status"] == "True"
    assert condition(suspended, "Ready")["status"] == "True"
    assert "active" not in suspended["status"]

    scene.patch_run("nap", {"suspend": False})
    running = scene.reason("trun", "nap", "Running")
    assert running["status"]["attempt"] == 2
    assert outcomes(running) == ["Suspended"]
    assert "failures" not in running["status"]
    assert condition(running, "Suspended")["status"] == "False"
    assert scene.pod_names() == ["nap-a2-0", "nap-a2-1"]


def test_a_queued_run_is_suspended_and_resumed(scene: Scene, workers: list[str]) -> None:
    """A suspended run takes no devices, even when they become free."""
    scene.devices(workers[:1], 1)
    scene.foreign_pod("holder", devices=1)
    scene.until(lambda: scene.phase("holder") == "Running", "the foreign pod to hold the device")
    scene.run("later", accelerator=scene.profile(), command=STEERED)
    scene.reason("trun", "later", "Queued")

    scene.patch_run("later", {"suspend": True})
    scene.reason("trun", "later", "Suspended")
    scene.delete_pod("holder")
    scene.until(lambda: scene.phase("holder") == "", "the device to be free")
    scene.run("other", accelerator=scene.name, command=["sh", "-c", "exit 0"])
    scene.reason("trun", "other", "Succeeded")
    assert condition(scene.get_run("later"), "Ready")["reason"] == "Suspended"

    scene.patch_run("later", {"suspend": None})
    assert scene.reason("trun", "later", "Running")["status"]["attempt"] == 1


def test_a_run_is_suspended_between_attempts(scene: Scene, workers: list[str]) -> None:
    """The pause after a failure ends in Suspended; resuming is the next attempt, charged for the failure only."""
    scene.devices(workers[:1], 1)
    scene.run("pause", accelerator=scene.profile(), command=fails_on_rank(0, code=1, attempts=2))
    scene.until(lambda: scene.get_run("pause")["status"]["failures"]["user"] == 2, "the second failure")

    scene.patch_run("pause", {"suspend": True})
    suspended = scene.reason("trun", "pause", "Suspended")
    before = suspended["status"]["attempt"]
    assert "active" not in suspended["status"]

    scene.patch_run("pause", {"suspend": False})
    done = scene.reason("trun", "pause", "Succeeded")
    assert done["status"]["attempt"] == before + 1
    assert done["status"]["failures"] == {"user": 2, "infra": 0}


def test_deleting_a_run_removes_its_children(scene: Scene, workers: list[str]) -> None:
    """Ownership does it: there is no finalizer that could hang."""
    scene.devices(workers[:2], 1)
    scene.run("short", accelerator=scene.profile(), pods=2, command=STEERED)
    running = scene.reason("trun", "short", "Running")
    assert "finalizers" not in running["metadata"]

    scene.api.delete(scene.path("trainingruns", "short", TANDEM))

    scene.until(lambda: scene.pods() == [], "the pods to go")
    scene.until(lambda: scene.api.find(scene.path("services", "short-tr")) is None, "the Service to go")


def test_a_run_deleted_while_it_starts_leaves_nothing_and_holds_nothing(scene: Scene, workers: list[str]) -> None:
    """Whatever was made is collected, and the devices that were reserved go to the next run."""
    scene.devices(workers[:2], 2)
    profile = scene.profile()
    scene.run("brief", accelerator=profile, pods=4, command=STEERED)
    scene.until(lambda: scene.get_run("brief")["status"]["active"], "the attempt to be decided")
    scene.api.delete(scene.path("trainingruns", "brief", TANDEM))

    scene.run("heir", accelerator=profile, pods=4, command=STEERED)

    scene.reason("trun", "heir", "Running")
    assert scene.pod_names() == [f"heir-a1-{rank}" for rank in range(4)]


def test_a_run_is_recreated_under_the_same_name_at_once(scene: Scene, workers: list[str]) -> None:
    """Old pods of the same names are waited for, never adopted; the new run begins with its first attempt."""
    scene.devices(workers[:2], 1)
    profile = scene.profile()
    old = scene.run("again", accelerator=profile, pods=2, command=STEERED)
    scene.reason("trun", "again", "Running")

    scene.api.delete(scene.path("trainingruns", "again", TANDEM))
    new = scene.run("again", accelerator=profile, pods=2, command=STEERED)

    running = scene.reason("trun", "again", "Running")
    assert running["metadata"]["uid"] == new["metadata"]["uid"] != old["metadata"]["uid"]
    assert running["status"]["attempt"] == 1
    for pod in scene.pods():
        assert pod["metadata"]["ownerReferences"][0]["uid"] == new["metadata"]["uid"]


def test_an_edit_waits_for_the_next_attempt(scene: Scene, workers: list[str]) -> None:
    """A running gang is not touched; status says that something is pending; a restart takes the new spec."""
    scene.devices(workers[:1], 1)
    scene.run("edited", accelerator=scene.profile(), command=STEERED)
    scene.reason("trun", "edited", "Running")
    [before] = scene.pods()

    scene.patch_run("edited", {"env": [{"name": "LR", "value": "0.1"}]})
    scene.until(lambda: scene.get_run("edited")["status"]["pendingChange"] is True, "the edit to be pending")
    assert [pod["metadata"]["uid"] for pod in scene.pods()] == [before["metadata"]["uid"]]

    scene.signal("edited-a1-0", "USR1")
    scene.until(lambda: scene.get_run("edited")["status"]["attempt"] == 2, "the second attempt")
    running = scene.reason("trun", "edited", "Running")
    assert "pendingChange" not in running["status"]
    variables = {item["name"]: item.get("value") for item in scene.pods()[-1]["spec"]["containers"][0]["env"]}
    assert variables["LR"] == "0.1"


def test_kubectl_wait_and_get_serve_people(scene: Scene, workers: list[str]) -> None:
    """`kubectl wait` ends with the run, and the columns tell its story."""
    scene.devices(workers[:1], 1)
    profile = scene.profile()
    scene.run("told", accelerator=profile, command=["sh", "-c", "exit 0"])

    kube.kubectl("--namespace", scene.name, "wait", "--for=condition=Succeeded", "trun/told", "--timeout=60s")

    header, row = kube.kubectl("--namespace", scene.name, "get", "trun", "told").splitlines()
    assert header.split() == ["NAME", "STATUS", "ACCELERATOR", "PODS", "ATTEMPT", "AGE"]
    assert row.split()[:5] == ["told", "Succeeded", profile, "1/1", "1"]
