"""A run does not go to and fro between variants: what came back does not draw it away, and it moves only so often."""

from typing import Any

import pytest

from tandem.api.reasons import Reason
from tandem.domain.training.steady import holds
from tandem.domain.training.view import RunView
from tests.unit.domain.builders import NPUS, PROFILES, decide_run, node, run, run_view, stamp, with_status

BOTH = [{"name": "gpu", "accelerator": "nvidia-h20"}, {"name": "npu", "accelerator": "ascend-910b"}]
NODES = [node("gpu-0"), node("npu-0", 8, NPUS)]


def ended(*attempts: tuple[str, float], outcome: str = "InfraFailure") -> list[dict[str, Any]]:
    """Attempts by variant and seconds since they began; the last one ended so."""
    return [
        {
            "number": number,
            "variant": variant,
            "accelerator": "any",
            "outcome": outcome if number == len(attempts) else "InfraFailure",
            "startTime": stamp(-ago),
            "endTime": stamp(-ago + 1),
        }
        for number, (variant, ago) in enumerate(attempts, 1)
    ]


def after(attempts: list[dict[str, Any]], **status: Any) -> RunView:
    """A run between attempts, with devices free for both of its variants, of which it prefers the first."""
    fields = {"observedGeneration": 1, "attempt": len(attempts), "attempts": attempts, **status}
    return run_view(run(fields, accelerator=None, variants=BOTH), nodes=NODES)


def chosen(view: RunView) -> str | None:
    placement = with_status(view.run, decide_run(view)).status.placement
    return placement.variant if placement else None


@pytest.mark.parametrize(("ago", "variant"), [(299, "npu"), (300, "gpu")])
def test_a_run_that_fails_soon_stays_though_the_better_variant_has_devices_again(ago: float, variant: str) -> None:
    assert chosen(after(ended(("npu", ago)))) == variant


def test_it_stays_from_when_it_came_however_often_it_fails_there() -> None:
    assert chosen(after(ended(("gpu", 500), ("npu", 200), ("npu", 10)))) == "npu"
    assert chosen(after(ended(("gpu", 500), ("npu", 400), ("npu", 10)))) == "gpu"


def test_the_others_say_until_when_it_stays_and_it_looks_again_then() -> None:
    view = run_view(after(ended(("npu", 290))).run, nodes=NODES[:1])
    plan = decide_run(view)
    rejected = (with_status(view.run, plan).status.placement or pytest.fail("no placement")).rejected or []
    assert [(item.variant, item.reason) for item in rejected] == [("gpu", "HeldOff"), ("npu", "DoesNotFitNow")]
    why = f"the run came to npu at {stamp(-290)} and stays there for 300 s"
    assert rejected[0].message == f"not tried before {stamp(10)}: {why}"
    assert (plan.reason, plan.requeue_after) == (Reason.QUEUED, 10)


@pytest.mark.parametrize("outcome", ["NotBound", "CreateRefused", "ImagePull", "Suspended", "Superseded"])
def test_it_may_go_where_it_was_not_wanted_or_the_user_wants_otherwise(outcome: str) -> None:
    assert chosen(after(ended(("npu", 10), outcome=outcome))) == "gpu"


def test_it_may_leave_a_variant_that_is_held_off() -> None:
    hold = {"variant": "npu", "until": stamp(60), "count": 1, "message": "quota"}
    assert chosen(after(ended(("npu", 10)), holdOffs=[hold])) == "gpu"
    over = {**hold, "until": stamp(-1)}
    assert chosen(after(ended(("npu", 10)), holdOffs=[over])) == "npu"


def test_it_may_leave_a_variant_that_is_no_more() -> None:
    assert holds(after(ended(("gone", 10)))) == ()
    lost = run_view(after(ended(("npu", 10))).run, profiles={"nvidia-h20": PROFILES["nvidia-h20"]})
    assert holds(lost) == ()


def test_after_an_edit_it_may_go_anywhere() -> None:
    assert chosen(after(ended(("npu", 10)), observedGeneration=0)) == "gpu"


def test_a_run_that_has_not_run_may_go_anywhere() -> None:
    assert holds(run_view(run())) == ()


OFTEN = ("gpu", 3000), ("npu", 2500), ("gpu", 2000), ("npu", 1500)


@pytest.mark.parametrize(("later", "variant"), [(0, "npu"), (1099, "npu"), (1100, "gpu")])
def test_a_run_that_has_moved_often_stays_until_its_first_move_is_an_hour_ago(later: float, variant: str) -> None:
    assert chosen(after(ended(*((name, ago + later) for name, ago in OFTEN)))) == variant


def test_not_even_a_variant_that_is_held_off_makes_it_move_more_often() -> None:
    hold = {"variant": "npu", "until": stamp(60), "count": 1, "message": "quota"}
    view = after(ended(*OFTEN, outcome="NotBound"), holdOffs=[hold])
    plan = decide_run(view)
    rejected = (with_status(view.run, plan).status.placement or pytest.fail("no placement")).rejected or []
    assert [(item.variant, item.reason) for item in rejected] == [("gpu", "HeldOff"), ("npu", "HeldOff")]
    why = "the run may move 3 times in an hour between variants, and stays with npu"
    assert rejected[0].message == f"not tried before {stamp(1100)}: {why}"
