"""From variants to candidates: profiles, hold-offs, tolerations, and how rejections read in status."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.api.reasons import Reason
from tandem.api.workload import HoldOff
from tandem.domain import clock
from tandem.domain.placement import candidates
from tandem.domain.placement.rejection import REFUSING
from tandem.domain.placement.request import Rejection
from tandem.domain.timing import Timing
from tandem.domain.variants import training_variants
from tests.unit.domain.builders import GPUS, NOW, TIMING, profile, run, stamp

VARIANT = training_variants(run().spec)[0]
USERS = {"spec": {"nodeSelector": {"pool": "a"}, "tolerations": [{"key": "mine", "operator": "Exists"}]}}


def hold(seconds: float, variant: str = "main", count: int = 1) -> HoldOff:
    return HoldOff(variant=variant, until=stamp(seconds), count=count, message="0/4 nodes are available")


def rejected(reason: Reason, accelerator: str = "nvidia-h20", message: str = "why") -> Rejection:
    return Rejection("main", accelerator, reason, message)


def test_an_option_carries_the_profile_s_tolerations_then_the_user_s_and_the_user_s_labels() -> None:
    (variant,) = training_variants(run(template=USERS).spec)
    made = candidates.option(variant, profile(tolerations=[{"key": "gpu", "operator": "Exists"}]), 2)
    assert [item.key for item in made.tolerations] == ["gpu", "mine"]
    assert made.node_selector == {"pool": "a"}
    assert (made.pods, made.devices, made.resource) == (2, 8, "nvidia.com/gpu")


@pytest.mark.parametrize("template", [None, {}, {"spec": {}}])
def test_a_template_may_be_empty_at_any_level(template: dict[str, object] | None) -> None:
    (variant,) = training_variants(run(template=template).spec)
    made = candidates.option(variant, GPUS, 1)
    assert (made.tolerations, made.node_selector) == ((), {})


@pytest.mark.parametrize(
    ("holds", "held"),
    [([], False), ([hold(60)], True), ([hold(0)], False), ([hold(-5)], False), ([hold(60, variant="other")], False)],
)
def test_a_variant_is_held_off_until_its_time(holds: list[HoldOff], held: bool) -> None:
    made = candidates.candidate(VARIANT, [GPUS], holds, NOW, pods=1)
    assert (made.held_off is not None) is held


def test_a_held_off_variant_says_until_when_and_why() -> None:
    made = candidates.candidate(VARIANT, [GPUS], [hold(60)], NOW, pods=1)
    assert made.held_off == f"not tried before {stamp(60)}: 0/4 nodes are available"


def test_the_pause_doubles_up_to_its_limit() -> None:
    holds: list[HoldOff] = []
    pauses = []
    for _ in range(7):
        holds = candidates.hold_off(holds, "main", "no", NOW, TIMING, jitter=0)
        pauses.append(clock.seconds_until(holds[0].until, NOW))
    assert pauses == [10, 20, 40, 80, 160, 300, 300]
    assert [item.count for item in holds] == [7]


def test_the_pauses_of_other_variants_stand() -> None:
    other = hold(60, variant="other", count=3)
    assert candidates.hold_off([other], "main", "no", NOW, TIMING, jitter=0)[0] is other


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 10**6))
def test_jitter_adds_at_most_a_quarter_and_no_count_overflows(jitter: float, count: int) -> None:
    timing = Timing(hold_off=10, max_backoff=300)
    holds = candidates.hold_off([hold(0, count=max(1, count))], "main", "no", NOW, timing, jitter)
    assert 20 <= clock.seconds_until(holds[0].until, NOW) <= 376


@given(st.lists(st.text("abc", min_size=1, max_size=12), max_size=30))
def test_hold_offs_of_variants_that_came_and_went_stay_bounded(names: list[str]) -> None:
    holds: list[HoldOff] = []
    for name in names:
        holds = candidates.hold_off(holds, name, "x" * 1000, NOW, TIMING, jitter=0)
    assert len(holds) <= 8
    assert not names or holds[-1].variant == names[-1]
    assert all(len(item.message) <= 256 for item in holds)


def test_rejections_in_status_are_bounded() -> None:
    shown = candidates.rejected_status(rejected(Reason.ILLEGAL_COUNT, "x" * 999, "y" * 999) for _ in range(40))
    assert shown is not None
    assert len(shown) == 16
    assert {(len(item.accelerator), len(item.message)) for item in shown} == {(253, 256)}


def test_no_rejections_are_no_field() -> None:
    assert candidates.rejected_status([]) is None


@pytest.mark.parametrize(
    ("reasons", "refused"),
    [
        ([], None),
        ([Reason.UNKNOWN_ACCELERATOR, Reason.ILLEGAL_COUNT], Reason.UNKNOWN_ACCELERATOR),
        ([Reason.ILLEGAL_COUNT, Reason.DOES_NOT_FIT_NOW], None),
    ],
)
def test_a_person_has_to_act_only_when_no_candidate_may_come_to_fit(
    reasons: list[Reason], refused: Reason | None
) -> None:
    found = candidates.refused_reason([rejected(reason) for reason in reasons], REFUSING)
    assert (found and found.reason) == refused
