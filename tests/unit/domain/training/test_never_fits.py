"""A run that no nodes could ever take, and one whose nodes an autoscaler adds."""

from dataclasses import replace

import pytest

from tandem.api.conditions import ConditionType
from tandem.api.reasons import Reason
from tests.unit.domain.builders import (
    PROFILES,
    complete,
    condition,
    decide_run,
    later,
    node,
    pending,
    profile,
    run,
    run_view,
    stamp,
    status_of,
    with_status,
)

GROWING = {**PROFILES, "nvidia-h20": profile(provisioning="Autoscaled")}
"""Profiles, of which the one of the runs here has an autoscaler."""


def test_a_gang_that_no_nodes_could_take_stalls_after_ten_minutes_and_starts_when_there_are_more() -> None:
    """Four pods of eight devices, two nodes of eight."""
    view = run_view(run(pods=4))
    first = decide_run(view)
    assert first.reason is Reason.QUEUED
    assert status_of(first, ConditionType.STALLED) is None
    # Another process goes on by what stands in status.
    almost = replace(view, run=with_status(view.run, first), now=later(595))
    second = decide_run(almost)
    assert (second.reason, second.requeue_after) == (Reason.QUEUED, 5)
    after = replace(view, run=with_status(almost.run, second), now=later(600))
    third = decide_run(after)
    stalled = condition(third, ConditionType.STALLED)
    assert stalled is not None
    assert stalled.reason == "NeverFits"
    assert (
        "2 nodes with 16 devices in all hold 2 such pods even when empty: add nodes or ask for less" in stalled.message
    )
    assert status_of(third, ConditionType.READY) == "False"
    [rejected] = (third.status or {})["placement"]["rejected"]
    assert (rejected["reason"], rejected["tooSmallSince"]) == ("NeverFits", stamp())
    grown = replace(after, run=with_status(after.run, third), nodes={f"n{i}": node(f"n{i}") for i in range(4)})
    assert decide_run(grown).reason is Reason.STARTING


def test_a_gang_that_would_fit_on_empty_nodes_waits_for_ever() -> None:
    view = run_view(run(pods=2))
    full = replace(view, nodes={**view.nodes, "gpu-1": node("gpu-1", cordoned=True)})
    waiting = decide_run(full)
    much_later = replace(full, run=with_status(full.run, waiting), now=later(99_999))
    assert decide_run(much_later).reason is Reason.QUEUED


def test_where_an_autoscaler_adds_nodes_pods_are_made_and_wait() -> None:
    view = run_view(run(pods=4), profiles=GROWING)
    plan = decide_run(view)
    assert plan.reason is Reason.STARTING
    why = (plan.status or {})["placement"]["reason"]
    assert "by trial: provisioning is Autoscaled: nodes are added for pods that wait" in why


@pytest.mark.parametrize(
    ("spec", "seconds", "reason"),
    [
        ({}, 899, Reason.STARTING),
        ({}, 900, Reason.NOT_BOUND),
        ({"placement": {"bindSeconds": 60}}, 59, Reason.STARTING),
        ({"placement": {"bindSeconds": 60}}, 60, Reason.NOT_BOUND),
    ],
)
def test_an_autoscaler_has_longer_to_add_nodes(spec: dict[str, object], seconds: int, reason: Reason) -> None:
    view = complete(run_view(run(pods=4, **spec), profiles=GROWING), [pending(rank) for rank in range(4)])
    assert decide_run(replace(view, now=later(seconds))).reason is reason
