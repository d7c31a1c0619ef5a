"""What is rebuilt when the operator starts, or when status was lost: attempts from pods, reservations from intents."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.api.reasons import Reason
from tandem.api.training_run import ActiveAttempt
from tandem.domain import clock
from tandem.domain.observed import Children, OwnPod
from tandem.domain.training import reservation
from tandem.domain.training.attempt import active as active_attempt
from tandem.domain.training.view import RunView
from tests.unit.domain.builders import (
    CREATED,
    begun,
    complete,
    decide_run,
    failed,
    later,
    pending,
    pod,
    run,
    run_view,
    stamp,
    succeeded,
    with_status,
)

GANG = run(pods=2)


def restored(*pods: OwnPod, size: int = 2) -> ActiveAttempt:
    """The active attempt of a run without status."""
    found = active_attempt(run_view(run(pods=size), pods))
    assert found is not None
    return found


def made_from(view: RunView) -> str:
    status = with_status(view.run, decide_run(view)).status
    assert status.active is not None
    return status.active.inputs_hash


def test_an_attempt_is_rebuilt_from_the_labels_of_its_pods() -> None:
    found = restored(pod(0, 3, inputs_hash="abc"), pod(1, 3, created=later(2), inputs_hash="abc"))
    assert found == ActiveAttempt(
        number=3,
        variant="main",
        accelerator="nvidia-h20",
        inputs_hash="abc",
        pods=2,
        devices_per_pod=8,
        start_time=stamp(),
        created_time=stamp(2),
    )


@pytest.mark.parametrize(
    ("pods", "size", "complete_"),
    [
        ([pod(0)], 2, False),
        ([pod(0), pod(1)], 3, True),
        ([pod(1)], 2, False),
        ([pod(0, created=None), pod(1, created=None)], 2, False),
    ],
)
def test_it_is_complete_when_every_rank_has_a_pod(pods: list[OwnPod], size: int, complete_: bool) -> None:
    assert (restored(*pods, size=2 if size == 3 else size).created_time is not None) is complete_


def test_a_gang_larger_than_the_spec_says_now_is_taken_as_it_is() -> None:
    assert restored(pod(0), pod(1), pod(2), size=1).pods == 3


def test_without_times_of_its_pods_it_began_with_the_run() -> None:
    assert restored(pod(0, created=None)).start_time == clock.stamp(CREATED)


def test_a_variant_that_the_spec_lost_does_not_hinder() -> None:
    found = restored(pod(0, variant="gone", devices={}), size=1)
    assert (found.variant, found.pods, found.devices_per_pod) == ("gone", 1, 1)


def test_the_newest_of_status_and_pods_counts() -> None:
    view = complete(run_view(GANG), [pod(0), pod(1)])
    newer = replace(view, children=Children(pods=(pod(0), pod(1), pod(0, 2), pod(1, 2))))
    found = active_attempt(newer)
    assert found is not None
    assert found.number == 2
    status = view.run.status
    assert active_attempt(view) == status.active


def test_a_gang_goes_on_as_if_status_had_never_been_lost() -> None:
    fresh = made_from(run_view(GANG))
    pods = tuple(pod(rank, inputs_hash=fresh) for rank in range(2))
    plan = decide_run(run_view(GANG, pods))
    assert (plan.reason, plan.acts) == (Reason.RUNNING, False)
    assert with_status(GANG, plan).status.attempt == 1


@pytest.mark.parametrize(
    ("ended", "reason"),
    [((succeeded(0), succeeded(1)), Reason.SUCCEEDED), ((failed(0), failed(1)), Reason.USER_FAILURE)],
)
def test_ends_that_nobody_recorded_are_recorded(ended: tuple[OwnPod, ...], reason: Reason) -> None:
    plan = decide_run(run_view(GANG, ended, now=later(60)))
    assert (plan.reason, plan.intent) == (reason, True)


def test_forged_pods_are_nobody_s() -> None:
    other = pod(0, 9, owner_uid="another")
    misnamed = replace(pod(1, 9), name="r-a9-0")
    view = run_view(GANG, [other, misnamed])
    assert (view.pods, view.newest_attempt, active_attempt(view)) == ((), 0, None)


def test_pods_of_attempts_before_the_active_one_are_deleted() -> None:
    view = complete(run_view(run()), [])
    status = view.run.status.model_copy(update={"attempt": 2, "active": restored(pod(0, 2), size=1)})
    view = replace(view, run=view.run.model_copy(update={"status": status}))
    plan = decide_run(replace(view, children=Children(pods=(pod(0, 1), pod(0, 2)))))
    assert [gone.name for gone in plan.delete] == ["r-a1-0"]


@given(st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_in_which_pods_are_observed(random: Random) -> None:
    kinds = [pod, pending, succeeded, failed]
    pods = [random.choice(kinds)(rank, attempt) for attempt in (1, 2) for rank in range(3) if random.random() < 0.8]
    view = run_view(run(pods=3), pods, now=later(random.randrange(200)))
    shuffled = list(pods)
    random.shuffle(shuffled)
    assert decide_run(replace(view, children=Children(pods=tuple(shuffled)))) == decide_run(view)


# Reservations


def test_a_decided_attempt_holds_its_devices_in_reserve() -> None:
    number, (grant,) = reservation.outstanding(begun(run_view(GANG)))
    assert (number, grant.variant, grant.pods, grant.option.profile.name) == (1, "main", 2, "nvidia-h20")


def test_between_attempts_nothing_is_held() -> None:
    assert reservation.outstanding(run_view()) == (0, ())


@pytest.mark.parametrize("gone", ["profile", "variant"])
def test_what_the_spec_no_longer_names_cannot_be_held(gone: str) -> None:
    view = begun(run_view(GANG))
    if gone == "profile":
        view = replace(view, profiles={})
    else:
        other = run(accelerator=None, variants=[{"name": "b", "accelerator": "nvidia-h20"}])
        view = replace(view, run=other.model_copy(update={"status": view.run.status}))
    assert reservation.outstanding(view) == (0, ())
