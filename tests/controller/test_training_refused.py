"""Gangs that the cluster does not let come up whole: rolled back, uncharged, in the cluster's own words, tried again."""

from collections.abc import Callable

import pytest

from tests.support.api import Object
from tests.support.operator import HostOperator
from tests.support.programs import STEERED
from tests.support.scene import Scene, condition

pytestmark = pytest.mark.cluster

EXIT = ["sh", "-c", "exit 0"]


def ended(run: Object) -> list[str]:
    """Outcomes of the attempts that ended."""
    return [item["outcome"] for item in run["status"].get("attempts", ())]


def test_a_gang_that_a_quota_cuts_off_is_rolled_back(scene: Scene, workers: list[str]) -> None:
    """3 of 4 pods are allowed: none stays, the server says why, and a raised quota lets the run go on. A quota with a scope is
    not looked at before: the server has the word."""
    scene.devices(workers[:2], 2)
    quota = {"metadata": {"name": "three"}, "spec": {"hard": {"pods": "3"}, "scopes": ["NotTerminating"]}}
    scene.api.create(scene.path("resourcequotas"), quota)
    scene.until(lambda: scene.api.get(scene.path("resourcequotas", "three"))["status"]["hard"], "the quota to count")
    scene.run("four", accelerator=scene.profile(), pods=4, command=STEERED)

    refused = scene.reason("trun", "four", "QuotaExceeded", 30)
    ready = condition(refused, "Ready")
    assert ready["status"] == "False"
    assert condition(refused, "Reconciling")["reason"] == "QuotaExceeded"
    assert "exceeded quota: three, requested: pods=1, used: pods=3, limited: pods=3" in ready["message"]
    assert "active" not in refused["status"]
    scene.until(lambda: not [pod for pod in scene.pods() if "-a1-" in pod["metadata"]["name"]], "no half gang", 30)

    scene.api.patch(scene.path("resourcequotas", "three"), {"spec": {"hard": {"pods": "4"}}})
    running = scene.reason("trun", "four", "Running")
    assert set(ended(running)) == {"QuotaExceeded"}
    assert "failures" not in running["status"]
    assert "holdOffs" not in running["status"]
    attempt = running["status"]["attempt"]
    scene.until(
        lambda: scene.pod_names() == [f"four-a{attempt}-{rank}" for rank in range(4)], "exactly the pods of the attempt"
    )


def test_a_gang_that_finds_no_nodes_is_ended_with_the_schedulers_words(scene: Scene, workers: list[str]) -> None:
    """Devices are free but CPU is not modelled: the scheduler decides, and devices are not held for ever."""
    scene.devices(workers[:2], 1)
    scene.run("huge", accelerator=scene.profile(), pods=2, resources={"requests": {"cpu": "64"}}, command=EXIT)
    waiting = scene.until(
        lambda: "Insufficient cpu" in condition(found := scene.get_run("huge"), "Ready")["message"] and found,
        "the scheduler's words",
    )
    assert condition(waiting, "Ready")["reason"] == "Starting"

    unbound = scene.reason("trun", "huge", "NotBound")
    message = condition(unbound, "Ready")["message"]
    assert message.startswith("2 of 2 pods found no node: 0/5 nodes are available")
    assert "Insufficient cpu" in message
    assert unbound["status"]["attempts"][0]["outcome"] == "NotBound"
    assert "failures" not in unbound["status"]
    assert unbound["status"]["holdOffs"][0]["variant"] == "main"

    scene.patch_run("huge", {"resources": {"requests": {"cpu": "5m"}}})
    done = scene.reason("trun", "huge", "Succeeded")
    assert "failures" not in done["status"]


def test_a_gang_without_nodes_goes_to_the_next_variant(scene: Scene, workers: list[str]) -> None:
    """What was held off stands among the rejected, with the reason why."""
    scene.devices(workers[:1], 1)
    profile = scene.profile()
    scene.run(
        "next",
        command=STEERED,
        variants=[
            {"name": "huge", "accelerator": profile, "resources": {"requests": {"cpu": "64"}}},
            {"name": "small", "accelerator": profile},
        ],
    )

    placement = scene.reason("trun", "next", "Running")["status"]["placement"]

    assert placement["variant"] == "small"
    [held] = placement["rejected"]
    assert (held["variant"], held["reason"]) == ("huge", "HeldOff")
    assert "Insufficient cpu" in held["message"]


def test_an_edit_of_a_half_made_gang_supersedes_it(scene: Scene, workers: list[str]) -> None:
    """A pod of the needed name is ending, so the gang stays half made; the edit ends the attempt, uncharged."""
    scene.devices(workers[:2], 1)
    grace = {
        "name": "main",
        "image": "tandem-dev/tools:dev",
        "command": ["sh", "-c", "trap '' TERM; sleep 3600"],
    }
    scene.foreign_pod("half-a1-1", containers=[grace])
    scene.until(lambda: scene.phase("half-a1-1") == "Running", "the foreign pod")
    scene.delete_pod("half-a1-1", grace=60)
    scene.run("half", accelerator=scene.profile(), pods=2, command=STEERED)
    scene.until(lambda: scene.phase("half-a1-0"), "half of the gang")

    scene.patch_run("half", {"env": [{"name": "LR", "value": "0.1"}]})

    running = scene.reason("trun", "half", "Running")
    assert ended(running) == ["Superseded"]
    assert running["status"]["attempt"] == 2
    assert "failures" not in running["status"]


@pytest.mark.serial
def test_an_edit_lifts_a_hold_off_at_once(
    quiet_scene: Scene, workers: list[str], operators: Callable[..., HostOperator]
) -> None:
    """The pause after a refusal may be minutes; who has mended the spec does not wait for its end."""
    scene = quiet_scene
    scene.devices(workers[:1], 1)
    pause = {"TANDEM_HOLD_OFF_SECONDS": "600", "TANDEM_MAX_BACKOFF_SECONDS": "600"}
    operators(TANDEM_BIND_SECONDS="2", **pause).start()
    scene.run("huge", accelerator=scene.profile(), resources={"requests": {"cpu": "64"}}, command=EXIT)
    unbound = scene.reason("trun", "huge", "NotBound")
    assert unbound["status"]["holdOffs"][0]["variant"] == "main"

    scene.patch_run("huge", {"resources": {"requests": {"cpu": "5m"}}})

    done = scene.reason("trun", "huge", "Succeeded", 60)
    assert "holdOffs" not in done["status"]
