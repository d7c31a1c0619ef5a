"""The status of a profile: what the cluster has of it, and what is odd about it."""

from dataclasses import replace
from typing import Any

import pytest

from tandem.api.accelerator_profile import AcceleratorProfile, AcceleratorProfileStatus
from tandem.api.conditions import ConditionType, find
from tandem.domain.inventory.plan import ProfileView, plan_profile
from tandem.domain.observed import ForeignPod, NodeRecord, OwnPod
from tandem.domain.placement.fit import snapshot
from tests.unit.domain.builders import GPU, GPUS, NOW, NPUS, foreign, later, node, pod, profile, taint


def view(
    nodes: list[NodeRecord],
    *pods: OwnPod | ForeignPod,
    profiles: tuple[AcceleratorProfile, ...] = (GPUS, NPUS),
    **more: Any,
) -> ProfileView:
    made = ProfileView(
        profile=GPUS,
        generation=3,
        status=AcceleratorProfileStatus(),
        profiles={item.name: item for item in profiles},
        state=snapshot(nodes, pods),
        ours=0,
        now=NOW,
    )
    return replace(made, **more)


def status(given: ProfileView) -> AcceleratorProfileStatus:
    return AcceleratorProfileStatus.model_validate(plan_profile(given).status)


def headline(given: ProfileView) -> str:
    ready = find(status(given).conditions, ConditionType.READY)
    assert ready is not None
    return f"{ready.status} {ready.reason}: {ready.message}"


def test_devices_are_counted_by_who_holds_them() -> None:
    nodes = [node("a", 8), node("b", 8), node("npu", 8, NPUS)]
    mine = pod(0, node="a", devices={GPU: 4})
    unbound = pod(1, node=None, devices={GPU: 4})
    found = status(view(nodes, mine, unbound, foreign("b", 3), ours=4))
    assert found.nodes is not None
    assert (found.nodes.found, found.nodes.usable) == (2, 2)
    assert found.devices is not None
    assert found.devices.model_dump() == {
        "capacity": 16,
        "allocatable": 16,
        "unhealthy": 0,
        "free": 9,
        "ours": 4,
        "others": 3,
    }
    assert found.observed_generation == 3


def test_devices_that_their_plugin_calls_unhealthy_are_told_apart() -> None:
    sick = replace(node("a", 8), allocatable={GPU: 6})
    found = status(view([sick])).devices
    assert found is not None
    assert (found.capacity, found.allocatable, found.unhealthy, found.free) == (8, 6, 2, 6)


@pytest.mark.parametrize(
    "trouble",
    [{"cordoned": True}, {"ready": False}, {"taints": (taint("kept"),)}, {"annotations": frozenset({"sharing/on"})}],
    ids=str,
)
def test_on_a_node_that_takes_no_pods_nothing_is_free(trouble: dict[str, Any]) -> None:
    shared = profile(excludeNodes={"annotations": ["sharing/*"]})
    closed = replace(node("a", 8), **trouble)
    found = status(view([closed, node("b", 2)], profile=shared))
    assert found.devices is not None and found.nodes is not None
    assert (found.devices.capacity, found.devices.free) == (10, 2)
    assert (found.nodes.found, found.nodes.usable) == (2, 1)
    assert headline(view([closed], profile=shared)) == (
        "True NoUsableNodes: its pods may be bound to none of 1 node: cordoned, not ready, tainted, ill, or left out by excludeNodes"
    )


def test_nodes_with_unhealthy_devices_are_named_but_not_all_of_many() -> None:
    ill = [replace(node(name, 8), allocatable={GPU: 6}) for name in ("d", "c", "b", "a")]
    told = headline(view([node("well", 8), *ill]))
    assert told == "True DevicesUnhealthy: 8 of 40 devices unhealthy, on a, b, c and 1 more"
    assert headline(view([node("well", 8), ill[0]])).endswith("2 of 16 devices unhealthy, on d")


def test_without_the_right_to_list_pods_nobody_knows_what_is_free() -> None:
    blind = snapshot([node("a", 8)], [], pods_known=False)
    found = status(view([], state=blind)).devices
    assert found is not None
    assert (found.capacity, found.free, found.ours, found.others) == (8, None, None, None)


def test_a_device_of_ours_on_a_node_that_is_no_longer_the_profiles_is_not_counted() -> None:
    moved = replace(node("a", 8), labels={})
    found = status(view([moved, node("b", 8)], pod(0, node="a", devices={GPU: 4}), ours=4)).devices
    assert found is not None
    assert (found.ours, found.others, found.free) == (0, 0, 8)


def test_what_is_odd_is_the_headline() -> None:
    same = profile("other-gpus", nodeSelector={"accel": "nvidia-h20"})
    assert headline(view([node("a", 8)])) == "True Offered: 8 devices on 1 node"
    assert headline(view([])) == "True NoNodes: no node has its labels and architecture"
    assert headline(view([node("a", 0)])) == f"True NoDevices: 1 node with its labels offer no {GPU}"
    overlap = headline(view([node("a", 8)], profiles=(GPUS, NPUS, same)))
    assert overlap == f"True Overlap: {GPU} of some of its nodes is claimed by other-gpus too"


def test_a_second_look_at_the_same_devices_changes_nothing() -> None:
    first = plan_profile(view([node("a", 8)]))
    again = view([node("a", 8)], now=later(60), status=AcceleratorProfileStatus.model_validate(first.status))
    assert plan_profile(again).status == first.status
    assert not plan_profile(again).acts
