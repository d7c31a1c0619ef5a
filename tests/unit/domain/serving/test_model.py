"""Where a model comes from: what is mounted, what is handed over, what nothing can load."""

from typing import Any

import pytest

from tandem.api.conditions import ConditionType
from tandem.api.inference_service import InferenceServiceStatus, ServedModel
from tandem.domain.plan import Plan
from tandem.domain.serving import children
from tests.unit.domain.builders import (
    GPUS,
    condition,
    decide_service,
    node,
    service,
    service_view,
    snapshot,
    status_of,
)

STATE = snapshot([node("gpu-0"), node("gpu-1")], ())


def planned(claims: set[str] | None = None, **spec: Any) -> Plan:
    return decide_service(service_view(service(**spec), claims=claims or set()), STATE)


def two(first: Any, second: Any) -> dict[str, Any]:
    """Two variants with models of their own."""
    models = {"a": first, "b": second}
    listed = [
        {"name": name, "accelerator": "nvidia-h20"} | ({"model": it} if it else {}) for name, it in models.items()
    ]
    return {"accelerator": None, "variants": listed}


def resolved(plan: Plan) -> tuple[str, str, str]:
    found = condition(plan, ConditionType.MODEL_RESOLVED)
    assert found is not None
    return found.status, found.reason, found.message


def served(plan: Plan) -> ServedModel | None:
    return InferenceServiceStatus.model_validate(plan.status).model


def main_of(**spec: Any) -> dict[str, Any]:
    obj = service(**spec)
    body = children.deployment(obj, service_view(obj).variants[0], GPUS, 1).body
    found: dict[str, Any] = body["spec"]["template"]["spec"]["containers"][0]
    return found


@pytest.mark.parametrize(
    "uri",
    [
        "gpt2",
        "Qwen/Qwen2.5-7B-Instruct",
        "unsloth/Qwen3-0.6B-GGUF:Q4_K_M",
        "s3://bucket/models/r2",
        "gs://bucket/m",
        "az://container/m",
        "s3://b",
    ],
)
def test_what_engines_fetch_by_themselves_is_handed_over_untouched(uri: str) -> None:
    plan = planned(model={"uri": uri})
    assert plan.create
    assert resolved(plan) == ("True", "ModelResolved", "")
    assert served(plan) == ServedModel(source=uri, uri=uri)
    main = main_of(model={"uri": uri})
    assert {"name": "TANDEM_MODEL_PATH", "value": uri} in main["env"]
    assert "volumeMounts" not in main


@pytest.mark.parametrize(
    ("uri", "mend"),
    [
        ("hf://org/name", "write the repository's bare name, org/name"),
        ("oci://registry/m:1", "mount the image as a volume by template and name its path in args"),
        ("pvc://claim/m", "use model.claim"),
        ("https://host/m", "use a repository's name (org/name), s3://, gs://, az:// or model.claim"),
        ("S3://bucket/m", "use a repository's name (org/name), s3://, gs://, az:// or model.claim"),
        ("s3://", "use a repository's name (org/name), s3://, gs://, az:// or model.claim"),
        ("org/name/more", "use a repository's name (org/name), s3://, gs://, az:// or model.claim"),
    ],
)
def test_what_nothing_loads_is_refused_with_what_to_write_instead(uri: str, mend: str) -> None:
    plan = planned(model={"uri": uri})
    told = f"no engine loads {uri!r} by itself: {mend}"
    assert resolved(plan) == ("False", "NoLoader", told)
    assert (status_of(plan, ConditionType.READY), status_of(plan, ConditionType.STALLED)) == ("False", "True")
    assert (plan.create, plan.ask) == ((), None)


def test_a_long_uri_leaves_room_for_the_mend() -> None:
    assert resolved(planned(model={"uri": "ftp://" + "u" * 1000}))[2].endswith("or model.claim")


def test_every_variant_s_claim_has_to_be_there() -> None:
    spec = two({"claim": {"name": "first"}}, {"claim": {"name": "second"}})
    message = "PersistentVolumeClaim 'second' does not exist in team: create it"
    assert resolved(planned({"first"}, **spec)) == ("False", "ClaimMissing", message)
    assert resolved(planned({"first", "second"}, **spec))[0] == "True"


def test_a_variant_mounts_its_own_claim() -> None:
    spec = two({"claim": {"name": "own", "path": "w8a8"}}, None) | {"model": {"claim": {"name": "common"}}}
    main = main_of(**spec)
    assert {"name": "TANDEM_MODEL_PATH", "value": "/models/w8a8"} in main["env"]
    obj = service(**spec)
    first, second = service_view(obj).variants
    volumes = [
        children.deployment(obj, variant, GPUS, 1).body["spec"]["template"]["spec"]["volumes"][0]
        for variant in (first, second)
    ]
    assert [volume["persistentVolumeClaim"]["claimName"] for volume in volumes] == ["own", "common"]


@pytest.mark.parametrize(
    ("spec", "model"),
    [
        ({}, None),
        ({"model": {"claim": {"name": "c"}}}, ServedModel(source="c", claim="c")),
        ({"model": {"claim": {"name": "c", "path": "a/b"}}}, ServedModel(source="c/a/b", claim="c", path="a/b")),
        (two({"uri": "org/a"}, {"uri": "org/b"}), ServedModel(source="org/a, org/b")),
        (two({"uri": "org/a"}, {"uri": "org/a"}), ServedModel(source="org/a", uri="org/a")),
        (two({"uri": "org/" + "a" * 800}, {"uri": "org/" + "b" * 800}), None),
    ],
)
def test_status_names_what_is_served(spec: dict[str, Any], model: ServedModel | None) -> None:
    found = served(planned({"c"}, **spec))
    if model is None and spec:
        assert found is not None
        assert len(found.source or "") == 1024
    else:
        assert found == model


@pytest.mark.parametrize("source", [{}, {"claim": {"name": "c"}, "uri": "org/a"}])
def test_a_source_that_was_stored_past_the_schema_is_not_guessed_at(source: dict[str, Any]) -> None:
    plan = planned({"c"}, model=source)
    assert resolved(plan) == ("False", "InvalidSpec", "model: set exactly one of claim and uri")
    assert plan.create == ()


def test_a_claim_of_the_template_has_to_be_there_too() -> None:
    template = {"spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]}}
    assert planned({"data"}, template=template).create
    missing = planned(template=template)
    assert (missing.reason.value, missing.create) == ("ClaimMissing", ())
    assert status_of(missing, ConditionType.MODEL_RESOLVED) == "True"
