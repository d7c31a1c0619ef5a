"""Nodes, device plugins and API servers that fail under runs: told with their cause, and survived."""

from collections.abc import Callable, Iterator

import pytest

from devcluster import audit, faults
from tests.support.operator import HostOperator
from tests.support.programs import STEERED
from tests.support.scene import TANDEM, Scene, condition
from tests.support.writes import deleted_pods, made_pods

pytestmark = [pytest.mark.cluster, pytest.mark.serial]

Operators = Callable[..., HostOperator]
HOST = "kubernetes.io/hostname"
WELL = ["sh", "-c", "exit 0"]


@pytest.fixture(autouse=True)
def healed() -> Iterator[None]:
    """Whatever a test breaks is whole before the next, whatever becomes of the test."""
    yield
    faults.heal()


@pytest.fixture
def real_devices(quiet_scene: Scene, workers: list[str]) -> Callable[[str], str]:
    """Makes profiles of the devices that a node's plugin offers."""

    def profile(node: str) -> str:
        found = quiet_scene.api.get(f"/api/v1/nodes/{node}")["status"]["allocatable"]
        [resource] = [name for name in found if "/" in name and not name.startswith("test.")]
        return quiet_scene.profile(
            nodeSelector={HOST: node},
            allocation={"type": "ExtendedResource", "extendedResource": {"name": resource}},
            tolerations=[{"operator": "Exists", "effect": "NoSchedule"}],
        )

    return profile


def test_an_api_server_that_is_killed_in_mid_creation_costs_nothing(
    quiet_scene: Scene, workers: list[str], operators: Operators
) -> None:
    """Replies are lost and watches break; the gangs are made exactly, and nothing is charged."""
    scene = quiet_scene
    scene.devices(workers[:2], 12)
    profile = scene.profile()
    # One write after the other, so that creation is still going on when the server dies.
    operators(TANDEM_WRITES="1").start()
    start = audit.mark()
    runs = [f"gang-{number}" for number in range(3)]
    for run in runs:
        scene.run(run, accelerator=profile, pods=8, command=WELL)
    scene.until(lambda: made_pods(start, scene.name), "the first pod", pause=0.002)

    faults.apiserver_restarted()

    for run in runs:
        status = scene.reason("trun", run, "Succeeded", seconds=120)["status"]
        assert status["attempt"] == 1
        assert "failures" not in status
    assert scene.pod_names() == sorted(f"{run}-a1-{rank}" for run in runs for rank in range(8))
    assert set(made_pods(start, scene.name).values()) == {1}
    assert deleted_pods(start, scene.name) == []


def test_a_run_deleted_while_nobody_watches_leaves_no_ghost(
    quiet_scene: Scene, workers: list[str], operators: Operators
) -> None:
    """Its deletion is never told by a watch; it must not keep its place in the queue before younger runs."""
    scene = quiet_scene
    # The namespace of an earlier test goes slowly where the API server was killed: the controller manager waits, too.
    scene.until(lambda: not scene.api.get(f"{TANDEM}/trainingruns")["items"], "the runs of earlier tests to be gone")
    scene.devices(workers[:1], 2)
    profile = scene.profile()
    scene.foreign_pod("holder", devices=2)
    scene.until(lambda: scene.phase("holder") == "Running", "the devices to be held")
    operator = operators(TANDEM_RESYNC_SECONDS="4")
    operator.start()
    scene.run("ghost", accelerator=profile, devicesPerPod=2, command=WELL)
    scene.reason("trun", "ghost", "Queued")

    operator.freeze()
    scene.api.delete(scene.path("trainingruns", "ghost", TANDEM))
    faults.apiserver_restarted()
    operator.thaw()
    # By the comparison with the server, or by a write that finds nobody: whichever comes first.
    scene.until(lambda: operator.value('tandem_objects{kind="TrainingRun"}') == 0, "the operator to know of no run")
    scene.run("younger", accelerator=profile, devicesPerPod=2, command=WELL)
    scene.reason("trun", "younger", "Queued")
    scene.delete_pod("holder")

    scene.reason("trun", "younger", "Succeeded")
    assert scene.pod_names("tandem.dev/run=ghost") == []


@pytest.mark.parametrize(
    ("break_node", "mend_node"),
    [(faults.kubelet_stopped, faults.kubelet_started), (faults.network_cut, faults.network_restored)],
    ids=["kubelet", "network"],
)
def test_a_gang_leaves_a_node_that_is_lost(
    quiet_scene: Scene,
    workers: list[str],
    operators: Operators,
    break_node: Callable[[str], None],
    mend_node: Callable[[str], None],
) -> None:
    """The attempt ends as Infra and names the node; the next one runs elsewhere while old pods still hang there."""
    scene = quiet_scene
    scene.devices(workers[:3], 1)
    operators().start()
    scene.run("gang", accelerator=scene.profile(), pods=2, command=STEERED)
    scene.reason("trun", "gang", "Running")
    node = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in scene.pods()}
    lost = node["gang-a1-1"]

    break_node(lost)

    found = scene.until(
        lambda: (run := scene.get_run("gang")) and (run if run["status"]["attempt"] == 2 else None),
        "the second attempt",
        seconds=120,
    )
    failure = found["status"]["lastFailure"]
    assert (failure["class"], failure["node"], failure["pod"]) == ("Infra", lost, "gang-a1-1")
    assert lost in failure["message"]
    assert found["status"]["failures"] == {"user": 0, "infra": 1}
    scene.reason("trun", "gang", "Running", seconds=120)
    elsewhere = {pod["spec"]["nodeName"] for pod in scene.pods("tandem.dev/attempt=2")}
    assert elsewhere == set(workers[:3]) - {lost}
    assert scene.phase("gang-a1-1") == "Running", "the old pod hangs on its node"

    mend_node(lost)
    scene.until(lambda: scene.phase("gang-a1-1") == "", "the old pod to go with its node's return")
    assert condition(scene.get_run("gang"), "Ready")["reason"] == "Running"
    assert scene.get_run("gang")["status"]["attempt"] == 2


def test_a_refused_allocate_is_infra_and_heals(
    quiet_scene: Scene, workers: list[str], operators: Operators, real_devices: Callable[[str], str]
) -> None:
    """The program never ran: nothing is charged to the user, and the kubelet's words are told."""
    scene, node = quiet_scene, workers[2]
    faults.allocate_fails(node)
    operators().start()
    scene.run("gang", accelerator=real_devices(node), pods=2, command=STEERED)

    found = scene.until(
        lambda: (run := scene.get_run("gang")) and (run if "lastFailure" in run["status"] else None), "the failure"
    )
    failure = found["status"]["lastFailure"]
    assert (failure["class"], failure["node"]) == ("Infra", node)
    assert "UnexpectedAdmissionError" in failure["message"]
    assert found["status"]["failures"]["user"] == 0

    faults.allocate_works(node)
    running = scene.reason("trun", "gang", "Running")
    assert running["status"]["attempt"] > 1
    assert running["status"]["failures"]["user"] == 0


def test_unhealthy_devices_are_not_given_away(
    quiet_scene: Scene, workers: list[str], operators: Operators, real_devices: Callable[[str], str]
) -> None:
    """The run waits, with the numbers that show why, and starts when the devices are healthy again."""
    scene, node = quiet_scene, workers[3]
    faults.devices_unhealthy(node, range(6))
    operators().start()
    profile = real_devices(node)
    scene.run("gang", accelerator=profile, devicesPerPod=4, command=STEERED)

    queued = scene.reason("trun", "gang", "Queued")
    told = "1 pod x 4 devices asked for; 6 of 8 devices are unhealthy, on 1 node"
    assert told in condition(queued, "Ready")["message"]
    [rejected] = queued["status"]["placement"]["rejected"]
    assert (rejected["accelerator"], rejected["reason"]) == (profile, "Unhealthy")
    assert scene.pods() == []
    path = f"{TANDEM}/acceleratorprofiles/{profile}"
    ready = scene.until(
        lambda: (said := condition(scene.api.get(path), "Ready")) and said["reason"] == "DevicesUnhealthy" and said,
        "the profile to tell of them",
    )
    assert ready["message"] == f"6 of 8 devices unhealthy, on {node}"
    assert scene.api.get(path)["status"]["devices"]["free"] == 2

    faults.devices_healthy(node)
    scene.reason("trun", "gang", "Running")
    scene.until(
        lambda: scene.api.get(path)["status"]["devices"]["unhealthy"] == 0, "the profile to tell that all are well"
    )
