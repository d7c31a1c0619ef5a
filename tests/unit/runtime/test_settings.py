"""Configuration and command line: every option is documented, reachable by flag and environment, and checked."""

import socket

import pytest
import yaml
from pydantic import ValidationError

from tandem.cluster.lease import LeaseTimes
from tandem.domain.timing import Timing
from tandem.entry import cli
from tandem.runtime.settings import Settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No option of the environment that runs the tests."""
    for name in Settings.model_fields:
        monkeypatch.delenv(f"TANDEM_{name.upper()}", raising=False)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings that `tandem run` would have run with."""
    given: list[Settings] = []

    def run(settings: Settings) -> int:
        given.append(settings)
        return 0

    monkeypatch.setattr(cli, "_run", run)
    return given


def help_text(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What --help prints, in one line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--help"])
    assert ended.value.code == 0
    return " ".join(capsys.readouterr().out.split())


def test_help_shows_every_option_with_its_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_text(capsys, "run")
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')}" in text
        assert field.description
        # Descriptions may be broken after a hyphen.
        assert field.description.split(",")[0].split("-")[0].strip() in text
    assert "TANDEM_BIND_SECONDS" in text


def test_help_names_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_text(capsys)
    assert "run the operator" in text
    assert "kubectl apply --server-side" in text


def test_crds_are_printed_as_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["crds"]) == 0
    found = list(yaml.safe_load_all(capsys.readouterr().out))
    assert sorted(crd["spec"]["names"]["kind"] for crd in found) == [
        "AcceleratorProfile",
        "InferenceService",
        "PlacementPolicy",
        "TrainingRun",
    ]
    assert {crd["kind"] for crd in found} == {"CustomResourceDefinition"}


def test_a_flag_goes_before_the_environment(started: list[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_BIND_SECONDS", "30")
    monkeypatch.setenv("TANDEM_WORKERS", "7")
    assert cli.main(["run", "--bind-seconds", "15"]) == 0
    [settings] = started
    assert (settings.bind_seconds, settings.workers) == (15.0, 7)


def test_without_options_the_documented_times_are_used(started: list[Settings]) -> None:
    """The defaults stand once, in the domain."""
    assert cli.main(["run"]) == 0
    assert started[0].timing() == Timing()
    assert started[0].lease_times() == LeaseTimes()


def test_without_a_namespace_for_it_there_is_no_lease(started: list[Settings]) -> None:
    """An operator of the host, for development, has no other beside it."""
    assert cli.main(["run"]) == 0
    assert started[0].lease_namespace is None
    assert started[0].replica_name == socket.gethostname()


@pytest.mark.parametrize("wrong", [{"lease_seconds": 10}, {"lease_retry_seconds": 10}, {"lease_renew_seconds": 1}])
def test_times_that_leave_no_time_to_renew_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="must grow in this order"):
        Settings(**wrong)  # type: ignore[arg-type]


def test_every_time_of_the_settings_reaches_the_decisions(started: list[Settings]) -> None:
    """An option that is read and then forgotten would be a lie."""
    names = {
        "user_limit": "user_limit",
        "infra_limit": "infra_limit",
        "backoff_seconds": "backoff",
        "max_backoff_seconds": "max_backoff",
        "bind_seconds": "bind",
        "image_pull_seconds": "image_pull",
        "partial_create_seconds": "partial_create",
        "collect_seconds": "collect",
        "hold_off_seconds": "hold_off",
        "node_lost_seconds": "node_lost",
        "look_again_seconds": "look_again",
        "cleanup_seconds": "cleanup",
        "never_fits_seconds": "never_fits",
        "provision_seconds": "provision",
    }
    flags = [part for number, name in enumerate(names) for part in (f"--{name.replace('_', '-')}", str(1001 + number))]
    assert cli.main(["run", *flags]) == 0
    timing = started[0].timing()
    assert [getattr(timing, name) for name in names.values()] == [1001 + number for number in range(len(names))]


@pytest.mark.parametrize(
    "wrong", [{"port": "70000"}, {"workers": "0"}, {"log_level": "loud"}, {"look_again_seconds": 0}]
)
def test_a_value_out_of_bounds_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(**wrong)  # type: ignore[arg-type]
    assert caught.value.errors()[0]["loc"] == tuple(wrong)
