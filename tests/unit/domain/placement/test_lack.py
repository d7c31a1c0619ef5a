"""Why an option lacks devices: what is told, in numbers, and with the mend."""

from typing import Any

import pytest

from tandem.api.reasons import Reason
from tandem.domain.observed import ForeignPod, NodeRecord
from tandem.domain.placement import lack
from tandem.domain.placement.fit import room, snapshot
from tandem.domain.placement.request import Rejection
from tests.unit.domain.builders import GPU, foreign, later, node, option, profile, taint

ARM = {"accel": "nvidia-h20", "kubernetes.io/arch": "arm64"}


def explained(nodes: list[NodeRecord], pods: list[ForeignPod], **spec: Any) -> Rejection:
    """Why two pods of four devices do not fit."""
    state, wanted = snapshot(nodes, pods), option(profile(**spec), pods=2, devices=4)
    return lack.explain("main", wanted, state, state.used, room(state, state.used, wanted))


@pytest.mark.parametrize(
    ("nodes", "pods", "why"),
    [
        ([node()], [foreign(devices=3)], "5 of 8 devices are free on 1 node"),
        (
            [node("gpu-0"), node("gpu-1")],
            [foreign("gpu-0", 5), foreign("gpu-1", 3)],
            "8 devices are free but split over nodes: 1 such pod would fit",
        ),
        (
            [node("gpu-0", ready=False), node("gpu-1", cordoned=True), node("gpu-2", taints=(taint("repair"),))],
            [],
            "no node with its labels is ready and schedulable;"
            " nodes that do not count: 1 cordoned, 1 not ready, 1 tainted",
        ),
        (
            [node("gpu-0", 4), node("gpu-1", cordoned=True)],
            [],
            "4 of 4 devices are free on 1 node; nodes that do not count: 1 cordoned",
        ),
        (
            [node("gpu-0", allocatable={}), node("gpu-1", cordoned=True)],
            [foreign("gpu-0", 8)],
            "1 node with its labels offer no healthy nvidia.com/gpu; nodes that do not count: 1 cordoned",
        ),
    ],
)
def test_what_passes_by_itself_is_told_in_numbers(nodes: list[NodeRecord], pods: list[ForeignPod], why: str) -> None:
    found = explained(nodes, pods)
    assert (found.reason, found.message) == (Reason.DOES_NOT_FIT_NOW, f"2 pods x 4 devices asked for; {why}")
    assert not found.too_small


def test_devices_that_are_kept_for_a_gang_are_told() -> None:
    state, wanted = snapshot([node()], []), option(pods=2, devices=4)
    found = room(state, state.used, wanted, {("gpu-0", GPU): later(0)})
    message = lack.explain("main", wanted, state, state.used, found).message
    assert message.endswith("8 of the 8 free devices are kept for a gang that has waited since 2026-11-23T10:00:00Z")


@pytest.mark.parametrize(
    ("nodes", "why"),
    [
        ([], "no node has its labels"),
        ([node(devices=0)], "1 node with its labels offer no nvidia.com/gpu"),
        ([node(devices=7)], "1 node with 7 devices in all hold 1 such pod even when empty"),
        ([node("a", 3), node("b", 3, cordoned=True)], "2 nodes with 6 devices in all hold 0 such pods even when empty"),
    ],
)
def test_nodes_that_are_too_small_even_when_empty_are_told_apart(nodes: list[NodeRecord], why: str) -> None:
    found = explained(nodes, [])
    assert found.too_small
    assert (found.reason, found.message) == (Reason.DOES_NOT_FIT_NOW, f"2 pods x 4 devices asked for; {why}")


def test_nodes_that_may_come_back_count_as_capacity() -> None:
    """Unready, cordoned and tainted ones do, divided ones do not."""
    away = [node("a", 4, ready=False), node("b", 4, taints=(taint("repair"),))]
    assert not explained(away, []).too_small
    signs = {"excludeNodes": {"annotations": ["layer.io/*"]}}
    divided = [node("a", 80, annotations=frozenset({"layer.io/x"})), node("b", 4)]
    assert explained(divided, [], **signs).too_small


def test_unhealthy_devices_are_the_reason_where_they_would_have_done() -> None:
    sick = [node("a", allocatable={GPU: 3}, capacity={GPU: 4}), node("b", 4)]
    found = explained(sick, [])
    assert found.reason is Reason.UNHEALTHY
    assert "1 of 8 devices are unhealthy, on 1 node: look at allocatable below capacity" in found.message
    assert explained(sick, [foreign("b", 1)]).reason is Reason.DOES_NOT_FIT_NOW


def test_nodes_that_are_ill_by_a_condition_are_told_and_may_come_back() -> None:
    health = {"nodeConditions": [{"type": "DevicesIll"}]}
    found = explained([node("a", 4, conditions=frozenset({("DevicesIll", "True")})), node("b", 4)], [], health=health)
    assert (found.reason, found.too_small) == (Reason.DOES_NOT_FIT_NOW, False)
    assert found.message.endswith("nodes that do not count: 1 unhealthy by a condition")


def test_nodes_of_another_architecture_alone_are_told() -> None:
    found = explained([node(labels=ARM), node("b", labels={"accel": "nvidia-h20"})], [], architecture="amd64")
    assert found.reason is Reason.ARCH_MISMATCH
    assert "nodes with its labels are arm64, of no known architecture, not amd64" in found.message


def test_where_some_nodes_are_of_the_right_architecture_lack_of_devices_is_the_reason() -> None:
    found = explained([node(labels=ARM), node("b")], [foreign("b", 5)], architecture="amd64")
    assert found.reason is Reason.DOES_NOT_FIT_NOW


def test_what_an_autoscaler_may_cure_is_tried() -> None:
    state = snapshot([], [])
    assert lack.by_trial(option(), state) is None
    assert lack.by_trial(option(profile(provisioning="Static")), state) is None
    assert "Autoscaled" in (lack.by_trial(option(profile(provisioning="Autoscaled")), state) or "")


def test_what_is_not_known_is_tried() -> None:
    assert (lack.by_trial(option(), snapshot([], [], pods_known=False)) or "").startswith("FitUnknown")
