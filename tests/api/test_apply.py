"""Server-side apply: defaults, idempotence, two owners of one object, and /scale."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from devcluster import kube
from tests.api.server import KINDS, WORK, Refusal, Server, smallest
from tests.support.api import ApiFailureError, Object

pytestmark = pytest.mark.cluster

Create = Callable[[Object], Object]
DEADLINE_SECONDS = 20.0


def until(holds: Callable[[], bool], what: str) -> None:
    """Waits for `holds`; an operator on the same cluster may write between two requests of a test."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS:.0f} s: {what}"


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_writes_no_default_but_replicas(server: Server, name: str, kind: str) -> None:
    written = smallest(kind, name)["spec"]
    defaults = {"replicas": 1} if kind == "InferenceService" else {}
    assert server.dry_run(smallest(kind, name))["spec"] == written | defaults


EMPTY_INSIDE: dict[str, dict[str, Any]] = {
    "TrainingRun": {
        "variants": [{"name": "a", "accelerator": "x"}],
        "accelerator": None,
        "checkpoint": {"claim": {"name": "c"}},
        "resources": {},
        "template": {
            "spec": {
                "volumes": [{"name": "v", "configMap": {"name": "c"}}],
                "containers": [{"name": "main", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
                "securityContext": {},
                "tolerations": [{}],
            }
        },
    },
    "InferenceService": {
        "variants": [{"name": "a", "accelerator": "x"}],
        "accelerator": None,
        "replicas": 0,
        "startup": {},
        "drain": {},
        "model": {"claim": {"name": "c"}},
    },
    "AcceleratorProfile": {"counts": {}, "perDevice": {}, "env": [{"name": "A"}], "tolerations": [{}]},
    "PlacementPolicy": {"namespaceSelector": {}, "shares": [{"accelerator": "no-such-profile", "percent": 1}]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_written_inside_of_lists_and_empty_objects(server: Server, name: str, kind: str) -> None:
    item = smallest(kind, name, **EMPTY_INSIDE[kind])
    assert server.dry_run(item)["spec"] == item["spec"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_manifest_again_leaves_the_resource_version(
    server: Server, create: Create, name: str, kind: str
) -> None:
    item = smallest(kind, name, **EMPTY_INSIDE[kind])
    create(item)

    def version() -> str:
        applied: str = server.apply(item, "owner")["metadata"]["resourceVersion"]
        return applied

    until(lambda: version() == version(), "two applies in a row leave the same resourceVersion")


def variant(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "accelerator": "no-such-profile", **fields}


def pod(**fields: Any) -> dict[str, Any]:
    return {"template": {"spec": fields}}


def main(**fields: Any) -> dict[str, Any]:
    return pod(containers=[{"name": "main", **fields}])


MERGED = {
    "env": ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "B", "value": "2"}]}, ["env"], ["A", "B"]),
    "variants": (
        {"accelerator": None, "variants": [variant("a")]},
        {"variants": [variant("b")]},
        ["variants"],
        ["a", "b"],
    ),
    "env of a variant": (
        {"accelerator": None, "variants": [variant("a", env=[{"name": "A"}])]},
        {"variants": [variant("a", env=[{"name": "B"}])]},
        ["variants", 0, "env"],
        ["A", "B"],
    ),
    "volumes": (
        pod(volumes=[{"name": "a", "emptyDir": {}}]),
        pod(volumes=[{"name": "b", "emptyDir": {}}]),
        ["template", "spec", "volumes"],
        ["a", "b"],
    ),
    "helpers": (
        pod(initContainers=[{"name": "a", "image": "example.com/image:1"}]),
        pod(initContainers=[{"name": "b", "image": "example.com/image:1"}]),
        ["template", "spec", "initContainers"],
        ["a", "b"],
    ),
    "volumeMounts": (
        main(volumeMounts=[{"name": "v", "mountPath": "/a"}]),
        main(volumeMounts=[{"name": "v", "mountPath": "/b"}]),
        ["template", "spec", "containers", 0, "volumeMounts"],
        ["/a", "/b"],
    ),
}


def other_owners(kind: str, name: str, spec: dict[str, Any]) -> Object:
    """What a second manager applies: only the fields that it wants to own."""
    return {**smallest(kind, name), "spec": spec}


@pytest.mark.parametrize("kind", WORK)
@pytest.mark.parametrize(("mine", "theirs", "path", "merged"), MERGED.values(), ids=MERGED)
def test_two_owners_of_a_list_of_named_things_both_keep_theirs(
    server: Server,
    create: Create,
    name: str,
    kind: str,
    mine: dict[str, Any],
    theirs: dict[str, Any],
    path: list[str | int],
    merged: list[str],
) -> None:
    create(smallest(kind, name, **mine))
    found = server.apply(other_owners(kind, name, theirs), "other", dryRun="All")["spec"]
    for step in path:
        found = found[step]
    key = "mountPath" if path[-1] == "volumeMounts" else "name"
    assert [item[key] for item in found] == merged


@pytest.mark.parametrize(
    ("mine", "theirs", "field"),
    [
        ({"args": ["a"]}, {"args": ["a", "b"]}, ".spec.args"),
        ({"command": ["a"]}, {"command": ["b"]}, ".spec.command"),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}, '.spec.env[name="A"].value'),
    ],
    ids=["args", "command", "one variable"],
)
@pytest.mark.parametrize("kind", WORK)
def test_two_owners_of_one_value_conflict(
    server: Server,
    create: Create,
    name: str,
    kind: str,
    mine: dict[str, Any],
    theirs: dict[str, Any],
    field: str,
) -> None:
    create(smallest(kind, name, **mine))
    with pytest.raises(ApiFailureError) as caught:
        server.apply(other_owners(kind, name, theirs), "other", dryRun="All")
    assert caught.value.status == 409
    assert [cause["field"] for cause in caught.value.body["details"]["causes"]] == [field]


def test_scale_shows_and_sets_the_replicas_of_the_spec(server: Server, create: Create, name: str) -> None:
    create(smallest("InferenceService", name))
    scale = server.path("InferenceService", name, "scale")
    assert server.api.get(scale)["spec"] == {"replicas": 1}
    kube.kubectl("--namespace", server.namespace, "scale", "infsvc", name, "--replicas=3")
    assert server.api.get(server.path("InferenceService", name))["spec"]["replicas"] == 3
    server.api.patch(scale, {"spec": {"replicas": 0}})
    assert server.api.get(scale)["spec"].get("replicas", 0) == 0


def test_scale_shows_the_replicas_and_the_selector_of_the_status(server: Server, create: Create, name: str) -> None:
    create(smallest("InferenceService", name))
    selector = f"tandem.dev/service={name},tandem.dev/role=leader"
    status = other_owners("InferenceService", name, {}) | {"status": {"replicas": 2, "selector": selector}}
    del status["spec"]

    def is_shown() -> bool:
        server.apply(status, "owner", "status", force="true")
        shown = server.api.get(server.path("InferenceService", name, "scale"))["status"]
        return bool(shown == {"replicas": 2, "selector": selector})

    until(is_shown, "/scale shows status.replicas and status.selector")


def test_scale_has_the_bounds_of_replicas(server: Server, create: Create, name: str) -> None:
    create(smallest("InferenceService", name))
    with pytest.raises(ApiFailureError) as caught:
        server.api.patch(server.path("InferenceService", name, "scale", dryRun="All"), {"spec": {"replicas": 1001}})
    causes = [Refusal(cause["field"], cause["message"]) for cause in caught.value.body["details"]["causes"]]
    words = "Invalid value: 1001: spec.replicas in body should be less than or equal to 1000"
    assert Refusal("spec.replicas", words) in causes
