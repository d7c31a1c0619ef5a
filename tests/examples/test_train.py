"""The sample training program with its real torchrun: two containers, one rank each."""

import json
import random
from pathlib import Path

import pytest

from devcluster import engine
from devcluster.shell import wait_for
from tests.examples.conftest import Gang, Lab, start_gang

pytestmark = pytest.mark.cluster

STEPS = 60
RUN = {"STEPS": str(STEPS), "CHECKPOINT_EVERY": "10", "LOG_EVERY": "1"}
PROMPTLY = 15.0  # seconds for what takes one or two on an idle machine; gloo and the kubelet would allow 30


@pytest.fixture(scope="module")
def undisturbed(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Gang:
    gang = start_gang(lab, tmp_path_factory.mktemp("undisturbed") / "claim", {**RUN, "NVIDIA_VISIBLE_DEVICES": "GPU-3"})
    assert gang.exit_codes() == [0, 0], gang.log()
    return gang


def test_two_ranks_train_together(undisturbed: Gang) -> None:
    losses = undisturbed.losses()
    assert "rank 0 of 2, attempt 1 on nvidia-tiny, NVIDIA_VISIBLE_DEVICES=GPU-3" in undisturbed.log()
    assert len(losses) == STEPS
    assert losses[0] > 5  # an untrained model knows nothing of 256 bytes: ln 256 = 5.55
    assert losses[-1] < 2
    assert undisturbed.log(rank=1).startswith("rank 1 of 2")


def test_termination_message_names_the_last_checkpoint(undisturbed: Gang) -> None:
    meta = json.loads((undisturbed.claim / f"step-{STEPS}/meta.json").read_text())
    assert undisturbed.message() == {
        "tandem": {"step": STEPS, "checkpoint": {"path": f"step-{STEPS}", "digest": meta["digest"]}}
    }
    assert undisturbed.termination_log.stat().st_size < 2048
    assert meta["ranks"] == 2
    assert sorted(folder.name for folder in undisturbed.claim.iterdir()) == ["step-40", "step-50", "step-60"]


def test_plain_launcher_trains_the_same_model(lab: Lab, undisturbed: Gang, tmp_path: Path) -> None:
    """Rank 1 is there before its leader has a name."""
    gang = start_gang(lab, tmp_path / "plain", RUN, torchrun=False, ranks=(1, 0))
    assert gang.exit_codes() == [0, 0], gang.log()
    assert gang.message() == undisturbed.message()


def test_a_failed_attempt_is_resumed_to_the_same_end(lab: Lab, undisturbed: Gang, tmp_path: Path) -> None:
    faulty = {**RUN, "FAIL_AT_STEP": "35", "FAIL_ATTEMPTS": "1"}
    first = start_gang(lab, tmp_path / "failing", faulty)
    codes = first.exit_codes(within=PROMPTLY * 2)
    assert codes[0] == 1 and codes[1] != 0
    assert "failing at step 35 of attempt 1" in first.log()
    assert first.message()["tandem"]["step"] == 30

    second = start_gang(lab, tmp_path / "failing", faulty, attempt=2)
    assert second.exit_codes() == [0, 0], second.log()
    assert "resuming after step 30" in second.log()
    assert second.losses() == undisturbed.losses()[30:]
    assert second.message() == undisturbed.message()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_pod_ends_the_gang_and_the_next_attempt_resumes(
    lab: Lab, undisturbed: Gang, tmp_path: Path, victim: int
) -> None:
    killed_at = random.randint(11, 30)
    first = start_gang(lab, tmp_path / f"killed{victim}", RUN)
    lab.until_said(first.pods[0], f"step {killed_at}/")
    # All processes but the first, which then ends too: the network outlives them, as in a pod.
    engine.docker("exec", first.pods[victim], "sh", "-c", "kill -KILL -1")
    assert lab.exit_code(first.pods[1 - victim], within=PROMPTLY) == 1, f"killed at {killed_at}:\n{first.log()}"
    assert first.message()["tandem"]["checkpoint"]["path"] in [folder.name for folder in first.claim.iterdir()]

    second = start_gang(lab, tmp_path / f"killed{victim}", RUN, attempt=2)
    assert second.exit_codes() == [0, 0], second.log()
    assert "resuming after step" in second.log()
    assert second.message() == undisturbed.message(), f"killed at {killed_at}"


def test_a_peer_that_falls_silent_is_given_up(lab: Lab, tmp_path: Path) -> None:
    """A cut network sends no reset: only the timeout tells."""
    gang = start_gang(lab, tmp_path / "silent", {**RUN, "STEPS": "100000", "PEER_TIMEOUT": "3"})
    lab.until_said(gang.pods[0], "step 5/")
    engine.docker("network", "disconnect", lab.network, gang.pods[1])
    assert lab.exit_code(gang.pods[0], within=3 + PROMPTLY) == 1
    assert "rank 0 lost a peer" in gang.log()


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("torchrun", [True, False], ids=["torchrun", "plain"])
def test_sigterm_ends_a_pod_that_waits_for_its_gang(lab: Lab, tmp_path: Path, torchrun: bool, rank: int) -> None:
    gang = start_gang(lab, tmp_path / f"waiting-{torchrun}-{rank}", RUN, torchrun=torchrun, ranks=(rank,))
    pod = gang.pods[rank]
    if torchrun:
        wait_for("torchrun runs", lambda: "/usr/bin/torchrun" in engine.docker("top", pod), seconds=30)
    else:
        lab.until_said(pod, f"rank {rank} of 2")
    assert_ends_on_sigterm(lab, pod)


@pytest.mark.parametrize("torchrun", [True, False], ids=["torchrun", "plain"])
def test_sigterm_ends_a_pod_that_trains(lab: Lab, tmp_path: Path, torchrun: bool) -> None:
    gang = start_gang(lab, tmp_path / f"training-{torchrun}", {**RUN, "STEPS": "100000"}, torchrun=torchrun)
    lab.until_said(gang.pods[0], "step 5/")
    assert_ends_on_sigterm(lab, gang.pods[0])
    assert lab.exit_code(gang.pods[1], within=PROMPTLY) != 0


def assert_ends_on_sigterm(lab: Lab, pod: str) -> None:
    engine.docker("kill", "--signal", "TERM", pod)
    assert lab.exit_code(pod, within=PROMPTLY) != 0
