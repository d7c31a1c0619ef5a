"""The status of an object whose spec cannot be read."""

from typing import Any

from tandem.domain.invalid import invalid_status
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


def by_type(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["type"]: item for item in status["conditions"]}


def test_a_person_reads_what_is_wrong() -> None:
    conditions = by_type(invalid_status({}, 3, PROBLEM, NOW))
    assert {kind: item["status"] for kind, item in conditions.items()} == {"Ready": "False", "Stalled": "True"}
    assert {(item["reason"], item["message"], item["observedGeneration"]) for item in conditions.values()} == {
        ("InvalidSpec", PROBLEM, 3)
    }


def test_what_was_known_stays() -> None:
    before = {
        "attempt": 4,
        "conditions": [condition("Ready", "True", "Succeeded"), condition("Succeeded", "True", "x")],
    }
    after = invalid_status(before, 3, PROBLEM, NOW)
    assert (after["attempt"], after["observedGeneration"]) == (4, 3)
    assert by_type(after)["Succeeded"] == by_type(before)["Succeeded"]


def test_reconciling_goes_when_the_object_is_stalled() -> None:
    before = {"conditions": [condition("Ready", "False", "ImagePull"), condition("Reconciling", "True", "ImagePull")]}
    after = by_type(invalid_status(before, 3, PROBLEM, NOW))
    assert after.keys() == {"Ready", "Stalled"}
    assert after["Ready"]["lastTransitionTime"] == stamp(-60)
    assert after["Stalled"]["lastTransitionTime"] == stamp()


def test_saying_it_again_changes_nothing_but_a_new_generation_is_seen() -> None:
    first = invalid_status({}, 3, PROBLEM, NOW)
    assert invalid_status(first, 3, PROBLEM, later(60)) == first
    assert invalid_status(first, 4, PROBLEM, later(60))["observedGeneration"] == 4
