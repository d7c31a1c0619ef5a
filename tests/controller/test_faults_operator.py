"""Operators that are killed, frozen, doubled or restarted: nothing is made twice, nothing is lost."""

import random
import time
from collections.abc import Callable

import pytest

from devcluster import audit
from tests.support.operator import HostOperator
from tests.support.programs import STEERED
from tests.support.scene import TANDEM, Scene, condition
from tests.support.serving import serve
from tests.support.writes import deleted_pods, made_pods, writes

pytestmark = [pytest.mark.cluster, pytest.mark.serial]

Operators = Callable[..., HostOperator]
GANG = 4
WELL = ["sh", "-c", "exit 0"]


def names(*runs: str) -> list[str]:
    """Exact names of the pods of the first attempt of gangs."""
    return sorted(f"{run}-a1-{rank}" for run in runs for rank in range(GANG))


def succeeded(scene: Scene, *runs: str) -> None:
    """Wait until the runs succeeded, each in its first attempt and without a charge."""
    for run in runs:
        status = scene.reason("trun", run, "Succeeded", seconds=120)["status"]
        assert status["attempt"] == 1
        assert "failures" not in status
        assert [item["outcome"] for item in status["attempts"]] == ["Succeeded"]


def test_an_operator_that_is_killed_again_and_again_makes_exact_gangs(
    quiet_scene: Scene, workers: list[str], operators: Operators
) -> None:
    """Eight kills, each after a few writes of a gang's creation; each next operator finds what the one before left."""
    scene = quiet_scene
    scene.devices(workers[:2], 16)
    profile = scene.profile()
    # One write after the other: creation takes long enough to be cut anywhere.
    operator = operators(TANDEM_WRITES="1")
    moments = random.Random(20261123)
    start = audit.mark()
    runs = [f"gang-{number}" for number in range(8)]
    half_made = 0
    for run in runs:
        scene.run(run, accelerator=profile, pods=GANG, command=WELL)
        here, few = audit.mark(), moments.randint(1, GANG + 1)
        operator.launch()
        scene.until(lambda here=here, few=few: len(writes(here, scene.name)) >= few, f"{few} writes", pause=0.002)
        operator.kill()
        half_made += len(scene.pods()) % GANG > 0

    operator.start()

    succeeded(scene, *runs)
    assert scene.pod_names() == names(*runs)
    # A create whose client died before the answer has no 201 in the log, though its pod exists.
    assert set(made_pods(start, scene.name).values()) == {1}
    assert deleted_pods(start, scene.name) == []
    assert half_made, "no kill came in the middle of a gang: the test has to look more often"


def test_a_frozen_operator_goes_on_from_what_is_true_then(
    quiet_scene: Scene, workers: list[str], operators: Operators
) -> None:
    """It sleeps in the middle of a gang's creation, and misses a run that comes and a pod that is lost."""
    scene = quiet_scene
    scene.devices(workers[:2], 6)
    profile = scene.profile()
    operator = operators(TANDEM_WRITES="1")
    operator.start()
    scene.run("steady", accelerator=profile, pods=GANG, command=STEERED)
    scene.reason("trun", "steady", "Running")
    start = audit.mark()
    scene.run("half", accelerator=profile, pods=GANG, command=WELL)
    scene.until(lambda: writes(start, scene.name), "the first write of the gang", pause=0.002)
    operator.freeze()
    scene.run("missed", accelerator=profile, pods=GANG, command=WELL)
    scene.delete_pod("steady-a1-2")
    scene.until(lambda: scene.phase("steady-a1-2") == "", "the pod to be gone")
    scene.until(_longer_than(20), "a pause that is longer than a request's patience")

    operator.thaw()

    succeeded(scene, "half", "missed")
    status = scene.reason("trun", "steady", "Running")["status"]
    assert status["attempt"] == 2
    assert status["failures"] == {"user": 0, "infra": 1}
    assert status["lastFailure"]["pod"] == "steady-a1-2"
    made = made_pods(start, scene.name)
    assert set(made) == {*names("half", "missed"), *(f"steady-a2-{rank}" for rank in range(GANG))}
    assert set(made.values()) == {1}


def test_two_operators_at_once_do_not_fight(quiet_scene: Scene, workers: list[str], operators: Operators) -> None:
    """Whatever both do at once ends in the same objects, and then both are silent."""
    scene = quiet_scene
    scene.devices(workers[:2], 8)
    profile = scene.profile()
    pair = operators(), operators()
    for operator in pair:
        operator.launch()
    for operator in pair:
        operator.until_ready()
    start = audit.mark()
    scene.run("one", accelerator=profile, pods=GANG, command=WELL)
    scene.run("two", accelerator=profile, pods=GANG, command=WELL)
    serve(scene, "chat", accelerator=profile, replicas=2)

    succeeded(scene, "one", "two")
    scene.reason("infsvc", "chat", "Available")
    scene.until(lambda: scene.get_service("chat")["status"]["summary"] == "2/2", "both replicas")

    assert scene.pod_names("tandem.dev/run") == names("one", "two")
    assert made_pods(start, scene.name) == dict.fromkeys(names("one", "two"), 1)
    assert deleted_pods(start, scene.name) == []
    accepted = [event for event in writes(start, scene.name) if event.code < 300]
    statuses = [event for event in accepted if event.subresource == "status"]
    assert len(statuses) <= 2 * 2 * 5 + 2 * 8, [event.name for event in statuses]

    settled = audit.mark()
    for operator in pair:
        _all_looked_at_again(scene, profile, operator)
    assert [event.uri for event in writes(settled, scene.name)] == []


def test_a_restart_over_settled_objects_writes_nothing(
    quiet_scene: Scene, workers: list[str], operators: Operators
) -> None:
    """An upgrade of the operator is not seen by anybody."""
    scene = quiet_scene
    scene.devices(workers[:2], 4)
    profile = scene.profile()
    operator = operators()
    operator.start()
    scene.run("busy", accelerator=profile, pods=2, command=STEERED)
    scene.run("done", accelerator=profile, pods=2, command=WELL)
    scene.run("waits", accelerator=profile, pods=8, command=WELL)
    serve(scene, "chat", accelerator=profile)
    scene.reason("trun", "busy", "Running")
    scene.reason("trun", "done", "Succeeded")
    scene.reason("trun", "waits", "Queued")
    scene.reason("infsvc", "chat", "Available")
    scene.until(lambda: condition(scene.get_run("waits"), "Ready")["message"], "the reason for waiting")
    operator.stop()
    start = audit.mark()

    operator.start()

    _all_looked_at_again(scene, profile, operator)
    assert [(event.verb, event.uri, event.code) for event in writes(start, scene.name)] == []


def _longer_than(seconds: float) -> Callable[[], bool]:
    """A condition that comes true after some time, for what only time can do."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _all_looked_at_again(scene: Scene, profile: str, operator: HostOperator) -> None:
    """Have an operator reconcile every object, and wait until it has."""
    before = _reconciles(operator)
    scene.api.patch(
        f"{TANDEM}/acceleratorprofiles/{profile}", {"metadata": {"labels": {"test.tandem.dev/look": str(before)}}}
    )
    plurals = ("trainingruns", "inferenceservices")
    objects = sum(len(scene.api.get(scene.path(plural, group=TANDEM))["items"]) for plural in plurals)
    scene.until(lambda: _reconciles(operator) >= before + objects, f"{objects} more reconciles")


def _reconciles(operator: HostOperator) -> int:
    """Passes that the operator has finished."""
    lines = [line for line in operator.metrics().splitlines() if line.startswith("tandem_reconciles_total")]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in lines))
