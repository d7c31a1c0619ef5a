"""`tandem plan` as a program, against an API server with a few nodes, pods and objects."""

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.entry.cli import main
from tests.cluster.devices_world import CREATED, OURS, Cluster, Object, manifest, metadata, pod
from tests.cluster.fake_api import FakeApi

pytestmark = pytest.mark.usefixtures("logging_as_before")

Plan = Callable[..., Any]


@pytest.fixture
def plan(api: FakeApi, tmp_path: Path) -> Plan:
    """Runs the command on these manifests; its exit code."""
    kubeconfig = api.kubeconfig(tmp_path)

    async def run(*manifests: Object, options: tuple[str, ...] = ()) -> int:
        (tmp_path / "file.yaml").write_text(yaml.safe_dump_all(manifests))
        command = ["plan", f"--kubeconfig={kubeconfig}", f"--filename={tmp_path / 'file.yaml'}", *options]
        return await asyncio.to_thread(main, command)

    return run


async def test_a_run_that_has_room(cluster: Cluster, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert await plan(manifest("TrainingRun", "r", pods=2, accelerator="make-a"), options=("--namespace=team",)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "TrainingRun team/r: would be placed on make-a",
        "  make-a is the first listed that fits 2 pods x 4 example.com/a",
        "  VARIANT  ACCELERATOR  ASKS   FITS  FREE  TOTAL  NODES  VERDICT",
        "  main     make-a       2 x 4  2     8     8      2      Chosen",
        "  STATUS would be Starting: attempt 1 on make-a: making 2 pods",
        "  would make Service r-tr, Pod r-a1-0, Pod r-a1-1",
    ]


async def test_a_variant_that_is_full_is_rejected_with_numbers(
    cluster: Cluster, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.lists["/api/v1/pods"] = [pod("p", "a-0", "example.com/a", 1)]
    variants = [{"name": "first", "accelerator": "make-a"}, {"name": "second", "accelerator": "make-b"}]
    assert await plan(manifest("TrainingRun", "r", pods=2, variants=variants)) == 0
    told = capsys.readouterr().out
    assert "TrainingRun default/r: would be placed on make-b\n" in told
    assert told.splitlines()[2:6] == [
        "  VARIANT  ACCELERATOR  ASKS   FITS  FREE  TOTAL  NODES  VERDICT",
        "  first    make-a       2 x 4  1     7     8      2      DoesNotFitNow",
        "    2 pods x 4 devices asked for; 7 of 8 devices are free on 2 nodes",
        "  second   make-b       2 x 4  2     8     8      1      Chosen",
    ]


async def test_a_service_that_finds_room_for_a_part(
    cluster: Cluster, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    variants = [{"name": "first", "accelerator": "make-a"}, {"name": "second", "accelerator": "make-b"}]
    assert await plan(manifest("InferenceService", "s", replicas=5, variants=variants)) == 1
    told = capsys.readouterr().out
    assert told.startswith("InferenceService default/s: would not be placed\n")
    assert "  first on make-a: 2 replicas\n  second on make-b: 2 replicas\n" in told
    assert "would make Service s, PodDisruptionBudget s, Deployment s-first and 1 more" in told


async def test_each_object_of_a_file_takes_its_devices_from_the_next(
    cluster: Cluster, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [manifest("TrainingRun", name, pods=2, accelerator="make-a") for name in ("one", "two")]
    assert await plan(*runs, options=("--output=json",)) == 1
    one, two = json.loads(capsys.readouterr().out)
    assert (one["placed"], two["placed"]) == (True, False)
    assert one["creates"][-1] == {"kind": "Pod", "name": "one-a1-1"}
    assert one["placement"]["chosen"] == "make-a"
    assert two["ready"]["reason"] == "Queued"
    assert two["placement"]["rejected"][0]["reason"] == "DoesNotFitNow"
    assert [row["free"] for item in (one, two) for row in item["candidates"]] == [8, 0]
    assert two["candidates"][0]["verdict"] == "DoesNotFitNow"


async def test_what_others_were_promised_counts_as_taken(
    cluster: Cluster, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run whose pods have no node yet holds its devices all the same."""
    active = {
        "number": 1, "variant": "main", "accelerator": "make-a", "inputsHash": "h", "pods": 2, "devicesPerPod": 4,
        "startTime": CREATED,
    }  # fmt: skip
    other = {
        **manifest("TrainingRun", "other", pods=2, accelerator="make-a"),
        "metadata": metadata("other", namespace="others", generation=1),
        "status": {"attempt": 1, "active": active},
    }
    cluster.lists[f"{OURS}/trainingruns"] = [other]
    assert await plan(manifest("TrainingRun", "r", accelerator="make-a")) == 1
    assert "0 of 8 devices are free" in capsys.readouterr().out


async def test_an_object_that_exists_is_judged_as_if_edited(
    cluster: Cluster, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    waiting = {
        **manifest("TrainingRun", "r", pods=3, accelerator="make-a"),
        "metadata": metadata("r", namespace="default", generation=1),
    }
    cluster.lists[f"{OURS}/trainingruns"] = [waiting]
    assert await plan(manifest("TrainingRun", "r", pods=2, accelerator="make-a")) == 0
    assert "TrainingRun default/r (exists; judged as if edited): would be placed on make-a" in capsys.readouterr().out


async def test_a_spec_that_is_none_says_why(cluster: Cluster, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    assert await plan(manifest("TrainingRun", "r", pods="many", accelerator="make-a")) == 1
    assert "  STATUS would be InvalidSpec: spec.pods: " in capsys.readouterr().out


async def test_an_object_that_asks_for_nothing(
    cluster: Cluster, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await plan(manifest("InferenceService", "s", replicas=0, accelerator="make-a")) == 0
    assert "would be placed on nothing: it asks for nothing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is empty"),
        ("a: [", "is not YAML"),
        ("kind: Pod\nmetadata: {name: p}", "holds a Pod; only TrainingRun and InferenceService are planned"),
        ("just words", "holds a document without kind"),
        ("kind: TrainingRun\nspec: {}", "a TrainingRun in - has no metadata.name"),
    ],
)
async def test_a_file_that_cannot_be_planned(
    text: str, problem: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert await asyncio.to_thread(main, ["plan", "-f", "-", "--kubeconfig=/nowhere/config"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert problem in told.err


async def test_a_caller_who_may_not_look_is_told_what_is_lacking(
    cluster: Cluster, plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    """A forecast from half of the cluster would be a wrong one."""
    for path in ("/api/v1/nodes", "/api/v1/pods", f"{OURS}/trainingruns"):
        cluster.forbidden = path
        assert await plan(manifest("TrainingRun", "r", accelerator="make-a")) == 2
        assert f"cannot plan: Forbidden (403): {path} is forbidden" in capsys.readouterr().err


async def test_a_cluster_without_our_kinds(cluster: Cluster, plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.discovery = {"resources": []}
    assert await plan(manifest("TrainingRun", "r", accelerator="make-a")) == 2
    assert "are not served: install the CRDs first" in capsys.readouterr().err
