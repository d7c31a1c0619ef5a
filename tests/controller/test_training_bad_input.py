"""Bad input: a condition with a stable reason soon after the cluster shows the cause, and healing when the cause goes."""

import pytest

from tests.support.api import Object
from tests.support.programs import STEERED
from tests.support.scene import TANDEM, Scene, condition

pytestmark = pytest.mark.cluster

SOON = 5.0
"""Seconds within which a cause that the cluster shows stands in a condition."""
EXIT = ["sh", "-c", "exit 0"]


def blocked(run: Object) -> str:
    """The message of a run that a person has to mend; also asserts that tools see it so."""
    ready = condition(run, "Ready")
    assert ready["status"] == "False"
    assert condition(run, "Stalled")["reason"] == ready["reason"]
    assert condition(run, "Placed")["status"] == "False"
    return str(ready["message"])


def test_an_unknown_profile_is_named_until_somebody_creates_it(scene: Scene, workers: list[str]) -> None:
    """UnknownAccelerator; the run starts by itself once the profile is there."""
    scene.devices(workers[:1], 1)
    scene.run("lost", accelerator=f"{scene.name}-new", command=EXIT)

    message = blocked(scene.reason("trun", "lost", "UnknownAccelerator", SOON))
    assert message == f"no AcceleratorProfile matches '{scene.name}-new'; see `kubectl get accel`"

    scene.profile("-new")
    scene.reason("trun", "lost", "Succeeded")


def test_an_illegal_count_is_answered_with_the_legal_ones(scene: Scene, workers: list[str]) -> None:
    """IllegalCount; mending devicesPerPod starts the run."""
    scene.devices(workers[:1], 4)
    profile = scene.profile(counts={"perPod": [1, 2, 4]})
    scene.run("three", accelerator=profile, devicesPerPod=3, command=EXIT)

    message = blocked(scene.reason("trun", "three", "IllegalCount", SOON))
    assert message == f"3 devices in a pod are not legal on {profile}; set devicesPerPod to one of: 1, 2, 4"

    scene.patch_run("three", {"devicesPerPod": 2})
    scene.reason("trun", "three", "Succeeded")


def test_an_image_that_cannot_be_pulled_is_named_and_its_mend_is_taken_up(scene: Scene, workers: list[str]) -> None:
    """ImagePull in the kubelet's words. Nothing of the attempt has run, so the mended image goes first."""
    scene.devices(workers[:2], 1)
    scene.run("typo", accelerator=scene.profile(), pods=2, image="tandem-dev/tolls:dev", command=EXIT)

    def waiting() -> bool:
        states = [pod["status"]["containerStatuses"][0]["state"] for pod in scene.pods()]
        return any("Image" in state["waiting"]["reason"] for state in states)

    scene.until(waiting, "the kubelet to give up on the image")
    troubled = scene.reason("trun", "typo", "ImagePull", SOON)
    assert condition(troubled, "Ready")["status"] == "False"
    assert condition(troubled, "Reconciling")["reason"] == "ImagePull"
    message = condition(troubled, "Ready")["message"]
    assert message.startswith("typo-a1-")
    assert "tandem-dev/tolls:dev" in message

    scene.patch_run("typo", {"image": "tandem-dev/tools:dev"})
    done = scene.reason("trun", "typo", "Succeeded")
    assert done["status"]["attempts"][0]["outcome"] == "Superseded"
    assert "failures" not in done["status"]


def test_a_claim_that_does_not_exist_is_named_until_it_does(scene: Scene, workers: list[str]) -> None:
    """ClaimMissing for the checkpoint's claim and for the template's; no pod is made meanwhile."""
    scene.devices(workers[:1], 1)
    scene.run(
        "ckpt",
        accelerator=scene.profile(),
        command=EXIT,
        checkpoint={"claim": {"name": "first"}},
        template={
            "spec": {
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "second"}}],
                "containers": [{"name": "main", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            }
        },
    )
    message = blocked(scene.reason("trun", "ckpt", "ClaimMissing", SOON))
    assert message == f"PersistentVolumeClaim 'first' does not exist in {scene.name}: create it"
    assert scene.pods() == []

    scene.claim("first")
    scene.until(lambda: "'second'" in blocked(scene.get_run("ckpt")), "the other claim to be named", SOON)

    scene.claim("second")
    scene.reason("trun", "ckpt", "Succeeded")


def test_a_foreign_service_of_the_needed_name_is_a_conflict(scene: Scene, workers: list[str]) -> None:
    """NameConflict; the foreign object stays as it is, no pod is made, and the same attempt goes on when it is gone."""
    scene.devices(workers[:2], 1)
    port = {"name": "http", "port": 80}
    foreign = scene.api.create(
        scene.path("services"), {"metadata": {"name": "taken-tr"}, "spec": {"ports": [port], "selector": {"a": "b"}}}
    )
    scene.run("taken", accelerator=scene.profile(), pods=2, command=EXIT)

    conflict = scene.reason("trun", "taken", "NameConflict", SOON)
    message = condition(conflict, "Ready")["message"]
    assert message == "Service 'taken-tr' exists and is not owned by TrainingRun 'taken': rename one of them"
    assert condition(conflict, "Ready")["status"] == "False"
    now = scene.api.get(scene.path("services", "taken-tr"))
    assert now["metadata"]["resourceVersion"] == foreign["metadata"]["resourceVersion"]
    assert scene.pods() == []

    scene.api.delete(scene.path("services", "taken-tr"))
    assert scene.reason("trun", "taken", "Succeeded")["status"]["attempt"] == 1


def test_a_foreign_pod_of_the_needed_name_is_a_conflict(scene: Scene, workers: list[str]) -> None:
    """A gang of one waits for the name; the foreign pod is left alone."""
    scene.devices(workers[:1], 1)
    foreign = scene.foreign_pod("owned-a1-0")
    scene.run("owned", accelerator=scene.profile(), command=EXIT)

    conflict = scene.reason("trun", "owned", "NameConflict", SOON)
    assert "Pod 'owned-a1-0' exists and is not owned" in condition(conflict, "Ready")["message"]
    assert scene.pods()[0]["metadata"]["uid"] == foreign["metadata"]["uid"]

    scene.delete_pod("owned-a1-0")
    assert scene.reason("trun", "owned", "Succeeded")["status"]["attempt"] == 1


def test_a_gang_with_one_foreign_name_is_rolled_back_and_goes_on(scene: Scene, workers: list[str]) -> None:
    """No half of a gang stays: the attempt ends, uncharged, and the next one has names of its own."""
    scene.devices(workers[:2], 2)
    scene.foreign_pod("mixed-a1-2")
    scene.run("mixed", accelerator=scene.profile(), pods=3, command=STEERED)

    running = scene.reason("trun", "mixed", "Running")
    assert running["status"]["attempts"][0]["outcome"] == "NameConflict"
    assert "failures" not in running["status"]
    scene.until(
        lambda: scene.pod_names() == ["mixed-a1-2", "mixed-a2-0", "mixed-a2-1", "mixed-a2-2"],
        "nothing of attempt 1 but the foreign pod",
    )


def test_a_variable_that_the_profile_forbids_is_refused(scene: Scene, workers: list[str]) -> None:
    """InvalidSpec names the variable and the way out; taking it out starts the run."""
    scene.devices(workers[:1], 1)
    profile = scene.profile(forbidEnv=["VISIBLE_DEVICES"])
    scene.run("visible", accelerator=profile, env=[{"name": "VISIBLE_DEVICES", "value": "0"}], command=EXIT)

    message = blocked(scene.reason("trun", "visible", "InvalidSpec", SOON))
    assert message == f"env VISIBLE_DEVICES is set by the device plugin of {profile}: take it out of env"

    scene.patch_run("visible", {"env": None})
    scene.reason("trun", "visible", "Succeeded")


def test_a_mount_without_its_volume_is_refused(scene: Scene, workers: list[str]) -> None:
    """InvalidSpec, before the API server refuses each pod of the gang."""
    scene.devices(workers[:1], 1)
    mount = {"name": "data", "mountPath": "/data"}
    template = {"spec": {"containers": [{"name": "main", "volumeMounts": [mount]}]}}
    scene.run("mount", accelerator=scene.profile(), template=template, command=EXIT)

    message = blocked(scene.reason("trun", "mount", "InvalidSpec", SOON))
    assert message.endswith("names volume 'data', which volumes does not define")

    scene.patch_run("mount", {"template": {"spec": {"volumes": [{"name": "data", "emptyDir": {}}]}}})
    scene.reason("trun", "mount", "Succeeded")


def test_a_deleted_profile_stops_no_running_gang(scene: Scene, workers: list[str]) -> None:
    """What runs goes on; only what comes next needs the profile."""
    scene.devices(workers[:1], 1)
    profile = scene.profile()
    scene.run("alive", accelerator=profile, command=STEERED)
    scene.reason("trun", "alive", "Running")
    scene.run("next", accelerator=profile, command=STEERED)
    scene.reason("trun", "next", "Queued")

    scene.api.delete(f"{TANDEM}/acceleratorprofiles/{profile}")

    scene.reason("trun", "next", "UnknownAccelerator", SOON)
    assert condition(scene.get_run("alive"), "Ready")["reason"] == "Running"
    scene.signal("alive-a1-0", "TERM")
    scene.reason("trun", "alive", "Succeeded")
