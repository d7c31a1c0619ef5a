"""The placer: who gets devices, in which order, and what the others are told."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.api.reasons import Reason
from tandem.domain.observed import ForeignPod, NodeRecord, Wait
from tandem.domain.placement.fit import Snapshot, room, snapshot
from tandem.domain.placement.place import Reservation, _board, may_fit, place
from tandem.domain.placement.request import Ask, Candidate, Decision, Grant, Option
from tests.unit.domain.builders import (
    GPUS,
    NOW,
    NPUS,
    candidate,
    foreign,
    granted,
    later,
    node,
    option,
    profile,
)


def ask(*candidates: Candidate, uid: str = "a", age: float = 0, replicas: int | None = None) -> Ask:
    """An ask of an object that is `age` seconds older than the others."""
    return Ask(
        uid=uid,
        kind="TrainingRun" if replicas is None else "InferenceService",
        namespace="team",
        name=uid,
        attempt=1,
        since=later(-age),
        candidates=candidates,
        replicas=replicas,
    )


def gang(pods: int = 1, devices: int = 8, uid: str = "a", age: float = 0) -> Ask:
    return ask(candidate("main", option(pods=pods, devices=devices)), uid=uid, age=age)


def one(asked: Ask, state: Snapshot, reservations: Sequence[Reservation] = ()) -> Decision:
    return place([asked], state, reservations, NOW)[asked.uid]


TWO_NODES = snapshot([node("gpu-0"), node("gpu-1")], [])
BOTH_KINDS = snapshot([node("gpu-0"), node("npu-0", 8, NPUS)], [])


# Gangs


def test_a_gang_gets_the_first_candidate_that_fits_and_hears_why_not_the_ones_before() -> None:
    state = snapshot([node("gpu-0"), node("npu-0", 8, NPUS), node("npu-1", 8, NPUS)], [])
    decision = one(ask(candidate("nvidia", option(pods=2)), candidate("ascend", option(NPUS, pods=2))), state)
    assert granted(decision) == {"ascend": 2}
    assert [(item.variant, item.reason) for item in decision.rejected] == [("nvidia", Reason.DOES_NOT_FIT_NOW)]


@pytest.mark.parametrize(("pods", "grants"), [(1, {"main": 1}), (2, {"main": 2}), (3, {})])
def test_a_gang_gets_all_of_its_pods_or_none(pods: int, grants: dict[str, int]) -> None:
    assert granted(one(gang(pods), TWO_NODES)) == grants


def test_of_a_selector_s_profiles_the_first_that_fits_is_taken() -> None:
    either = candidate("main", option(GPUS, pods=2), option(NPUS, pods=1))
    decision = one(ask(either), BOTH_KINDS)
    assert decision.grant is not None
    assert decision.grant.option.profile is NPUS


def test_a_decision_without_a_grant_has_none() -> None:
    assert one(gang(3), TWO_NODES).grant is None


def test_a_candidate_without_profiles_is_unknown_and_one_that_was_refused_is_held_off() -> None:
    decision = one(ask(candidate("none"), candidate("later", option(), held_off="not tried before noon")), TWO_NODES)
    assert [(item.variant, item.reason) for item in decision.rejected] == [
        ("none", Reason.UNKNOWN_ACCELERATOR),
        ("later", Reason.HELD_OFF),
    ]
    assert decision.rejected[1].message == "not tried before noon"


LEGAL = profile(counts={"perPod": [1, 2, 4, 8], "distributed": [8]})


@pytest.mark.parametrize(
    ("pods", "devices", "legal"), [(1, 1, True), (1, 3, False), (2, 8, True), (2, 4, False), (2, 3, False)]
)
def test_a_profile_s_counts_apply_to_pods_alone_and_in_a_gang(pods: int, devices: int, legal: bool) -> None:
    decision = one(ask(candidate("main", option(LEGAL, pods, devices))), TWO_NODES)
    assert (granted(decision) == {"main": pods}) is legal
    assert [item.reason for item in decision.rejected] == ([] if legal else [Reason.ILLEGAL_COUNT])


def test_a_variant_of_one_pod_is_not_judged_by_the_gang_of_another() -> None:
    small, large = candidate("small", option(LEGAL, 1, 1)), candidate("large", option(LEGAL, 2, 8))
    assert granted(one(ask(small, large), TWO_NODES)) == {"small": 1}


def test_replicas_are_pods_alone() -> None:
    assert granted(one(ask(candidate("main", option(LEGAL, 4, 1)), replicas=2), TWO_NODES)) == {"main": 2}


def test_without_sight_of_all_pods_placement_goes_by_trial() -> None:
    blind = snapshot([], [], pods_known=False)
    assert granted(one(gang(64), blind)) == {"main": 64}
    assert granted(one(ask(candidate("main", option(pods=9)), replicas=7), blind)) == {"main": 7}


# Order and reservations


def test_the_older_ask_goes_first() -> None:
    decisions = place([gang(2, uid="young"), gang(2, uid="old", age=60)], TWO_NODES, (), NOW)
    assert granted(decisions["old"]) == {"main": 2}
    assert granted(decisions["young"]) == {}


def test_the_higher_priority_goes_before_the_older() -> None:
    urgent = replace(gang(2, uid="urgent"), priority=1)
    decisions = place([gang(2, uid="old", age=60), urgent], TWO_NODES, (), NOW)
    assert granted(decisions["urgent"]) == {"main": 2}
    assert granted(decisions["old"]) == {}


def test_of_the_same_age_the_lower_uid_goes_first() -> None:
    decisions = place([gang(2, uid="b"), gang(2, uid="a")], TWO_NODES, (), NOW)
    assert granted(decisions["a"]) == {"main": 2}
    assert granted(decisions["b"]) == {}


def test_a_small_ask_fills_what_an_older_large_one_cannot_use() -> None:
    decisions = place([gang(3, uid="large", age=60), gang(1, uid="small")], TWO_NODES, (), NOW)
    assert granted(decisions["small"]) == {"main": 1}


def test_reserved_devices_are_not_given_twice() -> None:
    held = Reservation(uid="other", attempt=1, option=option(pods=1), pods=1)
    assert granted(one(gang(2), TWO_NODES, [held])) == {}
    assert granted(one(gang(1), TWO_NODES, [held])) == {"main": 1}


def test_a_reservation_that_no_longer_fits_takes_what_there_is() -> None:
    held = Reservation(uid="other", attempt=1, option=option(pods=9), pods=9)
    assert granted(one(gang(1), TWO_NODES, [held])) == {}


def test_small_pods_go_to_the_fullest_node_so_that_whole_nodes_stay_free() -> None:
    state = snapshot([node("gpu-0"), node("gpu-1")], [foreign("gpu-1", 4)])
    decisions = place([gang(1, 4, uid="small", age=60), gang(1, 8, uid="large")], state, (), NOW)
    assert granted(decisions["small"]) == granted(decisions["large"]) == {"main": 1}


# Replicas


def test_replicas_fill_candidates_in_listed_order() -> None:
    spread = ask(candidate("nvidia", option(pods=10)), candidate("ascend", option(NPUS, pods=10)), replicas=2)
    decision = one(spread, BOTH_KINDS)
    assert granted(decision) == {"nvidia": 1, "ascend": 1}
    assert [(item.variant, item.reason) for item in decision.rejected] == [("nvidia", Reason.DOES_NOT_FIT_NOW)]


def test_replicas_respect_the_most_a_variant_may_take() -> None:
    bounded = ask(candidate("nvidia", option(pods=1, devices=1)), candidate("ascend", option(NPUS, 9, 1)), replicas=4)
    decision = one(bounded, BOTH_KINDS)
    assert granted(decision) == {"nvidia": 1, "ascend": 3}
    assert decision.rejected == ()


def test_minimums_are_given_before_the_first_candidate_is_filled() -> None:
    asked = ask(
        candidate("nvidia", option(pods=9, devices=1)),
        candidate("ascend", option(NPUS, 9, 1), minimum=2),
        replicas=4,
    )
    assert granted(one(asked, BOTH_KINDS)) == {"nvidia": 2, "ascend": 2}


def test_replicas_that_find_no_place_are_reported_with_the_number_that_lacks() -> None:
    decision = one(ask(candidate("nvidia", option(pods=9)), replicas=3), TWO_NODES)
    assert granted(decision) == {"nvidia": 2}
    assert decision.rejected[0].message.startswith("3 pods x 8 devices asked for")


def test_replicas_of_a_selector_stay_on_one_profile() -> None:
    either = candidate("main", option(GPUS, pods=9), option(NPUS, pods=9), minimum=1)
    decision = one(ask(either, replicas=2), BOTH_KINDS)
    assert [(grant.option.profile.name, grant.pods) for grant in decision.grants] == [("nvidia-h20", 1)]


def test_a_selector_s_second_profile_takes_replicas_that_the_first_cannot() -> None:
    state = snapshot([node("npu-0", 8, NPUS)], [])
    decision = one(ask(candidate("main", option(GPUS, pods=9), option(NPUS, pods=9)), replicas=1), state)
    assert [(grant.option.profile.name, grant.pods) for grant in decision.grants] == [("ascend-910b", 1)]


def test_no_replicas_asked_for_are_none_given() -> None:
    assert one(ask(candidate("main", option(pods=9)), replicas=0), TWO_NODES) == Decision((), ())


# Properties, over whole clusters and queues

KINDS = [GPUS, NPUS]
NODES = st.lists(
    st.builds(
        lambda i, devices, kind: node(f"n{i}", devices, kind),
        st.integers(0, 9),
        st.integers(0, 8),
        st.sampled_from(KINDS),
    ),
    max_size=4,
    unique_by=lambda item: item.name,
)
PODS = st.lists(
    st.builds(
        lambda i, devices, kind: foreign(f"n{i}", devices, kind.spec.allocation.extended_resource.name),
        st.integers(0, 9),
        st.integers(1, 8),
        st.sampled_from(KINDS),
    ),
    max_size=4,
)
OPTIONS = st.builds(option, st.sampled_from(KINDS), st.integers(1, 4), st.sampled_from([1, 2, 3, 4, 8]))
CANDIDATES = st.lists(
    st.lists(OPTIONS, max_size=2, unique_by=lambda item: item.profile.name), min_size=1, max_size=3
).map(lambda groups: tuple(candidate(f"v{i}", *options) for i, options in enumerate(groups)))


@st.composite
def queues(draw: st.DrawFn) -> list[Ask]:
    asks = []
    for index in range(draw(st.integers(1, 4))):
        candidates = draw(CANDIDATES)
        replicas = draw(st.none() | st.integers(0, 6))
        if replicas is not None:
            least = draw(st.lists(st.integers(0, 2), min_size=len(candidates), max_size=len(candidates)))
            candidates = tuple(
                replace(item, minimum=min([number, *(o.pods for o in item.options)]))
                for item, number in zip(candidates, least, strict=True)
            )
        asked = ask(*candidates, uid=f"u{index}", age=draw(st.integers(0, 3)), replicas=replicas)
        asks.append(replace(asked, priority=draw(st.integers(-1, 1))))
    return asks


def can_hold(state: Snapshot, grants: Sequence[Grant]) -> bool:
    """Whether all grants go onto the nodes at once, by trying every way to put them there."""
    pods = sorted(
        (
            (grant.option.profile.name, grant.option.resource, grant.option.devices)
            for grant in grants
            for _ in range(grant.pods)
        ),
        key=lambda item: -item[2],
    )
    free = {
        (item.name, resource): amount - state.used.get((item.name, resource), 0)
        for item in state.nodes
        for resource, amount in item.allocatable.items()
    }
    homes = {item.name: item.labels["accel"] for item in state.nodes}

    def put(index: int) -> bool:
        if index == len(pods):
            return True
        accelerator, resource, devices = pods[index]
        tried = set()
        for place_, left in sorted(free.items()):
            if homes[place_[0]] != accelerator or place_[1] != resource or left < devices or left in tried:
                continue
            tried.add(left)
            free[place_] -= devices
            if put(index + 1):
                return True
            free[place_] += devices
        return False

    return put(0)


@given(NODES, PODS, queues())
def test_devices_are_never_given_twice(nodes: list[NodeRecord], pods: list[ForeignPod], queue: list[Ask]) -> None:
    state = snapshot(nodes, pods)
    decisions = place(queue, state, (), NOW)
    assert can_hold(state, [grant for decision in decisions.values() for grant in decision.grants])


@given(NODES, PODS, queues(), st.integers(1, 3), OPTIONS)
def test_devices_are_never_given_that_a_reservation_holds(
    nodes: list[NodeRecord], pods: list[ForeignPod], queue: list[Ask], count: int, held: Option
) -> None:
    state = snapshot(nodes, pods)
    kept = min(count, room(state, state.used, held).pods)
    decisions = place(queue, state, [Reservation("other", 1, held, kept)], NOW)
    given_ = [grant for decision in decisions.values() for grant in decision.grants]
    assert can_hold(state, [*given_, Grant("other", held, kept)])


@given(NODES, PODS, queues(), st.randoms(use_true_random=False))
def test_a_decision_does_not_depend_on_the_order_of_what_is_observed(
    nodes: list[NodeRecord], pods: list[ForeignPod], queue: list[Ask], random: Random
) -> None:
    decided = place(queue, snapshot(nodes, pods), (), NOW)
    random.shuffle(nodes)
    random.shuffle(pods)
    random.shuffle(queue)
    assert place(queue, snapshot(nodes, pods), (), NOW) == decided


@given(NODES, PODS, queues())
def test_a_gang_gets_all_or_nothing_and_replicas_no_more_than_they_may(
    nodes: list[NodeRecord], pods: list[ForeignPod], queue: list[Ask]
) -> None:
    decisions = place(queue, snapshot(nodes, pods), (), NOW)
    for asked in queue:
        decision = decisions[asked.uid]
        if asked.replicas is None:
            assert len(decision.grants) <= 1
            assert all(grant.pods == grant.option.pods for grant in decision.grants)
            assert decision.grants or decision.rejected
        else:
            assert len({grant.variant for grant in decision.grants}) == len(decision.grants)
            assert all(0 < grant.pods <= grant.option.pods for grant in decision.grants)
            assert sum(grant.pods for grant in decision.grants) <= asked.replicas


@given(NODES, PODS, queues())
def test_an_ask_is_never_worse_off_for_one_behind_it(
    nodes: list[NodeRecord], pods: list[ForeignPod], queue: list[Ask]
) -> None:
    state = snapshot(nodes, pods)
    first = min(queue, key=lambda item: (-item.priority, item.since, item.uid))
    assert place(queue, state, (), NOW)[first.uid] == one(first, state)


@given(NODES, PODS, OPTIONS, st.integers(0, 9))
def test_replicas_are_left_over_only_when_there_is_no_room(
    nodes: list[NodeRecord], pods: list[ForeignPod], choice: Option, wanted: int
) -> None:
    state = snapshot(nodes, pods)
    decision = one(ask(candidate("main", choice), replicas=wanted), state)
    assert sum(granted(decision).values()) == min(wanted, choice.pods, room(state, state.used, choice).pods)


@given(NODES, PODS, queues(), st.lists(st.tuples(OPTIONS, st.integers(1, 3)), max_size=6))
def test_reservations_of_one_shape_are_taken_together_as_they_would_be_one_after_another(
    nodes: list[NodeRecord], pods: list[ForeignPod], queue: list[Ask], held: list[tuple[Option, int]]
) -> None:
    state = snapshot(nodes, pods)
    together = place(queue, state, [Reservation("other", 1, wanted, count) for wanted, count in held], NOW)
    used = dict(state.used)
    largest_first = sorted(
        held, key=lambda item: (-item[0].devices, [wanted.shape for wanted, _ in held].index(item[0].shape))
    )
    for wanted, count in largest_first:
        for _ in range(count):
            # The fullest node on which one more fits.
            free = {name: fits for name, fits in room(state, used, wanted).pods_by_node.items() if fits}
            if free:
                chosen = min(free, key=lambda name: (free[name], name))
                used[chosen, wanted.resource] = used.get((chosen, wanted.resource), 0) + wanted.devices
    assert together == place(queue, replace(state, used=used, rooms={}), (), NOW)


@given(NODES, st.lists(st.tuples(OPTIONS, st.integers(1, 3)), max_size=6), st.randoms(use_true_random=False))
def test_how_much_is_left_does_not_depend_on_who_reserved_first(
    nodes: list[NodeRecord], held: list[tuple[Option, int]], random: Random
) -> None:
    """Two makes may offer the same resource on the same nodes; here each has its own."""
    state, asked = snapshot(nodes, []), [gang(1, devices) for devices in (1, 4, 8)]
    before = [one(item, state, [Reservation("other", 1, wanted, count) for wanted, count in held]) for item in asked]
    random.shuffle(held)
    assert before == [
        one(item, state, [Reservation("x", 1, wanted, count) for wanted, count in held]) for item in asked
    ]


@given(NODES, queues())
def test_an_ask_that_cannot_fit_is_refused_for_other_reasons_than_devices(
    nodes: list[NodeRecord], queue: list[Ask]
) -> None:
    lost = [replace(item, options=()) for item in queue[0].candidates]
    queue[0] = replace(queue[0], candidates=tuple(lost))
    for asked in queue:
        decision = one(replace(asked, replicas=None), snapshot(nodes, []))
        by_devices = Reason.DOES_NOT_FIT_NOW in {item.reason for item in decision.rejected}
        assert may_fit(asked, snapshot(nodes, [])) == bool(decision.grants or by_devices)


def test_a_legal_count_may_fit_and_an_illegal_one_may_not() -> None:
    counted = profile(counts={"perPod": [1, 8]})
    assert may_fit(ask(candidate("main", option(counted, devices=8))), TWO_NODES)
    assert not may_fit(ask(candidate("main", option(counted, devices=3))), TWO_NODES)
    assert not may_fit(ask(candidate("main", option(counted, devices=8), held_off="not before noon")), TWO_NODES)


# Pods of others that wait


def waiting(devices: int = 8, priority: int = 0, **wait: Any) -> ForeignPod:
    return foreign(None, devices, wait=Wait(priority, **wait))


@pytest.mark.parametrize(("priority", "granted_pods"), [(-1, 2), (0, 1), (1, 1)])
def test_pods_of_others_that_wait_go_first_unless_ours_is_of_higher_priority(priority: int, granted_pods: int) -> None:
    state = snapshot([node("gpu-0"), node("gpu-1")], [waiting(priority=priority)])
    replicas = ask(candidate("main", option(pods=9)), replicas=9)
    assert granted(one(replicas, state)) == {"main": granted_pods}


def test_what_pods_of_others_will_get_is_told_as_a_number() -> None:
    state = snapshot([node("gpu-0"), node("gpu-1")], [foreign("gpu-0", 5), waiting(devices=2)])
    [rejected] = one(gang(2), state).rejected
    why = "9 of 16 devices are free on 2 nodes, 2 more are for pods of others that wait and go first"
    assert rejected.message == f"2 pods x 8 devices asked for; {why}"


def test_a_pod_of_others_that_fits_nowhere_keeps_nothing_from_us() -> None:
    elsewhere = waiting(node_selector=(("accel", "other"),))
    state = snapshot([node("gpu-0"), node("gpu-1")], [waiting(devices=9), elsewhere])
    assert granted(one(gang(2), state)) == {"main": 2}


def test_where_devices_are_unknown_nobody_waits_for_some() -> None:
    blind = snapshot([node()], [waiting()], pods_known=False)
    assert granted(one(gang(1), blind)) == {"main": 1}


@given(
    st.lists(st.integers(0, 8), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(1, 9), st.integers(-2, 2)), max_size=6),
    st.integers(-2, 2),
)
def test_ours_get_what_is_left_when_all_that_go_first_were_put_in_one_by_one(
    sizes: list[int], others: list[tuple[int, int]], priority: int
) -> None:
    nodes = [node(f"n{index}", size) for index, size in enumerate(sizes)]
    state = snapshot(nodes, [waiting(devices, value) for devices, value in others])
    wanted = replace(ask(candidate("main", option(pods=99, devices=1)), replicas=99), priority=priority)
    # Device by device our replicas fit everywhere, so what they get is what the others leave.
    left = dict(enumerate(sizes))
    for devices, value in sorted(others, key=lambda item: (-item[1], -item[0])):
        fitting = [index for index, free in left.items() if free >= devices]
        if value >= priority and fitting:
            left[min(fitting, key=lambda index: (left[index] // devices, index))] -= devices
    assert sum(granted(one(wanted, state)).values()) == sum(left.values())


@given(NODES, PODS, st.lists(st.tuples(OPTIONS, st.integers(0, 3)), max_size=8), OPTIONS)
def test_room_is_kept_up_to_date_as_devices_are_taken(
    nodes: list[NodeRecord], pods: list[ForeignPod], taken: list[tuple[Option, int]], late: Option
) -> None:
    """As counted anew, for options that were asked about before and for those that come later."""
    state = snapshot(nodes, pods)
    board = _board(state, (), NOW)
    for wanted, count in taken:
        board.take(wanted, count)
        assert board.room(wanted) == room(state, board.used, wanted)
    for wanted in (*(wanted for wanted, _ in taken), late):
        assert board.room(wanted) == room(state, board.used, wanted)
