"""A manifest in Git stays what it is: the operator's work, scaling and other owners make no difference to it."""

from typing import Any

import pytest
import yaml

from devcluster import kube
from devcluster.shell import DevclusterError
from tests.support.api import Object
from tests.support.programs import STEERED
from tests.support.scene import TANDEM, Scene
from tests.support.serving import server

pytestmark = pytest.mark.cluster

WAYS = {"client-side": (), "server-side": ("--server-side", "--field-manager=gitops")}
PLURALS = {"TrainingRun": "trainingruns", "InferenceService": "inferenceservices"}
by_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
by_kind = pytest.mark.parametrize("kind", PLURALS)

POD = {
    "spec": {
        "securityContext": {"runAsNonRoot": False},
        "tolerations": [{"key": "team", "operator": "Exists"}],
        "volumes": [{"name": "scratch", "emptyDir": {}}],
        "initContainers": [{"name": "fetch", "image": "tandem-dev/tools:dev", "command": ["true"]}],
        "containers": [{"name": "main", "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}],
    }
}


def manifest(kind: str, profile: str, **spec: Any) -> Object:
    """What a team keeps in Git, with lists of all kinds in it; its pods run until they are told to end."""
    both = {
        "image": "tandem-dev/tools:dev",
        "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "template": POD,
        "variants": [
            {"name": "second", "accelerator": profile, "devicesPerPod": 1, "env": [{"name": "A", "value": "3"}]},
            {"name": "first", "acceleratorSelector": {"matchLabels": {"none": "such"}}, "devicesPerPod": 1},
        ],
    }
    run = {"command": STEERED, "activeDeadlineSeconds": 86400, "cleanup": {"podsAfterSeconds": 60}}
    one = run if kind == "TrainingRun" else {"command": server(), "drain": {"seconds": 0}}
    labels = {"app.kubernetes.io/instance": "team", "argocd.argoproj.io/instance": "team"}
    return {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "work", "labels": labels, "annotations": {"argocd.argoproj.io/tracking-id": "team:x"}},
        "spec": {**both, **one, **spec},
    }


def kubectl(scene: Scene, command: str, item: Object, *args: str) -> str:
    """`kubectl apply` or `diff` of a manifest; a diff that is not empty raises DevclusterError with it."""
    return kube.kubectl("--namespace", scene.name, command, *args, "--filename=-", stdin=yaml.safe_dump(item))


def until_no_diff(scene: Scene, item: Object, *args: str) -> None:
    """Wait until `kubectl diff` is empty: it reads twice, and a status may be written in between. What differs in the spec stays."""

    def is_empty() -> bool:
        try:
            return kubectl(scene, "diff", item, *args) == ""
        except DevclusterError:
            return False

    scene.until(is_empty, "an empty diff", seconds=20)


def stored(scene: Scene, kind: str) -> Object:
    """The object, with managed fields."""
    return scene.api.get(scene.path(PLURALS[kind], "work", TANDEM))


def owned(found: Object, manager: str) -> list[Any]:
    """What a manager owns, but for the time; of `status` nothing counts."""
    entries = found["metadata"]["managedFields"]
    return [entry["fieldsV1"] for entry in entries if entry["manager"] == manager and not entry.get("subresource")]


def settled(scene: Scene, kind: str) -> Object:
    """The object once the operator has done all its work."""
    if kind == "TrainingRun":
        return scene.reason("trun", "work", "Running")
    return scene.reason("infsvc", "work", "Available")


@by_way
@by_kind
def test_nothing_differs_from_git_after_the_operator_has_worked(
    scene: Scene, workers: list[str], kind: str, way: tuple[str, ...]
) -> None:
    scene.devices(workers[:1], 1)
    item = manifest(kind, scene.profile())
    kubectl(scene, "apply", item, *way)
    before = stored(scene, kind)
    manager = "gitops" if way else "kubectl-client-side-apply"
    assert owned(before, manager)

    settled(scene, kind)

    until_no_diff(scene, item, *way)
    kubectl(scene, "apply", item, *way)
    after = stored(scene, kind)
    assert after["metadata"]["generation"] == 1
    assert owned(after, manager) == owned(before, manager)
    assert {entry["manager"] for entry in after["metadata"]["managedFields"]} == {manager, "tandem"}
    assert owned(after, "tandem") == []
    assert (after["spec"], after["metadata"]["labels"]) == (before["spec"], item["metadata"]["labels"])


def test_a_diff_that_is_there_is_shown(scene: Scene) -> None:
    """That the diffs of the other tests are empty means something."""
    item = manifest("TrainingRun", "none")
    kubectl(scene, "apply", item)
    item["spec"]["env"][1]["value"] = "9"
    with pytest.raises(DevclusterError, match=r'(?s)-\s+value: "1"\n.*\+\s+value: "9"'):
        kubectl(scene, "diff", item)


@by_way
def test_nothing_differs_of_a_profile_that_is_in_use(scene: Scene, workers: list[str], way: tuple[str, ...]) -> None:
    """kopf would like to write its notes into the objects that it watches."""
    scene.devices(workers[:1], 1)
    name = scene.profile()
    spec = scene.api.get(f"{TANDEM}/acceleratorprofiles/{name}")["spec"]
    item = {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "AcceleratorProfile",
        "metadata": {"name": name},
        "spec": {**spec, "env": [{"name": "LEVEL", "value": "1"}], "counts": {"perPod": [1, 2]}},
    }
    kubectl(scene, "apply", item, *way, *(("--force-conflicts",) if way else ()))
    scene.run("work", accelerator=name, command=STEERED)
    settled(scene, "TrainingRun")

    until_no_diff(scene, item, *way)
    found = scene.api.get(f"{TANDEM}/acceleratorprofiles/{name}")
    assert (found["spec"], found["metadata"]["generation"]) == (item["spec"], 2)
    assert "finalizers" not in found["metadata"]
    assert set(found["metadata"].get("annotations", ())) <= {"kubectl.kubernetes.io/last-applied-configuration"}


@by_way
def test_replicas_that_git_leaves_out_stay_as_they_were_scaled(scene: Scene, way: tuple[str, ...]) -> None:
    item = manifest("InferenceService", "none")
    kubectl(scene, "apply", item, *way)
    kube.kubectl("--namespace", scene.name, "scale", "infsvc/work", "--replicas=3")

    until_no_diff(scene, item, *way)
    kubectl(scene, "apply", item, *way)
    assert stored(scene, "InferenceService")["spec"]["replicas"] == 3


def test_replicas_are_handed_from_git_to_a_scaler(scene: Scene) -> None:
    """As the docs say: another manager takes the field before it goes from Git, else it falls back to 1."""
    way = WAYS["server-side"]
    item, bare = (manifest("InferenceService", "none", **more) for more in ({"replicas": 4}, {}))
    kubectl(scene, "apply", item, *way)
    handover = {**{key: item[key] for key in ("apiVersion", "kind")}, "metadata": {"name": "work"}}
    handover["spec"] = {"replicas": 4}
    kubectl(scene, "apply", handover, "--server-side", "--field-manager=handover")

    kubectl(scene, "apply", bare, *way)
    assert stored(scene, "InferenceService")["spec"]["replicas"] == 4
    kube.kubectl("--namespace", scene.name, "scale", "infsvc/work", "--replicas=2")
    kubectl(scene, "apply", bare, *way)
    assert stored(scene, "InferenceService")["spec"]["replicas"] == 2


@by_kind
def test_two_teams_own_one_object_while_it_works(scene: Scene, workers: list[str], kind: str) -> None:
    """A platform team's variant and variable, a research team's image: neither's apply undoes the other's."""
    scene.devices(workers[:1], 1)
    research = manifest(kind, scene.profile())
    kubectl(scene, "apply", research, "--server-side", "--field-manager=research")
    identity = {**{key: research[key] for key in ("apiVersion", "kind")}, "metadata": {"name": "work"}}
    third = {"name": "third", "accelerator": "none", "devicesPerPod": 1}
    platform = {**identity, "spec": {"env": [{"name": "C", "value": "4"}], "variants": [third]}}
    kubectl(scene, "apply", platform, "--server-side", "--field-manager=platform")
    settled(scene, kind)

    for manager, item in (("research", research), ("platform", platform)):
        until_no_diff(scene, item, "--server-side", f"--field-manager={manager}")
    spec = stored(scene, kind)["spec"]
    assert [variant["name"] for variant in spec["variants"]] == ["second", "first", "third"]
    assert [variable["name"] for variable in spec["env"]] == ["B", "A", "C"]

    platform["spec"] = {"image": "example.com/other:1"}
    with pytest.raises(DevclusterError, match=r'(?s)conflict with "research".*\.spec\.image'):
        kubectl(scene, "apply", platform, "--server-side", "--field-manager=platform")
    # What the platform team no longer names goes, and only that.
    platform["spec"] = {"env": [{"name": "C", "value": "4"}]}
    kubectl(scene, "apply", platform, "--server-side", "--field-manager=platform")
    assert [variant["name"] for variant in stored(scene, kind)["spec"]["variants"]] == ["second", "first"]
