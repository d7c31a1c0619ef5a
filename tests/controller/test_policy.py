"""Policies on a real cluster: what they forbid waits for their end, what they prefer goes first, and both sides are told."""

import pytest

from tests.support.api import Object
from tests.support.programs import STEERED
from tests.support.scene import TANDEM, Scene, condition

pytestmark = pytest.mark.cluster

EXIT = ["sh", "-c", "exit 0"]


def told(scene: Scene, policy: str) -> Object:
    """Status of a policy."""
    found: Object = scene.api.get(f"{TANDEM}/placementpolicies/{policy}").get("status", {})
    return found


def test_a_forbidden_accelerator_is_refused_by_name_and_taken_once_the_policy_is_gone(
    scene: Scene, workers: list[str]
) -> None:
    scene.devices(workers[:1], 1)
    profile = scene.profile()
    policy = scene.policy(forbid=[{"accelerator": profile}])
    scene.until(lambda: condition_of(scene, policy) == "InForce", "the policy's status")
    scene.run("forbidden", accelerator=profile, command=EXIT)

    run = scene.reason("trun", "forbidden", "PolicyForbids")
    [rejected] = run["status"]["placement"]["rejected"]
    assert rejected["message"].startswith(f"policy {policy} forbids {profile} here")
    assert condition(run, "Stalled")["status"] == "True"
    assert scene.pod_names() == []

    scene.api.delete(f"{TANDEM}/placementpolicies/{policy}")
    scene.reason("trun", "forbidden", "Succeeded")


def condition_of(scene: Scene, policy: str) -> str:
    """Reason of Ready of a policy."""
    found = [item["reason"] for item in told(scene, policy).get("conditions", ()) if item["type"] == "Ready"]
    return found[0] if found else ""


def test_a_preferred_accelerator_goes_first_and_the_share_is_measured(scene: Scene, workers: list[str]) -> None:
    """The edit reaches what waits and what comes; what runs stays where it is."""
    scene.devices(workers[:1], 2)
    first, second = scene.profile("-a"), scene.profile("-b")
    variants = [{"name": "a", "accelerator": first}, {"name": "b", "accelerator": second}]
    scene.run("before", variants=variants, command=STEERED)
    assert scene.reason("trun", "before", "Running")["status"]["placement"]["decidedBy"] == "ListedOrder"

    policy = scene.policy(
        mode="Prefer", accelerators=[{"accelerator": second}], shares=[{"accelerator": second, "percent": 60}]
    )
    scene.until(lambda: condition_of(scene, policy) == "InForce", "the policy's status")
    scene.run("after", variants=variants, command=STEERED)
    placement = scene.reason("trun", "after", "Running")["status"]["placement"]
    assert (placement["chosen"], placement["decidedBy"]) == (second, f"Prefer/{policy}")
    assert f"in the order of policy {policy}" in placement["reason"]

    scene.until(lambda: told(scene, policy)["shares"][0]["devices"] == 1, "the devices to be counted")
    share = told(scene, policy)["shares"][0]
    assert (share["wished"], share["actual"], share["shortfall"], share["total"]) == (60, 50, 10, 2)
    assert share["message"].startswith("none of its devices is free")
    assert scene.get_run("before")["status"]["attempt"] == 1
