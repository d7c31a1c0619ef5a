"""NeverFits: told when it has lasted, by a time that stands in status."""

from dataclasses import replace

from tandem.api.reasons import Reason
from tandem.api.workload import Rejected
from tandem.domain.placement import candidates, never
from tandem.domain.placement.request import Decision, Rejection
from tests.unit.domain.builders import NOW, TIMING, later, stamp

SMALL = Rejection("main", "gpu", Reason.DOES_NOT_FIT_NOW, "1 pod x 9 devices asked for; nodes hold 0", too_small=True)
FULL = Rejection("other", "gpu", Reason.DOES_NOT_FIT_NOW, "full")


def before(*rejections: Rejection) -> list[Rejected]:
    return candidates.rejected_status(rejections) or []


def test_the_first_time_it_is_a_warning_that_says_when() -> None:
    [found] = never.settle(Decision((), (SMALL,)), (), NOW, TIMING).rejected
    assert (found.reason, found.too_small_since) == (Reason.DOES_NOT_FIT_NOW, stamp())
    assert found.message == f"{SMALL.message}: add nodes or ask for less, NeverFits from {stamp(600)} on"


def test_the_time_in_status_goes_on_counting() -> None:
    """Whatever process wrote it, and until ten minutes are over."""
    status = before(replace(SMALL, too_small_since=stamp(-599)))
    [found] = never.settle(Decision((), (SMALL,)), status, NOW, TIMING).rejected
    assert (found.reason, found.too_small_since) == (Reason.DOES_NOT_FIT_NOW, stamp(-599))
    [found] = never.settle(Decision((), (SMALL,)), status, later(1), TIMING).rejected
    assert (found.reason, found.too_small_since) == (Reason.NEVER_FITS, stamp(-599))
    assert found.message == f"{SMALL.message}: add nodes or ask for less"


def test_what_fits_again_in_between_begins_anew() -> None:
    """So does another variant."""
    others = before(replace(SMALL, variant="a", too_small_since=stamp(-999)), replace(SMALL, accelerator="b"))
    [found, full] = never.settle(Decision((), (SMALL, FULL)), others, NOW, TIMING).rejected
    assert found.too_small_since == stamp()
    assert full == FULL


def test_the_next_look_is_when_it_may_be_told() -> None:
    decision = never.settle(
        Decision((), (SMALL, FULL)), before(replace(SMALL, too_small_since=stamp(-590))), NOW, TIMING
    )
    assert never.next_look(decision, NOW, TIMING) == 10
    assert never.next_look(decision, later(11), TIMING) == TIMING.look_again
    assert never.next_look(Decision((), (FULL,)), NOW, TIMING) == TIMING.look_again
