"""What a policy's status says: is it in force, whom does it reach, how far are its shares and caps used."""

from dataclasses import replace
from typing import Any

from tandem.api.base import dump
from tandem.api.placement_policy import PlacementPolicy, PlacementPolicyStatus
from tandem.domain.placement.fit import Snapshot, snapshot
from tandem.domain.placement.holders import Held, Holder
from tandem.domain.placement.policy_status import policy_status
from tests.unit.domain.builders import NOW, NPUS, foreign, later, node, stamp
from tests.unit.domain.placement.policies import GPU, NPU, book, held, policy

NODES = (node("gpu-0"), node("npu-0", 8, NPUS))
NOBODY = {"accelerator": "no-such-profile"}


def state(*policies: PlacementPolicy, pods: Any = (), nodes: Any = NODES, **devices: int) -> Snapshot:
    return replace(snapshot(nodes, pods), held=held(book(*policies), **devices))


def told(mine: PlacementPolicy, seen: Snapshot, before: PlacementPolicyStatus | None = None) -> dict[str, Any]:
    return dump(policy_status(mine, 3, before or PlacementPolicyStatus(), seen, NOW))


def ready(mine: PlacementPolicy, seen: Snapshot) -> tuple[str, str, str]:
    [condition] = told(mine, seen)["conditions"]
    return condition["status"], condition["reason"], condition["message"]


def test_a_policy_in_force_says_whom_it_reaches() -> None:
    mine = policy("p", kinds=["TrainingRun"], mode="Prefer", accelerators=[NPU, GPU, NPU])
    assert ready(mine, state(mine)) == ("True", "InForce", "reaches TrainingRun of 3 namespaces")
    status = told(mine, state(mine))
    assert (status["observedGeneration"], status["profiles"]) == (3, "ascend-910b, nvidia-h20")
    assert status.keys() == {"observedGeneration", "conditions", "profiles"}


def test_a_policy_for_nobody_says_so() -> None:
    mine = policy("p", namespaceSelector={"matchLabels": {"team": "none"}}, forbid=[GPU])
    assert ready(mine, state(mine)) == ("True", "NothingSelected", "its namespaceSelector selects no namespace")


def test_what_selects_no_profile_is_named_once() -> None:
    labels = {"acceleratorSelector": {"matchLabels": {"a": "b"}}}
    mine = policy("p", mode="Prefer", accelerators=[NOBODY], forbid=[NOBODY, GPU], caps=[{**labels, "devices": 1}])
    assert ready(mine, state(mine))[1:] == (
        "NothingSelected",
        "no AcceleratorProfile is selected by no-such-profile and a=b",
    )
    assert told(mine, state(mine))["profiles"] == "none"


def test_a_policy_that_another_goes_before_names_it_and_what_about() -> None:
    mine = policy("p", mode="Prefer", accelerators=[NPU])
    first = policy("first", priority=1, mode="Prefer", accelerators=[GPU], kinds=["TrainingRun"])
    elsewhere = policy(
        "web", priority=2, shares=[{**GPU, "percent": 1}], namespaceSelector={"matchLabels": {"team": "web"}}
    )
    seen = state(mine, first, elsewhere)
    assert ready(mine, seen) == (
        "True",
        "Overruled",
        "of higher priority, or earlier by name, for work that both reach: first, web",
    )
    assert told(mine, seen)["overruled"] == [{"by": "first", "rule": "Order"}, {"by": "web", "rule": "Order"}]
    assert "overruled" not in told(elsewhere, seen)


def test_a_cap_says_how_far_it_is_used() -> None:
    mine = policy("p", caps=[{**NPU, "devices": 9}])
    assert told(mine, state(mine, ascend_910b=4, nvidia_h20=2))["caps"] == [
        {"accelerators": "tandem.dev/stack=cann", "devices": 9, "used": 4}
    ]


def share(mine: PlacementPolicy, seen: Snapshot, place: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = told(mine, seen)["shares"][place]
    return found


def test_a_share_that_falls_short_says_by_how_much_and_why() -> None:
    mine = policy("p", shares=[{**NPU, "percent": 60}])
    assert share(mine, state(mine, nvidia_h20=16, ascend_910b=8)) == {
        "accelerators": "tandem.dev/stack=cann",
        "wished": 60,
        "actual": 33,
        "shortfall": 27,
        "devices": 8,
        "total": 24,
        "message": "what is asked for next goes there first, where it lists such a variant and fits; what runs is not moved",
    }


def test_a_share_that_is_met_or_of_nothing_lacks_nothing() -> None:
    mine = policy("p", shares=[{**NPU, "percent": 60}])
    met = share(mine, state(mine, ascend_910b=8))
    assert (met["actual"], met["shortfall"], met["message"]) == (100, 0, "")
    nothing = share(mine, state(mine))
    assert (nothing["actual"], nothing["shortfall"], nothing["total"], nothing["message"]) == (0, 0, 0, "")


def test_a_share_of_devices_that_others_use_waits_for_them() -> None:
    mine = policy("p", shares=[{**NPU, "percent": 60}])
    full = state(mine, pods=[foreign("npu-0", 8, "huawei.com/Ascend910")], nvidia_h20=8)
    assert share(mine, full)["message"] == (
        "none of its devices is free; what is asked for next goes there first when some are"
    )
    assert share(mine, state(mine, nodes=NODES[:1], nvidia_h20=8))["message"].startswith("none of its devices is free")


def test_a_share_of_no_profile_and_one_that_another_policy_overrules_say_so() -> None:
    mine = policy("p", shares=[{**GPU, "percent": 10}, {**GPU, "percent": 50}, {**NPU, "percent": 40}])
    seen = state(mine, nvidia_h20=8)
    # A profile counts for the first share that names it.
    assert share(mine, seen, 0)["devices"] == 8
    assert (share(mine, seen, 1)["devices"], share(mine, seen, 1)["message"]) == (
        0,
        "no AcceleratorProfile counts for it",
    )
    winner = policy("w", priority=1, mode="Prefer", accelerators=[GPU], kinds=["TrainingRun"])
    require = policy("r", priority=2, mode="Require", accelerators=[GPU])
    assert share(mine, state(mine, winner, require, nvidia_h20=8), 2)["message"] == (
        "policy w says what is tried first for some of this work"
    )


def test_shares_are_measured_within_the_reach_alone() -> None:
    mine = policy("p", kinds=["InferenceService"], shares=[{**NPU, "percent": 50}])
    counts = {
        Holder("InferenceService", "web", "ascend-910b"): 2,
        Holder("InferenceService", "team", "nvidia-h20"): 6,
        Holder("TrainingRun", "team", "nvidia-h20"): 99,
    }
    found = share(mine, replace(snapshot(NODES, []), held=Held(book(mine), counts)))
    assert (found["devices"], found["total"], found["actual"]) == (2, 8, 25)


def test_nothing_changes_in_a_status_that_says_the_same_later() -> None:
    mine = policy("p", forbid=[GPU])
    first = policy_status(mine, 3, PlacementPolicyStatus(), state(mine), NOW)
    assert policy_status(mine, 3, first, state(mine), later(60)) == first
    assert first.conditions[0].last_transition_time == stamp()
