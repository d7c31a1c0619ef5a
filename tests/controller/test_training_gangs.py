"""Gangs that the scheduler binds whole, by PodGroups: no half of one is ever bound, however their pods meet."""

import pytest

from tests.support.api import Object
from tests.support.programs import STEERED
from tests.support.scene import FOREVER, TOOLS, Scene, condition

pytestmark = pytest.mark.cluster

GROUPS = "/apis/scheduling.k8s.io/v1beta1"
GANGS = 6
"""Gangs that meet: as many rounds in which the scheduler has to choose, of some five seconds each."""


def bound(scene: Scene) -> dict[str, int]:
    """Pods with a node by group."""
    counts: dict[str, int] = {}
    for pod in scene.pods():
        name = pod["spec"].get("schedulingGroup", {}).get("podGroupName", "")
        counts[name] = counts.get(name, 0) + ("nodeName" in pod["spec"])
    return counts


def groups(scene: Scene) -> list[Object]:
    """PodGroups of the namespace that are not on their way out."""
    found = scene.api.get(scene.path("podgroups", group=GROUPS))["items"]
    return [item for item in found if "deletionTimestamp" not in item["metadata"]]


def test_a_gang_is_made_as_a_group_and_its_group_goes_with_it(scene: Scene, workers: list[str]) -> None:
    """One group for an attempt, before its pods; the next attempt has one of its own."""
    scene.devices(workers[:2], 1)
    scene.run("whole", accelerator=scene.profile(), pods=2, command=STEERED)
    running = scene.reason("trun", "whole", "Running")

    assert running["status"]["active"]["podGroup"] == "whole-a1"
    assert bound(scene) == {"whole-a1": 2}
    [group] = groups(scene)
    assert group["spec"]["schedulingPolicy"]["gang"]["minCount"] == 2
    assert group["metadata"]["ownerReferences"][0]["name"] == "whole"

    scene.patch_run("whole", {"suspend": True})
    scene.reason("trun", "whole", "Suspended")
    scene.until(lambda: not groups(scene), "the group to go with the attempt")
    scene.patch_run("whole", {"suspend": False})
    scene.reason("trun", "whole", "Running")
    assert [item["metadata"]["name"] for item in groups(scene)] == ["whole-a2"]


def test_a_gang_that_is_not_bound_tells_what_the_scheduler_says_of_it(scene: Scene, workers: list[str]) -> None:
    """Its cause first, word for word, which stands beside one of the pods; no pod of the gang has had a node."""
    scene.devices(workers[:2], 1)
    # The placer does not look at processors: one of the two pods would find its node.
    half = {"requests": {"cpu": f"{int(processors(scene, workers) * 600)}m"}}
    main = {"name": "main", "image": TOOLS, "command": FOREVER, "resources": half}
    scene.foreign_pod("busy", containers=[main], nodeSelector={"kubernetes.io/hostname": workers[0]})
    scene.until(lambda: scene.phase("busy") == "Running", "a node to be busy")
    placement = {"bindSeconds": 5}
    scene.run("wide", accelerator=scene.profile(), pods=2, command=STEERED, resources=half, placement=placement)

    held = scene.reason("trun", "wide", "NotBound")

    [ended] = held["status"]["attempts"]
    assert ended["outcome"] == "NotBound"
    assert ended["message"].startswith("2 of 2 pods found no node: 0/5 nodes are available: ")
    assert "Insufficient cpu" in ended["message"]
    assert "failures" not in held["status"]


def test_of_gangs_that_meet_none_is_ever_bound_by_half(scene: Scene, workers: list[str]) -> None:
    """There are devices for all of them and processors for one, which the placer does not look at: all are made at once, and
    the scheduler has to choose. Bound pod by pod, two halves would hold what neither can use.
    """
    scene.devices(workers[:4], GANGS)
    profile = scene.profile()
    names = [f"g{number}" for number in range(GANGS)]
    more_than_half = {"requests": {"cpu": f"{int(processors(scene, workers) * 600)}m"}}
    for name in names:
        scene.run(name, accelerator=profile, pods=4, command=["sleep", "1"], resources=more_than_half)
    halves: list[str] = []

    def over() -> bool:
        for name in names:
            found = scene.get_run(name)
            outcomes = [
                item["message"] for item in found["status"].get("attempts", ()) if item["outcome"] == "NotBound"
            ]
            halves.extend(f"{name}: {said}" for said in outcomes if not said.startswith("4 of 4 pods"))
        return all(condition(scene.get_run(name), "Ready")["reason"] == "Succeeded" for name in names)

    scene.until(over, "every gang to have had its turn", pause=0.5)
    assert halves == []


def processors(scene: Scene, workers: list[str]) -> int:
    """Processors of each worker."""
    return int(scene.api.get(f"/api/v1/nodes/{workers[0]}")["status"]["allocatable"]["cpu"])
