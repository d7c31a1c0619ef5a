"""A gang that has waited too long: those behind it are held back where it could be placed, and nowhere else."""

from dataclasses import replace

import pytest

from tandem.api.reasons import Reason
from tandem.domain.placement.fit import snapshot
from tandem.domain.placement.place import place
from tandem.domain.placement.request import Ask, Candidate
from tests.unit.domain.builders import GPUS, NOW, NPUS, candidate, foreign, granted, later, node, option, stamp

LIMIT = 900.0


def gang(uid: str, age: float, *candidates: Candidate, waited: float = 0) -> Ask:
    """A gang of an object that is so old, and has waited for so long."""
    return Ask(
        uid=uid,
        kind="TrainingRun",
        namespace="team",
        name=uid,
        attempt=1,
        since=later(-age),
        candidates=candidates or (candidate("main", option(pods=2)),),
        waits_since=later(-waited),
        starves_after=LIMIT,
    )


SMALL = candidate("main", option(devices=1))
HALF_FULL = snapshot([node("gpu-0"), node("gpu-1")], [foreign("gpu-0", 8)])


@pytest.mark.parametrize(("waited", "young"), [(LIMIT - 1, {"main": 1}), (LIMIT, {})])
def test_who_has_waited_too_long_keeps_devices_from_those_behind_it(waited: float, young: dict[str, int]) -> None:
    decisions = place([gang("old", 1000, waited=waited), gang("young", 10, SMALL)], HALF_FULL, (), NOW)
    assert granted(decisions["old"]) == {}
    assert granted(decisions["young"]) == young


def test_those_held_back_hear_how_many_devices_are_kept_and_since_when_but_not_for_whom() -> None:
    decisions = place([gang("old", 1000, waited=1000), gang("young", 10, SMALL)], HALF_FULL, (), NOW)
    [rejected] = decisions["young"].rejected
    assert rejected.reason is Reason.DOES_NOT_FIT_NOW
    kept = f"8 of the 8 free devices are kept for a gang that has waited since {stamp(-1000)}"
    assert rejected.message == f"1 pod x 1 device asked for; {kept}"


def test_too_few_devices_are_told_before_those_that_are_kept() -> None:
    wide = candidate("main", option(pods=9, devices=1))
    decisions = place([gang("old", 1000, waited=1000), gang("young", 10, wide)], HALF_FULL, (), NOW)
    assert decisions["young"].rejected[0].message.endswith("8 of 16 devices are free on 2 nodes")


def test_replicas_are_held_back_too() -> None:
    chat = replace(gang("chat", 10, candidate("main", option(pods=9, devices=1))), replicas=4, starves_after=None)
    decisions = place([gang("old", 1000, waited=1000), chat], HALF_FULL, (), NOW)
    assert granted(decisions["chat"]) == {}


def test_who_is_ahead_of_it_is_not_held_back() -> None:
    urgent = replace(gang("urgent", 10, SMALL), priority=1)
    decisions = place([gang("old", 1000, waited=1000), urgent, gang("older", 2000, SMALL)], HALF_FULL, (), NOW)
    assert granted(decisions["urgent"]) == granted(decisions["older"]) == {"main": 1}


def test_other_accelerators_are_not_held_back() -> None:
    state = snapshot([node("gpu-0"), node("npu-0", 8, NPUS)], [foreign("gpu-0", 4)])
    old = gang("old", 1000, candidate("main", option(devices=8)), waited=1000)
    decisions = place([old, gang("young", 10, candidate("main", option(NPUS)))], state, (), NOW)
    assert granted(decisions["young"]) == {"main": 1}


def test_every_variant_that_only_lacks_devices_holds_others_back() -> None:
    state = snapshot(
        [node("gpu-0"), node("npu-0", 8, NPUS)], [foreign("gpu-0", 4), foreign("npu-0", 4, "huawei.com/Ascend910")]
    )
    both = candidate("gpu", option(devices=8)), candidate("npu", option(NPUS, devices=8))
    young = candidate("gpu", option(devices=4)), candidate("npu", option(NPUS, devices=4))
    decisions = place([gang("old", 1000, *both, waited=1000), gang("young", 10, *young)], state, (), NOW)
    assert granted(decisions["young"]) == {}
    held_off = replace(both[1], held_off="not tried before noon")
    decisions = place([gang("old", 1000, both[0], held_off, waited=1000), gang("young", 10, *young)], state, (), NOW)
    assert granted(decisions["young"]) == {"npu": 1}


def test_it_keeps_only_as_many_nodes_as_it_needs_and_those_with_the_most_free_devices() -> None:
    """Every other node would stand idle for nothing, as long as it waits."""
    nodes = [node(f"gpu-{index}") for index in range(4)]
    busy = [foreign(f"gpu-{index}", 5 + index % 3) for index in range(4)]
    old = gang("old", 1000, candidate("main", option(pods=2)), waited=1000)
    three = gang("three", 10, candidate("main", option(devices=3)))
    two = gang("two", 5, candidate("main", option(devices=2)))
    decisions = place([old, three, two], snapshot(nodes, busy), (), NOW)
    assert granted(decisions["three"]) == {}, "gpu-0 and gpu-3 have three free devices, and are kept"
    assert granted(decisions["two"]) == {"main": 1}


def test_of_two_that_have_waited_too_long_only_the_first_keeps_devices_of_a_resource() -> None:
    nodes = [node(f"gpu-{index}") for index in range(3)]
    full = [foreign(f"gpu-{index}", 4) for index in range(3)]
    whole = candidate("main", option(devices=8))
    line = [gang("first", 2000, whole, waited=2000), gang("second", 1000, whole, waited=1000)]
    small = [gang(f"small-{index}", 10 - index, candidate("main", option(devices=4))) for index in range(3)]
    decisions = place([*line, *small], snapshot(nodes, full), (), NOW)
    assert [len(granted(decisions[item.uid])) for item in small] == [1, 1, 0]


def test_who_could_not_be_placed_on_empty_nodes_holds_nobody_back() -> None:
    """It would keep devices idle for ever."""
    never = gang("never", 1000, candidate("main", option(pods=3)), waited=1000)
    decisions = place([never, gang("young", 10, SMALL)], HALF_FULL, (), NOW)
    assert granted(decisions["young"]) == {"main": 1}


def test_of_alike_ones_the_first_that_waits_too_long_counts_not_the_first_in_line() -> None:
    """One that was placed for long and waits anew is older, but has not waited."""
    line = [gang("older", 2000), gang("middle", 100, SMALL), gang("old", 1000, waited=1000), gang("young", 10, SMALL)]
    decisions = place(
        line, snapshot([node("gpu-0"), node("gpu-1")], [foreign("gpu-0", 7), foreign("gpu-1", 7)]), (), NOW
    )
    assert granted(decisions["young"]) == granted(decisions["middle"]) == {}
    assert granted(place(line[:2], HALF_FULL, (), NOW)["middle"]) == {"main": 1}


def test_a_second_one_that_waits_too_long_is_behind_the_first() -> None:
    first = gang("first", 2000, waited=2000)
    second = gang("second", 1000, candidate("main", option(devices=8)), waited=1000)
    decisions = place([first, second, gang("young", 10, SMALL)], HALF_FULL, (), NOW)
    assert [granted(decisions[uid]) for uid in ("first", "second", "young")] == [{}, {}, {}]
    message = decisions["young"].rejected[0].message
    assert message.endswith(stamp(-2000))


def test_without_sight_of_all_pods_nobody_is_held_back() -> None:
    blind = snapshot([node()], [], pods_known=False)
    decisions = place([gang("old", 1000, waited=1000), gang("young", 10, SMALL)], blind, (), NOW)
    assert granted(decisions["young"]) == {"main": 1}


# Patience: how long a candidate that lacks devices keeps those behind it from being tried

BOTH = candidate("gpu", option(pods=2)), candidate("npu", option(NPUS))
NPU_FREE = snapshot([node("gpu-0"), node("npu-0", 8, NPUS)], [])


@pytest.mark.parametrize(
    ("patience", "waited", "grants"), [(0, 0, {"npu": 1}), (600, 0, {}), (600, 599, {}), (600, 600, {"npu": 1})]
)
def test_a_candidate_that_lacks_devices_is_given_time(patience: float, waited: float, grants: dict[str, int]) -> None:
    patient = replace(gang("a", 1000, *BOTH, waited=waited), patience=patience)
    assert granted(place([patient], NPU_FREE, (), NOW)["a"]) == grants


def test_the_next_candidate_says_when_it_is_tried_and_which_one_goes_first() -> None:
    patient = replace(gang("a", 1000, *BOTH), patience=600, waits_since=None)
    rejected = place([patient], NPU_FREE, (), NOW)["a"].rejected
    assert [(item.variant, item.reason) for item in rejected] == [
        ("gpu", Reason.DOES_NOT_FIT_NOW),
        ("npu", Reason.HELD_OFF),
    ]
    assert rejected[1].message == (
        f"not tried before {stamp(600)}: gpu goes first and lacks devices (placement.waitSeconds)"
    )


def test_nobody_waits_for_a_candidate_that_is_refused_for_other_reasons_than_devices() -> None:
    refused = replace(BOTH[0], held_off="not tried before noon"), BOTH[1]
    patient = replace(gang("a", 1000, *refused), patience=600)
    assert granted(place([patient], NPU_FREE, (), NOW)["a"]) == {"npu": 1}


def test_a_selector_s_profiles_are_one_candidate() -> None:
    either = candidate("main", option(GPUS, pods=2), option(NPUS))
    patient = replace(gang("a", 1000, either), patience=600)
    assert granted(place([patient], NPU_FREE, (), NOW)["a"]) == {"main": 1}
