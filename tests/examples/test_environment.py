"""What the sample program reads from its environment, and the message it leaves."""

import json
from pathlib import Path

import pytest

from examples.workload.environment import Options, Place, granted_devices, report

PLAIN = {
    "TANDEM_PODS": "4",
    "TANDEM_POD_RANK": "2",
    "TANDEM_LEADER_ADDR": "run-a1-0.run-tr",
    "TANDEM_LEADER_PORT": "29501",
    "TANDEM_RANKS_PER_POD": "1",
}
TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": "3",
    "WORLD_SIZE": "8",
    "MASTER_ADDR": "leader",
    "MASTER_PORT": "29500",
}


def test_place_in_the_gang() -> None:
    assert Place.from_env(PLAIN) == Place(2, 4, "run-a1-0.run-tr", 29501, by_torchrun=False)
    assert Place.from_env({**PLAIN, "TANDEM_RANKS_PER_POD": "2", **TORCHRUN}) == Place(
        3, 8, "leader", 29500, by_torchrun=True
    )
    assert Place.from_env({}) == Place(0, 1, "127.0.0.1", 29500, by_torchrun=False)


def test_plain_with_several_ranks_in_a_pod_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match="set launcher Torchrun"):
        Place.from_env({**PLAIN, "TANDEM_RANKS_PER_POD": "2"})


@pytest.mark.parametrize(("attempt", "fails_at"), [("1", 30), ("2", 30), ("3", None)])
def test_failing_on_purpose_lasts_for_the_first_attempts(attempt: str, fails_at: int | None) -> None:
    env = {"FAIL_AT_STEP": "30", "FAIL_ATTEMPTS": "2", "TANDEM_ATTEMPT": attempt}
    assert Options.from_env(env).fail_at_step == fails_at


def test_options_have_defaults_that_need_no_cluster() -> None:
    options = Options.from_env({})
    assert options.checkpoint_dir is None
    assert (options.attempt, options.resume_expected, options.fail_at_step) == (1, False, None)
    assert Options.from_env({"TANDEM_RESUME": "1", "TANDEM_CHECKPOINT_DIR": "/c"}).checkpoint_dir == Path("/c")


def test_devices_are_named_as_each_vendor_names_them() -> None:
    assert granted_devices({"ASCEND_VISIBLE_DEVICES": "0,1"}) == "ASCEND_VISIBLE_DEVICES=0,1"
    assert granted_devices({}) == "no devices"


def test_the_report_is_one_line_with_the_fixed_form(tmp_path: Path) -> None:
    log = tmp_path / "termination-log"
    report(log, 20, ("step-20", "sha256:ab"))
    report(log, 40, ("step-40", "sha256:cd"))
    assert json.loads(log.read_text()) == {
        "tandem": {"step": 40, "checkpoint": {"path": "step-40", "digest": "sha256:cd"}}
    }
    report(log, 50, None)
    assert json.loads(log.read_text()) == {"tandem": {"step": 50}}


def test_a_report_that_cannot_be_written_does_not_end_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report(tmp_path / "absent/log", 1, None)
    assert "set TERMINATION_LOG" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"), [("STEPS", "many"), ("CHECKPOINT_KEEP", "0"), ("PEER_TIMEOUT", "-3"), ("STEPS", "")]
)
def test_an_option_that_is_no_number_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name}={value}: set it to a whole number"):
        Options.from_env({name: value})
