"""The chart's role holds what the operator calls, and nothing that it never calls: judged by the API server's audit log."""

from functools import partial
from typing import Any

import pytest
import yaml

from devcluster import audit, kube
from examples import demo
from tandem.domain.served import GANG_API
from tests.e2e.conftest import ACCOUNT, reason, until

pytestmark = [pytest.mark.cluster, pytest.mark.serial, pytest.mark.usefixtures("operator")]

ELSEWHERE = {
    # Only when a watch has missed a change, which the resync finds: tests/unit/runtime.
    ("tandem.dev", "acceleratorprofiles", "get"),
    ("tandem.dev", "placementpolicies", "get"),
    # Asked for by an admission plugin that is off here: tests/faults/test_owner_references.py.
    ("tandem.dev", "trainingruns/finalizers", "update"),
    ("tandem.dev", "inferenceservices/finalizers", "update"),
    # Only when the Lease was deleted: tests/controller/test_failover.py.
    ("coordination.k8s.io", "leases", "create"),
}
"""Rights whose use cannot be had here by honest means."""
ON_NOTHING = ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"]


def workload(kind: str, name: str, **spec: Any) -> kube.Object:
    drain = {"drain": {"seconds": 0}} if kind == "InferenceService" else {}
    body = {"image": "tandem-dev/tools:dev", "command": ON_NOTHING, "devicesPerPod": 1, **drain, **spec}
    return {"apiVersion": "tandem.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": body}


def apply(namespace: str, *objects: kube.Object) -> None:
    text = yaml.safe_dump_all(objects)
    kube.kubectl(f"--namespace={namespace}", "apply", "--server-side", "--filename=-", stdin=text)


def is_now(namespace: str, state: str) -> bool:
    """Whether the run `job` is in this state."""
    return reason("trun", "job", namespace) == state


def squatter(api_version: str, kind: str, name: str, spec: Any) -> kube.Object:
    """Somebody else's object under a name that the operator needs."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def test_a_policy_gets_a_status(namespace: str) -> None:
    reach = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    spec = {"namespaceSelector": reach, "forbid": [{"accelerator": "none"}]}
    policy = {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "PlacementPolicy",
        "metadata": {"name": namespace},
        "spec": spec,
    }
    apply(namespace, policy)
    try:
        until(lambda: reason("ppol", namespace, namespace) == "NothingSelected", "the policy's status")
    finally:
        kube.kubectl("delete", "ppol", namespace)


def test_names_that_are_taken_are_told_and_heal(namespace: str) -> None:
    """The operator looks at what stands in its way, and goes on when it is gone."""
    labels = {"app": "other"}
    idle = {"containers": [{"name": "c", "image": "tandem-dev/tools:dev"}]}
    template = {"metadata": {"labels": labels}, "spec": idle}
    in_the_way = [
        ("service", squatter("v1", "Service", "web", {"ports": [{"port": 80}]})),
        ("pdb", squatter("policy/v1", "PodDisruptionBudget", "web", {"selector": {"matchLabels": labels}})),
        (
            "deployment",
            squatter(
                "apps/v1",
                "Deployment",
                "web-main",
                {"replicas": 0, "selector": {"matchLabels": labels}, "template": template},
            ),
        ),
        ("pod", squatter("v1", "Pod", "job-a1-0", {**idle, "nodeSelector": {"no": "node"}})),
        ("podgroup", squatter(GANG_API, "PodGroup", "job-a1", {"schedulingPolicy": {"basic": {}}})),
    ]
    apply(namespace, *(item for _, item in in_the_way))
    apply(
        namespace,
        workload("InferenceService", "web", accelerator="ascend-910b"),
        workload("TrainingRun", "job", accelerator="nvidia-h20", pods=2, launcher="Plain"),
    )
    until(lambda: reason("trun", "job", namespace) == "NameConflict", "the run to tell the conflict")
    for kind, item in in_the_way[:3]:

        def told(kind: str = item["kind"]) -> bool:
            ready = demo.condition(kube.get(f"--namespace={namespace}", "infsvc", "web"), "Ready")
            return ready.get("reason") == "NameConflict" and kind in ready["message"]

        until(told, f"the service to tell of the {kind} in its way")
        kube.kubectl(f"--namespace={namespace}", "delete", kind, item["metadata"]["name"])
    kube.kubectl(f"--namespace={namespace}", "delete", "podgroup", "job-a1")
    # The group stands before the pods, so the pod in the way is met only now.
    until(
        lambda: (
            "Pod 'job-a1-0'" in demo.condition(kube.get(f"--namespace={namespace}", "trun", "job"), "Ready")["message"]
        ),
        "the run to tell of the pod in its way",
    )
    kube.kubectl(f"--namespace={namespace}", "delete", "pod", "job-a1-0", "--grace-period=0", "--force")
    until(lambda: reason("trun", "job", namespace) == "Running", "the run to heal")
    until(lambda: reason("infsvc", "web", namespace) == "Starting", "the service to heal")


def test_a_life_with_every_kind_of_change(namespace: str) -> None:
    """Suspend and resume, a new port, another variant, a wish for other numbers: every write that the operator knows."""
    both = [
        {"name": "ascend", "accelerator": "ascend-910b", "maxReplicas": 1},
        {"name": "nvidia", "accelerator": "nvidia-h20"},
    ]
    apply(
        namespace,
        workload("TrainingRun", "job", accelerator="nvidia-h20", pods=2, launcher="Plain"),
        workload("InferenceService", "web", replicas=2, variants=both),
    )
    for suspend, state in ((True, "Suspended"), (False, "Running"), (True, "Suspended")):
        until(lambda: reason("trun", "job", namespace) in ("Running", "Suspended"), "the run to run")
        patch = f'{{"spec":{{"suspend":{str(suspend).lower()}}}}}'
        kube.kubectl(f"--namespace={namespace}", "patch", "trun", "job", "--type=merge", f"--patch={patch}")
        until(partial(is_now, namespace, state), f"the run to be {state}")

    def deployments() -> dict[str, int]:
        found = kube.items(f"--namespace={namespace}", "deployments")
        return {item["metadata"]["name"]: item["spec"]["replicas"] for item in found}

    until(lambda: deployments() == {"web-ascend": 1, "web-nvidia": 1}, "a replica on each variant")
    kube.kubectl(f"--namespace={namespace}", "scale", "infsvc", "web", "--replicas=3")
    until(lambda: deployments() == {"web-ascend": 1, "web-nvidia": 2}, "a third replica")
    apply(namespace, workload("InferenceService", "web", replicas=3, port=8081, variants=both[1:]))
    until(lambda: deployments() == {"web-nvidia": 3}, "the variant to be dropped")

    def port() -> object:
        return kube.get(f"--namespace={namespace}", "service", "web")["spec"]["ports"][0]["port"]

    until(lambda: port() == 8081, "the new port")


def test_what_is_left_of_a_run_that_ended_is_taken_away(namespace: str) -> None:
    """Its pods and their Service go; the run stays."""
    ended = {"pods": 2, "command": ["true"], "launcher": "Plain", "cleanup": {"podsAfterSeconds": 0}}
    apply(namespace, workload("TrainingRun", "job", accelerator="nvidia-h20", **ended))
    until(partial(is_now, namespace, "Succeeded"), "the run to end")

    def left() -> list[kube.Object]:
        return [item for kind in ("pods", "services") for item in kube.items(f"--namespace={namespace}", kind)]

    until(lambda: left() == [], "its children to go")
    assert is_now(namespace, "Succeeded")


def test_the_role_is_what_was_used(start: audit.Mark) -> None:
    """Last in this file: it judges all requests of the session."""
    events = audit.since(start, user=ACCOUNT)
    rules = kube.get("clusterrole", f"{demo.RELEASE}-operator")["rules"]
    rules += kube.get("clusterrole", f"{demo.RELEASE}-gangs")["rules"]
    rules += kube.get(f"--namespace={demo.NAMESPACE}", "role", f"{demo.RELEASE}-lease")["rules"]
    granted = {
        (group, name, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for name in rule["resources"]
        for verb in rule["verbs"]
    }
    used = {(event.group, resource_of(event), event.verb) for event in events if event.resource}
    # A right that is missing would stand here too, as the request that was refused. (A 403 alone says nothing: in a
    # namespace that is being deleted every create is answered with it.)
    assert used <= granted, sorted(used - granted)
    # A watch is written down when it ends, minutes later: whoever lists here watches next, or meets the 403 at once.
    used |= {(group, name, "watch") for group, name, verb in used if verb == "list"}
    assert granted - used <= ELSEWHERE, sorted(granted - used)


def resource_of(event: audit.Event) -> str:
    """Resource and subresource as a role names them."""
    return f"{event.resource}/{event.subresource}".rstrip("/")
