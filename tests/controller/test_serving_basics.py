"""An InferenceService on the real cluster: what it is made of, that it answers, and how it goes."""

import pytest

from devcluster import kube
from tests.support.scene import TANDEM, Scene, condition
from tests.support.serving import APPS, POLICY, ask, deployment, idle, serve, server

pytestmark = pytest.mark.cluster

SELECTOR = {"tandem.dev/service": "chat", "tandem.dev/role": "leader"}


def test_a_service_answers_other_pods_by_its_name(scene: Scene, workers: list[str]) -> None:
    """Available means that requests are answered, through the ClusterIP, from another pod."""
    scene.devices(workers[:1], 2)
    serve(scene, "chat", accelerator=scene.profile(), replicas=2, command=server("llama"))
    scene.foreign_pod("client")

    found = scene.reason("infsvc", "chat", "Available")
    scene.until(lambda: scene.phase("client") == "Running", "the client to run")

    assert scene.until(lambda: ask(scene, "client", f"{found['status']['url']}/v1/models"), "an answer") == "llama"
    for kind in ("Ready", "ModelResolved", "Placed", "Available", "RolloutComplete"):
        assert condition(found, kind)["status"] == "True"
        assert condition(found, kind)["observedGeneration"] == 1
    found = scene.until(lambda: _if_summary(scene, "2/2"), "both replicas to be ready")
    assert found["status"]["replicas"] == found["status"]["readyReplicas"] == 2


def test_kubectl_get_tells_the_story(scene: Scene, workers: list[str]) -> None:
    """STATUS, ACCELERATOR and REPLICAS are what a person needs first."""
    scene.devices(workers[:1], 1)
    profile = scene.profile()
    serve(scene, "chat", accelerator=profile)
    scene.reason("infsvc", "chat", "Available")

    header, row = kube.kubectl("--namespace", scene.name, "get", "infsvc", "chat").splitlines()

    assert header.split()[:4] == ["NAME", "STATUS", "ACCELERATOR", "REPLICAS"]
    assert row.split()[:4] == ["chat", "Available", profile, "1/1"]


def test_children_have_their_exact_shape(scene: Scene, workers: list[str]) -> None:
    """Deployment, Service and budget as documented: probes, drain, update strategy, selectors, owner."""
    scene.devices(workers[:1], 1)
    profile = scene.profile()
    made = scene.service(
        "chat", accelerator=profile, port=9000, startup={"timeoutSeconds": 60, "path": "/up"}, drain={"seconds": 7}
    )

    main = scene.until(lambda: deployment(scene, "chat-main"), "the Deployment")
    front = scene.until(lambda: scene.api.find(scene.path("services", "chat")), "the Service")
    budget = scene.until(
        lambda: scene.api.find(scene.path("poddisruptionbudgets", "chat", POLICY)), "the PodDisruptionBudget"
    )

    for child in (main, front, budget):
        [owner] = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == (
            "InferenceService",
            made["metadata"]["uid"],
            True,
        )
    assert front["spec"]["selector"] == budget["spec"]["selector"]["matchLabels"] == SELECTOR
    assert [(port["port"], port["targetPort"]) for port in front["spec"]["ports"]] == [(9000, 9000)]
    assert budget["spec"]["maxUnavailable"] == 1
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert main["spec"]["selector"]["matchLabels"] == {**SELECTOR, "tandem.dev/variant": "main"}
    assert main["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert main["spec"]["progressDeadlineSeconds"] == 60 + 1200
    pod = main["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] == 7 + 30
    assert container["lifecycle"]["preStop"] == {"sleep": {"seconds": 7}}
    startup, ready, live = (container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness"))
    assert startup["httpGet"]["path"] == ready["httpGet"]["path"] == "/up"
    assert startup["failureThreshold"] * startup["periodSeconds"] == 60
    assert live["httpGet"]["path"] == "/health"
    assert container["resources"]["limits"][scene.resource] == "1"


def test_users_labels_stay_the_users(scene: Scene, workers: list[str]) -> None:
    """GitOps tools prune whatever carries their labels, so no child gets them, and the object keeps its own."""
    scene.devices(workers[:1], 1)
    body = {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "InferenceService",
        "metadata": {"name": "chat", "labels": {"argocd.argoproj.io/instance": "team"}},
        "spec": {"accelerator": scene.profile(), "devicesPerPod": 1, "image": "tandem-dev/tools:dev"},
    }
    scene.api.create(scene.path("inferenceservices", group=TANDEM), body)

    main = scene.until(lambda: deployment(scene, "chat-main"), "the Deployment")
    scene.until(lambda: condition(scene.get_service("chat"), "Placed")["status"] == "True", "a status")

    for labels in (main["metadata"]["labels"], main["spec"]["template"]["metadata"]["labels"]):
        assert "argocd.argoproj.io/instance" not in labels
    found = scene.get_service("chat")
    assert found["metadata"]["labels"] == {"argocd.argoproj.io/instance": "team"}
    assert not found["metadata"].get("annotations")
    assert found["metadata"]["generation"] == 1


def test_a_model_claim_is_served_read_only(scene: Scene, workers: list[str]) -> None:
    """The server sees the claim's path in TANDEM_MODEL_PATH and cannot write there."""
    scene.devices(workers[:1], 1)
    scene.claim("models")
    script = (
        "trap 'exit 0' TERM; mkdir -p /tmp/www/v1; echo ok > /tmp/www/health;"
        " touch /models/mine 2> /tmp/www/v1/models && echo written > /tmp/www/v1/models;"
        " echo path=$TANDEM_MODEL_PATH >> /tmp/www/v1/models; httpd -f -p 8000 -h /tmp/www & wait"
    )
    model = {"claim": {"name": "models", "path": "r2/w8"}}
    serve(scene, "chat", accelerator=scene.profile(), model=model, command=["sh", "-c", script])

    found = scene.reason("infsvc", "chat", "Available")

    [pod] = scene.pod_names()
    text = ask(scene, pod, "http://localhost:8000/v1/models")
    assert "Read-only file system" in text
    assert text.endswith("path=/models/r2/w8")
    assert found["status"]["model"] == {"source": "models/r2/w8", "claim": "models", "path": "r2/w8"}


def test_deleting_a_service_removes_everything(scene: Scene, workers: list[str]) -> None:
    """Ownership does it: there is no finalizer that could hang."""
    scene.devices(workers[:1], 1)
    idle(scene, "chat", accelerator=scene.profile())
    scene.until(scene.pods, "the replica")
    assert "finalizers" not in scene.get_service("chat")["metadata"]

    scene.api.delete(scene.path("inferenceservices", "chat", TANDEM))

    scene.until(
        lambda: (
            not scene.pods()
            and not scene.api.get(scene.path("deployments", group=APPS))["items"]
            and not scene.api.get(scene.path("services"))["items"]
            and not scene.api.get(scene.path("poddisruptionbudgets", group=POLICY))["items"]
        ),
        "all children to go",
    )


def test_a_replica_drains_before_it_ends(scene: Scene, workers: list[str]) -> None:
    """A leaving replica is out of the Service at once and still answers what is under way."""
    scene.devices(workers[:1], 1)
    serve(scene, "chat", accelerator=scene.profile(), drain={"seconds": 20})
    scene.reason("infsvc", "chat", "Available")
    [pod] = scene.pods()
    address = pod["status"]["podIP"]
    scene.foreign_pod("client")
    scene.until(lambda: scene.phase("client") == "Running", "the client to run")

    scene.patch_service("chat", {"replicas": 0})

    scene.until(lambda: _endpoints(scene) == [], "the replica to leave the Service")
    assert scene.phase(pod["metadata"]["name"]) == "Running"
    assert ask(scene, "client", f"http://{address}:8000/v1/models") == "model"


def _if_summary(scene: Scene, summary: str) -> dict[str, object] | None:
    found = scene.get_service("chat")
    return found if found["status"]["summary"] == summary else None


def _endpoints(scene: Scene) -> list[str]:
    """Addresses to which the Service sends requests."""
    slices = scene.api.get(scene.path("endpointslices", group="/apis/discovery.k8s.io/v1"))["items"]
    return [
        address
        for item in slices
        for endpoint in item.get("endpoints") or ()
        for address in endpoint["addresses"]
        if endpoint["conditions"].get("ready")
    ]
