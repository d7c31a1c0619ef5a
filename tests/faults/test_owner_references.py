"""Clusters that let only those block an owner's deletion who may set its finalizers, as OpenShift does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import paths
from devcluster.shell import DevclusterError, run
from tandem.api.inference_service import InferenceService
from tandem.api.training_run import TrainingRun
from tandem.domain.render.meta import metadata
from tests.api.server import smallest
from tests.support.controlplane import ControlPlane

pytestmark = pytest.mark.controlplane

GOLDEN = Path(__file__).parents[1] / "unit/package/golden.yaml"
USER = "operator"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PLURALS = {"TrainingRun": "trainingruns", "InferenceService": "inferenceservices"}
POD = {"containers": [{"name": "main", "image": "example.com/image:1"}]}


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    """A control plane with the admission plugin on, and a user who holds the chart's ClusterRole."""
    plugin = "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"
    with ControlPlane(
        controllers=(), options={"kube-apiserver": [plugin, "--disable-admission-plugins=ServiceAccount"]}
    ) as made:
        api = made.api()
        roles = [item for item in yaml.safe_load_all(GOLDEN.read_text()) if item["kind"] == "ClusterRole"]
        (role,) = [item for item in roles if item["metadata"]["name"] == "tandem-operator"]
        without = [rule for rule in role["rules"] if not any("finalizers" in name for name in rule["resources"])]
        assert len(without) == len(role["rules"]) - 1
        for name, rules in (("whole", role["rules"]), ("without", without)):
            api.create(f"{RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
            subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"{USER}-{name}"}
            binding = {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}
            api.create(f"{RBAC}/clusterrolebindings", binding)
        api.create("/api/v1/namespaces", {"metadata": {"name": "scene"}})
        yield made


def pod_of(plane: ControlPlane, kind: str, name: str) -> dict[str, Any]:
    """A pod as the operator makes it for an object of this kind, which is created here."""
    made = plane.api().create(f"/apis/tandem.dev/v1alpha1/namespaces/scene/{PLURALS[kind]}", smallest(kind, name))
    model = TrainingRun if kind == "TrainingRun" else InferenceService
    owner = model.model_validate({**made["metadata"], "spec": made["spec"]})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata(owner, f"{name}-pod", {}), "spec": POD}


def create(plane: ControlPlane, user: str, body: dict[str, Any]) -> str:
    """What kubectl says to a create by this user."""
    kubectl = (paths.bin_dir() / "kubectl", "--kubeconfig", plane.kubeconfig, f"--as={USER}-{user}")
    return run(*kubectl, "create", "--filename=-", stdin=json.dumps(body))


@pytest.mark.parametrize("kind", sorted(PLURALS))
def test_the_charts_role_may_make_children_that_block_their_owners_deletion(plane: ControlPlane, kind: str) -> None:
    assert "created" in create(plane, "whole", pod_of(plane, kind, f"{kind.lower()}-a"))
    with pytest.raises(DevclusterError, match="cannot set blockOwnerDeletion"):
        create(plane, "without", pod_of(plane, kind, f"{kind.lower()}-b"))
