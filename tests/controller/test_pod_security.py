"""Namespaces that enforce Pod Security `restricted`: work that fits runs there, other work is told why not before pods are made."""

from typing import Any

import pytest

from tests.support.api import Object
from tests.support.programs import STEERED
from tests.support.scene import Scene, condition

pytestmark = pytest.mark.cluster

ENFORCE = "pod-security.kubernetes.io/enforce"
NON_ROOT = {"spec": {"securityContext": {"runAsNonRoot": True, "runAsUser": 65532}}}
SOON = 5.0


def enforce(scene: Scene, level: str | None) -> None:
    """Set the level that the scene's namespace enforces."""
    scene.api.patch(f"/api/v1/namespaces/{scene.name}", {"metadata": {"labels": {ENFORCE: level}}})


def objection(found: Object, where: str) -> None:
    """The object says what the namespace refuses, and what to do."""
    ready = condition(found, "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "PodSecurityWouldReject")
    assert condition(found, "Stalled")["reason"] == "PodSecurityWouldReject"
    assert ready["message"] == (
        f"namespace {where} enforces Pod Security restricted; container main may run as root: set runAsNonRoot to true"
        " in template.spec.securityContext, and runAsUser to another number than 0 where the image's user is root"
    )


def test_a_run_that_may_be_root_waits_for_its_spec_to_be_mended(scene: Scene, workers: list[str]) -> None:
    """Told at once, no pod is tried; with a user of its own it runs: what the server takes is what we let through."""
    enforce(scene, "restricted")
    scene.devices(workers[:2], 1)
    scene.run("job", accelerator=scene.profile(perDevice={"shm": "1Mi"}), pods=2, command=["sh", "-c", "exit 0"])
    objection(scene.reason("trun", "job", "PodSecurityWouldReject", SOON), scene.name)
    assert scene.pods() == []
    assert "attempts" not in scene.get_run("job")["status"]

    scene.patch_run("job", {"template": NON_ROOT})
    done = scene.reason("trun", "job", "Succeeded")
    assert done["status"]["attempt"] == 1


def test_a_run_that_may_be_root_waits_for_the_namespace_to_be_mended(scene: Scene, workers: list[str]) -> None:
    """The label's change alone starts it."""
    enforce(scene, "restricted")
    scene.devices(workers[:1], 1)
    scene.run("job", accelerator=scene.profile(), command=STEERED)
    objection(scene.reason("trun", "job", "PodSecurityWouldReject", SOON), scene.name)

    enforce(scene, "baseline")
    scene.reason("trun", "job", "Running")

    enforce(scene, "restricted")
    scene.signal("job-a1-0", "TERM")
    scene.reason("trun", "job", "Succeeded")


def test_a_service_is_told_and_heals_likewise(scene: Scene, workers: list[str]) -> None:
    """No Deployment is made that could not make pods."""
    enforce(scene, "restricted")
    scene.devices(workers[:1], 1)
    scene.service("web", accelerator=scene.profile(), command=STEERED, drain={"seconds": 0})
    objection(scene.reason("infsvc", "web", "PodSecurityWouldReject", SOON), scene.name)
    assert scene.api.get(scene.path("deployments", group="/apis/apps/v1"))["items"] == []

    scene.patch_service("web", {"template": NON_ROOT})
    scene.until(lambda: scene.phase(scene.pod_names()[0]) == "Running", "the replica to run")


def everything(sidecar: list[str]) -> dict[str, Any]:
    """A template with much of what it may hold, within `restricted`."""
    seen = 'test -z "$TANDEM_ATTEMPT" && test "$VISIBLE" = void && echo ready > /data/ready'
    helper = {"image": "tandem-dev/tools:dev", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    return {
        "spec": {
            **NON_ROOT["spec"],
            "serviceAccountName": "default",
            "terminationGracePeriodSeconds": 5,
            "affinity": {
                "podAntiAffinity": {
                    "preferredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "weight": 1,
                            "podAffinityTerm": {
                                "topologyKey": "kubernetes.io/hostname",
                                "labelSelector": {"matchLabels": {"tandem.dev/run": "full"}},
                            },
                        }
                    ]
                }
            },
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "kubernetes.io/hostname",
                    "whenUnsatisfiable": "ScheduleAnyway",
                    "labelSelector": {"matchLabels": {"tandem.dev/run": "full"}},
                }
            ],
            "volumes": [
                {"name": "data", "emptyDir": {}},
                {
                    "name": "all",
                    "projected": {
                        "sources": [
                            {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
                            {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                        ]
                    },
                },
            ],
            "initContainers": [
                {**helper, "name": "fetch", "command": ["sh", "-c", seen]},
                {**helper, "name": "mirror", "command": sidecar, "restartPolicy": "Always"},
            ],
            "containers": [
                {
                    "name": "main",
                    "volumeMounts": [
                        {"name": "data", "mountPath": "/data"},
                        {"name": "all", "mountPath": "/var/run/secrets/all", "readOnly": True},
                    ],
                }
            ],
        }
    }


def test_helpers_run_before_and_beside_main_see_no_devices_and_end_with_it(scene: Scene, workers: list[str]) -> None:
    """A restricted namespace takes a template with something of everything, and a sidecar keeps no gang alive."""
    enforce(scene, "restricted")
    scene.devices(workers[:2], 1)
    template = everything(["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"])
    script = "test -s /data/ready && test -s /var/run/secrets/all/token && df -m /dev/shm | grep -q ' 8 '"
    scene.run(
        "full",
        accelerator=scene.profile(voidEnv=[{"name": "VISIBLE", "value": "void"}]),
        pods=2,
        command=["sh", "-c", script],
        shmSize="8Mi",
        template=template,
    )
    done = scene.reason("trun", "full", "Succeeded", 90)
    assert done["status"]["attempt"] == 1
    for pod in scene.pods():
        assert [one["name"] for one in pod["spec"]["initContainers"]] == ["fetch", "mirror"]
        assert scene.resource not in str(pod["spec"]["initContainers"])
