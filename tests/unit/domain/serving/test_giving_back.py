"""A service that shrinks says what it still holds, so that the placer can give the rest to others at once."""

from typing import Any

from tandem.domain.placement.fit import snapshot
from tandem.domain.plan import Plan
from tandem.domain.serving.plan import plan_service
from tests.unit.domain.builders import NPUS, decide_service, node, service, service_view

STATE = snapshot([node("gpu-0"), node("gpu-1")], ())
TWO_VARIANTS: list[dict[str, Any]] = [
    {"name": "a", "accelerator": "nvidia-h20"},
    {"name": "b", "accelerator": "nvidia-h20", "minReplicas": 1},
]


def status_of(*shares: tuple[str, int]) -> dict[str, Any]:
    """A status in which variants have so many replicas."""
    return {
        "variants": [
            {"name": name, "accelerator": "nvidia-h20", "replicas": count, "ready": count, "reason": "Available"}
            for name, count in shares
        ]
    }


def held(plan: Plan) -> list[tuple[str, int]]:
    """What a plan says is still held; it must say something."""
    assert plan.standing is not None
    return [(grant.variant, grant.pods) for grant in plan.standing]


def test_fewer_replicas_hold_less() -> None:
    plan = plan_service(service_view(service(status_of(("main", 4)), replicas=1)))
    assert plan.intent
    assert held(plan) == [("main", 1)]


def test_no_replicas_hold_nothing() -> None:
    assert held(plan_service(service_view(service(status_of(("main", 4)), replicas=0)))) == []


def test_a_service_that_keeps_all_it_has_says_nothing() -> None:
    """Bound replicas are counted by their pods: reserving again what stands would change nothing."""
    assert plan_service(service_view(service(status_of(("main", 4)), replicas=4))).standing is None


def test_a_service_that_was_given_more_says_nothing() -> None:
    """The placer was told what stands when it was asked, and has added what it granted."""
    plan = decide_service(service_view(service(status_of(("main", 1)), replicas=2)), STATE)
    assert plan.intent
    assert plan.standing is None


def test_profiles_stand_in_the_order_of_variants_whoever_was_served_first() -> None:
    """Minimums are given first; another order in status would be one write more, and read as another preference."""
    spec: dict[str, Any] = {
        "variants": [{**TWO_VARIANTS[0], "accelerator": "ascend-910b"}, TWO_VARIANTS[1]],
        "accelerator": None,
    }
    state = snapshot([node("npu-0", accelerator=NPUS), node("gpu-0")], ())
    plan = decide_service(service_view(service(replicas=2, **spec)), state)
    assert plan.status is not None
    assert plan.status["placement"]["chosen"] == "ascend-910b,nvidia-h20"
