"""`tandem check` on the real cluster: real definitions, real nodes, real RBAC."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import paths
from tests.support.api import Api
from tests.support.scene import Scene

pytestmark = pytest.mark.cluster

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GOLDEN = Path(__file__).parents[1] / "unit/package/golden.yaml"
"""The chart's objects; its role is the one under test."""


def check(*options: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and findings."""
    command = [sys.executable, "-m", "tandem", "check", f"--kubeconfig={paths.kubeconfig()}", "--output=json", *options]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={"PYTHONPATH": "operator"}
    )
    assert done.stderr == ""
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    return done.returncode, found


def about(found: list[dict[str, Any]], subject: str) -> list[tuple[str, str]]:
    """Level and message of what is said on a subject."""
    return [(item["level"], item["message"]) for item in found if item["subject"] == subject]


def ref(kind: str, name: str) -> dict[str, str]:
    """roleRef of a binding."""
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}


@pytest.fixture
def account(scene: Scene, api: Api) -> Iterator[str]:
    """A ServiceAccount with the chart's role, bound under names of the test's own."""
    rules = {
        (item["kind"], item["metadata"]["name"]): item["rules"]
        for item in yaml.safe_load_all(GOLDEN.read_text())
        if item["kind"] in ("ClusterRole", "Role")
    }
    lease = [
        {**rule, **({"resourceNames": ["operator"]} if "resourceNames" in rule else {})}
        for rule in rules["Role", "tandem-lease"]
    ]
    cluster = {"metadata": {"name": scene.name}}
    own = {"metadata": {"name": "lease"}}
    subjects = [{"kind": "ServiceAccount", "name": "operator", "namespace": scene.name}]
    api.create(scene.path("serviceaccounts"), {"metadata": {"name": "operator"}})
    api.create(f"{RBAC}/clusterroles", {**cluster, "rules": rules["ClusterRole", "tandem-operator"]})
    api.create(
        f"{RBAC}/clusterrolebindings", {**cluster, "roleRef": ref("ClusterRole", scene.name), "subjects": subjects}
    )
    api.create(scene.path("roles", group=RBAC), {**own, "rules": lease})
    api.create(scene.path("rolebindings", group=RBAC), {**own, "roleRef": ref("Role", "lease"), "subjects": subjects})
    yield f"{scene.name}/operator"
    api.delete(f"{RBAC}/clusterrolebindings/{scene.name}")
    api.delete(f"{RBAC}/clusterroles/{scene.name}")


def test_the_cluster_as_the_tests_use_it_is_fine(scene: Scene, account: str, workers: list[str]) -> None:
    """The definitions in the API server are those of this checkout, as it stored them; the chart's role is enough."""
    scene.devices(workers[:2], 4)
    name = scene.profile()
    found: list[dict[str, Any]] = []

    def allowed() -> bool:
        # The authorizer learns of a new role a moment later.
        code, found[:] = check(f"--operator={account}")
        return code == 0

    scene.until(allowed, "the check to find no failure")
    assert {level for level, _ in about(found, "crds")} == {"OK"}
    assert about(found, "rights") == [("OK", f"{account} may do all that the operator does")]
    assert ("OK", f"{name}: 2 nodes with 8 healthy devices ({scene.resource})") in about(found, "profile")
    assert about(found, "kubernetes")[0][0] == "OK"
    assert "is served" in about(found, "gang")[0][1]
    assert about(found, "kueue") == [("INFO", "not installed")]


def test_a_role_that_lacks_a_verb_is_found(scene: Scene, account: str, api: Api) -> None:
    rules = api.get(f"{RBAC}/clusterroles/{scene.name}")["rules"]
    for rule in rules:
        rule["verbs"] = [verb for verb in rule["verbs"] if "pods" not in rule["resources"] or verb != "delete"]
    api.patch(f"{RBAC}/clusterroles/{scene.name}", {"rules": rules})

    def found() -> bool:
        code, said = check(f"--operator={account}")
        return code == 1 and about(said, "rights") == [("FAIL", f"{account} may not delete pods")]

    scene.until(found, "the missing right to be found")


def test_devices_without_a_profile_and_two_profiles_for_the_same(
    scene: Scene, account: str, workers: list[str]
) -> None:
    scene.devices(workers[:1], 4)
    _, found = check(f"--operator={account}")
    assert scene.resource in "".join(message for _, message in about(found, "nodes"))
    scene.profile("-a")
    scene.profile("-b")
    _, found = check(f"--operator={account}")
    told = f"{scene.name}-a and {scene.name}-b both match {workers[0]}: their {scene.resource} count twice"
    assert ("WARN", told) in about(found, "profile")
    assert scene.resource not in "".join(message for _, message in about(found, "nodes"))
