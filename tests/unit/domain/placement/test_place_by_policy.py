"""The placer under policies: forbid > Require > the user's AsListed > Prefer and shares > the listed order."""

from dataclasses import replace
from typing import Any

from tandem.api.reasons import Reason
from tandem.domain.observed import Key
from tandem.domain.placement.arrange import wording
from tandem.domain.placement.candidates import refused_reason
from tandem.domain.placement.fit import Snapshot, snapshot
from tandem.domain.placement.holders import Held, Holder
from tandem.domain.placement.place import Reservation, may_fit, place
from tandem.domain.placement.policy import Policies
from tandem.domain.placement.rejection import REFUSING
from tandem.domain.placement.request import Ask, Candidate, Decision
from tests.unit.domain.builders import GPU as GPU_RESOURCE
from tests.unit.domain.builders import GPUS, NOW, NPUS, candidate, foreign, later, node, option, profile
from tests.unit.domain.placement.policies import GPU, NPU, book, held, policy

SMALL = profile("nvidia-l40s", GPU_RESOURCE, {"tandem.dev/stack": "cuda"}, nodeSelector={"accel": "l40s"})
PROFILES = {item.name: item for item in (GPUS, NPUS, SMALL)}
BOTH = (node("gpu-0"), node("npu-0", 8, NPUS))
PREFER_NPU = {"mode": "Prefer", "accelerators": [NPU]}
REQUIRE_NPU = {"mode": "Require", "accelerators": [NPU]}


def ask(*candidates: Candidate, uid: str = "a", **more: Any) -> Ask:
    """A run of the namespace `team`, or with replicas a service."""
    kind = "InferenceService" if "replicas" in more else "TrainingRun"
    return Ask(
        **{
            "uid": uid,
            "kind": kind,
            "namespace": "team",
            "name": uid,
            "attempt": 1,
            "since": later(0),
            "candidates": candidates,
            **more,
        }
    )


def either(pods: int = 1, devices: int = 8, **more: Any) -> Ask:
    """On the GPUs first, by its own list; else on the NPUs."""
    return ask(candidate("gpu", option(GPUS, pods, devices)), candidate("npu", option(NPUS, pods, devices)), **more)


def under(*policies: Any, on: Any = BOTH, **devices: int) -> Snapshot:
    """These nodes under these policies, while runs of the namespace hold devices."""
    return replace(snapshot(on, []), held=held(book(*policies), **devices))


def one(asked: Ask, state: Snapshot) -> Decision:
    return place([asked], state, [], NOW)[asked.uid]


def told(decision: Decision) -> tuple[list[tuple[str, int]], str]:
    return [(grant.option.profile.name, grant.pods) for grant in decision.grants], decision.decided_by


# Forbid and Require


def test_a_forbidden_profile_is_rejected_with_the_policys_name_and_the_mend() -> None:
    decision = one(either(), under(policy("no-gpu", forbid=[GPU])))
    assert told(decision) == ([("ascend-910b", 1)], "Forbid/no-gpu")
    [refused] = decision.rejected
    assert (refused.variant, refused.accelerator, refused.reason) == ("gpu", "nvidia-h20", Reason.POLICY_FORBIDS)
    assert refused.message == (
        "policy no-gpu forbids nvidia-h20 here; list another accelerator, or ask for a change of it"
    )
    assert wording(decision) == "the first that policy no-gpu allows and that fits"


def test_where_another_is_required_all_others_are_rejected_by_what_is() -> None:
    decision = one(either(), under(policy("npu-only", mode="Require", accelerators=[NPU, {"accelerator": "x"}])))
    assert told(decision) == ([("ascend-910b", 1)], "Require/npu-only")
    assert decision.rejected[0].message == (
        "policy npu-only requires tandem.dev/stack=cann or x here; list one of these, or ask for a change of the policy"
    )


def test_what_is_forbidden_stays_so_where_it_is_required_and_nothing_waits_for_it() -> None:
    state = under(policy("r", priority=9, **REQUIRE_NPU), policy("f", priority=-9, forbid=[NPU]))
    decision = one(either(), state)
    assert decision.grants == ()
    assert [item.message.split(" here")[0] for item in decision.rejected] == [
        "policy r requires tandem.dev/stack=cann",
        "policy f forbids ascend-910b",
    ]
    assert refused_reason(decision.rejected, REFUSING) == decision.rejected[0]
    assert not may_fit(either(), state)


def test_policies_of_other_kinds_and_namespaces_say_nothing() -> None:
    state = under(
        policy("a", kinds=["InferenceService"], forbid=[GPU]),
        policy("b", namespaceSelector={"matchLabels": {"team": "web"}}, forbid=[GPU]),
    )
    decision = one(either(), state)
    assert told(decision) == ([("nvidia-h20", 1)], "ListedOrder")
    assert wording(decision) == "the first listed that fits"


def test_the_users_order_does_not_go_before_forbid_and_require() -> None:
    assert told(one(either(as_listed=True), under(policy("r", **REQUIRE_NPU)))) == ([("ascend-910b", 1)], "Require/r")


# Order


def test_a_preferred_accelerator_goes_before_the_listed_order() -> None:
    decision = one(either(), under(policy("p", **PREFER_NPU)))
    assert told(decision) == ([("ascend-910b", 1)], "Prefer/p")
    assert decision.rejected == ()
    assert wording(decision) == "the first in the order of policy p that fits"


def test_a_preference_is_no_condition() -> None:
    state = under(policy("p", **PREFER_NPU), on=BOTH[:1])
    decision = one(either(), state)
    assert told(decision) == ([("nvidia-h20", 1)], "Prefer/p")
    assert [(item.variant, item.reason) for item in decision.rejected] == [("npu", Reason.DOES_NOT_FIT_NOW)]


def test_the_users_as_listed_goes_before_a_preference() -> None:
    assert told(one(either(as_listed=True), under(policy("p", **PREFER_NPU)))) == ([("nvidia-h20", 1)], "AsListed")
    # Without one there is nothing that it goes before.
    assert told(one(either(as_listed=True), under(policy("p", caps=[{**GPU, "devices": 99}])))) == (
        [("nvidia-h20", 1)],
        "ListedOrder",
    )


def test_a_policy_that_goes_before_another_names_it() -> None:
    state = under(policy("p", priority=1, **PREFER_NPU), policy("q", mode="Prefer", accelerators=[GPU]))
    decision = one(either(), state)
    assert told(decision) == ([("ascend-910b", 1)], "Prefer/p")
    assert decision.overruled == ("q",)
    assert wording(decision) == "the first in the order of policy p (over q) that fits"


def test_a_preference_may_come_between_the_profiles_of_one_selector() -> None:
    cuda = candidate("cuda", option(SMALL), option(GPUS))
    state = replace(
        snapshot([node("l40s-0", 8, SMALL), *BOTH], [foreign("gpu-0", 8)]),
        held=Held(book(policy("p", mode="Prefer", accelerators=[GPU, NPU]), profiles=PROFILES)),
    )
    decision = one(ask(cuda, candidate("npu", option(NPUS))), state)
    assert told(decision) == ([("ascend-910b", 1)], "Prefer/p")
    assert [item.accelerator for item in decision.rejected] == ["nvidia-h20"]


def test_profiles_in_a_row_stay_one_candidate() -> None:
    cuda = candidate("cuda", option(SMALL), option(GPUS))
    preferred = policy(
        "p", mode="Prefer", accelerators=[{"acceleratorSelector": {"matchLabels": {"tandem.dev/stack": "cuda"}}}]
    )
    state = replace(snapshot([node("l40s-0", 8, SMALL), *BOTH], []), held=Held(book(preferred, profiles=PROFILES)))
    decision = one(ask(candidate("npu", option(NPUS)), cuda), state)
    assert told(decision) == ([("nvidia-l40s", 1)], "ListedOrder")
    assert told(one(ask(candidate("npu", option(NPUS)), candidate("cuda", option(GPUS))), state)) == (
        [("nvidia-h20", 1)],
        "Prefer/p",
    )


def test_a_held_off_candidate_is_rejected_once_at_its_place() -> None:
    held_off = candidate("npu", option(NPUS), held_off="not yet")
    decision = one(ask(candidate("gpu", option(GPUS)), held_off, candidate("none")), under(policy("p", **PREFER_NPU)))
    assert told(decision) == ([("nvidia-h20", 1)], "Prefer/p")
    assert [(item.variant, item.reason) for item in decision.rejected] == [
        ("npu", Reason.HELD_OFF),
        ("none", Reason.UNKNOWN_ACCELERATOR),
    ]


def test_the_only_candidate_is_taken_by_its_place_in_the_list() -> None:
    assert told(one(ask(candidate("gpu", option(GPUS))), under(policy("p", **PREFER_NPU)))) == (
        [("nvidia-h20", 1)],
        "ListedOrder",
    )


# Shares


def test_while_a_wished_share_falls_short_it_is_tried_first() -> None:
    wish = policy("s", shares=[{**NPU, "percent": 50}])
    short = under(wish, nvidia_h20=8)
    assert told(one(either(), short)) == ([("ascend-910b", 1)], "Share/s")
    # 16 of 24 and more would be on the NPUs wherever it goes.
    met = under(wish, nvidia_h20=8, ascend_910b=16)
    assert told(one(either(), met)) == ([("nvidia-h20", 1)], "ListedOrder")


def test_the_greater_shortfall_goes_first() -> None:
    wish = policy("s", shares=[{**GPU, "percent": 40}, {**NPU, "percent": 60}])
    assert told(one(either(), under(wish)))[0] == [("ascend-910b", 1)]
    assert told(one(either(), under(wish, ascend_910b=8)))[0] == [("nvidia-h20", 1)]


def test_a_share_never_keeps_work_waiting() -> None:
    assert told(one(either(), under(policy("s", shares=[{**NPU, "percent": 100}]), on=BOTH[:1])))[0] == [
        ("nvidia-h20", 1)
    ]


def test_shares_are_measured_with_what_was_given_in_the_same_round() -> None:
    nodes = [
        *(node(f"gpu-{number}") for number in range(10)),
        *(node(f"npu-{number}", 8, NPUS) for number in range(10)),
    ]
    state = under(policy("s", shares=[{**NPU, "percent": 60}, {**GPU, "percent": 40}]), on=nodes)
    queue = [replace(either(), uid=f"run-{number}") for number in range(10)]
    given = [decision.grants[0].option.profile.name for decision in place(queue, state, [], NOW).values()]
    assert (given.count("ascend-910b"), given.count("nvidia-h20")) == (6, 4)


def test_a_preference_goes_before_shares_of_the_same_policy_and_both_before_those_of_a_lesser_one() -> None:
    both = policy("s", mode="Prefer", accelerators=[GPU], shares=[{**NPU, "percent": 90}])
    assert told(one(either(), under(both)))[1] == "Prefer/s"
    lesser = policy("p", priority=-1000, mode="Prefer", accelerators=[GPU])
    assert told(one(either(), under(policy("s", shares=[{**NPU, "percent": 90}]), lesser)))[1] == "Share/s"


# Caps


def test_a_gang_waits_for_room_under_a_cap_and_hears_the_numbers() -> None:
    state = under(policy("cap", caps=[{**GPU, "devices": 16}]), nvidia_h20=12)
    decision = one(ask(candidate("gpu", option(GPUS))), state)
    assert decision.grants == ()
    assert decision.rejected[0].reason is Reason.POLICY_FORBIDS
    assert decision.rejected[0].message == (
        "8 devices asked for; the cap of policy cap on nvidia-h20 is 16, 12 in use: it waits for work that ends"
    )
    # Others' end makes room: that is waiting, no fault of the spec.
    assert refused_reason(decision.rejected, REFUSING) is None
    assert told(one(either(), state)) == ([("ascend-910b", 1)], "ListedOrder")


def test_a_gang_larger_than_the_cap_needs_a_person() -> None:
    decision = one(ask(candidate("gpu", option(GPUS))), under(policy("cap", caps=[{**GPU, "devices": 4}])))
    assert decision.rejected[0].message.endswith("0 in use: ask for less, or for a higher cap")
    assert refused_reason(decision.rejected, REFUSING) == decision.rejected[0]


def test_what_was_granted_and_what_is_reserved_counts_under_a_cap() -> None:
    state = under(policy("cap", caps=[{**GPU, "devices": 16}]), on=[node(f"gpu-{number}") for number in range(4)])
    queue = [replace(ask(candidate("gpu", option(GPUS))), uid=f"run-{number}") for number in range(3)]
    granted = [bool(decision.grants) for decision in place(queue, state, [], NOW).values()]
    assert granted == [True, True, False]
    reserved = Reservation("other", 1, option(GPUS), 1, Key("TrainingRun", "team", "other"))
    elsewhere = Reservation("none", 1, option(GPUS), 1)
    granted = [bool(decision.grants) for decision in place(queue, state, [reserved, elsewhere], NOW).values()]
    assert granted == [True, False, False]
    # The function keeps nothing.
    assert state.held.counts == {}


def test_caps_count_where_free_devices_are_unknown() -> None:
    state = replace(under(policy("cap", caps=[{**GPU, "devices": 8}])), pods_known=False)
    queue = [replace(ask(candidate("gpu", option(GPUS))), uid=f"run-{number}") for number in range(2)]
    assert [bool(decision.grants) for decision in place(queue, state, [], NOW).values()] == [True, False]


def test_replicas_go_as_far_as_the_cap_and_then_elsewhere() -> None:
    state = under(policy("cap", caps=[{**GPU, "devices": 5}]), on=[node("gpu-0", 16), node("npu-0", 2, NPUS)])
    asked = ask(candidate("gpu", option(GPUS, 9, 2)), candidate("npu", option(NPUS, 9, 2)), replicas=4)
    decision = one(asked, state)
    assert told(decision)[0] == [("nvidia-h20", 2), ("ascend-910b", 1)]
    assert [(item.variant, item.message) for item in decision.rejected] == [
        (
            "gpu",
            "8 devices asked for; the cap of policy cap on nvidia-h20 is 5, 0 in use: ask for less, or for a higher cap",
        ),
        ("npu", "2 pods x 2 devices asked for; 1 node with 2 devices in all hold 1 such pod even when empty"),
    ]


def test_devices_of_another_profile_or_reach_do_not_count_under_a_cap() -> None:
    policies: Policies = book(policy("cap", kinds=["TrainingRun"], caps=[{**GPU, "devices": 8}]))
    counts = {Holder("InferenceService", "team", "nvidia-h20"): 8, Holder("TrainingRun", "team", "ascend-910b"): 8}
    state = replace(snapshot(BOTH, []), held=Held(policies, counts))
    assert told(one(either(), state))[0] == [("nvidia-h20", 1)]


def test_of_several_caps_the_first_that_is_reached_is_told() -> None:
    state = under(
        policy("a", priority=1, caps=[{**GPU, "devices": 99}]), policy("b", caps=[{**GPU, "devices": 9}]), nvidia_h20=8
    )
    assert "the cap of policy b on" in one(ask(candidate("gpu", option(GPUS))), state).rejected[0].message
