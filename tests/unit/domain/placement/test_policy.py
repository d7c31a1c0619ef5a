"""Which policies reach some work, and which of several counts."""

from typing import Any

import pytest

from tandem.api.placement_policy import PolicyChoice
from tandem.domain.placement.policy import Overruling, Policies, chosen, reaches, selects, words
from tests.unit.domain.builders import GPUS, NPUS
from tests.unit.domain.placement.policies import GPU, NPU, book, policy

RESEARCH = {"team": "research", "tier": "1"}


def expression(operator: str, *values: str, key: str = "team") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, **({"values": list(values)} if values else {})}]}


@pytest.mark.parametrize(
    ("selector", "labels", "reached"),
    [
        (None, {}, True),
        ({}, {}, True),
        ({"matchLabels": {"team": "research"}}, RESEARCH, True),
        ({"matchLabels": {"team": "research", "tier": "2"}}, RESEARCH, False),
        ({"matchLabels": {"team": "research"}}, {}, False),
        (expression("In", "web", "research"), RESEARCH, True),
        (expression("In", "web"), RESEARCH, False),
        (expression("In", "web"), {}, False),
        (expression("NotIn", "web"), RESEARCH, True),
        (expression("NotIn", "research"), RESEARCH, False),
        (expression("NotIn", "research"), {}, True),
        (expression("Exists"), RESEARCH, True),
        (expression("Exists"), {}, False),
        (expression("DoesNotExist"), RESEARCH, False),
        (expression("DoesNotExist"), {}, True),
        ({"matchLabels": {"tier": "1"}} | expression("In", "web"), RESEARCH, False),
    ],
)
def test_namespaces_are_selected_as_by_any_selector_of_labels(
    selector: dict[str, Any] | None, labels: dict[str, str], reached: bool
) -> None:
    assert reaches(policy(namespaceSelector=selector), "TrainingRun", labels) is reached


def test_a_policy_may_be_for_one_kind_of_work() -> None:
    serving = policy(kinds=["InferenceService"])
    assert reaches(serving, "InferenceService", {})
    assert not reaches(serving, "TrainingRun", {})


def test_profiles_are_chosen_by_name_or_by_labels_and_the_first_choice_counts() -> None:
    by_name, by_labels = PolicyChoice.model_validate(GPU), PolicyChoice.model_validate(NPU)
    assert [selects(by_name, GPUS), selects(by_name, NPUS)] == [True, False]
    assert [selects(by_labels, GPUS), selects(by_labels, NPUS)] == [False, True]
    assert [words(by_name), words(by_labels)] == ["nvidia-h20", "tandem.dev/stack=cann"]
    assert [chosen([by_name, by_labels, by_labels], item) for item in (GPUS, NPUS)] == [0, 1]
    assert chosen([by_name], NPUS) is None
    assert chosen(None, NPUS) is None


def test_of_several_the_higher_priority_counts_and_then_the_name() -> None:
    low, high = (
        policy("a", mode="Require", accelerators=[GPU]),
        policy("b", priority=1, mode="Require", accelerators=[NPU]),
    )
    same = policy("c", priority=1, mode="Require", accelerators=[GPU])
    ruling = book(low, same, high).ruling("TrainingRun", "team")
    assert [item.name for item in ruling.reaching] == ["b", "c", "a"]
    assert ruling.require is high
    assert ruling.overruled == (Overruling("c", "b", "Require"), Overruling("a", "b", "Require"))


def test_require_and_order_are_settled_apart() -> None:
    """What is allowed is one question, what is tried first of it another."""
    require = policy("r", priority=-5, mode="Require", accelerators=[GPU])
    prefer = policy("p", mode="Prefer", accelerators=[NPU])
    shares = policy("s", priority=9, shares=[{**NPU, "percent": 60}])
    ruling = book(require, prefer, shares).ruling("InferenceService", "web")
    assert (ruling.require, ruling.order) == (require, shares)
    assert ruling.overruled == (Overruling("p", "s", "Order"),)


def test_only_policies_that_reach_the_work_count_and_overrule() -> None:
    guests = policy(
        "guests", priority=9, mode="Require", accelerators=[NPU], namespaceSelector=expression("DoesNotExist")
    )
    everybody = policy("everybody", mode="Require", accelerators=[GPU])
    policies = book(guests, everybody)
    assert policies.ruling("TrainingRun", "team").require is everybody
    assert policies.ruling("TrainingRun", "team").overruled == ()
    assert policies.ruling("TrainingRun", "guests").require is guests
    # One that is not seen yet has no labels.
    assert policies.ruling("TrainingRun", "new").require is guests
    assert policies.ruling("TrainingRun", "team") is policies.ruling("TrainingRun", "team")


def test_without_policies_nothing_is_said() -> None:
    ruling = Policies().ruling("TrainingRun", "team")
    assert (ruling.reaching, ruling.require, ruling.order, ruling.overruled) == ((), None, None, ())
