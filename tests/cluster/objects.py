"""Objects as the API server would send them, as small as a test allows."""

from typing import Any

RUN_UID = "0b7c4b52-6f0a-4f5e-8a3b-000000000001"


def pod(name: str = "stranger", devices: int = 1, resource: str = "nvidia.com/gpu", **more: Any) -> dict[str, Any]:
    """A pod of somebody else that holds devices."""
    return {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "creationTimestamp": "2026-11-23T10:00:00Z",
            **more.pop("metadata", {}),
        },
        "spec": {
            "nodeName": "node-a",
            "containers": [{"name": "app", "resources": {"limits": {resource: str(devices)} if devices else {}}}],
            **more.pop("spec", {}),
        },
        "status": {"phase": "Running", **more.pop("status", {})},
        **more,
    }


def own_pod(name: str = "hello-a1-0", **status: Any) -> dict[str, Any]:
    """Rank 0 of the first attempt of the run `hello`."""
    rank = name.rpartition("-")[2]
    return pod(
        name,
        devices=8,
        metadata={
            "labels": {
                "app.kubernetes.io/managed-by": "tandem",
                "tandem.dev/run": "hello",
                "tandem.dev/attempt": "1",
                "tandem.dev/rank": rank if rank.isdigit() else "0",
                "tandem.dev/variant": "main",
                "tandem.dev/accelerator": "nvidia-h20",
                "tandem.dev/inputs-hash": "0123456789abcdef",
            },
            "ownerReferences": [controller("tandem.dev/v1alpha1", "TrainingRun", "hello", RUN_UID)],
        },
        status=status,
    )


def service_pod(name: str = "chat-main-6d5f-abcde", **status: Any) -> dict[str, Any]:
    """A pod of a Deployment of the service `chat`."""
    return pod(
        name,
        metadata={
            "labels": {
                "app.kubernetes.io/managed-by": "tandem",
                "tandem.dev/service": "chat",
                "tandem.dev/variant": "main",
                "tandem.dev/accelerator": "ascend-910b",
            },
            "ownerReferences": [controller("apps/v1", "ReplicaSet", "chat-main-6d5f", "uid-of-replicaset")],
        },
        status=status,
    )


def controller(api_version: str, kind: str, name: str, uid: str) -> dict[str, Any]:
    """A controller's ownerReference."""
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": True}


def container(state: dict[str, Any], name: str = "main", **more: Any) -> dict[str, Any]:
    """A container's status."""
    return {"name": name, "state": state, **more}


def terminated(code: int = 0, message: str = "", reason: str = "") -> dict[str, Any]:
    """The state of a container that has ended."""
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason or ("Completed" if code == 0 else "Error"),
            "message": message,
            "finishedAt": "2026-11-23T10:05:00Z",
        }
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    """The state of a container that does not run yet."""
    return {"waiting": {"reason": reason, "message": message}}
