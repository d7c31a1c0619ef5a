"""What restarts replicas and what does not: images, profiles, revisions, variants."""

import pytest

from tests.support.api import Object
from tests.support.scene import TANDEM, Scene, condition
from tests.support.serving import (
    ask,
    bound,
    deployment,
    idle,
    scale,
    serve,
    server,
    steadily,
    uids,
    until_shares,
    variant,
    wanted_replicas,
)

pytestmark = pytest.mark.cluster


def patch_profile(scene: Scene, name: str, **spec: object) -> None:
    """Edit a profile as an admin would."""
    scene.api.patch(f"{TANDEM}/acceleratorprofiles/{name}", {"spec": spec})


def status_of(found: Object, kind: str) -> str:
    """Status of a condition."""
    return str(condition(found, kind)["status"])


def until_rollout(scene: Scene, *, complete: str) -> Object:
    """Wait until RolloutComplete of the service has this status; returns the service."""

    def reached() -> Object | None:
        found = scene.get_service("chat")
        return found if status_of(found, "RolloutComplete") == complete else None

    return scene.until(reached, f"RolloutComplete to be {complete}") or {}


def test_a_change_rolls_on_a_full_cluster_and_the_service_stays_ready(scene: Scene, workers: list[str]) -> None:
    """Every device is taken, so replicas are replaced in place, one at a time, and the other goes on answering."""
    scene.devices(workers[:1], 2)
    serve(scene, "chat", accelerator=scene.profile(), replicas=2, command=server("old"))
    scene.until(lambda: scene.get_service("chat")["status"].get("summary") == "2/2", "both replicas")
    before = uids(scene)

    scene.patch_service("chat", {"command": server("new")})
    rolling = until_rollout(scene, complete="False")
    assert condition(rolling, "RolloutComplete")["reason"] == "Rolling"

    def replaced() -> bool:
        found = scene.get_service("chat")
        current = uids(scene)
        return (
            status_of(found, "RolloutComplete") == "True"
            and found["status"]["summary"] == "2/2"
            and len(current) == 2
            and not before.items() & current.items()
        )

    steadily(
        scene,
        lambda: status_of(scene.get_service("chat"), "Ready") == "True" and len(bound(scene)) <= 2,
        replaced,
        "the service is Ready on its two devices",
    )
    [one, *_] = bound(scene)
    assert ask(scene, one, "http://localhost:8000/v1/models") == "new"


def test_a_rollout_that_cannot_start_leaves_the_others_alone(scene: Scene, workers: list[str]) -> None:
    """A new image that does not exist takes one replica away, not all; the old ones answer, and putting it back heals."""
    scene.devices(workers[:1], 4)
    serve(scene, "chat", accelerator=scene.profile(), replicas=4)
    scene.until(lambda: scene.get_service("chat")["status"].get("summary") == "4/4", "four replicas")

    scene.patch_service("chat", {"image": "tandem-dev/none:1"})
    scene.until(lambda: variant(scene.get_service("chat"), "main")["reason"] == "ImagePull", "the cause to be told")
    found = scene.get_service("chat")
    assert found["status"]["readyReplicas"] == 3
    assert status_of(found, "Ready") == "True"
    assert status_of(found, "RolloutComplete") == "False"

    scene.patch_service("chat", {"image": "tandem-dev/tools:dev"})
    assert status_of(until_rollout(scene, complete="True"), "Ready") == "True"


def test_an_edited_profile_restarts_nothing_and_a_new_revision_does(scene: Scene, workers: list[str]) -> None:
    """Admins may edit profiles at any time; replicas change only when the revision says so."""
    scene.devices(workers[:1], 2)
    profile = scene.profile()
    idle(scene, "chat", accelerator=profile)
    before = scene.until(lambda: uids(scene), "the replica")

    patch_profile(scene, profile, env=[{"name": "LEVEL", "value": "1"}])
    # A later service shows that the edit has been taken in.
    idle(scene, "later", accelerator=profile)
    later = scene.until(lambda: deployment(scene, "later-main"), "the later Deployment")
    assert _env(later)["LEVEL"] == "1"
    main = deployment(scene, "chat-main") or {}
    assert "LEVEL" not in _env(main)
    assert main["metadata"]["generation"] == 1
    assert uids(scene, "tandem.dev/service=chat") == before

    patch_profile(scene, profile, revision="2")
    scene.until(lambda: _env(deployment(scene, "chat-main") or {})["LEVEL"] == "1", "the new revision to be rolled out")
    scene.until(
        lambda: (now := uids(scene, "tandem.dev/service=chat")) and not now.items() & before.items(), "a new replica"
    )


def test_a_variant_that_is_taken_out_goes_with_its_replicas(scene: Scene, workers: list[str]) -> None:
    """Its Deployment is deleted, and what is missing is placed on the variants that are left."""
    scene.devices(workers[:1], 4)
    profile = scene.profile()
    variants = [
        {"name": "a", "accelerator": profile},
        {"name": "b", "accelerator": profile, "minReplicas": 2},
    ]
    idle(scene, "mix", replicas=3, variants=variants)
    until_shares(scene, "mix", a=1, b=2)

    scene.patch_service("mix", {"variants": variants[:1]})

    until_shares(scene, "mix", a=3)
    scene.until(lambda: deployment(scene, "mix-b") is None, "the Deployment to go")
    scene.until(lambda: len(bound(scene)) == 3 == len(scene.pods()), "three bound replicas")


def test_a_variant_that_names_another_profile_moves_there(scene: Scene, workers: list[str]) -> None:
    """Its replicas are asked for anew, and the Deployment is made from the new profile."""
    scene.devices(workers[:1], 2)
    first, second = scene.profile("-a"), scene.profile("-b")
    idle(scene, "chat", accelerator=first, replicas=2)
    until_shares(scene, "chat", main=2)
    scene.until(lambda: len(bound(scene)) == 2, "the replicas to be bound")

    scene.patch_service("chat", {"accelerator": second})

    def moved() -> bool:
        found = scene.get_service("chat")
        pods = scene.pods(f"tandem.dev/accelerator={second}")
        return variant(found, "main").get("accelerator") == second and len(pods) == 2 == len(bound(scene))

    scene.until(moved, "both replicas on the other profile")


def test_a_deleted_profile_leaves_its_replicas_alone(scene: Scene, workers: list[str]) -> None:
    """What runs goes on and is told apart; new replicas wait until the profile is back."""
    scene.devices(workers[:1], 2)
    profile = scene.profile()
    serve(scene, "chat", accelerator=profile)
    scene.reason("infsvc", "chat", "Available")
    before = uids(scene)

    scene.api.delete(f"{TANDEM}/acceleratorprofiles/{profile}")
    scene.until(lambda: variant(scene.get_service("chat"), "main")["reason"] == "ProfileMissing", "ProfileMissing")
    scale(scene, "chat", 2)
    found = scene.reason("infsvc", "chat", "PartiallyPlaced")
    assert status_of(found, "Ready") == "True"
    assert wanted_replicas(scene, "chat-main") == 1
    assert uids(scene) == before

    scene.profile()
    until_shares(scene, "chat", main=2)
    assert before.items() <= uids(scene).items()
    assert variant(scene.reason("infsvc", "chat", "Available"), "main")["accelerator"] == profile


def _env(found: Object) -> dict[str, str]:
    """Variables of the main container of a Deployment."""
    [container] = found["spec"]["template"]["spec"]["containers"]
    return {item["name"]: item["value"] for item in container.get("env", ())}
