"""The two stories of the README, with its own examples: train on NVIDIA, serve on Ascend what was trained."""

import hashlib
import json
from typing import Any

import pytest

from devcluster import kube, paths
from examples import demo
from tests.e2e.conftest import reason, until

pytestmark = [pytest.mark.cluster, pytest.mark.serial, pytest.mark.usefixtures("operator")]

CHECKPOINTS = "default/models/hello"
"""Of the run's checkpoints, below the folder that all nodes share."""


def pods(selector: str) -> list[kube.Object]:
    return kube.items("pods", f"--selector={selector}")


def nodes_with(resource: str) -> set[str]:
    return {node["metadata"]["name"] for node in kube.items("nodes") if kube.devices(node).get(resource)}


def in_cluster(url: str) -> dict[str, Any]:
    """What a pod of the cluster gets from a URL."""
    command = ("wget", "-q", "-O", "-", url)
    kube.kubectl("run", "client", "--image=tandem-dev/tools:dev", "--restart=Never", "--", *command)
    try:
        kube.kubectl("wait", "pod/client", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
        found: dict[str, Any] = json.loads(kube.kubectl("logs", "client"))
        return found
    finally:
        kube.kubectl("delete", "pod", "client", "--wait=false")


@pytest.fixture(scope="module")
def trained(operator: None) -> kube.Object:
    """The run of the example, Succeeded."""
    demo.train()
    return kube.get("trun", demo.RUN)


@pytest.fixture(scope="module")
def served(trained: kube.Object) -> kube.Object:
    """The service of the example, Available."""
    demo.serve()
    return kube.get("infsvc", demo.SERVICE)


def test_the_run_trained_on_nvidia_nodes(trained: kube.Object) -> None:
    status = trained["status"]
    assert status["placement"]["chosen"] == "nvidia-h20"
    assert status["attempt"] == 1
    assert status["pods"]["summary"] == "2/2"
    ranks = pods("tandem.dev/run=hello")
    assert [pod["metadata"]["name"] for pod in ranks] == ["hello-a1-0", "hello-a1-1"]
    assert {pod["spec"]["nodeName"] for pod in ranks} <= nodes_with("nvidia.com/gpu")
    assert {pod["status"]["phase"] for pod in ranks} == {"Succeeded"}


def test_the_ranks_were_one_gang_with_devices(trained: kube.Object) -> None:
    logs = [kube.kubectl("logs", f"hello-a1-{rank}") for rank in range(2)]
    for rank, log in enumerate(logs):
        assert f"rank {rank} of 2, attempt 1 on nvidia-h20, NVIDIA_VISIBLE_DEVICES=GPU-" in log
    assert "done: 200 steps on 2 ranks" in logs[0]


def test_status_names_the_checkpoint_that_lies_on_the_claim(trained: kube.Object) -> None:
    reported = trained["status"]["checkpoint"]
    payload = (paths.shared_dir() / CHECKPOINTS / reported["path"] / "model.pt").read_bytes()
    assert reported["step"] == 200
    assert reported["digest"] == f"sha256:{hashlib.sha256(payload).hexdigest()}"


def test_the_service_answers_from_an_ascend_node_with_that_checkpoint(
    trained: kube.Object, served: kube.Object
) -> None:
    (replica,) = pods("tandem.dev/service=chat")
    assert replica["spec"]["nodeName"] in nodes_with("huawei.com/Ascend910")
    assert served["status"]["placement"]["chosen"] == "ascend-910b"
    assert served["status"]["url"] == "http://chat.default.svc:8000"
    (model,) = in_cluster(f"{served['status']['url']}/v1/models")["data"]
    checkpoint = trained["status"]["checkpoint"]
    assert (model["step"], model["digest"]) == (checkpoint["step"], checkpoint["digest"])


def test_a_completion_is_text_that_the_training_taught(served: kube.Object) -> None:
    text = demo.ask(demo.PROMPT)
    assert len(text) >= 50
    # Before training, a byte model writes bytes of all kinds; words with spaces between them are learnt.
    assert text.isprintable()
    assert text.count(" ") >= 3
    assert text == demo.ask(demo.PROMPT), "temperature 0 is repeatable"


def test_scale_to_two_and_to_zero_and_back(served: kube.Object) -> None:
    for replicas, state in ((2, "Available"), (0, "ScaledToZero"), (1, "Available")):
        kube.kubectl("scale", "infsvc", "chat", f"--replicas={replicas}")

        def settled(replicas: int = replicas, state: str = state) -> bool:
            scale = json.loads(
                kube.kubectl(
                    "get", "--raw", "/apis/tandem.dev/v1alpha1/namespaces/default/inferenceservices/chat/scale"
                )
            )
            alive = [pod for pod in pods(scale["status"]["selector"]) if "deletionTimestamp" not in pod["metadata"]]
            return scale["status"]["replicas"] == len(alive) == replicas and reason("infsvc", "chat") == state

        until(settled, f"{replicas} replicas of chat")
    assert kube.get("service", "chat")["spec"]["ports"][0]["port"] == 8000


def test_kubectl_get_tells_it_in_words(served: kube.Object) -> None:
    lines = kube.kubectl("get", "trun,infsvc", "--no-headers").splitlines()
    words = [line.split() for line in lines if line]
    assert ["trainingrun.tandem.dev/hello", "Succeeded", "nvidia-h20", "2/2", "1"] in [line[:5] for line in words]
    assert ["inferenceservice.tandem.dev/chat", "Available", "ascend-910b", "1/1"] in [line[:4] for line in words]


def test_of_two_variants_the_first_that_fits_is_taken(operator: None) -> None:
    kube.kubectl("apply", f"--filename={demo.EXAMPLES / 'two-variants.yaml'}")
    try:
        until(lambda: reason("trun", "either") == "Succeeded", "the run either to succeed", 120)
        placement = kube.get("trun", "either")["status"]["placement"]
        assert (placement["variant"], placement["chosen"]) == ("ascend", "ascend-910b")
        ranks = pods("tandem.dev/run=either")
        assert {pod["spec"]["nodeName"] for pod in ranks} <= nodes_with("huawei.com/Ascend910")
    finally:
        kube.kubectl("delete", "trun", "either", "--ignore-not-found")


def test_deletion_leaves_nothing_but_the_checkpoint(trained: kube.Object, served: kube.Object) -> None:
    kube.kubectl("delete", "trun/hello", "infsvc/chat")
    kinds = "pods,services,deployments,replicasets,poddisruptionbudgets"

    def left() -> list[str]:
        found = [*kube.items(kinds, "--selector=tandem.dev/run=hello")]
        found += kube.items(kinds, "--selector=tandem.dev/service=chat")
        return [f"{item['kind']} {item['metadata']['name']}" for item in found]

    until(lambda: not left(), "everything to be gone")
    assert (paths.shared_dir() / CHECKPOINTS / "step-200/model.pt").exists()


@pytest.mark.parametrize("path", sorted(demo.EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_api_server_takes_the_examples_as_they_are(operator: None, path: Any) -> None:
    told = kube.kubectl("apply", "--dry-run=server", "--validate=strict", f"--filename={path}")
    assert "(server dry run)" in told


def test_the_api_server_takes_the_shipped_profiles(operator: None) -> None:
    told = kube.kubectl("apply", "--dry-run=server", "--validate=strict", f"--filename={demo.ROOT / 'profiles'}")
    assert told.count("(server dry run)") == len(list((demo.ROOT / "profiles").glob("*.yaml")))


def test_the_operator_finds_its_own_rights_complete(operator: None) -> None:
    """Asked in its pod, with nothing but the chart's role."""
    where = (f"--namespace={demo.NAMESPACE}", "exec", f"deployment/{demo.RELEASE}", "--")
    told = json.loads(kube.kubectl(*where, "tandem", "check", "--output=json"))
    assert told["failures"] == 0
    account = f"{demo.NAMESPACE}/{demo.RELEASE}"
    assert [item["message"] for item in told["findings"] if item["subject"] == "rights"] == [
        f"{account} may do all that the operator does"
    ]
