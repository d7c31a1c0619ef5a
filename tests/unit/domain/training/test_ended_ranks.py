"""The moment between a program's end and its pod's final phase: the kubelet reports the exit code first."""

import pytest

from tandem.api.reasons import Reason
from tests.unit.domain.builders import complete, decide_run, pod, run, run_view


@pytest.mark.parametrize("code", [0, 1])
def test_a_rank_whose_program_has_just_ended_does_not_look_as_if_it_started(code: int) -> None:
    """Falling back from Running to Starting would be a lie, a write and an event."""
    view = complete(run_view(run(pods=2)), [pod(0), pod(1, ready=False, exit_code=code)])
    plan = decide_run(view)
    assert plan.reason is Reason.RUNNING
    assert plan.status is not None
    assert plan.status["pods"]["summary"] == "2/2"


def test_a_rank_that_is_not_ready_without_an_end_is_starting() -> None:
    plan = decide_run(complete(run_view(run(pods=2)), [pod(0), pod(1, ready=False)]))
    assert plan.reason is Reason.STARTING
    assert plan.status is not None
    assert plan.status["pods"]["summary"] == "1/2"
