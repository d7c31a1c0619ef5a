"""An edit of the spec while a gang cannot start: it is taken up at once, since no rank can have got anywhere."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tandem.api.reasons import Reason
from tandem.domain.observed import OwnPod
from tandem.domain.training.view import RunView
from tests.unit.domain.builders import complete, decide_run, pending, pod, run, run_view

UNPULLED: dict[str, Any] = {
    "node": "gpu-0",
    "scheduled": True,
    "waiting_reason": "ErrImagePull",
    "waiting_message": "no such tag",
}


def edited(pods: Sequence[OwnPod]) -> RunView:
    """A gang of two in this state, with another image in the spec than the one it was made from."""
    view = complete(run_view(run(pods=2)), pods)
    spec = view.run.spec.model_copy(update={"image": "train:2"})
    return replace(view, run=view.run.model_copy(update={"spec": spec}))


@pytest.mark.parametrize("stuck", [pending(1, **UNPULLED), pending(1)], ids=["no image", "no node"])
def test_an_edit_of_a_gang_that_cannot_start_supersedes_it(stuck: OwnPod) -> None:
    """Uncharged and without a hold-off; the pods go."""
    view = edited([pod(0), stuck])
    plan = decide_run(view)
    assert plan.reason is Reason.SUPERSEDED
    assert plan.intent
    assert plan.status is not None
    assert "active" not in plan.status
    assert "failures" not in plan.status
    assert "holdOffs" not in plan.status
    assert {gone.name for gone in plan.delete} == {"r-a1-0", "r-a1-1"}


def test_an_edit_of_a_gang_that_runs_waits_for_the_next_attempt() -> None:
    plan = decide_run(edited([pod(0), pod(1)]))
    assert plan.reason is Reason.RUNNING
    assert plan.status is not None
    assert plan.status["pendingChange"] is True
    assert plan.delete == ()


def test_a_gang_that_cannot_start_stays_without_an_edit() -> None:
    """The image may come within the time that is given for it."""
    plan = decide_run(complete(run_view(run(pods=2)), [pod(0), pending(1, **UNPULLED)]))
    assert plan.reason is Reason.IMAGE_PULL
    assert plan.delete == ()
