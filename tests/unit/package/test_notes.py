"""What Helm tells after an install: the next commands, and what was not done as it was wished."""

from collections.abc import Callable

import pytest

Notes = Callable[..., str]


def test_the_next_commands_are_told_with_the_releases_own_names(notes: Notes) -> None:
    told = notes()
    for command in (
        "kubectl --namespace ops rollout status deployment/tandem",
        "kubectl --namespace ops exec deployment/tandem -- tandem check",
        "kubectl get accel",
        "kubectl apply --filename examples/trainingrun.yaml",
    ):
        assert command in told
    assert "WARNING" not in told


def test_profiles_are_asked_for_where_they_are_not_installed(notes: Notes) -> None:
    assert "--set profiles.install=true" in notes()
    told = notes("--set", "profiles.install=true")
    assert "--set profiles.install=true" not in told
    assert "AcceleratorProfiles are installed" in told


@pytest.mark.parametrize("value", ["serviceMonitor", "prometheusRule"])
def test_monitoring_that_was_left_out_is_told(notes: Notes, value: str) -> None:
    assert f"{value}.enabled was left out" not in notes()
    assert f"{value}.enabled was left out" in notes("--set", f"{value}.enabled=true")
    assert f"{value}.enabled was left out" not in notes("--set", f"{value}.enabled=true,{value}.force=true")


def test_an_operator_without_replicas_is_warned_of(notes: Notes) -> None:
    assert "WARNING: with replicas=0 nobody acts" in notes("--set", "replicas=0")


def test_definitions_that_are_applied_by_hand_are_remembered_on_an_upgrade(notes: Notes) -> None:
    by_hand = ("--set", "crds.enabled=false")
    assert "--filename crds" not in notes(*by_hand)
    assert "--filename crds" not in notes("--is-upgrade")
    assert "kubectl apply --server-side --force-conflicts --filename crds" in notes("--is-upgrade", *by_hand)
