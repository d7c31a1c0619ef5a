"""The stages of our kinds, how to bring each about, and what GitOps tools must make of it.

Each stage is an object of the real cluster as the operator left it. `record.py` writes them all to `recorded/`; tests judge
those, and bring some about anew to see that they still look like that.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tests.support.api import Object
from tests.support.programs import STEERED
from tests.support.scene import TANDEM, Scene, condition
from tests.support.serving import idle, serve, server

NOBODY = {"matchLabels": {"tandem.dev/stack": "no-such-stack"}}
LATE = {
    "spec": {
        "volumes": [{"name": "late", "configMap": {"name": "late"}}],
        "containers": [{"name": "main", "volumeMounts": [{"name": "late", "mountPath": "/late"}]}],
    }
}
"""Keeps pods from starting: nobody makes the ConfigMap."""


STEADY = (
    "run-queued",
    "run-running",
    "run-succeeded",
    "run-suspended",
    "run-failed",
    "run-illegal-count",
    "service-available",
    "service-partially-placed",
    "service-scaled-to-zero",
    "service-unknown-accelerator",
)
"""Stages that do not pass by themselves: what kubectl shows of them is recorded too."""

Make = Callable[[Scene, list[str]], Object]
"""Brings something about in a scene, on some of these worker nodes; returns the object."""


@dataclass(frozen=True)
class Stage:
    """One stage: how to bring it about, the reason of Ready then, and the three tools' words for it."""

    name: str
    kind: str
    reason: str | None
    kstatus: str
    argocd: str
    flux: str
    make: Make
    before: Make | None = None
    """Where it is given, the operator does this and is then stopped, and so never sees what `make` does."""


STAGES: dict[str, Stage] = {}


def run(name: str, reason: str | None, *tools: str, before: Make | None = None) -> Callable[[Make], Make]:
    """Declares a stage of a run; `tools` are the words of kstatus, Argo CD and Flux."""
    return _stage(f"run-{name}", "TrainingRun", reason, tools, before)


def service(name: str, reason: str | None, *tools: str, before: Make | None = None) -> Callable[[Make], Make]:
    """Declares a stage of a service."""
    return _stage(f"service-{name}", "InferenceService", reason, tools, before)


def _stage(
    name: str, kind: str, reason: str | None, tools: tuple[str, ...], before: Make | None
) -> Callable[[Make], Make]:
    def declare(make: Make) -> Make:
        kstatus, argocd, flux = tools
        STAGES[name] = Stage(name, kind, reason, kstatus, argocd, flux, make, before)
        return make

    return declare


def _nothing(_scene: Scene, _workers: list[str]) -> Object:
    return {}


def _full(scene: Scene, workers: list[str]) -> None:
    """One device, and another's pod on it."""
    scene.devices(workers[:1], 1)
    scene.foreign_pod("other", devices=1)
    scene.until(lambda: scene.phase("other") == "Running", "the other pod to run")


def _deleted(scene: Scene, plural: str, name: str) -> Object:
    """The object between its deletion and the end of its children, as Argo CD deletes: in the foreground."""
    return scene.api.request("DELETE", scene.path(plural, name, TANDEM), {"propagationPolicy": "Foreground"})


# Runs


def _running(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 2)
    scene.run("train", accelerator=scene.profile(), pods=2, command=STEERED)
    return scene.reason("trun", "train", "Running")


@run("unseen", None, "InProgress", "Progressing", "InProgress", before=_nothing)
def _(scene: Scene, _workers: list[str]) -> Object:
    scene.run("train", accelerator="some")
    return scene.get_run("train")


@run("queued", "Queued", "Current", "Progressing", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    _full(scene, workers)
    scene.run("train", accelerator=scene.profile(), command=STEERED)
    return scene.reason("trun", "train", "Queued")


@run("starting", "Starting", "Current", "Progressing", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 1)
    scene.run("train", accelerator=scene.profile(), command=STEERED, template=LATE)
    scene.until(scene.pods, "the pod")
    return scene.reason("trun", "train", "Starting")


@run("running", "Running", "Current", "Progressing", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    return _running(scene, workers)


@run("outdated", "Running", "InProgress", "Progressing", "InProgress", before=_running)
def _(scene: Scene, _workers: list[str]) -> Object:
    return scene.patch_run("train", {"suspend": True})


@run("restarting", "UserFailure", "Current", "Progressing", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 1)
    scene.run("train", accelerator=scene.profile(), command=["sh", "-c", "echo no such file >&2; exit 3"])
    return scene.reason("trun", "train", "UserFailure")


@run("suspended", "Suspended", "Current", "Suspended", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    _running(scene, workers)
    scene.patch_run("train", {"suspend": True})
    scene.reason("trun", "train", "Suspended")
    scene.until(lambda: not scene.pods(), "the pods to go")
    return scene.get_run("train")


@run("succeeded", "Succeeded", "Current", "Healthy", "Current")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 2)
    scene.run("train", accelerator=scene.profile(), pods=2, command=["sh", "-c", "exit 0"])
    return scene.reason("trun", "train", "Succeeded")


@run("failed", "RestartLimit", "Failed", "Degraded", "Failed")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 1)
    scene.run("train", accelerator=scene.profile(), command=["sh", "-c", "echo no such file >&2; exit 3"])
    return scene.reason("trun", "train", "RestartLimit", seconds=120)


@run("deadline", "DeadlineExceeded", "Failed", "Degraded", "Failed")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 1)
    scene.run("train", accelerator=scene.profile(), command=STEERED, activeDeadlineSeconds=1)
    return scene.reason("trun", "train", "DeadlineExceeded")


@run("unknown-accelerator", "UnknownAccelerator", "Failed", "Degraded", "Failed")
def _(scene: Scene, _workers: list[str]) -> Object:
    scene.run("train", accelerator="no-such-profile")
    return scene.reason("trun", "train", "UnknownAccelerator")


@run("illegal-count", "IllegalCount", "Failed", "Degraded", "Failed")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 8)
    scene.run("train", accelerator=scene.profile(counts={"perPod": [1, 2, 4, 8]}), devicesPerPod=3)
    return scene.reason("trun", "train", "IllegalCount")


@run("claim-missing", "ClaimMissing", "Failed", "Degraded", "Failed")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 1)
    scene.run("train", accelerator=scene.profile(), checkpoint={"claim": {"name": "none"}})
    return scene.reason("trun", "train", "ClaimMissing")


@run("deleted", "Running", "Terminating", "Progressing", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    _running(scene, workers)
    return _deleted(scene, "trainingruns", "train")


# Services


def _available(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 2)
    serve(scene, "chat", accelerator=scene.profile(), replicas=2)

    def settled() -> Object | None:
        found = scene.get_service("chat")
        done = condition(found, "Ready")["reason"] == "Available" and found["status"]["readyReplicas"] == 2
        return found if done else None

    return scene.until(settled, "both replicas to answer") or {}


@service("unseen", None, "InProgress", "Progressing", "InProgress", before=_nothing)
def _(scene: Scene, _workers: list[str]) -> Object:
    scene.service("chat", accelerator="some")
    return scene.get_service("chat")


@service("queued", "Queued", "InProgress", "Progressing", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    _full(scene, workers)
    serve(scene, "chat", accelerator=scene.profile())
    return scene.reason("infsvc", "chat", "Queued")


@service("starting", "Starting", "InProgress", "Progressing", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 2)
    idle(scene, "chat", accelerator=scene.profile(), replicas=2)
    scene.until(lambda: all(scene.phase(pod) == "Running" for pod in scene.pod_names()), "the pods to run")
    return scene.reason("infsvc", "chat", "Starting")


@service("available", "Available", "Current", "Healthy", "Current")
def _(scene: Scene, workers: list[str]) -> Object:
    return _available(scene, workers)


@service("outdated", "Available", "InProgress", "Progressing", "InProgress", before=_available)
def _(scene: Scene, _workers: list[str]) -> Object:
    return scene.patch_service("chat", {"command": server("new")})


@service("rolling", "Rolling", "Current", "Progressing", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    _available(scene, workers)
    scene.patch_service("chat", {"image": "tandem-dev/none:1"})
    return scene.reason("infsvc", "chat", "Rolling")


@service("image-pull", "ImagePull", "InProgress", "Progressing", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 1)
    serve(scene, "chat", accelerator=scene.profile(), image="tandem-dev/none:1")
    return scene.reason("infsvc", "chat", "ImagePull")


@service("crashing", "UserFailure", "InProgress", "Progressing", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 1)
    serve(scene, "chat", accelerator=scene.profile(), command=["sh", "-c", "echo no such model >&2; exit 3"])
    return scene.reason("infsvc", "chat", "UserFailure")


@service("partially-placed", "PartiallyPlaced", "Current", "Healthy", "Current")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 2)
    serve(scene, "chat", accelerator=scene.profile(), replicas=3)
    scene.until(lambda: scene.get_service("chat")["status"]["readyReplicas"] == 2, "two replicas to answer")
    return scene.reason("infsvc", "chat", "PartiallyPlaced")


@service("scaled-to-zero", "ScaledToZero", "Current", "Healthy", "Current")
def _(scene: Scene, workers: list[str]) -> Object:
    _available(scene, workers)
    scene.patch_service("chat", {"replicas": 0})
    scene.reason("infsvc", "chat", "ScaledToZero")
    scene.until(lambda: scene.get_service("chat")["status"]["replicas"] == 0, "the replicas to go")
    return scene.get_service("chat")


@service("unknown-accelerator", "UnknownAccelerator", "Failed", "Degraded", "Failed")
def _(scene: Scene, _workers: list[str]) -> Object:
    scene.service("chat", variants=[{"name": "any", "acceleratorSelector": NOBODY}])
    return scene.reason("infsvc", "chat", "UnknownAccelerator")


@service("illegal-count", "IllegalCount", "Failed", "Degraded", "Failed")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 8)
    scene.service("chat", accelerator=scene.profile(counts={"perPod": [1, 2, 4, 8]}), devicesPerPod=3)
    return scene.reason("infsvc", "chat", "IllegalCount")


@service("claim-missing", "ClaimMissing", "Failed", "Degraded", "Failed")
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 1)
    scene.service("chat", accelerator=scene.profile(), model={"claim": {"name": "none"}})
    return scene.reason("infsvc", "chat", "ClaimMissing")


@service("deleted", "Available", "Terminating", "Progressing", "InProgress")
def _(scene: Scene, workers: list[str]) -> Object:
    _available(scene, workers)
    return _deleted(scene, "inferenceservices", "chat")


# What admins write


@_stage("profile-offered", "AcceleratorProfile", "Offered", ("Current", "Healthy", "Current"), None)
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 4)
    return _judged(scene, f"acceleratorprofiles/{scene.profile()}", "Offered")


@_stage("profile-no-nodes", "AcceleratorProfile", "NoNodes", ("Current", "Healthy", "Current"), None)
def _(scene: Scene, _workers: list[str]) -> Object:
    return _judged(scene, f"acceleratorprofiles/{scene.profile(nodeSelector={'no-such': 'node'})}", "NoNodes")


@_stage("policy-in-force", "PlacementPolicy", "InForce", ("Current", "Healthy", "Current"), None)
def _(scene: Scene, workers: list[str]) -> Object:
    scene.devices(workers[:1], 4)
    profile = scene.profile()
    policy = scene.policy(mode="Prefer", accelerators=[{"accelerator": profile}])
    return _judged(scene, f"placementpolicies/{policy}", "InForce")


def _judged(scene: Scene, path: str, reason: str) -> Object:
    """A cluster's object, once its Ready has this reason."""
    found = scene.until(
        lambda: condition(seen := scene.api.get(f"{TANDEM}/{path}"), "Ready")["reason"] == reason and seen, reason
    )
    return found or {}
