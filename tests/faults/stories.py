"""The stories that faults are put into: each leads an object of ours through its whole life, from station to station."""

from collections.abc import Awaitable, Callable

from tests.faults.recorder import Object
from tests.faults.stage import SECRET, Stage

Story = Callable[[Stage], Awaitable[None]]
RUN, SERVICE = "trainingruns", "inferenceservices"
GANG = 4


def training_run(name: str, pods: int, **spec: object) -> Object:
    """A run of `pods` pods on alpha."""
    return _object(
        "TrainingRun",
        name,
        {"accelerator": "alpha", "devicesPerPod": 1, "pods": pods, "image": "example.com/train:1", **spec},
    )


def inference_service(replicas: int, **spec: object) -> Object:
    """A service on alpha and beta, of which alpha takes two replicas."""
    variants = [
        {"name": "alpha", "accelerator": "alpha", "devicesPerPod": 1, "maxReplicas": 2},
        {"name": "beta", "accelerator": "beta", "devicesPerPod": 1},
    ]
    return _object(
        "InferenceService",
        "svc",
        {"replicas": replicas, "image": "example.com/serve:1", "variants": variants, "drain": {"seconds": 0}, **spec},
    )


async def training(stage: Stage) -> None:
    """A gang waits for its claim, runs, fails, starts again, is suspended and resumed, and succeeds."""
    claim = {"claim": {"name": "checkpoints", "path": "run"}}
    await stage.create(RUN, training_run("run", GANG, checkpoint=claim))
    await stage.station("claim missing", lambda: stage.reason(RUN, "run") == "ClaimMissing")
    await stage.create("persistentvolumeclaims", _claim("checkpoints"))
    await stage.station("running", lambda: stage.reason(RUN, "run") == "Running")
    await stage.touch_cluster()
    await _finish(stage, "run-a1-2", 1)
    await stage.station("restarted", lambda: _attempt(stage) == 2 and stage.reason(RUN, "run") == "Running")
    await stage.patch(RUN, "run", {"suspend": True})
    await stage.station("suspended", lambda: stage.reason(RUN, "run") == "Suspended")
    await stage.patch(RUN, "run", {"suspend": False})
    await stage.station("resumed", lambda: _attempt(stage) == 3 and stage.reason(RUN, "run") == "Running")
    for rank in range(GANG):
        await _finish(stage, f"run-a3-{rank}", 0)
    await stage.station("succeeded", lambda: stage.reason(RUN, "run") == "Succeeded")


async def serving(stage: Stage) -> None:
    """A service comes up on two variants, grows, gets another image, and loses a variant."""
    await stage.create(SERVICE, inference_service(3))
    await stage.station("available", lambda: _available(stage))
    await stage.touch_cluster()
    await stage.patch(SERVICE, "svc", {"replicas": 5})
    await stage.station("scaled", lambda: _available(stage))
    await stage.patch(SERVICE, "svc", {"image": "example.com/serve:2"})
    await stage.station("edited", lambda: _available(stage))
    rest = [{"name": "alpha", "accelerator": "alpha", "devicesPerPod": 1}]
    await stage.patch(SERVICE, "svc", {"variants": rest})
    await stage.station("variant dropped", lambda: _available(stage))


async def contending(stage: Stage) -> None:
    """Two gangs want the same two devices: one gets them while the scheduler is slow, the other waits for it to end."""
    stage.kubelet.hold("gamma")
    await stage.create(RUN, training_run("first", 2, accelerator="gamma"))
    await stage.station("first decided", lambda: stage.reason(RUN, "first") == "Starting")
    await stage.create(RUN, training_run("second", 2, accelerator="gamma"))
    await stage.station("second waits", lambda: stage.reason(RUN, "second") == "Queued")
    stage.kubelet.release()
    await stage.station("first runs", lambda: stage.reason(RUN, "first") == "Running")
    for rank in range(2):
        await _finish(stage, f"first-a1-{rank}", 0)
    await stage.station("second runs", lambda: stage.reason(RUN, "second") == "Running")
    for rank in range(2):
        await _finish(stage, f"second-a1-{rank}", 0)
    await stage.station("both succeeded", lambda: stage.reason(RUN, "second") == "Succeeded")


STORIES: dict[str, Story] = {"training": training, "serving": serving, "contending": contending}
HEROES = {
    "training": [(RUN, "run")],
    "serving": [(SERVICE, "svc")],
    "contending": [(RUN, "first"), (RUN, "second")],
}
"""Resource and name of the objects that a story is about."""


def _object(kind: str, name: str, spec: Object) -> Object:
    secret = {"env": [{"name": "PASSWORD", "value": SECRET}]}
    # What a user wrote there must stand there in the end.
    metadata = {"name": name, "labels": {"team": "a"}, "annotations": {"example.com/note": "keep"}}
    return {"apiVersion": "tandem.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": {**secret, **spec}}


def _claim(name: str) -> Object:
    size = {"requests": {"storage": "1Gi"}}
    return {"metadata": {"name": name}, "spec": {"accessModes": ["ReadWriteMany"], "resources": size}}


async def _finish(stage: Stage, pod: str, code: int) -> None:
    found = stage.recorder.get("pods", pod)
    assert found is not None, f"{pod} runs at this station"
    await stage.kubelet.finish(found, code)


def _attempt(stage: Stage) -> int:
    found = stage.recorder.get(RUN, "run") or {}
    return int(found.get("status", {}).get("attempt", 0))


def _available(stage: Stage) -> bool:
    found = stage.recorder.get(SERVICE, "svc") or {}
    status = found.get("status", {})
    return (
        status.get("observedGeneration") == found.get("metadata", {}).get("generation")
        and stage.reason(SERVICE, "svc") == "Available"
    )
