"""An API server with a few nodes, pods and objects, for commands that look at devices and write nothing."""

from typing import Any

from aiohttp import web

from tests.cluster.fake_api import status

Object = dict[str, Any]
OURS = "/apis/tandem.dev/v1alpha1"
CREATED = "2026-11-23T09:00:00Z"


def metadata(name: str, **more: Any) -> Object:
    return {"name": name, "uid": f"{name}-uid", "resourceVersion": "7", "creationTimestamp": CREATED, **more}


def node(name: str, make: str, devices: int) -> Object:
    offered = {f"example.com/{make}": str(devices)}
    conditions = [{"type": "Ready", "status": "True"}]
    return {
        "metadata": metadata(name, labels={"make": make}),
        "spec": {},
        "status": {"capacity": offered, "allocatable": offered, "conditions": conditions},
    }


def profile(make: str) -> Object:
    resource = {"type": "ExtendedResource", "extendedResource": {"name": f"example.com/{make}"}}
    return {"metadata": metadata(f"make-{make}"), "spec": {"nodeSelector": {"make": make}, "allocation": resource}}


def pod(name: str, node_name: str, resource: str, devices: int) -> Object:
    container = {"name": "c", "resources": {"requests": {resource: str(devices)}}}
    return {
        "metadata": metadata(name, namespace="others"),
        "spec": {"nodeName": node_name, "containers": [container]},
        "status": {"phase": "Running"},
    }


def manifest(kind: str, name: str, **spec: Any) -> Object:
    body = {"image": "registry.example/x:1", "devicesPerPod": 4, **spec}
    return {"apiVersion": "tandem.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": body}


class Cluster:
    """Two makes: two nodes of make a with four devices each, one of make b with eight."""

    def __init__(self) -> None:
        kinds = ("TrainingRun", "InferenceService", "AcceleratorProfile", "PlacementPolicy")
        self.discovery: Object = {"resources": [{"kind": kind} for kind in kinds]}
        self.lists: dict[str, list[Object]] = {
            "/api/v1/nodes": [node("a-0", "a", 4), node("a-1", "a", 4), node("b-0", "b", 8)],
            "/api/v1/pods": [],
            f"{OURS}/acceleratorprofiles": [profile("a"), profile("b")],
            f"{OURS}/placementpolicies": [],
        }
        self.forbidden = ""
        """The path that the caller may not read."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """As the API server would; a write or a watch has no place here."""
        assert request.method == "GET"
        assert "watch" not in request.query
        if request.path == self.forbidden:
            return web.json_response(status(403, "Forbidden", f"{request.path} is forbidden"), status=403)
        if request.path == OURS:
            return web.json_response(self.discovery)
        items = self.lists.get(request.path, [])
        return web.json_response({"metadata": {"resourceVersion": "9"}, "items": items})
