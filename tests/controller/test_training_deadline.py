"""activeDeadlineSeconds on the real cluster: what counts, what does not, and what an operator that is killed must not lose."""

import time
from collections.abc import Callable

import pytest

from tests.support.operator import HostOperator
from tests.support.programs import STEERED
from tests.support.scene import Scene, condition

pytestmark = pytest.mark.cluster


def test_a_run_that_holds_its_pods_too_long_fails_for_good(scene: Scene, workers: list[str]) -> None:
    """Its pods go, its status says why, and neither time nor an edit starts it again."""
    scene.devices(workers[:2], 1)
    scene.run("late", accelerator=scene.profile(), pods=2, command=STEERED, activeDeadlineSeconds=8)
    running = scene.reason("trun", "late", "Running")
    assert running["status"]["active"]["boundTime"]

    found = scene.reason("trun", "late", "DeadlineExceeded")
    assert condition(found, "Failed")["status"] == "True"
    assert condition(found, "Ready")["status"] == "False"
    assert condition(found, "Stalled")["status"] == "True"
    assert condition(found, "Succeeded")["status"] == "False"
    assert found["status"]["activeSeconds"] >= 8
    assert [item["outcome"] for item in found["status"]["attempts"]] == ["DeadlineExceeded"]
    assert "failures" not in found["status"]
    scene.until(lambda: scene.pods() == [], "all pods to go")

    scene.patch_run("late", {"activeDeadlineSeconds": 600})
    scene.until(
        lambda: scene.get_run("late")["status"]["observedGeneration"] == 2 and scene.get_run("late"),
        "the edit to be seen",
    )
    after = scene.get_run("late")
    assert condition(after, "Ready")["reason"] == "DeadlineExceeded"
    assert after["status"]["attempt"] == 1
    assert scene.pods() == []


def test_attempts_add_up(scene: Scene, workers: list[str]) -> None:
    """A run that restarts for ever is ended by its deadline, before its restarts are used up."""
    scene.devices(workers[:1], 1)
    slow = ["sh", "-c", "trap 'exit 0' TERM; sleep 4 & wait; exit 1"]
    scene.run("again", accelerator=scene.profile(), command=slow, activeDeadlineSeconds=9)

    found = scene.reason("trun", "again", "DeadlineExceeded")

    assert found["status"]["attempt"] > 1
    assert found["status"]["activeSeconds"] >= 9
    assert [item["outcome"] for item in found["status"]["attempts"]][-1] == "DeadlineExceeded"


def test_a_queued_run_uses_no_time(scene: Scene, workers: list[str]) -> None:
    """It waits for longer than its deadline and then has all of it."""
    scene.devices(workers[:1], 1)
    scene.foreign_pod("holder", devices=1)
    scene.until(lambda: scene.phase("holder") == "Running", "the foreign pod to hold the device")
    created = time.monotonic()
    scene.run("queue", accelerator=scene.profile(), command=STEERED, activeDeadlineSeconds=6)
    scene.until(lambda: time.monotonic() > created + 7, "more than its deadline to pass in the queue")
    assert condition(scene.get_run("queue"), "Ready")["reason"] == "Queued"
    scene.delete_pod("holder")

    running = scene.reason("trun", "queue", "Running")
    assert "activeSeconds" not in running["status"]
    assert scene.reason("trun", "queue", "DeadlineExceeded")["status"]["activeSeconds"] >= 6


@pytest.mark.serial
def test_time_while_no_operator_runs_counts(
    quiet_scene: Scene, workers: list[str], operators: Callable[..., HostOperator]
) -> None:
    """The pods hold their devices all the same; whoever comes next ends the run."""
    scene = quiet_scene
    scene.devices(workers[:1], 1)
    operator = operators()
    operator.start()
    scene.run("alone", accelerator=scene.profile(), command=STEERED, activeDeadlineSeconds=15)
    bound = scene.reason("trun", "alone", "Running")["status"]["active"]["boundTime"]
    operator.kill()
    began = time.monotonic()
    scene.until(lambda: time.monotonic() > began + 16, "the deadline to pass without an operator")
    assert [pod["metadata"]["name"] for pod in scene.pods()] == ["alone-a1-0"]

    operator.start()

    found = scene.reason("trun", "alone", "DeadlineExceeded", 20)
    assert found["status"]["activeSeconds"] >= 16
    assert found["status"]["attempts"][0]["startTime"] <= bound
    scene.until(lambda: scene.pods() == [], "its pod to go")
