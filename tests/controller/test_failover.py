"""Two replicas with one Lease: one acts, the other takes over, and what either does is seen in the API server's audit log."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from devcluster import audit
from tests.support.api import Object
from tests.support.operator import HostOperator
from tests.support.programs import STEERED
from tests.support.scene import Scene
from tests.support.writes import deleted_pods, made_pods

pytestmark = [pytest.mark.cluster, pytest.mark.serial]

GANG = 4
LEASES = "/apis/coordination.k8s.io/v1"
TAKEN_SECONDS = 20.0
"""From the silence of the leader until another leads."""
GIVEN_SECONDS = 5.0
"""The same where the leader gives its Lease back."""


@dataclass
class Pair:
    """Two running replicas; the first leads."""

    scene: Scene
    leader: HostOperator
    standby: HostOperator

    def wrote(self, replica: HostOperator, start: audit.Mark, *, leases: bool = False) -> list[audit.Event]:
        """All that a replica has written since, events for people included, the Lease apart unless asked for."""
        name = "one" if replica is self.leader else "two"
        return [
            event
            for event in audit.since(start, user_agent=f"({self.scene.name}-{name})")
            if event.is_write and (leases or event.resource != "leases")
        ]

    def standby_leads_after(self, moment: datetime) -> float:
        """Seconds from a moment until the standby decides and writes; waits for it."""
        self.scene.until(lambda: self.standby.role() == "ok: leading", "the standby to lead", pause=0.05)
        seconds = (datetime.now(UTC) - moment).total_seconds()
        print(f"\nfailover: the standby leads {seconds:.1f} s after the leader's end")
        return seconds

    def lease(self) -> Object:
        """The Lease as it is now."""
        return self.scene.api.get(self.scene.path("leases", "tandem", LEASES))

    def holder(self) -> str:
        """Who holds it: one or two."""
        return str(self.lease()["spec"].get("holderIdentity", "")).removeprefix(f"{self.scene.name}-").partition("_")[0]


@pytest.fixture
def pair(quiet_scene: Scene, workers: list[str], operators: Callable[..., HostOperator]) -> Iterator[Pair]:
    """Both are ready; one write at a time, so that a gang's creation can be cut anywhere."""
    scene = quiet_scene
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "tandem"}}
    scene.api.create(scene.path("leases", group=LEASES), lease)
    shared = {"TANDEM_LEASE_NAMESPACE": scene.name, "TANDEM_WRITES": "1"}
    made = Pair(
        scene,
        operators(TANDEM_REPLICA_NAME=f"{scene.name}-one", **shared),
        operators(TANDEM_REPLICA_NAME=f"{scene.name}-two", **shared),
    )
    scene.devices(workers[:2], 8)
    made.leader.start()
    scene.until(lambda: made.leader.role() == "ok: leading", "the first replica to lead")
    made.standby.start()
    return made


def test_one_acts_and_the_other_stands_by(pair: Pair) -> None:
    """The standby is ready and writes nothing at all; at rest the leader writes its Lease alone."""
    scene, profile = pair.scene, pair.scene.profile()
    start = audit.mark()
    scene.run("busy", accelerator=profile, pods=GANG, command=STEERED)
    scene.reason("trun", "busy", "Running")

    assert pair.standby.role() == f"ok: standby, {pair.lease()['spec']['holderIdentity']} leads"
    assert [pair.leader.value("tandem_lease_held"), pair.standby.value("tandem_lease_held")] == [1.0, 0.0]
    assert pair.wrote(pair.standby, start, leases=True) == []

    def at_rest() -> bool:
        rest = audit.mark()
        scene.until(lambda: len(pair.wrote(pair.leader, rest, leases=True)) >= 3, "three writes")
        return {f"{event.verb} {event.resource}" for event in pair.wrote(pair.leader, rest, leases=True)} == {
            "update leases"
        }

    scene.until(at_rest, "three renewals in a row")
    assert pair.wrote(pair.standby, start, leases=True) == []


def cut_in_mid_creation(pair: Pair, how: Callable[[], None]) -> tuple[audit.Mark, datetime]:
    """End the leader when it has written the intent and the first pod of a gang."""
    scene = pair.scene
    profile = scene.profile()
    start = audit.mark()
    scene.run("gang", accelerator=profile, pods=GANG, command=["sh", "-c", "exit 0"])
    scene.until(lambda: made_pods(start, scene.name), "the first pod", pause=0.002)
    moment = datetime.now(UTC)
    how()
    return start, moment


def the_gang_is_exact(pair: Pair, start: audit.Mark) -> None:
    """Every rank once, by whichever replica, and the run succeeds in its first attempt."""
    scene = pair.scene
    status = scene.reason("trun", "gang", "Succeeded", seconds=120)["status"]
    assert status["attempt"] == 1
    assert "failures" not in status
    assert scene.pod_names("tandem.dev/run=gang") == [f"gang-a1-{rank}" for rank in range(GANG)]
    assert set(made_pods(start, scene.name).values()) == {1}
    assert deleted_pods(start, scene.name) == []


def test_a_killed_leader_is_followed_in_mid_creation(pair: Pair) -> None:
    start, moment = cut_in_mid_creation(pair, pair.leader.kill)
    assert pair.standby_leads_after(moment) <= TAKEN_SECONDS
    the_gang_is_exact(pair, start)
    assert pair.holder() == "two"


def test_a_leader_that_is_told_to_end_hands_over_at_once(pair: Pair) -> None:
    """It ends what it has begun and gives the Lease back; the other need not wait for it to run out."""
    start, moment = cut_in_mid_creation(pair, pair.leader.terminate)
    assert pair.standby_leads_after(moment) <= GIVEN_SECONDS
    assert pair.leader.exit_code() == 0
    the_gang_is_exact(pair, start)
    assert pair.holder() == "two"


def test_a_leader_that_was_frozen_writes_nothing_more_and_ends(pair: Pair) -> None:
    """It wakes in the middle of a gang that another has finished since."""
    start, moment = cut_in_mid_creation(pair, pair.leader.freeze)
    scene = pair.scene
    assert pair.standby_leads_after(moment) <= TAKEN_SECONDS
    scene.run("later", accelerator=f"{scene.name}", pods=1, command=["sh", "-c", "exit 0"])
    scene.reason("trun", "later", "Succeeded")
    taken = audit.mark()

    pair.leader.thaw()

    assert pair.leader.exit_code() == 1
    assert "lost the leadership" in pair.leader.tail()
    assert pair.wrote(pair.leader, taken, leases=True) == []
    the_gang_is_exact(pair, start)


def test_a_lease_that_is_deleted_by_hand_leaves_one_leader(pair: Pair) -> None:
    scene, profile = pair.scene, pair.scene.profile()
    first = pair.lease()["metadata"]["uid"]
    start = audit.mark()
    scene.api.delete(scene.path("leases", "tandem", LEASES))
    scene.until(lambda: pair.holder() == "one", "the leader to put its name on a new Lease")
    assert pair.lease()["metadata"]["uid"] != first
    scene.run("gang", accelerator=profile, pods=GANG, command=["sh", "-c", "exit 0"])
    the_gang_is_exact(pair, start)
    assert pair.leader.role() == "ok: leading"
    assert pair.standby.role().startswith("ok: standby")
    assert pair.wrote(pair.standby, start) == []
