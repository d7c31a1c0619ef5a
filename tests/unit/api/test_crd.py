"""The CustomResourceDefinitions as a whole: what other programs rely on."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tandem.api.crd import KINDS, Kind, all_crds, crd, to_yaml

SIZE_LIMIT = 240_000
"""Bytes. Client-side apply doubles an object in an annotation, which may hold 256 kB."""

by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def version_of(kind: Kind) -> dict[str, Any]:
    version: dict[str, Any] = crd(kind)["spec"]["versions"][0]
    return version


def root_of(kind: Kind) -> dict[str, Any]:
    root: dict[str, Any] = version_of(kind)["schema"]["openAPIV3Schema"]
    return root


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node of a schema with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for keyword, mark in (("items", "[]"), ("additionalProperties", ".*")):
        if keyword in schema:
            yield from nodes(schema[keyword], path + mark)


def test_the_names_are_those_that_users_type() -> None:
    names = {crd["metadata"]["name"]: crd["spec"]["names"] for crd in all_crds()}
    assert {name: (names[name]["kind"], names[name]["shortNames"]) for name in names} == {
        "trainingruns.tandem.dev": ("TrainingRun", ["trun"]),
        "inferenceservices.tandem.dev": ("InferenceService", ["infsvc"]),
        "acceleratorprofiles.tandem.dev": ("AcceleratorProfile", ["accel"]),
        "placementpolicies.tandem.dev": ("PlacementPolicy", ["ppol"]),
    }
    assert all(entry["categories"] == ["tandem"] for entry in names.values())


def test_profiles_and_policies_belong_to_the_cluster_and_work_to_namespaces() -> None:
    assert {definition["spec"]["names"]["kind"]: definition["spec"]["scope"] for definition in all_crds()} == {
        "TrainingRun": "Namespaced",
        "InferenceService": "Namespaced",
        "AcceleratorProfile": "Cluster",
        "PlacementPolicy": "Cluster",
    }


def test_status_and_scale_are_subresources_where_there_is_something_to_write() -> None:
    found = {kind.name: version_of(kind)["subresources"] for kind in KINDS}
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    assert found == {
        "TrainingRun": {"status": {}},
        "InferenceService": {"status": {}, "scale": scale},
        "AcceleratorProfile": {"status": {}},
        "PlacementPolicy": {"status": {}},
    }


def test_the_only_default_of_a_spec_is_the_replicas_of_a_service() -> None:
    """Of a status it is the mark of an object that the operator has not looked at."""
    defaults = {
        f"{kind.name}{path}": node["default"]
        for kind in KINDS
        for path, node in nodes(root_of(kind))
        if "default" in node
    }
    unseen = {"observedGeneration": -1}
    assert defaults == {
        "TrainingRun.status": unseen,
        "InferenceService.status": unseen,
        "AcceleratorProfile.status": unseen,
        "PlacementPolicy.status": unseen,
        "InferenceService.spec.replicas": 1,
    }


@by_kind
def test_only_a_spec_is_required(kind: Kind) -> None:
    assert root_of(kind)["required"] == ["spec"]


@by_kind
def test_an_item_of_a_keyed_list_must_carry_its_keys(kind: Kind) -> None:
    keyed = [(path, node) for path, node in nodes(root_of(kind)) if "x-kubernetes-list-map-keys" in node]
    assert keyed
    for path, node in keyed:
        assert set(node["x-kubernetes-list-map-keys"]) <= set(node["items"]["required"]), path


KEYED = {
    ".spec.env": "name",
    ".spec.variants": "name",
    ".spec.variants[].env": "name",
    ".spec.template.spec.containers": "name",
    ".spec.template.spec.containers[].volumeMounts": "mountPath",
    ".spec.template.spec.volumes": "name",
    ".spec.template.spec.containers[].env": "name",
    ".spec.template.spec.initContainers": "name",
    ".spec.template.spec.initContainers[].env": "name",
    ".spec.template.spec.initContainers[].volumeMounts": "mountPath",
    ".spec.template.spec.imagePullSecrets": "name",
    ".status.conditions": "type",
}
BOUNDS = {
    ".spec.env": 128,
    ".spec.args": 128,
    ".spec.command": 128,
    ".spec.variants": 8,
    ".spec.template.spec.containers": 8,
    ".spec.template.spec.containers[].volumeMounts": 32,
    ".spec.template.spec.volumes": 32,
    ".spec.template.spec.initContainers": 8,
    ".spec.template.spec.initContainers[].env": 128,
    ".spec.template.spec.initContainers[].volumeMounts": 32,
    ".status.placement.rejected": 16,
}
work = pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.namespaced], ids=lambda kind: kind.name)


@work
@pytest.mark.parametrize(("path", "key"), KEYED.items())
def test_a_list_of_named_things_is_merged_by_name(kind: Kind, path: str, key: str) -> None:
    assert dict(nodes(root_of(kind)))[path]["x-kubernetes-list-map-keys"] == [key]


@work
@pytest.mark.parametrize(("path", "most"), BOUNDS.items())
def test_lists_have_the_bounds_of_the_design(kind: Kind, path: str, most: int) -> None:
    assert dict(nodes(root_of(kind)))[path]["maxItems"] == most


@by_kind
def test_every_rule_says_the_way_out(kind: Kind) -> None:
    found = [rule for _, node in nodes(root_of(kind)) for rule in node.get("x-kubernetes-validations", ())]
    assert found
    assert all(len(rule["message"]) > 20 and "\n" not in rule["message"] for rule in found)


@work
def test_the_columns_tell_the_story(kind: Kind) -> None:
    shown = [column["name"] for column in version_of(kind)["additionalPrinterColumns"] if "priority" not in column]
    count = ["Pods", "Attempt"] if kind.name == "TrainingRun" else ["Replicas"]
    assert shown == ["Status", "Accelerator", *count, "Age"]


@by_kind
def test_a_column_of_plain_fields_leads_to_a_field(kind: Kind) -> None:
    known = dict(nodes(root_of(kind)))
    for column in version_of(kind)["additionalPrinterColumns"]:
        path = column["jsonPath"].split("[")[0]
        assert path in known or path.startswith(".metadata."), column["name"]


def test_the_dots_of_a_label_in_a_column_are_escaped() -> None:
    profile = next(kind for kind in KINDS if kind.name == "AcceleratorProfile")
    paths = {column["name"]: column["jsonPath"] for column in version_of(profile)["additionalPrinterColumns"]}
    assert paths["Vendor"] == r".metadata.labels.tandem\.dev/vendor"


@by_kind
def test_the_text_is_plain_yaml_of_the_same_content_and_small_enough(kind: Kind) -> None:
    text = to_yaml(crd(kind))
    assert yaml.safe_load(text) == crd(kind)
    assert "&id" not in text
    assert len(text.encode()) < SIZE_LIMIT
