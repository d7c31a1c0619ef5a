"""Whatever policies say together: forbids, Requires and caps hold, wishes keep nobody waiting, and a decision can be replayed."""

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tandem.api.placement_policy import PlacementPolicy
from tandem.domain.placement.fit import Snapshot, snapshot
from tandem.domain.placement.holders import Held, Holder
from tandem.domain.placement.place import place
from tandem.domain.placement.policy import chosen
from tandem.domain.placement.record import record, replay
from tandem.domain.placement.request import Ask
from tests.unit.domain.builders import NOW, NPUS, candidate, later, node, option
from tests.unit.domain.placement.policies import GPU, NPU, book, policy

NODES = [node("gpu-0"), node("gpu-1"), node("npu-0", 8, NPUS), node("npu-1", 8, NPUS)]
CHOICES = st.lists(st.sampled_from([GPU, NPU]), min_size=1, max_size=2)
WISHES = st.fixed_dictionaries({"mode": st.just("Prefer"), "accelerators": CHOICES}) | st.builds(
    lambda percents: {"shares": [{**GPU, "percent": percents[0]}, {**NPU, "percent": percents[1]}]},
    st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
ORDERS = st.fixed_dictionaries({"mode": st.just("Require"), "accelerators": CHOICES}) | st.fixed_dictionaries(
    {"forbid": CHOICES}
)
CAPS = st.builds(
    lambda choice, devices: {"caps": [{**choice, "devices": devices}]}, st.sampled_from([GPU, NPU]), st.integers(0, 20)
)
REACH = st.fixed_dictionaries(
    {"priority": st.integers(-2, 2)},
    optional={
        "kinds": st.sampled_from([["TrainingRun"], ["InferenceService"]]),
        "namespaceSelector": st.just({"matchLabels": {"team": "research"}}),
    },
)


def policies(says: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[PlacementPolicy]]:
    """Up to four policies that say such things."""
    specs = st.lists(st.tuples(REACH, says), max_size=4)
    return specs.map(lambda found: [policy(f"p{n}", **reach, **says) for n, (reach, says) in enumerate(found)])


@st.composite
def asks(draw: st.DrawFn) -> list[Ask]:
    """Runs and services of two namespaces, each with a variant for both makes."""
    queue = []
    for number in range(draw(st.integers(1, 6))):
        replicas = draw(st.none() | st.integers(1, 4))
        pods, devices = draw(st.integers(1, 3)), draw(st.integers(1, 8))
        wanted = [candidate("gpu", option(pods=pods, devices=devices)), candidate("npu", option(NPUS, pods, devices))]
        queue.append(
            Ask(
                uid=f"o{number}",
                kind="TrainingRun" if replicas is None else "InferenceService",
                namespace=draw(st.sampled_from(["team", "web"])),
                name=f"o{number}",
                attempt=1,
                since=later(number),
                candidates=tuple(draw(st.permutations(wanted))),
                as_listed=draw(st.booleans()),
                replicas=replicas,
            )
        )
    return queue


def under(found: list[PlacementPolicy], counts: dict[Holder, int] | None = None) -> Snapshot:
    return replace(snapshot(NODES, []), held=Held(book(*found), counts or {}))


@given(asks(), policies(ORDERS | CAPS | WISHES))
def test_nobody_is_given_what_a_policy_excludes_and_no_cap_is_passed(
    queue: list[Ask], found: list[PlacementPolicy]
) -> None:
    state = under(found, {Holder("TrainingRun", "team", "nvidia-h20"): 3})
    decisions = place(queue, state, [], NOW)
    after = Held(state.held.policies, dict(state.held.counts))
    for ask in queue:
        ruling = state.held.policies.ruling(ask.kind, ask.namespace)
        for grant in decisions[ask.uid].grants:
            profile = grant.option.profile
            assert all(chosen(item.spec.forbid, profile) is None for item in ruling.reaching)
            assert ruling.require is None or chosen(ruling.require.spec.accelerators, profile) is not None
            after.add(Holder(ask.kind, ask.namespace, profile.name), grant.pods * grant.option.devices)
    for item in found:
        for cap in item.spec.caps or ():
            assert after.of(item, cap) <= max(cap.devices, state.held.of(item, cap))


@given(asks(), policies(WISHES))
def test_a_wish_keeps_nobody_from_what_he_would_have_alone(queue: list[Ask], found: list[PlacementPolicy]) -> None:
    for ask in queue:
        wished, listed = (place([ask], state, [], NOW)[ask.uid] for state in (under(found), under([])))
        assert sum(grant.pods for grant in wished.grants) == sum(grant.pods for grant in listed.grants)


@given(asks(), policies(ORDERS | CAPS | WISHES))
def test_a_recorded_decision_is_made_again_alike(queue: list[Ask], found: list[PlacementPolicy]) -> None:
    state = under(found, {Holder("TrainingRun", "team", "nvidia-h20"): 3})
    assert replay(record(queue, state, [], NOW)) == place(queue, state, [], NOW)
