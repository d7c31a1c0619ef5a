"""Hostile specs that got past the API server are refused by the operator too: by a condition, and nothing is made."""

from typing import Any

import pytest

from tandem.api.conditions import ConditionType
from tandem.api.pod_template import PodTemplate, TemplateSpec
from tandem.domain.placement.fit import snapshot
from tandem.domain.plan import Plan
from tests.support.hostile import HOSTILE, Hostile
from tests.unit.domain.builders import (
    condition,
    decide_run,
    decide_service,
    node,
    run,
    run_view,
    service,
    service_view,
    status_of,
)

OWN_WORDS = {
    "variable of the operator in main": "env TANDEM_PODS is set by the operator: take it out of env",
    "variable of the operator in a helper": "env PET_NNODES is set by the operator: take it out of env of fetch",
}
"""Where the operator can name what the server's static message cannot."""

each = pytest.mark.parametrize(("name", "item"), HOSTILE.items(), ids=HOSTILE)


def plans(**spec: Any) -> list[Plan]:
    """For a run and for a service with this spec, with devices and claims."""
    free = snapshot([node()], ())
    return [
        decide_run(run_view(run(**spec), claims={"c"})),
        decide_service(service_view(service(**spec), claims={"c"}), free),
    ]


@each
def test_it_is_told_and_no_pod_is_made(name: str, item: Hostile) -> None:
    for plan in plans(**item.refused):
        told = condition(plan, ConditionType.READY)
        assert told is not None
        assert (told.status, told.reason) == ("False", "InvalidSpec")
        assert OWN_WORDS.get(name, item.message) in told.message
        assert status_of(plan, ConditionType.STALLED) == "True"
        assert not (plan.create or plan.replace)


WITHOUT_VOLUME = {"mount of the operator's volume", "mount of the operator's volume in a helper"}
"""Their nearest legal neighbour mounts a volume that the template does not define; the server cannot see that."""


@each
def test_its_nearest_legal_neighbour_is_not_refused(name: str, item: Hostile) -> None:
    for plan in plans(**item.taken):
        told = condition(plan, ConditionType.READY)
        assert told is not None
        assert (told.reason == "InvalidSpec") is (name in WITHOUT_VOLUME)


def test_a_model_that_was_built_without_any_check_is_refused_too() -> None:
    """model_construct skips even pydantic."""
    unchecked = TemplateSpec.model_construct(host_network=True)
    asked = run().model_copy(
        update={"spec": run().spec.model_copy(update={"template": PodTemplate.model_construct(spec=unchecked)})}
    )
    plan = decide_run(run_view(asked))
    told = condition(plan, ConditionType.READY)
    assert told is not None
    assert told.message.startswith("spec.template.spec.hostNetwork: hostNetwork is refused")
    assert plan.create == ()
