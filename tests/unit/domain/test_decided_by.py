"""What runs and services ask of policies, and what their status keeps of the answer."""

from dataclasses import replace
from typing import Any

import pytest

from tandem.domain.placement.fit import Snapshot, snapshot
from tandem.domain.placement.holders import Held, Holder
from tandem.domain.placement.place import place
from tandem.domain.serving import split
from tandem.domain.training import choose
from tandem.domain.training.plan import plan_run
from tests.unit.domain.builders import (
    NPUS,
    decide_service,
    deployment,
    node,
    run,
    run_view,
    service,
    service_view,
)
from tests.unit.domain.placement.policies import GPU, NPU, book, policy

VARIANTS = [{"name": "gpu", "accelerator": "nvidia-h20"}, {"name": "npu", "accelerator": "ascend-910b"}]
INLINE: dict[str, Any] = {"accelerator": None, "variants": VARIANTS}


def under(**spec: Any) -> Snapshot:
    """A node of each make, under one policy named p."""
    return replace(snapshot([node("gpu-0"), node("npu-0", 8, NPUS)], []), held=Held(book(policy("p", **spec))))


PREFER = under(mode="Prefer", accelerators=[NPU])


@pytest.mark.parametrize(
    ("placement", "as_listed"),
    [(None, False), ({}, False), ({"order": "Policy"}, False), ({"order": "AsListed"}, True)],
)
def test_whose_order_counts_is_asked_for(placement: dict[str, str] | None, as_listed: bool) -> None:
    assert choose.ask(run_view(run(placement=placement))).as_listed is as_listed
    view = service_view(service(placement=placement))
    assert split.ask(view, {}).as_listed is as_listed


def placed(spec: dict[str, Any], state: Snapshot) -> dict[str, Any]:
    """status.placement of a run after its first decision."""
    view = run_view(run(**INLINE, **spec))
    asked = plan_run(view).ask
    assert asked is not None
    decision = place([asked], state, (), view.now)[asked.uid]
    status = plan_run(view, decision=decision).status
    assert status is not None
    found: dict[str, Any] = status["placement"]
    return found


def test_a_run_tells_the_rule_and_the_policy_that_decided() -> None:
    found = placed({}, PREFER)
    assert (found["chosen"], found["decidedBy"]) == ("ascend-910b", "Prefer/p")
    assert found["reason"] == (
        "ascend-910b is the first in the order of policy p that fits 1 pod x 8 huawei.com/Ascend910"
    )
    assert placed({"placement": {"order": "AsListed"}}, PREFER)["decidedBy"] == "AsListed"


def test_a_run_of_which_every_variant_is_forbidden_is_stalled_and_one_under_a_full_cap_waits() -> None:
    def ready(state: Snapshot) -> tuple[str, str, bool]:
        view = run_view(run())
        asked = plan_run(view).ask
        assert asked is not None
        plan = plan_run(view, decision=place([asked], state, (), view.now)[asked.uid])
        assert plan.status is not None
        conditions = {item["type"]: item for item in plan.status["conditions"]}
        return conditions["Ready"]["status"], conditions["Ready"]["reason"], "Stalled" in conditions

    assert ready(under(forbid=[GPU])) == ("False", "PolicyForbids", True)
    state = under(caps=[{**GPU, "devices": 8}])
    state.held.add(Holder("TrainingRun", "team", "nvidia-h20"), 1)
    assert ready(state) == ("True", "Queued", False)


def test_a_service_keeps_the_rule_of_the_decision_that_placed_its_replicas() -> None:
    first = decide_service(service_view(service(**INLINE)), PREFER)
    assert first.status is not None
    assert (first.status["placement"]["chosen"], first.status["placement"]["decidedBy"]) == ("ascend-910b", "Prefer/p")
    settled = service_view(service(first.status, **INLINE), [deployment("npu", accelerator="ascend-910b")])
    again = decide_service(settled, under(forbid=[NPU]))
    assert again.ask is None
    assert again.status is not None
    # Nothing was decided: what runs stays, whatever policies say by now.
    assert again.status["placement"] == first.status["placement"]
    assert not again.delete
