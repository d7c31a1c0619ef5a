"""The priority of pods, from the classes there are."""

import pytest

from tandem.api.pod_template import PodTemplate
from tandem.domain.observed import PriorityRecord
from tandem.domain.placement.priority import value

CLASSES = {"urgent": PriorityRecord("urgent", 1000), "low": PriorityRecord("low", -5)}
DEFAULTS = {
    "usual": PriorityRecord("usual", 20, is_default=True),
    "least": PriorityRecord("least", 10, is_default=True),
}


def named(name: str) -> PodTemplate:
    return PodTemplate.model_validate({"spec": {"priorityClassName": name}})


@pytest.mark.parametrize(("name", "priority"), [("urgent", 1000), ("low", -5), ("gone", 0)])
def test_a_named_class_decides_and_one_that_does_not_exist_counts_for_nothing(name: str, priority: int) -> None:
    assert value({**CLASSES, **DEFAULTS}, named(name)) == priority


@pytest.mark.parametrize("template", [None, PodTemplate()])
def test_without_a_name_the_lowest_default_class_decides(template: PodTemplate | None) -> None:
    assert value({**CLASSES, **DEFAULTS}, template) == 10
    assert value(CLASSES, template) == 0
