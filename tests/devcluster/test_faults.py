"""Each fault shows in the cluster as the real one does, and goes again."""

from collections.abc import Callable, Iterator

import pytest

from devcluster import engine, faults, kube
from devcluster.shell import DevclusterError, wait_for

from .conftest import ASCEND, NVIDIA, SECONDS, Pod, StartPod

pytestmark = [pytest.mark.cluster, pytest.mark.serial]


@pytest.fixture(autouse=True)
def healed() -> Iterator[None]:
    """Whatever a test breaks is whole before the next."""
    yield
    faults.heal()


def allocatable(node: str, resource: str) -> int:
    return kube.devices(kube.get(f"node/{node}")).get(resource, 0)


def ready(node: str) -> bool:
    return kube.is_ready(kube.get(f"node/{node}"))


def test_unhealthy_devices_are_not_allocatable_and_show_in_the_pod(
    start_pod: StartPod, pod: Callable[[str], Pod]
) -> None:
    start_pod("holder", "sleep 600", devices={NVIDIA: 8}, nodeSelector={"kubernetes.io/hostname": "tandem-worker2"})
    wait_for("the pod runs", lambda: pod("holder")["status"].get("phase") == "Running", SECONDS)

    faults.devices_unhealthy("tandem-worker2", [1])
    faults.devices_unhealthy("tandem-worker2", ["3"])
    assert allocatable("tandem-worker2", NVIDIA) == 6
    assert kube.devices(kube.get("node/tandem-worker2"), "capacity")[NVIDIA] == 8

    def unhealthy() -> int:
        (status,) = pod("holder")["status"]["containerStatuses"]
        resources = [r for s in status.get("allocatedResourcesStatus", ()) for r in s["resources"]]
        return sum(resource["health"] == "Unhealthy" for resource in resources)

    wait_for("the pod's status shows two unhealthy devices", lambda: unhealthy() == 2, SECONDS)
    faults.devices_healthy("tandem-worker2")
    assert allocatable("tandem-worker2", NVIDIA) == 8


def test_an_unknown_device_is_named_with_those_there_are() -> None:
    with pytest.raises(DevclusterError, match=r"no device 8: its devices are Ascend910-0, .*, or 0 to 7"):
        faults.devices_unhealthy("tandem-worker3", [8])
    assert allocatable("tandem-worker3", ASCEND) == 8


def test_a_refused_allocate_fails_the_pod(start_pod: StartPod, pod: Callable[[str], Pod]) -> None:
    here = {"kubernetes.io/hostname": "tandem-worker3"}
    faults.allocate_fails("tandem-worker3")
    start_pod("refused", "true", devices={ASCEND: 1}, nodeSelector=here)
    wait_for("the pod fails", lambda: pod("refused")["status"].get("phase") == "Failed", SECONDS)
    assert pod("refused")["status"]["reason"] == "UnexpectedAdmissionError"
    assert faults.REFUSAL in pod("refused")["status"]["message"]

    faults.allocate_works("tandem-worker3")
    start_pod("served", "true", devices={ASCEND: 1}, nodeSelector=here)
    wait_for("the pod succeeds", lambda: pod("served")["status"].get("phase") == "Succeeded", SECONDS)


def test_a_removed_plugin_stays_away_until_restored() -> None:
    faults.plugin_removed("tandem-worker4")
    faults.plugin_removed("tandem-worker4")
    assert allocatable("tandem-worker4", ASCEND) == 0
    faults.plugin_restored("tandem-worker4")
    assert allocatable("tandem-worker4", ASCEND) == 8


def test_the_plugin_registers_again_after_a_kubelet_restart(start_pod: StartPod, pod: Callable[[str], Pod]) -> None:
    faults.kubelet_stopped("tandem-worker")
    assert not ready("tandem-worker")
    engine.docker("exec", "tandem-worker", "test", "-S", "/var/lib/kubelet/device-plugins/fake-nvidia.com-gpu.sock")
    faults.kubelet_started("tandem-worker")
    assert ready("tandem-worker")
    assert allocatable("tandem-worker", NVIDIA) == 8
    start_pod("after", "true", devices={NVIDIA: 8}, nodeSelector={"kubernetes.io/hostname": "tandem-worker"})
    wait_for("a pod gets all devices", lambda: pod("after")["status"].get("phase") == "Succeeded", SECONDS)


def test_a_cut_node_is_unreachable_and_comes_back() -> None:
    faults.network_cut("tandem-worker3")
    assert not ready("tandem-worker3")
    taints = {taint["key"] for taint in kube.get("node/tandem-worker3")["spec"].get("taints", ())}
    assert "node.kubernetes.io/unreachable" in taints
    faults.network_restored("tandem-worker3")
    assert ready("tandem-worker3")
    assert allocatable("tandem-worker3", ASCEND) == 8


def test_the_api_server_comes_back_as_another_process() -> None:
    def process() -> str:
        return engine.docker("exec", "tandem-control-plane", "pidof", "kube-apiserver")

    before = process()
    faults.apiserver_restarted()
    assert process() != before
    assert kube.answers()


def test_heal_puts_everything_back() -> None:
    faults.devices_unhealthy("tandem-worker", [0])
    faults.allocate_fails("tandem-worker4")
    faults.plugin_removed("tandem-worker3")
    faults.kubelet_stopped("tandem-worker2")
    faults.heal()
    for node, resource in (("", NVIDIA), ("2", NVIDIA), ("3", ASCEND), ("4", ASCEND)):
        assert allocatable(f"tandem-worker{node}", resource) == 8
    assert ready("tandem-worker2")
