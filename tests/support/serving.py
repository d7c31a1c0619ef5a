"""A model server for pods of tests, and how tests look at a service's parts."""

from collections.abc import Callable
from typing import Any

from devcluster import kube
from tests.support.api import Object
from tests.support.programs import STEERED
from tests.support.scene import Scene

APPS = "/apis/apps/v1"
POLICY = "/apis/policy/v1"
QUICK = {"drain": {"seconds": 0}}
"""Spec of a service whose replicas leave at once."""


def server(answer: str = "model", port: int = 8000) -> list[str]:
    """Command of an HTTP server: /v1/models says `answer`, /health says ok."""
    script = (
        "trap 'exit 0' TERM; mkdir -p /tmp/www/v1;"
        f" echo {answer} > /tmp/www/v1/models; echo ok > /tmp/www/health;"
        f" httpd -f -p {port} -h /tmp/www & wait"
    )
    return ["sh", "-c", script]


def serve(scene: Scene, name: str, **spec: Any) -> Object:
    """A service whose replicas answer and leave at once, unless said otherwise."""
    return scene.service(name, **{"command": server(), **QUICK, **spec})


def idle(scene: Scene, name: str, **spec: Any) -> Object:
    """A service whose replicas only hold their devices: they run and never answer."""
    return scene.service(name, **{"command": STEERED, **QUICK, **spec})


def deployment(scene: Scene, name: str) -> Object | None:
    """A Deployment of the scene, if it is there."""
    return scene.api.find(scene.path("deployments", name, APPS))


def scale(scene: Scene, name: str, replicas: int) -> None:
    """Scale a service as people do: by `kubectl scale`."""
    kube.kubectl("--namespace", scene.name, "scale", f"infsvc/{name}", f"--replicas={replicas}")


def shares(found: Object) -> dict[str, int]:
    """Variant -> replicas it was given."""
    return {item["name"]: item["replicas"] for item in found["status"]["variants"]}


def until_shares(scene: Scene, name: str, **wanted: int) -> Object:
    """Wait until the variants have these replicas, in status and in their Deployments; returns the service."""

    def reached() -> Object | None:
        found = scene.get_service(name)
        made = {variant: wanted_replicas(scene, f"{name}-{variant}") for variant in wanted}
        return found if shares(found) == wanted == made else None

    return scene.until(reached, f"{name} to have {wanted}") or {}


def wanted_replicas(scene: Scene, name: str) -> int:
    """spec.replicas of a Deployment; 0 where there is none."""
    found = deployment(scene, name)
    return int(found["spec"]["replicas"]) if found else 0


def variant(found: Object, name: str) -> Object:
    """The status of a variant. Raises KeyError when it is not there."""
    for item in found["status"]["variants"]:
        if item["name"] == name:
            return dict(item)
    raise KeyError(name)


def uids(scene: Scene, selector: str = "") -> dict[str, str]:
    """Name -> uid of the pods that are not ending."""
    pods = scene.pods(selector)
    return {
        pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods if "deletionTimestamp" not in pod["metadata"]
    }


def bound(scene: Scene, selector: str = "") -> list[str]:
    """Names of the pods that have a node and are not ending."""
    names = uids(scene, selector)
    return [pod["metadata"]["name"] for pod in scene.pods(selector) if pod["metadata"]["name"] in names and _node(pod)]


def ask(scene: Scene, client: str, url: str) -> str:
    """What a pod of the scene gets from a URL; empty while nobody answers there."""
    script = f"timeout 10 wget -q -O - {url} || true"
    return kube.kubectl("exec", "--namespace", scene.name, client, "--", "sh", "-c", script).strip()


def steadily(scene: Scene, holds: Callable[[], bool], until: Callable[[], bool], what: str) -> None:
    """Wait for `until` and check that `holds` is true at every look on the way."""

    def look() -> bool:
        if not holds():
            raise AssertionError(f"{what} did not hold all the time\n{scene.describe()}")
        return until()

    scene.until(look, f"the end of the time in which {what}", seconds=120)


def _node(pod: Object) -> str:
    return str(pod["spec"].get("nodeName", ""))
