"""Why a candidate is rejected: messages with numbers that a person can act on."""

import pytest

from tandem.api.conditions import clip
from tandem.api.reasons import Reason
from tandem.domain.placement import rejection
from tests.unit.domain.builders import candidate, option, profile


def test_an_unknown_accelerator_is_named() -> None:
    found = rejection.unknown(candidate("main", wants="h100"))
    assert (found.accelerator, found.reason) == ("h100", Reason.UNKNOWN_ACCELERATOR)
    assert "'h100'" in found.message and "kubectl get accel" in found.message


def test_a_profile_without_allowed_namespaces_is_for_everybody() -> None:
    assert rejection.namespace_not_allowed("main", option(), "team", {}) is None


def test_a_profile_is_for_the_namespaces_that_it_names() -> None:
    wanted = option(profile(allowedNamespaces={"names": ["other", "team"]}))
    assert rejection.namespace_not_allowed("main", wanted, "team", {}) is None
    found = rejection.namespace_not_allowed("main", wanted, "strange", {})
    assert found is not None
    assert (found.variant, found.accelerator, found.reason) == ("main", "nvidia-h20", Reason.NAMESPACE_NOT_ALLOWED)


@pytest.mark.parametrize(
    ("labels", "allowed"), [({"tier": "gold"}, True), ({"tier": "lead"}, False), ({}, False), (None, False)]
)
def test_a_profile_is_for_namespaces_that_it_selects_beside_those_it_names(
    labels: dict[str, str] | None, allowed: bool
) -> None:
    wanted = option(profile(allowedNamespaces={"names": ["other"], "selector": {"matchLabels": {"tier": "gold"}}}))
    assert (rejection.namespace_not_allowed("main", wanted, "team", labels) is None) == allowed
    assert rejection.namespace_not_allowed("main", wanted, "other", labels) is None


def test_a_namespace_that_is_not_known_yet_is_not_let_in_for_want_of_a_label() -> None:
    expression = {"key": "tier", "operator": "DoesNotExist"}
    wanted = option(profile(allowedNamespaces={"selector": {"matchExpressions": [expression]}}))
    assert rejection.namespace_not_allowed("main", wanted, "team", {}) is None
    assert rejection.namespace_not_allowed("main", wanted, "team", None) is not None


def test_who_may_use_a_profile_is_not_told_to_those_who_may_not() -> None:
    found = rejection.namespace_not_allowed("main", option(profile(allowedNamespaces={"names": ["other"]})), "team", {})
    assert found is not None
    assert found.message == (
        "namespace team may not use nvidia-h20; list another accelerator, or have an admin add the namespace to"
        " allowedNamespaces of the profile"
    )


def test_the_mend_stands_whole_in_status_however_long_the_names() -> None:
    """Status cuts messages off: the namespace's and the profile's name have at most 63 characters each."""
    wanted = option(profile("p" * 63, allowedNamespaces={"names": ["other"]}))
    found = rejection.namespace_not_allowed("main", wanted, "n" * 63, {})
    assert found is not None
    assert clip(found.message) == found.message


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
