"""The status of an object whose spec cannot be read."""

from typing import Any

import pytest

from tandem.api.crd import INFERENCE_SERVICE, TRAINING_RUN
from tandem.api.inference_service import InferenceServiceStatus
from tandem.api.training_run import TrainingRunStatus
from tandem.domain.invalid import plan_invalid
from tests.unit.domain.builders import NOW, later, stamp

PROBLEM = "pods: Input should be greater than or equal to 1"


def condition(kind: str, status: str, reason: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": "",
        "lastTransitionTime": stamp(-60),
        "observedGeneration": 1,
    }


def invalid_status(status: dict[str, Any], generation: int, kind: str = "TrainingRun", seconds: float = 0) -> Any:
    return plan_invalid(kind, status, generation, PROBLEM, later(seconds)).status


def by_type(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["type"]: item for item in status["conditions"]}


def test_a_person_reads_what_is_wrong() -> None:
    conditions = by_type(invalid_status({}, 3))
    assert {(item["reason"], item["message"], item["observedGeneration"]) for item in conditions.values()} == {
        ("InvalidSpec", PROBLEM, 3)
    }


def test_what_was_known_stays() -> None:
    before = {
        "attempt": 4,
        "conditions": [condition("Ready", "True", "Succeeded"), condition("Succeeded", "True", "x")],
    }
    after = invalid_status(before, 3)
    assert (after["attempt"], after["observedGeneration"]) == (4, 3)
    assert by_type(after)["Succeeded"] == by_type(before)["Succeeded"]


def test_reconciling_goes_when_the_object_is_stalled() -> None:
    before = {"conditions": [condition("Ready", "False", "ImagePull"), condition("Reconciling", "True", "ImagePull")]}
    after = by_type(invalid_status(before, 3))
    assert "Reconciling" not in after
    assert after["Ready"]["lastTransitionTime"] == stamp(-60)
    assert after["Stalled"]["lastTransitionTime"] == stamp()


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        (
            TRAINING_RUN.name,
            {
                "Ready": "False",
                "Stalled": "True",
                "Placed": "False",
                "PodsReady": "False",
                "Progressing": "False",
                "Suspended": "False",
                "Succeeded": "Unknown",
            },
        ),
        (
            INFERENCE_SERVICE.name,
            {
                "Ready": "False",
                "Stalled": "True",
                "ModelResolved": "Unknown",
                "Placed": "False",
                "Available": "False",
                "RolloutComplete": "False",
            },
        ),
    ],
)
def test_every_condition_is_there_from_the_first_visit(kind: str, states: dict[str, str]) -> None:
    status = invalid_status({}, 3, kind)
    assert {name: item["status"] for name, item in by_type(status).items()} == states
    model = TrainingRunStatus if kind == TRAINING_RUN.name else InferenceServiceStatus
    model.model_validate(status)


def test_saying_it_again_changes_nothing_but_a_new_generation_is_seen() -> None:
    first = invalid_status({}, 3)
    assert invalid_status(first, 3, seconds=60) == first
    again = invalid_status(first, 4, seconds=60)
    assert {again["observedGeneration"], *(item["observedGeneration"] for item in again["conditions"])} == {4}
    assert {item["lastTransitionTime"] for item in again["conditions"]} == {stamp()}


def test_it_is_told_once() -> None:
    first = plan_invalid("TrainingRun", {"conditions": [condition("Ready", "True", "Queued")]}, 3, PROBLEM, NOW)
    assert [(event.reason, event.message, event.warning) for event in first.events] == [("InvalidSpec", PROBLEM, True)]
    assert plan_invalid("TrainingRun", first.status or {}, 4, PROBLEM, NOW).events == ()
