"""What the API models keep, drop and refuse of the objects that the API server hands out."""

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from tandem.api.accelerator_profile import AcceleratorProfileSpec
from tandem.api.base import dump
from tandem.api.inference_service import DEFAULT_REPLICAS, InferenceServiceSpec, InferenceServiceStatus
from tandem.api.schema import structural_schema
from tandem.api.training_run import CheckpointStatus, TrainingRunSpec, TrainingRunStatus
from tandem.api.workload import ClaimRef
from tests.unit.api.strategies import objects

MODELS = [
    TrainingRunSpec,
    TrainingRunStatus,
    InferenceServiceSpec,
    InferenceServiceStatus,
    AcceleratorProfileSpec,
]
HELLO = {"accelerator": "nvidia", "devicesPerPod": 8, "image": "train:1", "env": [{"name": "A", "value": "1"}]}


def is_within(part: Any, whole: Any) -> bool:
    """Whether `whole` holds all that `part` says, with nothing but further fields added."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and is_within(part[key], whole[key]) for key in part)
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(is_within, part, whole))
    return bool(part == whole)


models = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


@cache
def stored_objects(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """What an API server may hold of this model."""
    return objects(structural_schema(model, model.__name__))


@models
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_nothing_that_the_schema_allows_is_lost_on_the_way_through_a_model(
    model: type[BaseModel], data: st.DataObject
) -> None:
    stored = data.draw(stored_objects(model))
    parsed = model.model_validate(stored)
    assert is_within(stored, dump(parsed))
    assert model.model_validate(dump(parsed)) == parsed


@models
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_fields_of_a_newer_operator_are_ignored(model: type[BaseModel], data: st.DataObject) -> None:
    stored = data.draw(stored_objects(model))
    assert model.model_validate(stored | {"fromTheFuture": {"a": [1]}}) == model.model_validate(stored)


def test_an_absent_field_stays_absent() -> None:
    assert dump(TrainingRunSpec.model_validate(HELLO)) == HELLO


def test_a_service_without_replicas_has_one() -> None:
    assert InferenceServiceSpec.model_validate(HELLO).replicas == DEFAULT_REPLICAS == 1


def test_an_empty_status_is_valid_and_says_that_nothing_was_seen() -> None:
    assert TrainingRunStatus().observed_generation is None
    assert dump(TrainingRunStatus()) == {"attempt": 0, "conditions": []}
    assert InferenceServiceStatus().conditions == []


def test_a_model_cannot_be_changed() -> None:
    spec = TrainingRunSpec.model_validate(HELLO)
    with pytest.raises(ValidationError, match="frozen"):
        spec.pods = 3  # type: ignore[misc]


def test_a_whole_number_is_a_quantity() -> None:
    spec = TrainingRunSpec.model_validate(HELLO | {"resources": {"requests": {"cpu": 4, "memory": "1Gi"}}})
    assert spec.resources is not None
    assert spec.resources.requests == {"cpu": "4", "memory": "1Gi"}


@pytest.mark.parametrize("name", ["hostPID", "hostIPC", "hostNetwork"])
def test_the_names_of_refused_fields_are_kubernetes_own(name: str) -> None:
    schema = structural_schema(TrainingRunSpec, "spec")
    assert name in schema["properties"]["template"]["properties"]["spec"]["properties"]


@pytest.mark.parametrize("path", ["..", "../secret", "a/../../b", "a/.."])
def test_a_path_that_leaves_the_claim_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match=r"take out '\.\.'"):
        ClaimRef(name="models", path=path)


@pytest.mark.parametrize("path", ["a", "a/b", "step-1200", "a..b", ".hidden/x", "..."])
def test_a_path_inside_the_claim_is_taken(path: str) -> None:
    assert ClaimRef(name="models", path=path).path == path


@pytest.mark.parametrize(("step", "valid"), [(0, True), (2**53 - 1, True), (2**53, False), (-1, False)])
def test_a_step_fits_an_exact_json_number(step: int, valid: bool) -> None:
    if valid:
        assert CheckpointStatus(step=step).step == step
    else:
        with pytest.raises(ValidationError):
            CheckpointStatus(step=step)
