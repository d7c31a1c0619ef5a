"""Devices by whose work holds them, kept change by change, and their sums within the reach of policies."""

from hypothesis import given
from hypothesis import strategies as st

from tandem.domain.observed import Key
from tandem.domain.placement.holders import Held, Holder
from tandem.domain.placement.policy import Policies
from tests.unit.domain.builders import foreign, pod
from tests.unit.domain.placement.policies import GPU, NPU, book, policy

WEB = policy("web", namespaceSelector={"matchLabels": {"team": "web"}}, caps=[{**NPU, "devices": 8}])
ALL = policy("all", kinds=["InferenceService"], caps=[{**GPU, "devices": 8}])
EVERYBODY = policy("everybody", caps=[{**GPU, "devices": 8}])
POLICIES = book(WEB, ALL, EVERYBODY)
HOLDERS = st.builds(
    Holder,
    st.sampled_from(["TrainingRun", "InferenceService"]),
    st.sampled_from(["team", "guests", "web", "new"]),
    st.sampled_from(["nvidia-h20", "ascend-910b", "gone"]),
)


@given(st.lists(st.tuples(HOLDERS, st.integers(-8, 8))), st.lists(st.tuples(HOLDERS, st.integers(-8, 8))))
def test_sums_that_were_asked_for_follow_every_change(
    before: list[tuple[Holder, int]], after: list[tuple[Holder, int]]
) -> None:
    kept = Held(POLICIES)
    for change in before:
        kept.add(*change)
    asked = [dict(kept.within(item)) for item in (WEB, EVERYBODY)]
    for change in after:
        kept.add(*change)
    anew = Held(POLICIES)
    for change in [*before, *after]:
        anew.add(*change)
    assert len(asked) == 2
    assert kept.counts == anew.counts
    for item in (WEB, ALL, EVERYBODY):
        assert nonzero(kept.within(item)) == nonzero(anew.within(item))


def nonzero(sums: object) -> dict[str, int]:
    assert isinstance(sums, dict)
    return {name: count for name, count in sums.items() if count}


def test_devices_count_within_the_reach_alone_and_for_what_the_choice_selects() -> None:
    kept = Held(
        POLICIES, {Holder("TrainingRun", "web", "ascend-910b"): 3, Holder("InferenceService", "team", "nvidia-h20"): 5}
    )
    kept.add(Holder("InferenceService", "web", "ascend-910b"), 2)
    kept.add(Holder("InferenceService", "web", "gone"), 7)
    assert [kept.of(item, item.spec.caps[0]) for item in (WEB, ALL, EVERYBODY) if item.spec.caps] == [5, 5, 5]
    assert dict(kept.within(WEB)) == {"ascend-910b": 5, "gone": 7}


def test_a_copy_is_by_itself_and_nothing_is_copied_when_nobody_asks() -> None:
    kept = Held(POLICIES, {Holder("TrainingRun", "web", "ascend-910b"): 3})
    copy = kept.under(POLICIES)
    copy.add(Holder("TrainingRun", "web", "ascend-910b"), 1)
    assert [kept.within(WEB), copy.within(WEB)] == [{"ascend-910b": 3}, {"ascend-910b": 4}]
    assert kept.under(Policies()).counts == {}


def test_pods_count_from_the_moment_they_have_a_node_until_their_end() -> None:
    kept, owner = Held(), Key("TrainingRun", "team", "r")
    waiting, bound, ended = (pod(owner=owner, **more) for more in ({"node": None}, {}, {"phase": "Succeeded"}))
    kept.pod_changed(None, waiting)
    assert kept.counts == {}
    kept.pod_changed(waiting, bound)
    assert kept.counts == {Holder("TrainingRun", "team", "nvidia-h20"): 8}
    kept.pod_changed(bound, ended)
    assert kept.counts == {}


def test_pods_of_others_and_pods_without_devices_count_for_nobody() -> None:
    kept = Held()
    for item in (foreign(), pod(owner=None), pod(owner=Key("TrainingRun", "team", "r"), devices={})):
        kept.pod_changed(None, item)
    assert kept.counts == {}
