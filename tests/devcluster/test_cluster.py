"""The cluster as its users find it: nodes, devices in pods, network, volumes, audit log, commands."""

import time
import uuid
from collections.abc import Callable

import pytest

from devcluster import __main__ as command
from devcluster import audit, cluster, engine, images, kube, load, paths, volumes
from devcluster.shell import DevclusterError, run, wait_for

from .conftest import ASCEND, NVIDIA, SECONDS, Pod, StartPod

pytestmark = pytest.mark.cluster

Output = Callable[[str], str]


def test_devices_by_node() -> None:
    # Other tests patch resources of their own onto nodes: only the two plugins' are looked at.
    found = {node["metadata"]["name"]: kube.devices(node, "capacity") for node in kube.items("nodes")}
    assert {name: (all_of.get(NVIDIA, 0), all_of.get(ASCEND, 0)) for name, all_of in found.items()} == {
        "tandem-control-plane": (0, 0),
        "tandem-worker": (8, 0),
        "tandem-worker2": (8, 0),
        "tandem-worker3": (0, 8),
        "tandem-worker4": (0, 8),
    }


def test_native_gang_scheduling_is_served() -> None:
    resources = kube.kubectl("api-resources", "--api-group=scheduling.k8s.io", "--output=name").split()
    assert {"podgroups.scheduling.k8s.io", "workloads.scheduling.k8s.io"} <= set(resources)


def test_an_nvidia_pod_gets_its_devices(start_pod: StartPod, output: Output) -> None:
    start_pod("gpu", "echo $NVIDIA_VISIBLE_DEVICES", devices={NVIDIA: 2})
    ids = output("gpu").strip().split(",")
    assert len(set(ids)) == 2
    assert all(str(uuid.UUID(name.removeprefix("GPU-"))) in name for name in ids)


def test_an_ascend_pod_gets_its_devices(start_pod: StartPod, output: Output) -> None:
    start_pod("npu", "echo $ASCEND_VISIBLE_DEVICES", devices={ASCEND: 3})
    indices = [int(index) for index in output("npu").strip().split(",")]
    assert len(indices) == 3
    assert indices == sorted(set(indices) & set(range(8)))


def test_a_service_answers_by_name_across_nodes(namespace: str, start_pod: StartPod, output: Output) -> None:
    start_pod("web", serving("hello"), nodeName="tandem-worker")
    service(namespace, "web")
    asks = "until timeout 2 wget -q -O - http://web; do sleep 0.2; done; nslookup web.$NAMESPACE.svc.cluster.local"
    for node in ("tandem-worker", "tandem-worker4"):
        start_pod(f"from-{node}", f"NAMESPACE={namespace}; {asks}", nodeName=node)
        answer = output(f"from-{node}")
        assert answer.startswith("hello\n")
        assert f"web.{namespace}.svc.cluster.local" in answer


def test_a_service_of_two_pods_answers_from_both(namespace: str, start_pod: StartPod, output: Output) -> None:
    """Spreading needs more of a node's packet filter than a single endpoint does."""
    for name, node in (("one", "tandem-worker"), ("two", "tandem-worker3")):
        start_pod(name, serving(name), app="web", nodeName=node)
    service(namespace, "web")
    ask = "timeout 2 wget -q -O - http://web >> /tmp/answers"
    script = (
        f"touch /tmp/answers; until grep -q one /tmp/answers && grep -q two /tmp/answers; do {ask}; sleep 0.1; done"
    )
    start_pod("client", script, nodeName="tandem-worker4")
    output("client")


def serving(answer: str) -> str:
    """Script of a pod that answers every request with this line."""
    return f"echo {answer} > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"


def service(namespace: str, app: str) -> None:
    """A Service on port 80 before the pods of an app."""
    spec = {"selector": {"app": app}, "ports": [{"port": 80, "targetPort": 8080}]}
    metadata = {"namespace": namespace, "name": app}
    kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec})


def test_a_shared_claim_is_one_folder_on_all_nodes(namespace: str, start_pod: StartPod, output: Output) -> None:
    volumes.shared_claim(namespace, "data")
    user = {"runAsUser": 1234}
    start_pod(
        "writer", "echo from-$(id -u) > /data/file", claim="data", nodeName="tandem-worker2", securityContext=user
    )
    output("writer")
    start_pod("reader", "cat /data/file", claim="data", nodeName="tandem-worker3")
    assert output("reader") == "from-1234\n"
    assert (paths.shared_dir() / namespace / "data/file").read_text() == "from-1234\n"


def test_the_claim_for_models_is_bound() -> None:
    claim = kube.get("--namespace=default", "persistentvolumeclaim/models")
    assert claim["status"]["phase"] == "Bound"
    assert claim["status"]["accessModes"] == ["ReadWriteMany"]


def test_the_audit_log_shows_a_request_once(namespace: str) -> None:
    start = audit.mark()
    kube.kubectl(f"--namespace={namespace}", "create", "configmap", "audited")
    (event,) = [
        event for event in audit.since(start, user_agent="kubectl") if event.name == "audited" and event.is_write
    ]
    assert (event.verb, event.resource, event.namespace, event.code) == ("create", "configmaps", namespace, 201)
    assert event.user == "kubernetes-admin"


def test_an_absent_node_is_gone_for_pods_within_seconds(start_pod: StartPod, pod: Callable[[str], Pod]) -> None:
    start_pod("waits", "sleep 600", devices={NVIDIA: 1})
    tolerations = {t["key"]: t["tolerationSeconds"] for t in pod("waits")["spec"]["tolerations"] if "key" in t}
    assert tolerations["node.kubernetes.io/not-ready"] == tolerations["node.kubernetes.io/unreachable"] == 5


def test_up_on_a_running_cluster_takes_seconds() -> None:
    before = load.node_names()
    begin = time.monotonic()
    cluster.up()
    assert time.monotonic() - begin < 30
    assert load.node_names() == before


def test_a_loaded_image_is_in_every_worker_and_skipped_then(namespace: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"tandem-dev/{namespace}:dev"
    engine.docker("tag", cluster.TOOLS, name)
    try:
        load.load(name)
        load.load(name)
        for node in load.worker_names():
            assert load.reference(name) in engine.docker("exec", node, "ctr", "-n", "k8s.io", "images", "list", "-q")
            engine.docker("exec", node, "ctr", "-n", "k8s.io", "images", "rm", load.reference(name))
    finally:
        load.saved(name, images.image_id(name) or "").unlink()
        engine.docker("rmi", name)
    assert capsys.readouterr().err.count("into 4 nodes ...") == 1


def test_loading_an_image_that_is_not_there_says_so() -> None:
    with pytest.raises(DevclusterError, match="no local image tandem-dev/absent:dev: build it"):
        load.load("tandem-dev/absent:dev")


def test_commands_print_for_people_and_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["kubeconfig"]) == 0
    assert capsys.readouterr().out.strip() == str(paths.kubeconfig())
    assert command.main(["status"]) == 0
    told = capsys.readouterr().out
    assert all(node in told for node in load.node_names())
    assert f"{ASCEND} 8/8" in told
    assert command.main(["fault", "devices", "tandem-control-plane", "--heal"]) == 1
    assert "name one of tandem-worker" in capsys.readouterr().err


@pytest.mark.parametrize("program", ["kubectl version --client", "helm version", "kind version"])
def test_programs_for_tests_and_people(program: str) -> None:
    name, *args = program.split()
    assert "v" in run(paths.bin_dir() / name, *args)


def test_pods_of_a_full_node_wait(start_pod: StartPod, pod: Callable[[str], Pod]) -> None:
    start_pod("too-many", "true", devices={NVIDIA: 9})

    def refused() -> bool:
        conditions = pod("too-many")["status"].get("conditions", [])
        return any(condition.get("reason") == "Unschedulable" for condition in conditions)

    assert wait_for("nine devices fit no node", refused, SECONDS)
