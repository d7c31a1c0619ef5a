"""Every CEL rule both ways: what it refuses, with its exact message, and the nearest that it takes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tandem.api.crd import all_crds
from tests.api.server import WORK, Server, smallest
from tests.support.hostile import HOSTILE, OWN_VARIABLES

pytestmark = pytest.mark.cluster

Change = dict[str, Any]
RUN, SERVICE, PROFILE = ("TrainingRun",), ("InferenceService",), ("AcceleratorProfile",)
POLICY = ("PlacementPolicy",)
EVERY = (*WORK, *PROFILE)


@dataclass(frozen=True)
class Rule:
    """`refused` and `taken` are changes to the spec of the smallest object; `field` is what the refusal points at."""

    kinds: tuple[str, ...]
    refused: Change
    field: str
    message: str
    taken: Change


def variants(**fields: Any) -> Change:
    """A list of one variant in place of the inline one; None takes a field out."""
    variant = {"name": "a", "accelerator": "x", "image": "i", "devicesPerPod": 1, **fields}
    kept = {name: value for name, value in variant.items() if value is not None}
    return {"accelerator": None, "image": None, "devicesPerPod": None, "variants": [kept]}


def env(**variable: Any) -> Change:
    """An environment of one variable."""
    return {"env": [variable]}


def selector(**expression: Any) -> Change:
    """A selector of namespaces by one expression."""
    return {"matchExpressions": [{"key": "k", **expression}]}


def namespaces(**expression: Any) -> Change:
    """A policy's selector of namespaces."""
    return {"namespaceSelector": selector(**expression)}


NAMESPACES = "namespaceSelector.matchExpressions[0]"
X = {"accelerator": "x"}
LABELS = {"matchLabels": {"tandem.dev/stack": "cuda"}}
KEY = {"name": "map", "key": "k"}

ONE_CHOICE = "set exactly one of accelerator, acceleratorSelector and variants"
VARIANT_CHOICE = "a variant sets exactly one of accelerator and acceleratorSelector"
NO_IMAGE = "no image: set spec.image, or image in every variant"
NO_DEVICES = "no devicesPerPod: set spec.devicesPerPod, or devicesPerPod in every variant; devices cost money, so there is no default"
ONE_VALUE = "set value or valueFrom of a variable, not both"
ONE_SOURCE = "valueFrom needs exactly one of configMapKeyRef, secretKeyRef and fieldRef"
ONE_MODEL = "set exactly one of claim and uri: where the model comes from"
ONE_PROFILE_CHOICE = "set exactly one of accelerator and acceleratorSelector"
MODE = "set mode and accelerators together: mode says whether the accelerators are a wish (Prefer) or all that is allowed (Require)"
VALUES = "In and NotIn need values; Exists and DoesNotExist take none"
LATER = "is reserved for a later version: leave it out"

RULES = {
    "no accelerator": Rule(WORK, {"accelerator": None}, "", ONE_CHOICE, {"accelerator": "x"}),
    "accelerator and selector": Rule(
        WORK, {"acceleratorSelector": LABELS}, "", ONE_CHOICE, {"accelerator": None, "acceleratorSelector": LABELS}
    ),
    "accelerator and variants": Rule(WORK, variants() | {"accelerator": "x"}, "", ONE_CHOICE, variants()),
    "variant without accelerator": Rule(
        WORK,
        variants(accelerator=None),
        "variants[0]",
        VARIANT_CHOICE,
        variants(accelerator=None, acceleratorSelector=LABELS),
    ),
    "variant with both": Rule(WORK, variants(acceleratorSelector=LABELS), "variants[0]", VARIANT_CHOICE, variants()),
    "no image": Rule(WORK, {"image": None}, "", NO_IMAGE, {"image": "x"}),
    "image missing in a variant": Rule(WORK, variants(image=None), "", NO_IMAGE, variants(image=None) | {"image": "x"}),
    "no devicesPerPod": Rule(WORK, {"devicesPerPod": None}, "", NO_DEVICES, {"devicesPerPod": 2}),
    "devicesPerPod missing in a variant": Rule(
        WORK, variants(devicesPerPod=None), "", NO_DEVICES, variants(devicesPerPod=None) | {"devicesPerPod": 1}
    ),
    "variant named canary": Rule(
        WORK,
        variants(name="canary"),
        "variants[0].name",
        "the name 'canary' is reserved: choose another",
        variants(name="main"),
    ),
    "PET_ variable": Rule(
        EVERY, env(name="PET_NNODES", value="2"), "env[0].name", OWN_VARIABLES, env(name="PETS", value="2")
    ),
    "MASTER_ variable": Rule(
        EVERY, env(name="MASTER_PORT", value="1"), "env[0].name", OWN_VARIABLES, env(name="MASTER", value="1")
    ),
    "TANDEM_ variable in a variant": Rule(
        WORK,
        variants(env=[{"name": "TANDEM_PODS"}]),
        "variants[0].env[0].name",
        OWN_VARIABLES,
        variants(env=[{"name": "MY_TANDEM_PODS"}]),
    ),
    "variable with two values": Rule(
        EVERY,
        env(name="A", value="1", valueFrom={"configMapKeyRef": KEY}),
        "env[0]",
        ONE_VALUE,
        env(name="A", valueFrom={"configMapKeyRef": KEY}),
    ),
    "variable with two sources": Rule(
        EVERY,
        env(name="A", valueFrom={"configMapKeyRef": KEY, "secretKeyRef": KEY}),
        "env[0].valueFrom",
        ONE_SOURCE,
        env(name="A", valueFrom={"secretKeyRef": KEY}),
    ),
    "variable with no source": Rule(
        EVERY,
        env(name="A", valueFrom={}),
        "env[0].valueFrom",
        ONE_SOURCE,
        env(name="A", valueFrom={"fieldRef": {"fieldPath": "metadata.name"}}),
    ),
    "managedBy": Rule(WORK, {"managedBy": "other"}, "managedBy", f"managedBy {LATER}", {"managedBy": ""}),
    "traffic": Rule(SERVICE, {"traffic": {"route": "x"}}, "traffic", f"traffic {LATER}", {}),
    "podsPerReplica": Rule(
        SERVICE,
        {"podsPerReplica": 2},
        "podsPerReplica",
        "replicas of several pods are reserved for a later version: set podsPerReplica to 1",
        {"podsPerReplica": 1},
    ),
    "minReplicas above maxReplicas": Rule(
        SERVICE,
        variants(minReplicas=2, maxReplicas=1),
        "variants[0]",
        "minReplicas is larger than maxReplicas",
        variants(minReplicas=2, maxReplicas=2),
    ),
    "maxReplicas of 0 everywhere": Rule(
        SERVICE,
        variants(maxReplicas=0),
        "",
        "maxReplicas is 0 in every variant, so no replica could run: to pause the service set replicas to 0",
        variants(minReplicas=5) | {"replicas": 1},
    ),
    "checkpoint outside the claim": Rule(
        RUN,
        {"checkpoint": {"claim": {"name": "c", "path": "a/../.."}}},
        "checkpoint.claim.path",
        "the path must stay inside the claim: take out '..'",
        {"checkpoint": {"claim": {"name": "c", "path": "a/..b/c"}}},
    ),
    "model from nowhere": Rule(SERVICE, {"model": {}}, "model", ONE_MODEL, {"model": {"uri": "org/name"}}),
    "model from two places": Rule(
        SERVICE,
        {"model": {"claim": {"name": "c"}, "uri": "s3://b/m"}},
        "model",
        ONE_MODEL,
        {"model": {"uri": "s3://b/m"}},
    ),
    "model of a variant from two places": Rule(
        SERVICE,
        variants(model={"claim": {"name": "c"}, "uri": "s3://b/m"}),
        "variants[0].model",
        ONE_MODEL,
        variants(model={"claim": {"name": "c"}}),
    ),
    "credentials in a model's URI": Rule(
        SERVICE,
        {"model": {"uri": "s3://key:secret@bucket/model"}},
        "model.uri",
        "credentials do not belong in a URI, which many can read: give them to the engine by env from a Secret",
        {"model": {"uri": "s3://bucket/model@v1"}},
    ),
    "model outside the claim": Rule(
        SERVICE,
        {"model": {"claim": {"name": "c", "path": ".."}}},
        "model.claim.path",
        "the path must stay inside the claim: take out '..'",
        {"model": {"claim": {"name": "c"}}},
    ),
    "allocation by ResourceClaim": Rule(
        PROFILE,
        {"allocation": {"type": "ResourceClaim", "extendedResource": {"name": "example.com/gpu"}}},
        "allocation.type",
        "allocation.type ResourceClaim is reserved for a later version: use ExtendedResource",
        {},
    ),
    "profile for nobody": Rule(
        PROFILE,
        {"allowedNamespaces": {}},
        "allowedNamespaces",
        "nobody is allowed: set names or selector, or leave allowedNamespaces out to allow all",
        {"allowedNamespaces": {"names": ["team"]}},
    ),
    "profile for namespaces of no value": Rule(
        PROFILE,
        {"allowedNamespaces": {"selector": selector(operator="In")}},
        "allowedNamespaces.selector.matchExpressions[0]",
        VALUES,
        {"allowedNamespaces": {"selector": selector(operator="In", values=["v"])}},
    ),
    "policy that says nothing": Rule(
        POLICY,
        {"forbid": None},
        "",
        "the policy says nothing: set accelerators with mode, forbid, caps or shares",
        {"forbid": None, "caps": [{"accelerator": "x", "devices": 0}]},
    ),
    "mode without accelerators": Rule(POLICY, {"mode": "Require"}, "", MODE, {"mode": "Require", "accelerators": [X]}),
    "accelerators without mode": Rule(POLICY, {"accelerators": [X]}, "", MODE, {"mode": "Prefer", "accelerators": [X]}),
    "choice of nothing": Rule(
        POLICY, {"forbid": [{}]}, "forbid[0]", ONE_PROFILE_CHOICE, {"forbid": [{"acceleratorSelector": LABELS}]}
    ),
    "cap by name and labels": Rule(
        POLICY,
        {"caps": [{**X, "acceleratorSelector": LABELS, "devices": 1}]},
        "caps[0]",
        ONE_PROFILE_CHOICE,
        {"caps": [{"acceleratorSelector": LABELS, "devices": 1}]},
    ),
    "shares above the whole": Rule(
        POLICY,
        {"shares": [{**X, "percent": 60}, {**X, "percent": 41}]},
        "shares",
        "the shares add up to more than 100 percent: lower one of them",
        {"shares": [{**X, "percent": 60}, {**X, "percent": 40}]},
    ),
    "In without values": Rule(
        POLICY, namespaces(operator="In"), NAMESPACES, VALUES, namespaces(operator="In", values=["a"])
    ),
    "Exists with values": Rule(
        POLICY, namespaces(operator="Exists", values=["a"]), NAMESPACES, VALUES, namespaces(operator="DoesNotExist")
    ),
    **{name: Rule(WORK, item.refused, item.field, item.message, item.taken) for name, item in HOSTILE.items()},
}
WORK_NAME = (
    "metadata.name must have at most 40 characters, start with a letter and hold only a-z, 0-9 and '-':"
    " pods and Services are named after it"
)
POLICY_NAME = "metadata.name must have at most 63 characters: it stands in the status of what the policy decides about"
PROFILE_NAME = "metadata.name must have at most 63 characters: it is the value of a label on every pod"
NAMES = [
    *[(kind, "a" * 40, "a" * 41, WORK_NAME) for kind in WORK],
    *[(kind, "a1", "1a", WORK_NAME) for kind in WORK],
    *[(kind, "a-b", "a.b", WORK_NAME) for kind in WORK],
    ("AcceleratorProfile", "a" * 63, "a" * 64, PROFILE_NAME),
    ("AcceleratorProfile", "910b.v2", "a." * 32 + "a", PROFILE_NAME),
    ("PlacementPolicy", "a" * 63, "a" * 64, POLICY_NAME),
]

each_rule = pytest.mark.parametrize(
    ("rule", "kind"),
    [pytest.param(rule, kind, id=f"{name}-{kind}") for name, rule in RULES.items() for kind in rule.kinds],
)
each_name = pytest.mark.parametrize(("kind", "taken", "refused", "message"), NAMES)


@each_rule
def test_what_a_rule_refuses_is_refused_with_the_way_out(server: Server, rule: Rule, kind: str) -> None:
    refusals = server.refusals(smallest(kind, **rule.refused))
    assert [refusal.field for refusal in refusals] == [f"spec.{rule.field}".rstrip(".")]
    assert refusals[0].message.startswith("Invalid value: ")
    assert refusals[0].message.endswith(f": {rule.message}")


@each_rule
def test_what_comes_nearest_to_a_refusal_is_taken(server: Server, rule: Rule, kind: str) -> None:
    assert server.refusals(smallest(kind, **rule.taken)) == []


@each_name
def test_a_name_that_children_cannot_bear_is_refused(
    server: Server, kind: str, taken: str, refused: str, message: str
) -> None:
    assert [refusal.message for refusal in server.refusals(smallest(kind, refused))] == [f"Invalid value: {message}"]


@each_name
def test_a_name_within_the_limits_is_taken(server: Server, kind: str, taken: str, refused: str, message: str) -> None:
    assert server.refusals(smallest(kind, taken)) == []


def test_no_rule_of_the_crds_is_left_out_here() -> None:
    tested = {(kind, rule.message) for rule in RULES.values() for kind in rule.kinds}
    tested |= {(kind, message) for kind, _, _, message in NAMES}
    assert {(kind, message) for kind, message in written_rules()} == tested


def written_rules() -> Iterator[tuple[str, str]]:
    """(kind, message) of every rule at the root and in the spec of every CRD."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, list):
            for item in node:
                yield from walk(item)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key == "x-kubernetes-validations":
                    yield from (rule["message"] for rule in value)
                else:
                    yield from walk(value)

    for definition in all_crds():
        root = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        root["properties"].pop("status", None)
        for message in walk(root):
            yield definition["spec"]["names"]["kind"], message
