"""Why a candidate is rejected: messages with numbers that a person can act on."""

import pytest

from tandem.api.reasons import Reason
from tandem.domain.observed import ForeignPod, NodeRecord
from tandem.domain.placement import rejection
from tandem.domain.placement.fit import Room, room, snapshot
from tests.unit.domain.builders import candidate, foreign, node, option, profile


def test_an_unknown_accelerator_is_named() -> None:
    found = rejection.unknown(candidate("main", wants="h100"))
    assert (found.accelerator, found.reason) == ("h100", Reason.UNKNOWN_ACCELERATOR)
    assert "'h100'" in found.message and "kubectl get accel" in found.message


@pytest.mark.parametrize("counts", [None, {}, {"distributed": [8]}])
def test_a_profile_that_says_nothing_allows_any_count(counts: dict[str, list[int]] | None) -> None:
    assert rejection.illegal_count("main", option(profile(counts=counts), devices=3), distributed=False) is None


def test_a_gang_without_counts_of_its_own_has_those_of_a_pod() -> None:
    wanted = option(profile(counts={"perPod": [8, 1]}), pods=2, devices=3)
    found = rejection.illegal_count("main", wanted, distributed=True)
    assert found is not None
    assert found.message == "3 devices in a pod are not legal on nvidia-h20; set devicesPerPod to one of: 1, 8"


def test_a_gang_s_own_counts_are_listed() -> None:
    wanted = option(profile(counts={"perPod": [1, 8], "distributed": [8]}), pods=2, devices=1)
    found = rejection.illegal_count("main", wanted, distributed=True)
    assert found is not None
    assert "in each pod of a gang of several is not legal" in found.message
    assert found.message.endswith("one of: 8")


@pytest.mark.parametrize(
    ("nodes", "pods", "message"),
    [
        ([], [], "2 pods x 4 devices asked for; no node with its labels is ready and schedulable"),
        ([node(devices=0)], [], "2 pods x 4 devices asked for; its 1 node offer no nvidia.com/gpu"),
        ([node()], [foreign(devices=3)], "2 pods x 4 devices asked for; 5 of 8 devices are free on 1 node"),
        (
            [node("gpu-0"), node("gpu-1")],
            [foreign("gpu-0", 5), foreign("gpu-1", 3)],
            "2 pods x 4 devices asked for; 8 devices are free but split over nodes: 1 such pod would fit",
        ),
    ],
)
def test_a_gang_that_does_not_fit_is_told_in_numbers(
    nodes: list[NodeRecord], pods: list[ForeignPod], message: str
) -> None:
    state = snapshot(nodes, pods)
    wanted = option(pods=2, devices=4)
    found = rejection.does_not_fit("main", wanted, room(state, state.used, wanted))
    assert (found.reason, found.message) == (Reason.DOES_NOT_FIT_NOW, message)


def test_one_pod_with_one_device_is_written_in_the_singular() -> None:
    message = rejection.does_not_fit("main", option(pods=1, devices=1), Room({}, 0, 0, 0)).message
    assert message.startswith("1 pod x 1 device asked for")
