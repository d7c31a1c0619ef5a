"""What the tests on the real cluster share: a namespace of their own, and pods of the small tools image."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devcluster import cluster, kube
from devcluster.shell import wait_for

SECONDS = 120
NVIDIA, ASCEND = "nvidia.com/gpu", "huawei.com/Ascend910"

Pod = dict[str, Any]
StartPod = Callable[..., str]


@pytest.fixture
def namespace() -> Iterator[str]:
    """A new namespace, gone with all in it after the test."""
    name = f"devcluster-{uuid.uuid4().hex[:8]}"
    kube.kubectl("create", "namespace", name)
    yield name
    kube.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def start_pod(namespace: str) -> StartPod:
    """Creates a pod of the tools image: start_pod(name, script, devices={resource: n}, claim=..., app=..., **more of its spec)."""

    def start(
        name: str, script: str, *, devices: dict[str, int] | None = None, claim: str = "", app: str = "", **spec: Any
    ) -> str:
        container: dict[str, Any] = {
            "name": "main",
            "image": cluster.TOOLS,
            "command": ["sh", "-c", script],
            "resources": {"limits": {resource: str(count) for resource, count in (devices or {}).items()}},
        }
        if claim:
            container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
            spec["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
        body = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container], **spec}
        metadata = {"namespace": namespace, "name": name, "labels": {"app": app or name}}
        kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body})
        return name

    return start


@pytest.fixture
def pod(namespace: str) -> Callable[[str], Pod]:
    """A pod of the test's namespace as it is now."""
    return lambda name: kube.get(f"--namespace={namespace}", f"pod/{name}")


@pytest.fixture
def output(namespace: str, pod: Callable[[str], Pod]) -> Callable[[str], str]:
    """What a pod printed; waits until it succeeded, and fails the test at once when the pod did not."""

    def read(name: str) -> str:
        phase = wait_for(f"pod {name} ends", lambda: _ended(pod(name)), SECONDS)
        logs = kube.kubectl(f"--namespace={namespace}", "logs", name)
        assert phase == "Succeeded", f"{phase}: {logs}"
        return logs

    return read


def _ended(found: Pod) -> str:
    phase: str = found["status"].get("phase", "")
    return phase if phase in ("Succeeded", "Failed") else ""
