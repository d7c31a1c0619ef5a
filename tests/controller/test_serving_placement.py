"""How replicas find devices: over variants in listed order, in part, and beside others."""

from collections import Counter

import pytest

from tests.support.programs import STEERED
from tests.support.scene import TANDEM, Scene, condition
from tests.support.serving import bound, idle, scale, serve, shares, uids, until_shares, variant, wanted_replicas

pytestmark = pytest.mark.cluster


def two_pools(scene: Scene, workers: list[str], first: int, second: int) -> tuple[str, str]:
    """Two profiles for the same resource, on a node each with so many devices."""
    scene.devices(workers[:1], first)
    scene.devices(workers[1:2], second)
    return tuple(  # type: ignore[return-value]
        scene.profile(suffix, nodeSelector={scene.label: "true", "kubernetes.io/hostname": node})
        for suffix, node in zip(("-a", "-b"), workers[:2], strict=True)
    )


def test_minimums_and_maximums_that_cannot_be_met_are_told(scene: Scene, workers: list[str]) -> None:
    """More minimum than replicas, and then more replicas than all maximums: neither is refused, for /scale moves freely."""
    first, second = two_pools(scene, workers, 4, 4)
    variants = [
        {"name": "a", "accelerator": first, "minReplicas": 1, "maxReplicas": 1},
        {"name": "b", "accelerator": second, "minReplicas": 2, "maxReplicas": 2},
    ]
    idle(scene, "mix", replicas=2, variants=variants)
    found = until_shares(scene, "mix", a=1, b=1)
    assert variant(found, "b")["message"] == "1 of minReplicas 2: all 2 replicas have a place already"

    scale(scene, "mix", 4)
    found = until_shares(scene, "mix", a=1, b=2)
    assert found["status"]["unplacedReplicas"] == 1
    assert condition(found, "Placed")["reason"] == "PartiallyPlaced"
    assert "message" not in variant(found, "b")


def test_variants_are_filled_in_listed_order(scene: Scene, workers: list[str]) -> None:
    """Minimums first, then each variant up to its maximum and its free devices; status says the numbers."""
    first, second = two_pools(scene, workers, 4, 4)
    idle(
        scene,
        "mix",
        replicas=5,
        variants=[
            {"name": "a", "accelerator": first, "maxReplicas": 3},
            {"name": "b", "accelerator": second, "minReplicas": 1},
        ],
    )

    found = until_shares(scene, "mix", a=3, b=2)

    assert found["status"]["placement"]["chosen"] == f"{first},{second}"
    assert variant(found, "a")["accelerator"] == first
    scene.until(lambda: len(bound(scene)) == 5, "all replicas to be bound")
    nodes = Counter(pod["spec"]["nodeName"] for pod in scene.pods())
    assert nodes == {workers[0]: 3, workers[1]: 2}


def test_a_minimum_goes_before_the_preferred_variant(scene: Scene, workers: list[str]) -> None:
    """Three replicas of which the last listed variant must have two."""
    first, second = two_pools(scene, workers, 4, 4)
    variants = [{"name": "a", "accelerator": first}, {"name": "b", "accelerator": second, "minReplicas": 2}]
    idle(scene, "mix", replicas=3, variants=variants)

    until_shares(scene, "mix", a=1, b=2)


def test_what_does_not_fit_follows_when_devices_become_free(scene: Scene, workers: list[str]) -> None:
    """A part is placed and serves; the rest is told with numbers, and comes by itself."""
    scene.devices(workers[:1], 3)
    scene.foreign_pod("holder", devices=2)
    scene.until(lambda: scene.phase("holder") == "Running", "the foreign pod to hold two devices")
    serve(scene, "chat", accelerator=scene.profile(), replicas=3)

    found = scene.reason("infsvc", "chat", "PartiallyPlaced")
    assert condition(found, "Ready")["status"] == "True"
    assert condition(found, "Placed")["status"] == "False"
    assert found["status"]["unplacedReplicas"] == 2
    [rejected] = found["status"]["placement"]["rejected"]
    assert rejected["reason"] == "DoesNotFitNow"
    assert "2 pods x 1 device asked for" in rejected["message"]
    assert wanted_replicas(scene, "chat-main") == 1
    before = uids(scene, "tandem.dev/service=chat")

    scene.delete_pod("holder")

    found = until_shares(scene, "chat", main=3)
    assert "unplacedReplicas" not in scene.reason("infsvc", "chat", "Available")["status"]
    assert before.items() <= uids(scene, "tandem.dev/service=chat").items()


def test_nothing_moves_after_placement(scene: Scene, workers: list[str]) -> None:
    """When the preferred variant's devices become free, replicas stay where they are."""
    first, second = two_pools(scene, workers, 2, 2)
    scene.foreign_pod("holder", devices=2, nodeSelector={"kubernetes.io/hostname": workers[0]})
    scene.until(lambda: scene.phase("holder") == "Running", "the preferred devices to be held")
    variants = [{"name": "a", "accelerator": first}, {"name": "b", "accelerator": second}]
    idle(scene, "mix", replicas=2, variants=variants)
    until_shares(scene, "mix", a=0, b=2)
    scene.until(lambda: len(bound(scene, "tandem.dev/service=mix")) == 2, "the replicas to be bound")
    before = uids(scene, "tandem.dev/service=mix")

    scene.delete_pod("holder")
    # A later service gets the freed devices: whoever wanted to move would have been asked before it.
    idle(scene, "later", replicas=2, variants=variants)

    until_shares(scene, "later", a=2, b=0)
    assert shares(scene.get_service("mix")) == {"a": 0, "b": 2}
    assert uids(scene, "tandem.dev/service=mix") == before


def test_services_and_a_run_never_share_a_device(scene: Scene, workers: list[str]) -> None:
    """Asked for at the same time, more than there is: what is placed fits exactly, and nothing waits for a node."""
    scene.devices(workers[:2], 4)
    profile = scene.profile()
    idle(scene, "one", accelerator=profile, replicas=3)
    scene.run("gang", accelerator=profile, pods=2, devicesPerPod=2, command=STEERED)
    idle(scene, "two", accelerator=profile, replicas=3)

    def settled() -> bool:
        placed = sum(shares(scene.get_service(name))["main"] for name in ("one", "two"))
        run = scene.get_run("gang")["status"]
        # Whoever is seen first is served first: a gang that comes after both services finds two of its four devices.
        given = placed + 4 == 8 if "active" in run else placed == 6
        return bool(run["conditions"]) and given and len(bound(scene)) == len(scene.pods()) >= 6

    scene.until(settled, "as many devices as fit to be given away and every pod to be bound")
    waiting = [item for name in ("one", "two") for item in scene.get_service(name)["status"]["variants"]]
    assert "NotBound" not in {item["reason"] for item in waiting}


def test_devices_of_a_service_that_shrinks_are_free_at_once(scene: Scene, workers: list[str]) -> None:
    """Reservations follow the shares: what was given back goes to who waits."""
    scene.devices(workers[:1], 4)
    profile = scene.profile()
    idle(scene, "chat", accelerator=profile, replicas=4)
    scene.until(lambda: len(bound(scene)) == 4, "the replicas to be bound")

    scale(scene, "chat", 1)
    until_shares(scene, "chat", main=1)
    scene.run("gang", accelerator=profile, pods=3, command=STEERED)

    scene.reason("trun", "gang", "Running")


def test_devices_of_a_service_that_goes_are_free_at_once(scene: Scene, workers: list[str]) -> None:
    """A service that is deleted before its replicas are bound holds nothing."""
    scene.devices(workers[:1], 2)
    profile = scene.profile()
    idle(scene, "chat", accelerator=profile, replicas=2)
    until_shares(scene, "chat", main=2)
    scene.api.delete(scene.path("inferenceservices", "chat", TANDEM))

    scene.run("next", accelerator=profile, devicesPerPod=2, command=STEERED)

    scene.reason("trun", "next", "Running")


def test_an_illegal_count_is_told_and_heals_with_the_profile(scene: Scene, workers: list[str]) -> None:
    """The message lists the legal counts; waiting alone would not help, so the service is Stalled."""
    scene.devices(workers[:1], 4)
    profile = scene.profile(counts={"perPod": [2, 4]})
    idle(scene, "odd", accelerator=profile, devicesPerPod=1)

    found = scene.reason("infsvc", "odd", "IllegalCount", seconds=5)
    assert condition(found, "Stalled")["status"] == "True"
    assert "one of: 2, 4" in condition(found, "Ready")["message"]

    scene.patch_profile(profile, {"counts": {"perPod": [1, 2, 4]}})
    until_shares(scene, "odd", main=1)
    with pytest.raises(KeyError):
        condition(scene.get_service("odd"), "Stalled")


def test_an_unknown_accelerator_is_told_and_heals(scene: Scene, workers: list[str]) -> None:
    """The service starts by itself as soon as the profile is there."""
    scene.devices(workers[:1], 1)
    idle(scene, "chat", accelerator=f"{scene.name}-later")

    found = scene.reason("infsvc", "chat", "UnknownAccelerator", seconds=5)
    assert f"{scene.name}-later" in condition(found, "Ready")["message"]
    assert scene.pods() == []

    scene.profile("-later")
    until_shares(scene, "chat", main=1)
