"""`tandem plan` foretells what the operator then does, and `tandem explain` tells it, on the real cluster."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import paths
from tests.support.scene import FOREVER, TANDEM, Scene

pytestmark = pytest.mark.cluster


def tandem(scene: Scene, *words: str) -> tuple[int, Any]:
    """Exit code and JSON of a command of the operator's program."""
    where = (f"--kubeconfig={paths.kubeconfig()}", f"--namespace={scene.name}", "--output=json")
    command = [sys.executable, "-m", "tandem", *words, *where]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={"PYTHONPATH": "operator"}
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def plan(scene: Scene, folder: Path, name: str, **spec: Any) -> tuple[int, dict[str, Any]]:
    """Exit code and forecast for a run that does not exist."""
    body = {"image": "tandem-dev/tools:dev", "command": FOREVER, **spec}
    manifest = {"apiVersion": "tandem.dev/v1alpha1", "kind": "TrainingRun", "metadata": {"name": name}, "spec": body}
    file = folder / "run.yaml"
    file.write_text(yaml.safe_dump(manifest))
    code, (found,) = tandem(scene, "plan", f"--filename={file}")
    return code, found


def test_the_operator_does_as_was_foretold(scene: Scene, workers: list[str], tmp_path: Path) -> None:
    scene.devices(workers[:2], 4)
    name = scene.profile()
    spec = {"pods": 2, "devicesPerPod": 4, "accelerator": name}
    code, foretold = plan(scene, tmp_path, "job", **spec)
    assert (code, foretold["placed"]) == (0, True)
    assert foretold["placement"]["chosen"] == name
    assert scene.api.get(scene.path("trainingruns", group=TANDEM))["items"] == [], "a plan writes nothing"

    scene.run("job", command=FOREVER, **spec)
    made = scene.until(lambda: scene.get_run("job")["status"]["placement"], "a decision")
    assert made == foretold["placement"]
    pods = [item["name"] for item in foretold["creates"] if item["kind"] == "Pod"]
    scene.until(lambda: scene.pod_names() == pods, "the pods that were foretold")

    code, foretold = plan(scene, tmp_path, "late", **spec)
    assert (code, foretold["placed"], foretold["creates"]) == (1, False, [])
    (rejected,) = foretold["placement"]["rejected"]
    assert rejected["reason"] == "DoesNotFitNow"
    assert "0 of 8 devices are free" in rejected["message"]

    scene.run("late", command=FOREVER, **spec)
    waiting = scene.until(lambda: scene.get_run("late").get("status", {}).get("placement"), "an answer")
    code, told = tandem(scene, "explain", "trun/late")
    assert code == 0
    assert told["decided"]["placement"] == waiting
    assert told["now"]["ready"]["reason"] == "Queued"
    assert 1 <= told["queue"]["place"] <= told["queue"]["of"]
    (row,) = told["candidates"]
    assert (row["free"], row["total"], row["nodes"], row["podsThatFit"]) == (0, 8, 2, 0)
    assert row["verdict"] == "DoesNotFitNow"
