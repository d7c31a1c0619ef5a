"""Failures of a gang: what is charged, what is told, and how the next attempt goes on."""

import pytest

from tests.support.api import Object
from tests.support.programs import RESUMABLE, STEERED, fails_on_rank
from tests.support.scene import Scene, condition

pytestmark = pytest.mark.cluster


def attempts(run: Object) -> list[tuple[int, str]]:
    """Number and outcome of the attempts that ended."""
    return [(item["number"], item["outcome"]) for item in run["status"].get("attempts", ())]


def test_a_failure_of_the_program_restarts_the_whole_gang(scene: Scene, workers: list[str]) -> None:
    """One rank's exit code ends the attempt; the next one has new pods for all, and says why it is there."""
    scene.devices(workers[:2], 2)
    scene.run("flaky", accelerator=scene.profile(), pods=3, command=fails_on_rank(1, code=3, attempts=1))

    done = scene.reason("trun", "flaky", "Succeeded")["status"]

    assert done["attempt"] == 2
    assert done["failures"] == {"user": 1, "infra": 0}
    assert done["attempts"][0]["outcome"] == "UserFailure"
    failure = done["lastFailure"]
    assert (failure["attempt"], failure["pod"], failure["class"], failure["exitCode"]) == (1, "flaky-a1-1", "User", 3)
    assert failure["node"] in workers[:2]
    assert failure["message"] == "exit code 3: bad luck"
    assert [pod for pod in scene.pod_names() if "-a2-" in pod] == ["flaky-a2-0", "flaky-a2-1", "flaky-a2-2"]


def test_a_run_that_keeps_failing_is_given_up(scene: Scene, workers: list[str]) -> None:
    """Three restarts, then Failed; no pod runs on, and waiting tools see a final state."""
    scene.devices(workers[:2], 1)
    scene.run("doomed", accelerator=scene.profile(), pods=2, command=fails_on_rank(0, code=9, attempts=99))

    failed = scene.reason("trun", "doomed", "RestartLimit")

    assert failed["status"]["attempt"] == 4
    assert failed["status"]["failures"] == {"user": 4, "infra": 0}
    assert attempts(failed) == [(1, "UserFailure"), (2, "UserFailure"), (3, "UserFailure"), (4, "RestartLimit")]
    assert condition(failed, "Failed")["status"] == "True"
    assert condition(failed, "Succeeded")["status"] == "False"
    assert condition(failed, "Stalled")["status"] == "True"
    ready = condition(failed, "Ready")
    assert ready["status"] == "False"
    assert ready["message"] == "3 restarts were granted for user failures; last, doomed-a4-0: exit code 9: bad luck"
    assert failed["status"]["completionTime"]
    scene.until(lambda: {scene.phase(name) for name in scene.pod_names()} == {"Failed"}, "no pod to run on")


def test_the_next_attempt_resumes_from_the_reported_checkpoint(scene: Scene, workers: list[str]) -> None:
    """The last line of the termination message becomes status, the rest the failure's message."""
    scene.devices(workers[:1], 1)
    scene.claim("ckpt")
    scene.run(
        "resume",
        accelerator=scene.profile(),
        command=RESUMABLE,
        checkpoint={"claim": {"name": "ckpt"}},
    )

    done = scene.reason("trun", "resume", "Succeeded")["status"]

    assert done["checkpoint"] == {"step": 1200, "path": "step-1200", "digest": "sha256:ab"}
    assert done["lastFailure"]["message"] == "exit code 3: out of luck"
    second = scene.api.get(scene.path("pods", "resume-a2-0"))["spec"]["containers"][0]
    variables = {item["name"]: item.get("value") for item in second["env"]}
    assert variables["TANDEM_RESUME"] == "1"
    assert variables["TANDEM_CHECKPOINT_DIR"] == "/checkpoints"
    assert variables["TANDEM_ATTEMPT"] == "2"


def test_a_pod_deleted_by_hand_restarts_the_gang(scene: Scene, workers: list[str]) -> None:
    """Nobody's exit code is to blame: it is charged as infrastructure."""
    scene.devices(workers[:2], 1)
    scene.run("robbed", accelerator=scene.profile(), pods=2, command=STEERED)
    scene.reason("trun", "robbed", "Running")

    scene.delete_pod("robbed-a1-1", grace=30)

    run = scene.until(
        lambda: (found := scene.get_run("robbed"))["status"]["attempt"] == 2 and found, "the second attempt"
    )
    assert run["status"]["failures"] == {"user": 0, "infra": 1}
    failure = run["status"]["lastFailure"]
    assert (failure["class"], failure["pod"]) == ("Infra", "robbed-a1-1")
    assert "deleted or evicted" in failure["message"]
    assert "exitCode" not in failure
    scene.reason("trun", "robbed", "Running")
    scene.until(lambda: scene.pod_names() == ["robbed-a2-0", "robbed-a2-1"], "only pods of attempt 2")


def test_the_pod_of_a_finished_rank_may_be_deleted(scene: Scene, workers: list[str]) -> None:
    """A rank that ended well is remembered in status, not by its pod."""
    scene.devices(workers[:2], 1)
    scene.run("tidy", accelerator=scene.profile(), pods=2, command=STEERED)
    scene.reason("trun", "tidy", "Running")
    scene.signal("tidy-a1-0", "TERM")
    scene.until(lambda: scene.get_run("tidy")["status"]["pods"]["succeeded"] == "0", "rank 0 to be recorded")

    scene.delete_pod("tidy-a1-0")
    scene.until(lambda: scene.phase("tidy-a1-0") == "", "the pod to be gone")
    scene.signal("tidy-a1-1", "TERM")

    done = scene.reason("trun", "tidy", "Succeeded")["status"]
    assert done["attempt"] == 1
    assert done["pods"] == {"wanted": 2, "ready": 2, "summary": "2/2", "succeeded": "0-1"}
    assert done.get("failures", {"user": 0, "infra": 0}) == {"user": 0, "infra": 0}


def test_the_earliest_failure_is_the_first_cause(scene: Scene, workers: list[str]) -> None:
    """A rank that fails since it lost its peer fails later, and is not blamed."""
    scene.devices(workers[:2], 1)
    scene.run("cascade", accelerator=scene.profile(), pods=2, command=STEERED)
    scene.reason("trun", "cascade", "Running")

    scene.signal("cascade-a1-1", "USR1")
    scene.until(lambda: scene.get_run("cascade")["status"]["attempt"] == 2, "the second attempt")

    failure = scene.get_run("cascade")["status"]["lastFailure"]
    assert (failure["pod"], failure["exitCode"], failure["class"]) == ("cascade-a1-1", 7, "User")
    assert scene.get_run("cascade")["status"]["failures"] == {"user": 1, "infra": 0}
