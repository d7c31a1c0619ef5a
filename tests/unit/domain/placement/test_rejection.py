"""Why a candidate is rejected: messages with numbers that a person can act on."""

import pytest

from tandem.api.reasons import Reason
from tandem.domain.placement import rejection
from tests.unit.domain.builders import candidate, option, profile


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
