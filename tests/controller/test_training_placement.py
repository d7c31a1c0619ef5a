"""Which devices a run gets, when it waits, and what status says about it."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.api import Object
from tests.support.programs import STEERED
from tests.support.scene import Scene, condition

pytestmark = pytest.mark.cluster

EXIT = ["sh", "-c", "exit 0"]
SOON = 5.0


def rejections(run: Object) -> list[tuple[str, str, str]]:
    """Variant, reason and message of every rejected candidate."""
    found = run["status"]["placement"].get("rejected", ())
    return [(item["variant"], item["reason"], item["message"]) for item in found]


def reason(scene: Scene, name: str) -> str:
    """Reason of Ready of a run."""
    return str(condition(scene.get_run(name), "Ready")["reason"])


def hold(scene: Scene, name: str, devices: int, **spec: object) -> None:
    """A foreign pod that runs and holds devices."""
    scene.foreign_pod(name, devices, **spec)
    scene.until(lambda: scene.phase(name) == "Running", f"{name} to hold {devices} devices")


def test_a_run_that_does_not_fit_waits_with_numbers_and_starts_soon_after(scene: Scene, workers: list[str]) -> None:
    """Nothing is made for it meanwhile; the message counts, without naming whose pods hold the devices."""
    scene.devices(workers[:2], 2)
    hold(scene, "holder", 2)
    scene.run("waits", accelerator=scene.profile(), pods=3, command=STEERED)

    queued = scene.reason("trun", "waits", "Queued", SOON)

    message = "3 pods x 1 device asked for; 2 of 4 devices are free on 2 nodes"
    assert rejections(queued) == [("main", "DoesNotFitNow", message)]
    assert condition(queued, "Ready")["status"] == "True"
    placed = condition(queued, "Placed")
    assert (placed["status"], placed["reason"]) == ("False", "DoesNotFitNow")
    assert condition(queued, "Succeeded")["status"] == "Unknown"
    assert scene.pod_names() == ["holder"]

    scene.delete_pod("holder")
    scene.until(lambda: scene.get_run("waits")["status"]["attempt"] == 1, "the first attempt", SOON)
    running = scene.reason("trun", "waits", "Running")
    assert running["status"]["placement"]["chosen"] == scene.name
    assert "rejected" not in running["status"]["placement"]


def test_free_devices_that_are_split_over_nodes_do_not_fit(scene: Scene, workers: list[str]) -> None:
    """The sum of free devices is no answer for a pod that needs them on one node."""
    scene.devices(workers[:2], 4)
    for index, worker in enumerate(workers[:2]):
        hold(scene, f"holder-{index}", 1, nodeSelector={"kubernetes.io/hostname": worker, scene.label: "true"})
    scene.run("split", accelerator=scene.profile(), pods=3, devicesPerPod=2, command=EXIT)

    [(_, why, message)] = rejections(scene.reason("trun", "split", "Queued", SOON))
    assert why == "DoesNotFitNow"
    assert message == "3 pods x 2 devices asked for; 6 devices are free but split over nodes: 2 such pods would fit"

    scene.patch_run("split", {"pods": 2})
    scene.reason("trun", "split", "Succeeded")


def test_every_cause_of_waiting_is_told_with_what_mends_it(scene: Scene, workers: list[str]) -> None:
    """One run with a variant for each; nothing is made for it."""
    scene.devices(workers[:2], 8)
    other = {"amd64": "arm64", "arm64": "amd64"}[
        scene.api.get(f"/api/v1/nodes/{workers[0]}")["status"]["nodeInfo"]["architecture"]
    ]
    layer = f"{scene.name}.test.tandem.dev/register"
    profiles = {
        "count": scene.profile("-count", counts={"perPod": [1, 2]}),
        "arch": scene.profile("-arch", architecture=other),
        "small": scene.profile("-small"),
        "divided": scene.profile("-divided", excludeNodes={"labels": [{"key": scene.label}]}),
        "layer": scene.profile("-layer", excludeNodes={"annotations": [layer]}),
    }
    scene.run(
        "why",
        devicesPerPod=8,
        pods=4,
        command=EXIT,
        variants=[{"name": name, "accelerator": profile} for name, profile in profiles.items()],
    )

    found = {
        variant: (why, message) for variant, why, message in rejections(scene.reason("trun", "why", "Queued", SOON))
    }

    assert {variant: why for variant, (why, _) in found.items()} == {
        "count": "IllegalCount",
        "arch": "ArchMismatch",
        "small": "DoesNotFitNow",
        "divided": "DoesNotFitNow",
        "layer": "DoesNotFitNow",
    }
    assert (
        "2 nodes with 16 devices in all hold 2 such pods even when empty: add nodes or ask for less, NeverFits from"
        in (found["small"][1])
    )
    assert "2 nodes that" not in found["divided"][1]
    assert "4 pods x 8 devices asked for; no node has its labels" in found["divided"][1]
    assert f"are {'amd64' if other == 'arm64' else 'arm64'}, not {other}" in found["arch"][1]
    assert scene.pod_names() == []


def test_pods_of_others_that_wait_for_devices_go_first(scene: Scene, workers: list[str]) -> None:
    """What is theirs is not counted as free; one that could go nowhere takes nothing."""
    scene.devices(workers[:1], 2)
    # No scheduler is called so: it waits as one whose scheduler is slow.
    scene.foreign_pod("waits", 2, schedulerName="slow")
    scene.foreign_pod("nowhere", 1, nodeSelector={scene.label: "nowhere"})
    scene.run("behind", accelerator=scene.profile(), command=EXIT)
    queued = scene.reason("trun", "behind", "Queued", SOON)
    why = "0 of 2 devices are free on 1 node, 2 more are for pods of others that wait and go first"
    assert rejections(queued) == [("main", "DoesNotFitNow", f"1 pod x 1 device asked for; {why}")]

    scene.delete_pod("waits")
    scene.reason("trun", "behind", "Succeeded")


def test_a_quota_is_seen_before_pods_are_made_and_its_raise_starts_the_run(scene: Scene, workers: list[str]) -> None:
    """No attempt is spent on what the API server would refuse."""
    scene.devices(workers[:2], 2)
    name = f"requests.{scene.resource}"
    quotas = scene.path("resourcequotas")
    scene.api.create(quotas, {"metadata": {"name": "team"}, "spec": {"hard": {name: "3"}}})
    scene.until(lambda: scene.api.get(scene.path("resourcequotas", "team")).get("status"), "the quota to be enforced")
    scene.run("bounded", accelerator=scene.profile(), pods=2, devicesPerPod=2, command=EXIT)
    queued = scene.reason("trun", "bounded", "Queued", SOON)
    assert [why for _, why, _ in rejections(queued)] == ["QuotaExceeded"]
    assert f"quota team allows 3 {name}, 0 in use, 4 more needed" in rejections(queued)[0][2]
    assert queued["status"]["attempt"] == 0

    scene.api.patch(scene.path("resourcequotas", "team"), {"spec": {"hard": {name: "4"}}})
    scene.until(lambda: scene.get_run("bounded")["status"]["attempt"] == 1, "the first attempt", SOON)
    scene.reason("trun", "bounded", "Succeeded")


def test_pods_of_others_count_while_they_hold_devices(scene: Scene, workers: list[str]) -> None:
    """One that ended or found no node holds nothing; one that is ending does, until it is gone."""
    scene.devices(workers[:1], 2)
    scene.foreign_pod("pending", 9)
    scene.foreign_pod("over", 2, restartPolicy="Never", activeDeadlineSeconds=1)
    scene.until(lambda: scene.phase("over") == "Failed", "the pod that ended")
    profile = scene.profile()
    scene.run("first", accelerator=profile, devicesPerPod=2, command=EXIT)
    scene.reason("trun", "first", "Succeeded")

    container = {
        "name": "main",
        "image": "tandem-dev/tools:dev",
        "command": ["sh", "-c", "trap '' TERM; sleep 3600"],
        "resources": {"limits": {scene.resource: "1"}},
    }
    hold(scene, "ending", 1, containers=[container])
    scene.delete_pod("ending", grace=6)
    scene.run("second", accelerator=profile, devicesPerPod=2, command=EXIT)
    queued = scene.reason("trun", "second", "Queued", SOON)
    assert "1 of 2 devices are free" in rejections(queued)[0][2]
    assert "deletionTimestamp" in scene.api.get(scene.path("pods", "ending"))["metadata"]
    scene.reason("trun", "second", "Succeeded")
    assert scene.phase("ending") == ""


def test_of_two_runs_that_fit_alone_one_starts(scene: Scene, workers: list[str]) -> None:
    """Decided at the same moment, they never share devices; the other follows when the first is over."""
    scene.devices(workers[:2], 2)
    profile = scene.profile()
    for name in ("left", "right"):
        scene.run(name, accelerator=profile, pods=3, command=STEERED)

    def decided() -> set[str]:
        found = {reason(scene, name): name for name in ("left", "right")}
        return {found["Running"], found["Queued"]}

    scene.until(decided, "one to run and the other to wait")
    running, queued = ("left", "right") if reason(scene, "left") == "Running" else ("right", "left")
    assert scene.get_run(queued)["status"]["attempt"] == 0
    assert scene.pod_names() == [f"{running}-a1-{rank}" for rank in range(3)]
    for rank in range(3):
        scene.signal(f"{running}-a1-{rank}", "TERM")
    scene.reason("trun", queued, "Running")


def test_of_two_that_wait_the_older_starts_first(scene: Scene, workers: list[str]) -> None:
    """The order is that of creation, not of who is looked at first."""
    scene.devices(workers[:1], 2)
    hold(scene, "holder", 2)
    profile = scene.profile()
    old = scene.run("z-old", accelerator=profile, devicesPerPod=2, command=STEERED)
    scene.reason("trun", "z-old", "Queued", SOON)
    created = datetime.fromisoformat(old["metadata"]["creationTimestamp"])
    scene.until(lambda: datetime.now(UTC) > created + timedelta(seconds=1), "a later creation time")
    scene.run("a-young", accelerator=profile, devicesPerPod=2, command=STEERED)
    scene.reason("trun", "a-young", "Queued", SOON)

    scene.delete_pod("holder")

    scene.reason("trun", "z-old", "Running")
    assert reason(scene, "a-young") == "Queued"
    scene.signal("z-old-a1-0", "TERM")
    scene.reason("trun", "a-young", "Running")


def test_the_first_listed_variant_that_fits_is_taken(scene: Scene, workers: list[str]) -> None:
    """Each one before it stands in status with a reason of its own and what to do."""
    scene.devices(workers[:2], 4)
    nodes = [{"kubernetes.io/hostname": worker, scene.label: "true"} for worker in workers[:2]]
    full = scene.profile("-full", nodeSelector=nodes[0])
    pairs = scene.profile("-pairs", nodeSelector=nodes[1], counts={"perPod": [2, 4]})
    free = scene.profile("-free", nodeSelector=nodes[1])
    hold(scene, "holder", 3, nodeSelector=nodes[0])
    scene.run(
        "picky",
        devicesPerPod=1,
        pods=2,
        command=STEERED,
        variants=[
            {"name": "none", "accelerator": f"{scene.name}-none"},
            {"name": "pairs", "accelerator": pairs},
            {"name": "full", "accelerator": full},
            {"name": "free", "accelerator": free, "pods": 3},
            {"name": "unused", "accelerator": free},
        ],
    )

    placement = scene.reason("trun", "picky", "Running")["status"]["placement"]

    assert (placement["chosen"], placement["variant"], placement["decidedBy"]) == (free, "free", "ListedOrder")
    assert rejections(scene.get_run("picky")) == [
        (
            "none",
            "UnknownAccelerator",
            f"no AcceleratorProfile matches '{scene.name}-none'; see `kubectl get accel`",
        ),
        (
            "pairs",
            "IllegalCount",
            f"1 device in a pod is not legal on {pairs}; set devicesPerPod to one of: 2, 4",
        ),
        ("full", "DoesNotFitNow", "2 pods x 1 device asked for; 1 of 4 devices are free on 1 node"),
    ]
    pods = scene.pods("tandem.dev/run=picky")
    assert [pod["metadata"]["labels"]["tandem.dev/variant"] for pod in pods] == ["free"] * 3
    assert {pod["spec"]["nodeName"] for pod in pods} == {workers[1]}


def test_a_profile_of_other_namespaces_is_refused_until_the_namespace_is_added(
    scene: Scene, workers: list[str]
) -> None:
    """Free devices do not matter; an admin's edit of the profile is enough, and the run needs none."""
    scene.devices(workers[:1], 1)
    closed = scene.profile(allowedNamespaces={"names": ["some-other-tenant"]})
    scene.run("outsider", accelerator=closed, command=EXIT)

    [(_, why, message)] = rejections(scene.reason("trun", "outsider", "NamespaceNotAllowed", SOON))
    assert why == "NamespaceNotAllowed"
    assert message.startswith(f"namespace {scene.name} may not use {closed}; list another accelerator, or")
    assert scene.pod_names() == []

    scene.patch_profile(closed, {"allowedNamespaces": {"names": ["some-other-tenant", scene.name]}})
    scene.until(lambda: scene.get_run("outsider")["status"]["attempt"] == 1, "the first attempt", SOON)
    scene.reason("trun", "outsider", "Succeeded")


def test_a_selector_takes_the_first_matching_profile_that_fits(scene: Scene, workers: list[str]) -> None:
    """An image belongs to a stack, so a run may leave the chip open."""
    scene.devices(workers[:2], 1)
    nodes = [{"kubernetes.io/hostname": worker, scene.label: "true"} for worker in workers[:2]]
    first = scene.profile("-a", nodeSelector=nodes[0])
    second = scene.profile("-b", nodeSelector=nodes[1])
    hold(scene, "holder", 1, nodeSelector=nodes[0])
    selector = {"matchLabels": {"test.tandem.dev/scene": scene.name}}
    scene.run("open", acceleratorSelector=selector, command=EXIT)

    placement = scene.reason("trun", "open", "Succeeded")["status"]["placement"]

    assert (placement["chosen"], placement["variant"]) == (second, "main")
    assert [(item["accelerator"], item["reason"]) for item in placement["rejected"]] == [(first, "DoesNotFitNow")]


def test_devices_that_come_back_draw_nobody_away(scene: Scene, workers: list[str]) -> None:
    """The better variant is full, so the next is taken; when it has devices again, what runs stays, and restarts where it was."""
    scene.devices(workers[:2], 1)
    nodes = [{"kubernetes.io/hostname": worker, scene.label: "true"} for worker in workers[:2]]
    better, other = scene.profile("-better", nodeSelector=nodes[0]), scene.profile("-other", nodeSelector=nodes[1])
    hold(scene, "holder", 1, nodeSelector=nodes[0])
    variants = [{"name": "better", "accelerator": better}, {"name": "other", "accelerator": other}]
    scene.run("steady", devicesPerPod=1, command=STEERED, variants=variants)
    placement = scene.reason("trun", "steady", "Running")["status"]["placement"]
    assert placement["variant"] == "other"
    assert rejections(scene.get_run("steady")) == [
        ("better", "DoesNotFitNow", "1 pod x 1 device asked for; 0 of 1 devices are free on 1 node")
    ]

    scene.delete_pod("holder")
    # Another finds the devices, so the operator has seen that they are back.
    scene.run("probe", accelerator=better, command=EXIT)
    scene.reason("trun", "probe", "Succeeded")
    assert scene.get_run("steady")["status"]["active"]["variant"] == "other"
    assert scene.get_run("steady")["status"]["attempt"] == 1

    scene.signal("steady-a1-0", "USR1")
    scene.until(lambda: scene.get_run("steady")["status"]["attempt"] == 2, "the second attempt")
    status = scene.get_run("steady")["status"]
    assert status["active"]["variant"] == "other"
    [(variant, why, message)] = rejections(scene.get_run("steady"))
    assert (variant, why) == ("better", "HeldOff")
    assert "the run came to other at" in message


def test_a_run_may_wait_for_its_better_variant(scene: Scene, workers: list[str]) -> None:
    """With waitSeconds the next one is tried only then, and the status says so."""
    scene.devices(workers[:2], 1)
    nodes = [{"kubernetes.io/hostname": worker, scene.label: "true"} for worker in workers[:2]]
    better, other = scene.profile("-better", nodeSelector=nodes[0]), scene.profile("-other", nodeSelector=nodes[1])
    hold(scene, "holder", 1, nodeSelector=nodes[0])
    variants = [{"name": "better", "accelerator": better}, {"name": "other", "accelerator": other}]
    scene.run("patient", devicesPerPod=1, command=EXIT, variants=variants, placement={"waitSeconds": 5})

    queued = scene.reason("trun", "patient", "Queued", SOON)
    assert [item[:2] for item in rejections(queued)] == [("better", "DoesNotFitNow"), ("other", "HeldOff")]
    assert "better goes first and lacks devices (placement.waitSeconds)" in rejections(queued)[1][2]

    ended = scene.reason("trun", "patient", "Succeeded")
    assert ended["status"]["placement"]["variant"] == "other"
    since = datetime.fromisoformat(queued["status"]["waitingSince"])
    assert datetime.fromisoformat(ended["status"]["startTime"]) >= since + timedelta(seconds=5)
