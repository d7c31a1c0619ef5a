"""Where pods fit: which nodes count, and how much of them is free."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.api.scheduling import Toleration
from tandem.domain.observed import ForeignPod, NodeRecord, OwnPod
from tandem.domain.placement.fit import eligible, room, snapshot
from tests.unit.domain.builders import GPU, GPUS, NPU, NPUS, foreign, node, option, pod, profile, taint


def test_a_ready_node_with_the_labels_of_the_profile_counts() -> None:
    assert eligible(node(), option())


@pytest.mark.parametrize(
    "fields",
    [
        {"cordoned": True},
        {"ready": False},
        {"labels": {}},
        {"labels": {"accel": "other"}},
        {"taints": (taint("gpu"),)},
        {"taints": (taint("gpu", effect="NoExecute"),)},
    ],
    ids=repr,
)
def test_a_node_that_the_scheduler_would_not_take_does_not_count(fields: dict[str, Any]) -> None:
    assert not eligible(node(**fields), option())


def test_a_taint_that_only_prefers_keeps_nobody_away() -> None:
    assert eligible(node(taints=(taint("gpu", effect="PreferNoSchedule"),)), option())


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"operator": "Exists", "effect": "NoSchedule"}, True),
        ({"operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "gpu", "value": "yes"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "value": "no"}, False),
        ({"key": "gpu"}, False),
        ({"key": "other", "operator": "Exists"}, False),
        ({"value": "yes"}, False),
    ],
    ids=repr,
)
def test_tolerations_match_taints_as_the_scheduler_matches_them(toleration: dict[str, str], tolerated: bool) -> None:
    wanted = option(tolerations=(Toleration.model_validate(toleration),))
    assert eligible(node(taints=(taint("gpu", "yes"),)), wanted) is tolerated


def test_every_taint_must_be_tolerated() -> None:
    wanted = option(tolerations=(Toleration(key="gpu", operator="Exists"),))
    assert not eligible(node(taints=(taint("gpu"), taint("maintenance"))), wanted)


def test_the_user_may_narrow_the_nodes_but_not_leave_the_profile_s() -> None:
    pools = node(labels={"accel": "nvidia-h20", "pool": "a"})
    assert eligible(pools, option(node_selector={"pool": "a"}))
    assert not eligible(pools, option(node_selector={"pool": "b"}))
    # As in the rendered pod, the profile's own label wins over the user's.
    assert eligible(pools, option(node_selector={"accel": "other"}))


@pytest.mark.parametrize(("architecture", "fits"), [(None, True), ("amd64", True), ("arm64", False)])
def test_nodes_of_another_architecture_do_not_count(architecture: str | None, fits: bool) -> None:
    assert eligible(node(), option(profile(architecture=architecture))) is fits


def test_pods_hold_devices_until_their_containers_have_ended() -> None:
    pods: list[OwnPod | ForeignPod] = [
        foreign(devices=1),
        foreign(node_name=None, devices=8),
        foreign(devices=2, terminal=True),
        pod(0, devices={GPU: 3}),
        pod(1, devices={GPU: 8}, phase="Succeeded"),
        pod(2, devices={NPU: 1}, node="npu-0"),
    ]
    assert snapshot([], pods).used == {("gpu-0", GPU): 4, ("npu-0", NPU): 1}


def test_a_terminating_pod_counts_until_it_is_gone() -> None:
    ending = pod(0, deleting_since=pod().created)
    assert snapshot([], [ending]).used == {("gpu-0", GPU): 8}


NODES = st.lists(
    st.builds(
        lambda index, devices, kind, ready, cordoned: node(
            f"node-{index}", devices, kind, ready=ready, cordoned=cordoned
        ),
        st.integers(0, 99),
        st.integers(0, 16),
        st.sampled_from([GPUS, NPUS]),
        st.booleans() | st.just(True),
        st.booleans() | st.just(False),
    ),
    max_size=5,
    unique_by=lambda item: item.name,
)


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[NodeRecord], list[ForeignPod]]:
    nodes = draw(NODES)
    names = [item.name for item in nodes] or ["gone"]
    pods = draw(
        st.lists(
            st.builds(foreign, st.sampled_from([*names, None]), st.integers(1, 8), st.sampled_from([GPU, NPU])),
            max_size=6,
        )
    )
    return nodes, pods


def pods_that_fit(nodes: list[NodeRecord], used: Mapping[tuple[str, str], int], devices: int) -> int:
    """Put in one pod after the other until none goes in."""
    free = {
        item.name: item.allocatable.get(GPU, 0) - used.get((item.name, GPU), 0)
        for item in nodes
        if item.ready and not item.cordoned and item.labels["accel"] == "nvidia-h20"
    }
    count = 0
    while any(left >= devices for left in free.values()):
        free[next(name for name, left in free.items() if left >= devices)] -= devices
        count += 1
    return count


@given(clusters(), st.integers(1, 9))
def test_room_is_as_many_pods_as_go_in_one_by_one(
    cluster: tuple[list[NodeRecord], list[ForeignPod]], devices: int
) -> None:
    nodes, pods = cluster
    state = snapshot(nodes, pods)
    found = room(state, state.used, option(devices=devices))
    assert found.pods == pods_that_fit(nodes, state.used, devices)
    assert 0 <= found.free <= found.total
    assert found.nodes == len(found.pods_by_node)


def test_a_node_with_more_in_use_than_it_offers_has_nothing_free() -> None:
    state = snapshot([node(devices=4), node("gpu-1", 8)], [foreign(devices=8)])
    found = room(state, state.used, option(devices=2))
    assert (found.pods, found.free, found.total) == (4, 8, 12)
