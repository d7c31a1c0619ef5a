"""Last: the operator goes and comes back, and what users made stays."""

import pytest

from devcluster import kube
from examples import demo
from tests.e2e.conftest import reason, until
from tests.e2e.test_permissions import apply, workload

pytestmark = [pytest.mark.cluster, pytest.mark.serial, pytest.mark.usefixtures("operator")]


def test_uninstall_leaves_users_objects_and_a_new_install_takes_them_up(namespace: str) -> None:
    here = f"--namespace={namespace}"
    apply(namespace, workload("TrainingRun", "job", accelerator="nvidia-h20", launcher="Plain"))
    until(lambda: reason("trun", "job", namespace) == "Running", "the run to run")
    pod = kube.get(here, "pod", "job-a1-0")["metadata"]["uid"]

    demo.helm("uninstall", demo.RELEASE, "--wait", "--timeout=60s")
    release = f"--selector=app.kubernetes.io/instance={demo.RELEASE}"
    kinds = "deployments,services,serviceaccounts,networkpolicies,clusterroles,clusterrolebindings,roles,rolebindings,leases"
    assert not kube.items("--all-namespaces", kinds, release)
    assert kube.get(here, "pod", "job-a1-0")["metadata"]["uid"] == pod
    assert reason("trun", "job", namespace) == "Running"
    assert {item["metadata"]["name"] for item in kube.items("accel")} >= {"nvidia-h20", "ascend-910b"}
    # What changes while nobody looks is found by the next operator.
    kube.kubectl(here, "patch", "trun", "job", "--type=merge", '--patch={"spec":{"suspend":true}}')

    demo.install_operator()
    until(lambda: reason("trun", "job", namespace) == "Suspended", "the run to be suspended")
    until(lambda: not kube.items(here, "pods"), "its pod to go")


def test_deleting_the_namespace_of_a_run_is_not_held_up() -> None:
    kube.kubectl("create", "namespace", "e2e-gone")
    apply("e2e-gone", workload("TrainingRun", "job", accelerator="nvidia-h20", launcher="Plain"))
    until(lambda: reason("trun", "job", "e2e-gone") == "Running", "the run to run")
    kube.kubectl("delete", "namespace", "e2e-gone", "--timeout=60s", timeout=70)
