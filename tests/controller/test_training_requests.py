"""What a run costs the API server, judged from its audit log."""

import pytest

from devcluster import audit
from tests.support.programs import STEERED
from tests.support.scene import TANDEM, Scene

pytestmark = pytest.mark.cluster

OPERATOR = "tandem/"


def test_looking_again_at_settled_runs_makes_no_request(scene: Scene, workers: list[str]) -> None:
    """A new label on the profile has every run looked at; nothing follows from it, so nothing is asked or written."""
    scene.devices(workers[:2], 2)
    profile = scene.profile()
    scene.run("done", accelerator=profile, pods=2, command=["sh", "-c", "exit 0"])
    scene.reason("trun", "done", "Succeeded")
    scene.run("runs", accelerator=profile, pods=3, command=STEERED)
    scene.reason("trun", "runs", "Running")
    scene.run("waits", accelerator=profile, pods=2, command=STEERED)
    scene.reason("trun", "waits", "Queued")
    scene.run("rests", accelerator=profile, suspend=True, command=STEERED)
    scene.reason("trun", "rests", "Suspended")
    names = ("done", "runs", "waits", "rests")
    settled = {name: scene.get_run(name)["metadata"]["resourceVersion"] for name in names}

    start = audit.mark()
    scene.api.patch(f"{TANDEM}/acceleratorprofiles/{profile}", {"metadata": {"labels": {"note": "seen"}}})
    # A run that asks for the same profile is decided after all that the note woke: the queue is in order.
    scene.run("last", accelerator=profile, devicesPerPod=9, command=STEERED)
    scene.reason("trun", "last", "Queued")

    asked = [
        event
        for event in audit.since(start, user_agent=OPERATOR)
        if event.namespace == scene.name and not (event.resource == "events" or event.name == "last")
    ]
    assert asked == []
    assert {name: scene.get_run(name)["metadata"]["resourceVersion"] for name in names} == settled
