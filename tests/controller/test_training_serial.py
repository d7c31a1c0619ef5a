"""Runs, with an operator of the test's own: what it costs to come back, what a run costs, and nodes that are closed."""

import re
import time
from collections import Counter
from pathlib import Path

import pytest

from devcluster import audit, kube, paths
from tests.support.operator import HostOperator
from tests.support.programs import STEERED
from tests.support.scene import TANDEM, Scene, condition

pytestmark = [pytest.mark.cluster, pytest.mark.serial]

OPERATOR = "tandem/"
EXIT = ["sh", "-c", "exit 0"]


def writes(scene: Scene, start: audit.Mark) -> list[audit.Event]:
    """Writes of the operator in the scene's namespace since the mark."""
    found = audit.since(start, user_agent=OPERATOR)
    return [event for event in found if event.is_write and event.namespace == scene.name]


def passes(operator: HostOperator) -> int:
    """Passes for runs that ended well, since the operator started."""
    found = re.search(r'tandem_reconciles_total\{kind="TrainingRun",outcome="ok"\} (\d+)', operator.metrics())
    return int(found[1]) if found else 0


def test_a_restart_over_settled_runs_writes_nothing(quiet_scene: Scene, workers: list[str], tmp_path: Path) -> None:
    """Whatever state the runs are in, the operator that comes back finds nothing to do; a profile's note neither."""
    scene = quiet_scene
    scene.devices(workers[:2], 2)
    profile = scene.profile()
    operator = HostOperator(paths.kubeconfig(), tmp_path / "operator.log", TANDEM_USER_LIMIT="0")
    operator.start()
    try:
        scene.run("done", accelerator=profile, pods=2, command=EXIT)
        scene.run("failed", accelerator=profile, command=["sh", "-c", "exit 1"])
        scene.reason("trun", "done", "Succeeded")
        scene.reason("trun", "failed", "RestartLimit")
        scene.run("rests", accelerator=profile, suspend=True, command=EXIT)
        scene.run("lost", accelerator=f"{scene.name}-none", command=EXIT)
        scene.run("runs", accelerator=profile, pods=3, command=STEERED)
        scene.reason("trun", "runs", "Running")
        scene.run("waits", accelerator=profile, pods=2, command=EXIT)
        for name, reason in (("rests", "Suspended"), ("lost", "UnknownAccelerator"), ("waits", "Queued")):
            scene.reason("trun", name, reason)
        path = scene.path("trainingruns", group=TANDEM)
        settled = {run["metadata"]["name"]: run["metadata"]["resourceVersion"] for run in scene.api.get(path)["items"]}
        operator.stop()

        start = audit.mark()
        operator.start()
        scene.until(lambda: passes(operator) >= len(settled), "every run to be looked at")
        before = passes(operator)
        scene.api.patch(f"{TANDEM}/acceleratorprofiles/{profile}", {"metadata": {"labels": {"note": "seen"}}})
        scene.until(lambda: passes(operator) >= before + len(settled), "every run to be looked at again")

        assert writes(scene, start) == []
        now = {run["metadata"]["name"]: run["metadata"]["resourceVersion"] for run in scene.api.get(path)["items"]}
        assert now == settled
    finally:
        operator.stop()


def test_a_simple_run_costs_its_pods_and_five_more_writes(
    quiet_scene: Scene, own_operator: HostOperator, workers: list[str]
) -> None:
    """From creation to Succeeded, events apart, of which there are at most three. Ranks end together, as real ones do."""
    scene = quiet_scene
    scene.devices(workers[:2], 2)
    profile = scene.profile()
    end = int(time.time()) + 12
    start = audit.mark()
    together = ["sh", "-c", f"until [ $(date +%s) -ge {end} ]; do sleep 0.1; done"]
    scene.run("cheap", accelerator=profile, pods=4, command=together)
    scene.reason("trun", "cheap", "Running")
    scene.reason("trun", "cheap", "Succeeded")

    made = Counter((event.verb, event.resource) for event in writes(scene, start))

    assert made["create", "pods"] == 4
    assert made["create", "services"] == 1
    events = made.pop(("create", "events"), 0) + made.pop(("patch", "events"), 0)
    assert events <= 3
    assert sum(made.values()) <= 4 + 5, made


def test_a_cordoned_node_is_not_counted_until_it_is_opened(
    quiet_scene: Scene, own_operator: HostOperator, workers: list[str]
) -> None:
    """Its devices are there, but nothing can be bound to it."""
    scene = quiet_scene
    scene.devices(workers[:2], 1)
    profile = scene.profile()
    kube.kubectl("cordon", workers[0])
    try:
        scene.run("two", accelerator=profile, pods=2, command=EXIT)
        queued = scene.reason("trun", "two", "Queued", 5)
        [rejected] = queued["status"]["placement"]["rejected"]
        assert rejected["message"] == (
            "2 pods x 1 device asked for; 1 of 1 devices are free on 1 node; nodes that do not count: 1 cordoned"
        )
        kube.kubectl("cordon", workers[1])
        scene.until(
            lambda: (
                "no node with its labels is ready and schedulable"
                in condition(scene.get_run("two"), "Ready")["message"]
            ),
            "both nodes to be closed",
        )
    finally:
        kube.kubectl("uncordon", *workers[:2])
    scene.reason("trun", "two", "Succeeded")
