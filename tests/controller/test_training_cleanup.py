"""What is left of a run that has ended is taken away on the real cluster, also by an operator that came later."""

from collections.abc import Callable

import pytest

from devcluster import audit
from tests.support.api import Object
from tests.support.operator import HostOperator
from tests.support.scene import Scene, condition
from tests.support.writes import writes

pytestmark = pytest.mark.cluster

EXIT = ["sh", "-c", "exit 0"]


def left(scene: Scene) -> list[str]:
    """Names of the children of runs."""
    services = scene.api.get(scene.path("services"))["items"]
    return scene.pod_names() + [item["metadata"]["name"] for item in services]


def told(run: Object) -> tuple[Object, Object]:
    """What must not change any more."""
    return run["status"], run["metadata"]["resourceVersion"]


def test_pods_and_service_go_and_the_run_stays(scene: Scene, workers: list[str]) -> None:
    """A person has their logs until then; what status says is not touched by it."""
    scene.devices(workers[:2], 1)
    scene.run("short", accelerator=scene.profile(), pods=2, command=EXIT, cleanup={"podsAfterSeconds": 600})
    done = scene.reason("trun", "short", "Succeeded")
    assert left(scene) == ["short-a1-0", "short-a1-1", "short-tr"]

    scene.patch_run("short", {"cleanup": {"podsAfterSeconds": 0}})

    scene.until(lambda: left(scene) == [], "its children to go")
    after = scene.get_run("short")["status"]
    assert (after["pods"], after["attempts"], after["completionTime"]) == (
        done["status"]["pods"],
        done["status"]["attempts"],
        done["status"]["completionTime"],
    )
    assert after["pods"]["summary"] == "2/2"
    assert condition(scene.get_run("short"), "Succeeded")["status"] == "True"


@pytest.mark.serial
def test_an_operator_that_comes_later_cleans_up_and_then_asks_for_nothing(
    quiet_scene: Scene, workers: list[str], operators: Callable[..., HostOperator]
) -> None:
    """The time of the end stands in status; a run without children costs no request, nor does it start again."""
    scene = quiet_scene
    scene.devices(workers[:2], 1)
    first = operators()
    first.start()
    scene.run("short", accelerator=scene.profile(), pods=2, command=EXIT)
    before = told(scene.reason("trun", "short", "Succeeded"))
    first.kill()
    assert left(scene) == ["short-a1-0", "short-a1-1", "short-tr"]

    second = operators(TANDEM_CLEANUP_SECONDS="1")
    second.start()
    scene.until(lambda: left(scene) == [], "its children to go")
    second.kill()
    mark = audit.mark()
    third = operators(TANDEM_CLEANUP_SECONDS="1")
    third.start()
    scene.run("next", accelerator=scene.name, command=EXIT)
    scene.reason("trun", "next", "Succeeded")
    assert [event for event in writes(mark, scene.name) if event.name.startswith("short")] == []
    assert told(scene.get_run("short")) == before
