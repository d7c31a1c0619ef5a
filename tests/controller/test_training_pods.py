"""What the pods of a run look like on a real cluster, and what they can reach."""

import pytest

from tests.support.api import Object
from tests.support.programs import STEERED
from tests.support.scene import Scene

pytestmark = pytest.mark.cluster

LABELS = {
    "app.kubernetes.io/managed-by",
    "tandem.dev/run",
    "tandem.dev/attempt",
    "tandem.dev/rank",
    "tandem.dev/variant",
    "tandem.dev/accelerator",
    "tandem.dev/inputs-hash",
}


def environment(pod: Object) -> dict[str, str]:
    """Variables of the main container, in order; one with a source has the value "from"."""
    return {item["name"]: item.get("value", "from") for item in pod["spec"]["containers"][0]["env"]}


def mounts(pod: Object) -> dict[str, str]:
    """mountPath -> volume of the main container."""
    return {item["mountPath"]: item["name"] for item in pod["spec"]["containers"][0]["volumeMounts"]}


def test_a_rank_reaches_the_leader_by_its_full_name(scene: Scene, workers: list[str]) -> None:
    """DNS answers before the leader is ready, across nodes; the program gets the name from its environment."""
    scene.devices(workers[:2], 1)
    leader = '[ "$(nc -l -p $MASTER_PORT)" = hello ]'
    follower = "until echo hello | nc -w 5 $MASTER_ADDR.$SPACE.svc.cluster.local $MASTER_PORT; do sleep 0.2; done"
    scene.run(
        "pair",
        accelerator=scene.profile(),
        pods=2,
        env=[{"name": "SPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}],
        command=["sh", "-c", f"if [ $PET_NODE_RANK = 0 ]; then {leader}; else {follower}; fi"],
    )

    scene.reason("trun", "pair", "Succeeded")

    nodes = {pod["spec"]["nodeName"] for pod in scene.pods()}
    assert nodes == set(workers[:2])
    service = scene.api.get(scene.path("services", "pair-tr"))["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    assert service["selector"] == {"tandem.dev/run": "pair", "tandem.dev/rank": "0"}


def test_environment_of_two_ranks_on_devices_with_two_dies(scene: Scene, workers: list[str]) -> None:
    """Reserved variables first, so that the user's may refer to them; then profile < spec < variant."""
    scene.devices(workers[:2], 2)
    profile = scene.profile(
        ranksPerDevice=2, env=[{"name": "STACK", "value": "profile"}, {"name": "LEVEL", "value": "profile"}]
    )
    scene.run(
        "env",
        pods=2,
        devicesPerPod=2,
        env=[{"name": "LEVEL", "value": "spec"}, {"name": "WHO", "value": "rank $(TANDEM_POD_RANK)"}],
        variants=[{"name": "one", "accelerator": profile, "env": [{"name": "LEVEL", "value": "variant"}]}],
        command=["sh", "-c", 'echo "$WHO of $LEVEL" > /dev/termination-log'],
    )

    scene.reason("trun", "env", "Succeeded")

    second = scene.pods()[1]
    assert environment(second) == {
        "PET_NNODES": "2",
        "PET_NODE_RANK": "1",
        "PET_NPROC_PER_NODE": "4",
        "PET_MASTER_ADDR": "env-a1-0.env-tr",
        "PET_MASTER_PORT": "29500",
        "MASTER_ADDR": "env-a1-0.env-tr",
        "MASTER_PORT": "29500",
        "TANDEM_PODS": "2",
        "TANDEM_POD_RANK": "1",
        "TANDEM_LEADER_ADDR": "env-a1-0.env-tr",
        "TANDEM_LEADER_PORT": "29500",
        "TANDEM_RANKS_PER_POD": "4",
        "TANDEM_ATTEMPT": "1",
        "TANDEM_ACCELERATOR": profile,
        "TANDEM_RESUME": "0",
        "STACK": "profile",
        "LEVEL": "variant",
        "WHO": "rank $(TANDEM_POD_RANK)",
    }
    assert list(environment(second))[-3:] == ["STACK", "LEVEL", "WHO"]
    said = second["status"]["containerStatuses"][0]["state"]["terminated"]["message"]
    assert said.strip() == "rank 1 of variant"


def test_a_run_of_one_pod_has_no_service_and_plain_sets_no_torchrun(scene: Scene, workers: list[str]) -> None:
    """One pod needs no DNS: its leader is itself."""
    scene.devices(workers[:1], 1)
    scene.run("solo", accelerator=scene.profile(), launcher="Plain", command=["sh", "-c", "exit 0"])

    scene.reason("trun", "solo", "Succeeded")

    names = environment(scene.pods()[0])
    assert names["TANDEM_LEADER_ADDR"] == "127.0.0.1"
    assert not [name for name in names if name.startswith(("PET_", "MASTER_"))]
    assert scene.api.get(scene.path("services"))["items"] == []


def test_devices_bring_cpu_memory_and_shared_memory_with_them(scene: Scene, workers: list[str]) -> None:
    """perDevice is multiplied, /dev/shm really has that size, and a user's own request goes first."""
    scene.devices(workers[:1], 4)
    profile = scene.profile(perDevice={"cpu": "10m", "memory": "8Mi", "shm": "6Mi"})
    scene.run(
        "shm",
        accelerator=profile,
        devicesPerPod=3,
        resources={"requests": {"cpu": "5m"}},
        command=["sh", "-c", "df -k /dev/shm | awk 'NR==2 {print $2}' > /dev/termination-log"],
    )

    scene.reason("trun", "shm", "Succeeded")

    pod = scene.pods()[0]
    asked = pod["spec"]["containers"][0]["resources"]
    assert asked["requests"] == {"cpu": "5m", "memory": "24Mi", scene.resource: "3"}
    assert asked["limits"] == {scene.resource: "3"}
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["message"].strip() == str(18 * 1024)


def test_the_template_reaches_the_pod(scene: Scene, workers: list[str]) -> None:
    """Volumes, mounts, tolerations, node selector and security settings; the user's /dev/shm replaces the operator's."""
    scene.devices(workers[:2], 1)
    scene.api.create(scene.path("configmaps"), {"metadata": {"name": "settings"}, "data": {"lr": "0.1"}})
    profile = scene.profile(
        perDevice={"shm": "6Mi"}, tolerations=[{"key": "test.tandem.dev/profile", "operator": "Exists"}]
    )
    scene.run(
        "shaped",
        accelerator=profile,
        command=["sh", "-c", '[ "$(cat /settings/lr)" = 0.1 ] && [ "$(id -u)" = 1234 ]'],
        template={
            "spec": {
                "nodeSelector": {"kubernetes.io/hostname": workers[1]},
                "tolerations": [{"key": "test.tandem.dev/user", "operator": "Exists"}],
                "securityContext": {"runAsUser": 1234},
                "volumes": [
                    {"name": "settings", "configMap": {"name": "settings"}},
                    {"name": "shm", "emptyDir": {"medium": "Memory"}},
                ],
                "containers": [
                    {
                        "name": "main",
                        "volumeMounts": [
                            {"name": "settings", "mountPath": "/settings", "readOnly": True},
                            {"name": "shm", "mountPath": "/dev/shm"},
                        ],
                        "securityContext": {"readOnlyRootFilesystem": True},
                    }
                ],
            }
        },
    )

    scene.reason("trun", "shaped", "Succeeded")

    pod = scene.pods()[0]
    assert pod["spec"]["nodeName"] == workers[1]
    assert pod["spec"]["nodeSelector"] == {"kubernetes.io/hostname": workers[1], scene.label: "true"}
    keys = [item["key"] for item in pod["spec"]["tolerations"] if "test.tandem.dev" in item["key"]]
    assert keys == ["test.tandem.dev/profile", "test.tandem.dev/user"]
    assert mounts(pod) == {"/settings": "settings", "/dev/shm": "shm"}
    assert pod["spec"]["securityContext"] == {"runAsUser": 1234, "seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["spec"]["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_children_carry_the_documented_labels_and_none_of_the_runs(scene: Scene, workers: list[str]) -> None:
    """GitOps tools prune what carries their labels, so nothing is copied; ownership is by uid."""
    scene.devices(workers[:2], 1)
    body = {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {
            "name": "mine",
            "labels": {"argocd.argoproj.io/instance": "team"},
            "annotations": {"argocd.argoproj.io/tracking-id": "team:x"},
        },
        "spec": {
            "accelerator": scene.profile(),
            "image": "tandem-dev/tools:dev",
            "devicesPerPod": 1,
            "pods": 2,
            "command": STEERED,
        },
    }
    run = scene.create_run(body)

    scene.reason("trun", "mine", "Running")

    service = scene.api.get(scene.path("services", "mine-tr"))
    for child in (*scene.pods(), service):
        [owner] = child["metadata"]["ownerReferences"]
        assert owner["uid"] == run["metadata"]["uid"]
        assert owner["controller"] is True
    for rank, pod in enumerate(scene.pods()):
        labels = pod["metadata"]["labels"]
        assert set(labels) == LABELS
        assert labels["tandem.dev/run"] == "mine"
        assert labels["tandem.dev/attempt"] == "1"
        assert labels["tandem.dev/rank"] == str(rank)
        assert pod["metadata"]["annotations"] == {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == (f"mine-a1-{rank}", "mine-tr")
        assert pod["spec"]["restartPolicy"] == "Never"
    assert set(service["metadata"]["labels"]) == {"app.kubernetes.io/managed-by", "tandem.dev/run"}
