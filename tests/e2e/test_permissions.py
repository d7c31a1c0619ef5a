"""The chart's role holds what the operator calls, and nothing that it never calls: judged by the API server's audit log."""

from functools import partial
from typing import Any

import pytest
import yaml

from devcluster import audit, kube
from examples import demo
from tests.e2e.conftest import ACCOUNT, reason, until

pytestmark = [pytest.mark.cluster, pytest.mark.serial, pytest.mark.usefixtures("operator")]

ELSEWHERE = {
    # Only when a watch has missed a change, which the resync finds: tests/unit/runtime.
    ("tandem.dev", "acceleratorprofiles", "get"),
}
"""Rights whose use cannot be had here by honest means."""
ON_NOTHING = ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"]


def workload(kind: str, name: str, **spec: Any) -> kube.Object:
    body = {"image": "tandem-dev/tools:dev", "command": ON_NOTHING, "devicesPerPod": 1, **spec}
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
    ]
    apply(namespace, *(item for _, item in in_the_way))
    apply(
        namespace,
        workload("InferenceService", "web", accelerator="ascend-910b"),
        workload("TrainingRun", "job", accelerator="nvidia-h20", launcher="Plain"),
    )
    until(lambda: reason("trun", "job", namespace) == "NameConflict", "the run to tell the conflict")
    for kind, item in in_the_way[:3]:

        def told(kind: str = item["kind"]) -> bool:
            ready = demo.condition(kube.get(f"--namespace={namespace}", "infsvc", "web"), "Ready")
            return ready.get("reason") == "NameConflict" and kind in ready["message"]

        until(told, f"the service to tell of the {kind} in its way")
        kube.kubectl(f"--namespace={namespace}", "delete", kind, item["metadata"]["name"])
    kube.kubectl(f"--namespace={namespace}", "delete", "pod", "job-a1-0", "--grace-period=0", "--force")
    until(lambda: reason("trun", "job", namespace) == "Running", "the run to heal", 90)
    until(lambda: reason("infsvc", "web", namespace) == "Starting", "the service to heal", 90)


def test_a_life_with_every_kind_of_change(namespace: str) -> None:
    """Suspend and resume, a new port, another variant, a wish for other numbers: every write that the operator knows."""
    server = ["httpd", "-f", "-p", "8080", "-h", "/etc"]
    probed = {
        "command": server,
        "port": 8080,
        "startup": {"path": "/passwd", "timeoutSeconds": 30},
        "drain": {"seconds": 0},
    }
    variant = {"devicesPerPod": 1}
    both = [
        {"name": "a", "accelerator": "ascend-910b", "maxReplicas": 1, **variant},
        {"name": "n", "accelerator": "nvidia-h20", **variant},
    ]
    apply(
        namespace,
        workload("TrainingRun", "job", accelerator="nvidia-h20", pods=2, launcher="Plain"),
        workload("InferenceService", "web", replicas=2, variants=both, **probed),
    )
    for suspend, state in ((True, "Suspended"), (False, "Running"), (True, "Suspended")):
        until(lambda: reason("trun", "job", namespace) in ("Running", "Suspended"), "the run to run", 90)
        patch = f'{{"spec":{{"suspend":{str(suspend).lower()}}}}}'
        kube.kubectl(f"--namespace={namespace}", "patch", "trun", "job", "--type=merge", f"--patch={patch}")
        until(partial(is_now, namespace, state), f"the run to be {state}", 90)

    def deployments() -> dict[str, int]:
        found = kube.items(f"--namespace={namespace}", "deployments")
        return {item["metadata"]["name"]: item["spec"]["replicas"] for item in found}

    until(lambda: deployments() == {"web-a": 1, "web-n": 1}, "a replica on each variant")
    kube.kubectl(f"--namespace={namespace}", "scale", "infsvc", "web", "--replicas=3")
    until(lambda: deployments() == {"web-a": 1, "web-n": 2}, "a third replica")
    apply(
        namespace,
        workload("InferenceService", "web", replicas=3, variants=both[1:], **{**probed, "port": 8081}),
    )
    until(lambda: deployments() == {"web-n": 3}, "the variant to be dropped")
    front = until(lambda: kube.get(f"--namespace={namespace}", "service", "web"), "the Service")
    assert front["spec"]["ports"][0]["port"] == 8081


def test_the_role_is_what_was_used(start: audit.Mark) -> None:
    """Last in this file: it judges all requests of the session."""
    events = audit.since(start, user=ACCOUNT)
    assert not [event.uri for event in events if event.code in (401, 403)]
    used = {(event.group, resource_of(event), event.verb) for event in events if event.resource}
    # A watch is written down when it ends, minutes later: whoever lists here watches next, or meets the 403 at once.
    used |= {(group, name, "watch") for group, name, verb in used if verb == "list"}
    rules = kube.get("clusterrole", f"{demo.RELEASE}-operator")["rules"]
    granted = {
        (group, name, verb)
        for rule in rules
        for group in rule["apiGroups"]
        for name in rule["resources"]
        for verb in rule["verbs"]
    }
    assert {use for use in used if use[2] != "watch"} <= granted
    assert granted - used <= ELSEWHERE, sorted(granted - used)


def resource_of(event: audit.Event) -> str:
    """Resource and subresource as a role names them."""
    return f"{event.resource}/{event.subresource}".rstrip("/")
