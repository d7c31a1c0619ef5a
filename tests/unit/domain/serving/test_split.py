"""Replicas by variant: kept while the spec stands, shrunk from the least preferred, asked for where they lack."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.domain.placement.fit import snapshot
from tandem.domain.placement.place import place
from tandem.domain.serving import reservation, split
from tandem.domain.serving.shares import Share
from tandem.domain.serving.view import ServiceView
from tests.unit.domain.builders import GPU, NPUS, PROFILES, deployment, node, profile, service, service_view

LISTED: list[dict[str, Any]] = [
    {"name": "ascend", "accelerator": "ascend-910b"},
    {"name": "nvidia", "accelerator": "nvidia-h20"},
]


def status(**replicas: int) -> dict[str, Any]:
    """A status in which the variants hold so many replicas."""
    homes = {"ascend": "ascend-910b", "nvidia": "nvidia-h20", "main": "nvidia-h20"}
    return {
        "variants": [
            {"name": name, "accelerator": homes[name], "replicas": count, "ready": 0, "reason": "Available"}
            for name, count in replicas.items()
        ]
    }


def view(replicas: int, variants: list[dict[str, Any]] | None = None, **held: int) -> ServiceView:
    return service_view(service(status(**held), replicas=replicas, accelerator=None, variants=variants or LISTED))


def kept(view: ServiceView) -> dict[str, int]:
    return {name: share.replicas for name, share in split.kept(view).items()}


# What was decided before


def test_status_says_what_was_decided() -> None:
    assert split.recorded(view(9, ascend=2, nvidia=0)) == {"ascend": Share("ascend-910b", 2)}


def test_without_a_status_the_deployments_say_it() -> None:
    deployments = [deployment("main", 3), deployment("idle", 0)]
    assert split.recorded(service_view(deployments=deployments)) == {"main": Share("nvidia-h20", 3)}


def test_a_deployment_of_another_owner_or_name_or_one_that_is_going_is_not_ours() -> None:
    others = [
        deployment("a", owner_uid="another"),
        deployment("b", name="elsewhere"),
        deployment("c", deleting=True),
    ]
    assert service_view(deployments=others).deployments == {}


# What still stands


@pytest.mark.parametrize(
    ("replicas", "shares"),
    [
        (9, {"ascend": 3, "nvidia": 3}),
        (6, {"ascend": 3, "nvidia": 3}),
        (4, {"ascend": 3, "nvidia": 1}),
        (2, {"ascend": 2}),
        (0, {}),
    ],
)
def test_replicas_are_taken_from_the_last_listed_variant_first(replicas: int, shares: dict[str, int]) -> None:
    assert kept(view(replicas, ascend=3, nvidia=3)) == shares


@pytest.mark.parametrize(
    ("replicas", "shares"), [(4, {"ascend": 2, "nvidia": 2}), (3, {"ascend": 1, "nvidia": 2}), (1, {"nvidia": 1})]
)
def test_minimums_are_touched_last(replicas: int, shares: dict[str, int]) -> None:
    variants = [LISTED[0], {**LISTED[1], "minReplicas": 2}]
    assert kept(view(replicas, variants, ascend=3, nvidia=3)) == shares


def test_a_lowered_bound_and_a_variant_that_is_gone_give_back() -> None:
    assert kept(view(9, [{**LISTED[0], "maxReplicas": 1}], ascend=3, nvidia=3)) == {"ascend": 1}


def test_another_accelerator_gives_a_variant_s_replicas_back() -> None:
    assert kept(view(9, [{**LISTED[0], "accelerator": "nvidia-h20"}, LISTED[1]], ascend=3, nvidia=1)) == {"nvidia": 1}


CHOSEN = {"acceleratorSelector": {"matchLabels": {"tandem.dev/stack": "cuda"}}, "accelerator": None}


def test_a_profile_that_vanished_leaves_its_replicas_alone() -> None:
    by_name = service_view(service(status(main=3), replicas=3), profiles={})
    by_labels = service_view(service(status(main=3), replicas=3, **CHOSEN), profiles={})
    edited = service_view(service(status(main=3), replicas=3, accelerator="other"), profiles={})
    assert (kept(by_name), kept(by_labels), kept(edited)) == ({"main": 3}, {"main": 3}, {})


def test_a_profile_that_lost_the_labels_asked_for_gives_back() -> None:
    unlabelled = {"nvidia-h20": profile("nvidia-h20", GPU)}
    assert kept(service_view(service(status(main=3), replicas=3, **CHOSEN), profiles=unlabelled)) == {}


# What is asked for


def test_only_what_lacks_is_asked_for_and_what_stands_is_told() -> None:
    seen = view(6, [LISTED[0], {**LISTED[1], "minReplicas": 2, "maxReplicas": 4}], ascend=3, nvidia=1)
    ask = split.ask(seen, split.kept(seen))
    assert (ask.uid, ask.attempt, ask.replicas, ask.since) == ("service-uid", 0, 2, seen.created)
    assert [(item.variant, item.minimum, item.options[0].pods) for item in ask.candidates] == [
        ("ascend", 0, 997),
        ("nvidia", 1, 3),
    ]
    assert [(grant.variant, grant.pods) for grant in ask.standing] == [("ascend", 3), ("nvidia", 1)]


def test_a_minimum_above_the_bound_asks_for_no_more_than_the_bound() -> None:
    seen = view(6, [{**LISTED[0], "minReplicas": 5, "maxReplicas": 2}], ascend=1)
    (candidate,) = split.ask(seen, split.kept(seen)).candidates
    assert (candidate.minimum, candidate.options[0].pods) == (1, 1)


def test_a_variant_with_replicas_stays_on_the_profile_it_has() -> None:
    both = {**PROFILES, "a100": profile("a100", GPU, {"tandem.dev/stack": "cuda"})}
    fresh = service_view(service(replicas=2, **CHOSEN), profiles=both)
    pinned = service_view(service(status(main=1), replicas=2, **CHOSEN), profiles=both)
    for seen, names in ((fresh, ["a100", "nvidia-h20"]), (pinned, ["nvidia-h20"])):
        (candidate,) = split.ask(seen, split.kept(seen)).candidates
        assert [option.profile.name for option in candidate.options] == names


def test_what_cannot_be_named_any_more_holds_nothing_in_reserve() -> None:
    shares = {"ascend": Share("ascend-910b", 1), "gone": Share("nvidia-h20", 1), "nvidia": Share("gone", 1)}
    assert [grant.variant for grant in reservation.outstanding(view(3), shares)] == ["ascend"]


# Properties

VARIANTS = st.lists(
    st.builds(
        lambda least, more, accelerator: {
            "accelerator": accelerator,
            "minReplicas": least,
            **({} if more is None else {"maxReplicas": least + more}),
        },
        st.integers(0, 3),
        st.none() | st.integers(0, 4),
        st.sampled_from(["nvidia-h20", "ascend-910b"]),
    ),
    min_size=1,
    max_size=4,
)


@st.composite
def views(draw: st.DrawFn) -> ServiceView:
    """A service whose variants hold some replicas."""
    variants = [{"name": f"v{i}", **item} for i, item in enumerate(draw(VARIANTS))]
    held = [
        {
            "name": item["name"],
            "accelerator": item["accelerator"],
            "replicas": draw(st.integers(0, 6)),
            "ready": 0,
            "reason": "x",
        }
        for item in variants
    ]
    spec = {"accelerator": None, "variants": variants, "replicas": draw(st.integers(0, 12)), "devicesPerPod": 1}
    return service_view(service({"variants": held}, **spec))


def bound(view: ServiceView, name: str) -> int:
    most = next(item.max_replicas for item in view.variants if item.name == name)
    return 1000 if most is None else most


@given(views())
def test_what_is_kept_is_within_what_is_asked_for_and_takes_away_no_more_than_it_must(view: ServiceView) -> None:
    before, after = split.recorded(view), split.kept(view)
    clamped = {name: min(share.replicas, bound(view, name)) for name, share in before.items()}
    assert sum(share.replicas for share in after.values()) == min(sum(clamped.values()), view.service.spec.replicas)
    assert all(0 < share.replicas <= clamped[name] for name, share in after.items())


@given(views(), st.integers(0, 12), st.integers(0, 12))
def test_replicas_are_conserved_and_never_move(view: ServiceView, gpus: int, npus: int) -> None:
    shares = split.kept(view)
    lacking = split.lacking(view, shares)
    assert lacking >= 0
    if lacking == 0:
        return
    state = snapshot([node("gpu-0", gpus), node("npu-0", npus, NPUS)], [])
    decision = place([split.ask(view, shares)], state, (), view.now)["service-uid"]
    grown = split.grown(shares, decision)
    assert sum(share.replicas for share in grown.values()) <= view.service.spec.replicas
    for name, share in grown.items():
        assert share.replicas <= bound(view, name)
        held = shares.get(name)
        assert held is None or (held.accelerator == share.accelerator and held.replicas <= share.replicas)
    assert grown.keys() >= shares.keys()
