"""`tandem explain` as a program, against an API server with a few nodes, pods and objects."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.entry.cli import main
from tests.cluster.devices_world import CREATED, OURS, Cluster, Object, manifest, metadata, pod
from tests.cluster.fake_api import FakeApi

pytestmark = pytest.mark.usefixtures("logging_as_before")

Explain = Callable[..., Any]


@pytest.fixture
def explain(api: FakeApi, tmp_path: Path) -> Explain:
    """Runs the command on this object; its exit code."""
    kubeconfig = api.kubeconfig(tmp_path)

    async def run(*arguments: str) -> int:
        return await asyncio.to_thread(main, ["explain", f"--kubeconfig={kubeconfig}", "--namespace=team", *arguments])

    return run


def existing(kind: str, name: str, created: str = CREATED, status: Object | None = None, **spec: Any) -> Object:
    item = manifest(kind, name, **spec)
    meta = metadata(name, namespace="team", generation=1) | {"creationTimestamp": created}
    return item | {"metadata": meta, "status": status or {}}


def condition(kind: str, value: str, reason: str, message: str) -> Object:
    return {
        "type": kind, "status": value, "reason": reason, "message": message, "lastTransitionTime": CREATED,
        "observedGeneration": 1,
    }  # fmt: skip


def ready(reason: str, message: str) -> Object:
    return {"observedGeneration": 1, "conditions": [condition("Ready", "False", reason, message)]}


async def test_a_run_that_waits(cluster: Cluster, explain: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    """Make a is in use; the older run takes half of make b before this one is looked at."""
    cluster.lists["/api/v1/pods"] = [pod(f"p{n}", f"a-{n}", "example.com/a", 4) for n in range(2)]
    variants = [{"name": "first", "accelerator": "make-a"}, {"name": "second", "accelerator": "make-b"}]
    cluster.lists[f"{OURS}/trainingruns"] = [
        existing("TrainingRun", "older", "2026-11-23T08:00:00Z", accelerator="make-b"),
        existing("TrainingRun", "r", status=ready("Queued", "as it was"), pods=2, variants=variants),
        existing("TrainingRun", "younger", "2026-11-23T10:00:00Z", accelerator="make-a"),
    ]
    assert await explain("trun/r") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "TrainingRun team/r: Queued: as it was"
    assert lines[1].startswith("  now: Queued: first on make-a: 2 pods x 4 devices asked for; 0 of 8 devices are free")
    assert lines[2].startswith("  queue: place 2 of 3, priority 0")
    assert lines[3:] == [
        "  VARIANT  ACCELERATOR  ASKS   FITS  FREE  TOTAL  NODES  VERDICT",
        "  first    make-a       2 x 4  0     0     8      2      DoesNotFitNow",
        "    2 pods x 4 devices asked for; 0 of 8 devices are free on 2 nodes",
        "  second   make-b       2 x 4  1     4     8      1      DoesNotFitNow",
        "    2 pods x 4 devices asked for; 4 of 8 devices are free on 1 node",
    ]


async def test_a_run_that_would_start_now(
    cluster: Cluster, explain: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    variants = [{"name": "first", "accelerator": "make-a"}, {"name": "second", "accelerator": "make-b"}]
    run = existing("TrainingRun", "r", status=ready("Queued", "as it was"), variants=variants)
    cluster.lists[f"{OURS}/trainingruns"] = [run]
    assert await explain("TrainingRun/r", "-o", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["decided"]["ready"] == {"reason": "Queued", "message": "as it was"}
    assert told["now"]["ready"]["reason"] == "Starting"
    assert told["now"]["placement"]["chosen"] == "make-a"
    assert told["queue"] | {"waitsSince": None} == {"place": 1, "of": 1, "priority": 0, "waitsSince": None}
    assert told["candidates"] == [
        {
            "variant": "first", "accelerator": "make-a", "pods": 1, "devicesPerPod": 4, "podsThatFit": 2, "free": 8,
            "total": 8, "nodes": 2, "verdict": "Chosen", "message": "",
        },
        {
            "variant": "second", "accelerator": "make-b", "pods": 1, "devicesPerPod": 4, "podsThatFit": 2, "free": 8,
            "total": 8, "nodes": 1, "verdict": None, "message": "",
        },
    ]  # fmt: skip


async def test_a_run_that_has_ended_is_told_as_it_was(
    cluster: Cluster, explain: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    done = ready("Succeeded", "1 pod succeeded") | {
        "placement": {"chosen": "make-a", "variant": "main", "decidedBy": "ListedOrder", "reason": "make-a fitted"}
    }
    done["conditions"].append(condition("Succeeded", "True", "Succeeded", ""))
    cluster.lists[f"{OURS}/trainingruns"] = [existing("TrainingRun", "r", status=done, accelerator="make-a")]
    assert await explain("trun/r") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "TrainingRun team/r: Succeeded: 1 pod succeeded"
    assert lines[1] == "  decided: make-a fitted"
    assert not any(line.startswith("  queue:") for line in lines)
    assert lines[-1].split() == ["main", "make-a", "1", "x", "4", "2", "8", "8", "2", "Chosen"]


async def test_a_service_of_which_a_part_has_room(
    cluster: Cluster, explain: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    variants = [{"name": "first", "accelerator": "make-a"}, {"name": "none", "accelerator": "make-x"}]
    cluster.lists["/api/v1/pods"] = [pod("p", "a-0", "example.com/a", 4)]
    service = existing("InferenceService", "s", replicas=3, devicesPerPod=2, variants=variants)
    cluster.lists[f"{OURS}/inferenceservices"] = [service]
    assert await explain("infsvc/s") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "InferenceService team/s: not looked at by the operator yet"
    assert lines[-5].split()[-1] == "VERDICT"
    assert lines[-4].split() == ["first", "make-a", "3", "x", "2", "2", "4", "8", "2", "Chosen"]
    assert lines[-3].strip() == "3 pods x 2 devices asked for; 4 of 8 devices are free on 2 nodes"
    assert lines[-2].split() == ["none", "make-x", "3", "x", "2", "-", "-", "-", "-", "UnknownAccelerator"]
    assert "no AcceleratorProfile matches 'make-x'" in lines[-1]


async def test_a_spec_that_cannot_be_read_has_no_candidates(
    cluster: Cluster, explain: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.lists[f"{OURS}/trainingruns"] = [existing("TrainingRun", "r", pods="many", accelerator="make-a")]
    assert await explain("trun/r") == 0
    assert "now: InvalidSpec: spec.pods: " in capsys.readouterr().out
    assert await explain("trun/r", "-o", "json") == 0
    assert json.loads(capsys.readouterr().out)["candidates"] == []


async def test_what_is_not_there(cluster: Cluster, explain: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    assert await explain("trun/r") == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "cannot explain: there is no TrainingRun r in namespace team\n")


async def test_a_caller_who_may_not_look(
    cluster: Cluster, explain: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.forbidden = "/api/v1/pods"
    assert await explain("trun/r") == 2
    assert "cannot explain: Forbidden (403): /api/v1/pods is forbidden" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["r", "pod/r", "trun/", "trun/a/b"])
async def test_a_name_that_is_none(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explain", text])
    assert f"'{text}' is not trun/NAME or infsvc/NAME" in capsys.readouterr().err
