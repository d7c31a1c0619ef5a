"""A stage of a test's own on the real cluster: a namespace, a resource that only it uses, and a profile for it.

Tests that share nothing can run side by side. The resource is patched into status.capacity of nodes without a device
plugin; the kubelet keeps it and the scheduler counts it.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from devcluster import kube, paths
from devcluster.shell import DevclusterError
from devcluster.volumes import shared_claim
from tests.support.api import Api, ApiFailureError, Object

T = TypeVar("T")
TANDEM = "/apis/tandem.dev/v1alpha1"
TOOLS = "tandem-dev/tools:dev"
PATIENCE = 120.0
"""Seconds until a test gives up waiting: only a failure takes so long, and a busy machine must not look like one."""
FOREVER = ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"]


class Scene:
    """Everything that one test owns; `close` takes it all away."""

    def __init__(self, api: Api, name: str, log: Callable[[], str]) -> None:
        self.api = api
        self.name = name
        self.resource = f"test.tandem.dev/{name}"
        self.label = f"test.tandem.dev/{name}"
        self.log = log
        self._nodes: list[str] = []
        self._profiles: list[str] = []
        self._policies: list[str] = []
        self._claims: list[str] = []
        api.create("/api/v1/namespaces", {"metadata": {"name": name}})
        # Pods are refused before it is there, and a controller manager that was just restarted takes its time.
        self.until(lambda: api.find(self.path("serviceaccounts", "default")), "the namespace to be ready for pods")

    # The stage

    def devices(self, nodes: Sequence[str], count: int) -> None:
        """Give these nodes `count` devices of the scene's resource, and the scene's label."""
        for node in nodes:
            self.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {self.label: "true"}}})
            self.api.patch(f"/api/v1/nodes/{node}/status", {"status": {"capacity": {self.resource: str(count)}}})
            if node not in self._nodes:
                self._nodes.append(node)
        for node in nodes:
            self.until(
                lambda node=node: (
                    self.api.get(f"/api/v1/nodes/{node}")["status"]["allocatable"].get(self.resource) == str(count)
                ),
                f"{node} to offer {count} of {self.resource}",
            )

    def profile(self, suffix: str = "", **spec: Any) -> str:
        """An AcceleratorProfile for the scene's devices; returns its name."""
        name = f"{self.name}{suffix}"
        body = {
            "apiVersion": "tandem.dev/v1alpha1",
            "kind": "AcceleratorProfile",
            "metadata": {"name": name, "labels": {"test.tandem.dev/scene": self.name}},
            "spec": {
                "nodeSelector": {self.label: "true"},
                "allocation": {"type": "ExtendedResource", "extendedResource": {"name": self.resource}},
                **spec,
            },
        }
        self.api.create(f"{TANDEM}/acceleratorprofiles", body)
        self._profiles.append(name)
        return name

    def policy(self, suffix: str = "", **spec: Any) -> str:
        """A PlacementPolicy for the scene's namespace alone; returns its name."""
        name = f"{self.name}{suffix}"
        here = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self.name}}}
        body = {
            "apiVersion": "tandem.dev/v1alpha1",
            "kind": "PlacementPolicy",
            "metadata": {"name": name},
            "spec": {**here, **spec},
        }
        self.api.create(f"{TANDEM}/placementpolicies", body)
        self._policies.append(name)
        return name

    def claim(self, name: str) -> None:
        """A bound ReadWriteMany claim; its files are below `devcluster.paths.shared_dir()`."""
        shared_claim(self.name, name)
        self._claims.append(name)

    def close(self) -> None:
        """Take everything away; the namespace's content is the garbage collector's."""
        self.api.delete(f"/api/v1/namespaces/{self.name}")
        for claim in self._claims:
            self.api.delete(f"/api/v1/persistentvolumes/shared-{self.name}-{claim}")
            shutil.rmtree(paths.shared_dir() / self.name, ignore_errors=True)
        for policy in self._policies:
            self.api.delete(f"{TANDEM}/placementpolicies/{policy}")
        for profile in self._profiles:
            self.api.delete(f"{TANDEM}/acceleratorprofiles/{profile}")
        for node in self._nodes:
            self.api.patch(f"/api/v1/nodes/{node}", {"metadata": {"labels": {self.label: None}}})
            self.api.patch(f"/api/v1/nodes/{node}/status", {"status": {"capacity": {self.resource: None}}})

    # Objects

    def path(self, plural: str, name: str = "", group: str = "/api/v1") -> str:
        """API path in the scene's namespace."""
        return f"{group}/namespaces/{self.name}/{plural}" + (f"/{name}" if name else "")

    def run(self, name: str, **spec: Any) -> Object:
        """Create a TrainingRun; the image is the tools image unless said."""
        return self._create("TrainingRun", "trainingruns", name, {"image": TOOLS, "devicesPerPod": 1, **spec})

    def create_run(self, body: Object) -> Object:
        """Create a TrainingRun from its whole body."""
        return self.api.create(self.path("trainingruns", group=TANDEM), body)

    def service(self, name: str, **spec: Any) -> Object:
        """Create an InferenceService; the image is the tools image unless said."""
        return self._create("InferenceService", "inferenceservices", name, {"image": TOOLS, "devicesPerPod": 1, **spec})

    def get_run(self, name: str) -> Object:
        """The TrainingRun as it is now."""
        return self.api.get(self.path("trainingruns", name, TANDEM))

    def get_service(self, name: str) -> Object:
        """The InferenceService as it is now."""
        return self.api.get(self.path("inferenceservices", name, TANDEM))

    def patch_run(self, name: str, spec: Object) -> Object:
        """Merge `spec` into a run's spec."""
        return self.api.patch(self.path("trainingruns", name, TANDEM), {"spec": spec})

    def patch_service(self, name: str, spec: Object) -> Object:
        """Merge `spec` into a service's spec."""
        return self.api.patch(self.path("inferenceservices", name, TANDEM), {"spec": spec})

    def patch_profile(self, name: str, spec: Object) -> Object:
        """Merge `spec` into a profile's spec."""
        return self.api.patch(f"{TANDEM}/acceleratorprofiles/{name}", {"spec": spec})

    def pods(self, selector: str = "") -> list[Object]:
        """Pods of the namespace by name."""
        query = f"?labelSelector={selector}" if selector else ""
        found = self.api.get(self.path("pods") + query)["items"]
        return sorted(found, key=lambda pod: str(pod["metadata"]["name"]))

    def pod_names(self, selector: str = "") -> list[str]:
        """Names of the pods of the namespace."""
        return [pod["metadata"]["name"] for pod in self.pods(selector)]

    def delete_pod(self, name: str, grace: int = 0) -> None:
        """Delete a pod by hand."""
        self.api.request("DELETE", self.path("pods", name), {"gracePeriodSeconds": grace})

    def foreign_pod(self, name: str, devices: int = 0, **spec: Any) -> Object:
        """Create a pod that is not the operator's; it asks for devices of the scene, on the scene's nodes."""
        amount = {self.resource: str(devices)} if devices else {}
        container = {"name": "main", "image": TOOLS, "command": FOREVER, "resources": {"limits": amount}}
        body = {
            "metadata": {"name": name},
            "spec": {"containers": [container], "nodeSelector": {self.label: "true"}, **spec},
        }
        return self.api.create(self.path("pods"), body)

    def signal(self, pod: str, signal: str) -> None:
        """Send a signal to the program of a pod, once it runs; returns when it has ended."""
        self.until(lambda: self.phase(pod) == "Running", f"pod {pod} to run")
        # The container may end before `kill` does, which then looks failed.
        with suppress(DevclusterError):
            kube.kubectl("exec", "--namespace", self.name, pod, "--", "kill", f"-{signal}", "1")
        self.until(lambda: self.phase(pod) != "Running", f"pod {pod} to end")

    def phase(self, pod: str) -> str:
        """A pod's phase; empty when there is no such pod."""
        found = self.api.find(self.path("pods", pod))
        return str(found["status"].get("phase", "")) if found else ""

    # Waiting

    def until(self, test: Callable[[], T], what: str, seconds: float = PATIENCE, pause: float = 0.15) -> T:
        """The first true value of `test`, looked at every `pause` seconds; a failure shows everything that explains it."""
        deadline = time.monotonic() + seconds
        problem: object = None
        while time.monotonic() < deadline:
            try:
                value = test()
            except (ApiFailureError, KeyError, IndexError, TypeError) as error:
                problem = error
            else:
                if value:
                    return value
            time.sleep(pause)
        raise AssertionError(f"waited {seconds:.0f} s for {what} ({problem or 'it stayed false'})\n{self.describe()}")

    def reason(self, kind: str, name: str, reason: str, seconds: float = PATIENCE) -> Object:
        """Wait until Ready of a run ("trun") or a service ("infsvc") has this reason; returns the object."""
        get = self.get_run if kind == "trun" else self.get_service

        def reached() -> Object | None:
            found = get(name)
            return found if condition(found, "Ready")["reason"] == reason else None

        return self.until(reached, f"{kind} {name} to be {reason}", seconds) or {}

    def describe(self) -> str:
        """Objects, pods and events of the scene, and the operator's last lines."""
        lines = []
        for plural in ("trainingruns", "inferenceservices"):
            for item in self.api.get(self.path(plural, group=TANDEM))["items"]:
                lines.append(f"{plural} {item['metadata']['name']}: {item.get('status')}")
        for pod in self.pods():
            status = pod["status"]
            lines.append(f"pod {pod['metadata']['name']} {status.get('phase')} {status.get('containerStatuses')}")
        for event in self.api.get(self.path("events"))["items"]:
            lines.append(f"event {event['involvedObject']['name']} {event['reason']}: {event.get('message')}")
        return "\n".join([*lines, self.log()])

    def _create(self, kind: str, plural: str, name: str, spec: Object) -> Object:
        body = {"apiVersion": "tandem.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        return self.api.create(self.path(plural, group=TANDEM), body)


def condition(found: Object, kind: str) -> Object:
    """The condition of this type. Raises KeyError where there is none."""
    for item in found.get("status", {}).get("conditions", ()):
        if item["type"] == kind:
            return dict(item)
    raise KeyError(kind)
