"""Gangs that the scheduler binds whole: one PodGroup for each attempt, where the cluster serves them."""

from dataclasses import replace
from typing import Any

import pytest

from tandem.api.conditions import ConditionType
from tandem.api.reasons import Reason
from tandem.api.training_run import TrainingRunStatus
from tandem.domain.plan import Plan, Resource
from tandem.domain.served import Served, of
from tandem.domain.training.view import RunView
from tests.unit.domain.builders import (
    begun,
    condition,
    decide_run,
    failed,
    group,
    later,
    pending,
    pod,
    run,
    run_view,
    succeeded,
)

SERVED = Served(gangs=True)


def gang_view(**more: Any) -> RunView:
    """A run of two pods on a cluster that serves PodGroups."""
    return run_view(run(pods=2, **more.pop("spec", {})), served=SERVED, **more)


def groups(plan: Plan) -> list[dict[str, Any]]:
    """The PodGroups that a plan makes."""
    return [dict(child.body) for child in plan.create if child.resource is Resource.POD_GROUP]


def joined(plan: Plan) -> list[str | None]:
    """The group of each pod that a plan makes."""
    pods = [child.body["spec"] for child in plan.create if child.resource is Resource.POD]
    return [spec.get("schedulingGroup", {}).get("podGroupName") for spec in pods]


def deleted(plan: Plan) -> list[str]:
    """Names of what a plan deletes."""
    return [gone.name for gone in plan.delete]


def with_children(view: RunView, **children: Any) -> RunView:
    """The view with other children."""
    return replace(view, children=replace(view.children, **children))


@pytest.mark.parametrize(
    ("apis", "served"),
    [
        ((), Served()),
        (("scheduling.k8s.io/v1", "scheduling.k8s.io/v1alpha2"), Served()),
        (("scheduling.k8s.io/v1beta1",), Served(gangs=True)),
        (("kueue.x-k8s.io/v1beta2", "visibility.kueue.x-k8s.io/v1beta1"), Served(kueue=True)),
    ],
)
def test_what_is_served_is_told_from_the_apis(apis: tuple[str, ...], served: Served) -> None:
    assert of(apis) == served


def test_a_gang_gets_a_group_of_its_size_and_its_pods_join_it() -> None:
    plan = decide_run(gang_view(spec={"template": {"spec": {"priorityClassName": "urgent"}}}))

    [made] = groups(plan)
    assert made["apiVersion"] == "scheduling.k8s.io/v1beta1"
    assert made["metadata"]["name"] == "r-a1"
    assert made["metadata"]["ownerReferences"][0]["uid"] == "run-uid"
    assert made["metadata"]["labels"]["tandem.dev/attempt"] == "1"
    assert made["spec"] == {
        "schedulingPolicy": {"gang": {"minCount": 2}},
        "disruptionMode": {"all": {}},
        "priorityClassName": "urgent",
    }
    assert joined(plan) == ["r-a1", "r-a1"]
    assert (plan.status or {})["active"]["podGroup"] == "r-a1"


@pytest.mark.parametrize(
    ("spec", "served"),
    [
        ({"pods": 2}, Served()),
        ({"pods": 1}, SERVED),
        ({"pods": 2, "template": {"spec": {"schedulerName": "volcano"}}}, SERVED),
        ({"pods": 2, "template": {"spec": {"priorityClassName": "system-node-critical"}}}, SERVED),
    ],
)
def test_pods_are_bound_one_by_one_where_no_group_can_help(spec: dict[str, Any], served: Served) -> None:
    """Not served, nothing to bind together, a scheduler that does not look, a priority that no group may have."""
    plan = decide_run(run_view(run(**spec), served=served))

    assert groups(plan) == []
    assert set(joined(plan)) == {None}
    assert "podGroup" not in (plan.status or {})["active"]


def test_the_scheduler_that_is_the_default_may_be_named() -> None:
    spec = {"template": {"spec": {"schedulerName": "default-scheduler"}}}
    assert len(groups(decide_run(gang_view(spec=spec)))) == 1


def test_an_attempt_keeps_the_shape_that_it_began_with() -> None:
    """Whatever the cluster serves by now: what is half made is made whole the same way."""
    with_group = with_children(replace(begun(gang_view()), served=Served()), pods=(pending(0, pod_group="r-a1"),))
    plan = decide_run(with_group)
    assert (len(groups(plan)), joined(plan)) == (1, ["r-a1"])

    there = with_children(with_group, groups={"r-a1": group()})
    assert groups(decide_run(there)) == []

    without = begun(run_view(run(pods=2)))
    plan = decide_run(with_children(replace(without, served=SERVED), pods=(pending(0),)))
    assert (groups(plan), joined(plan)) == ([], [None])


def test_the_shape_is_rebuilt_from_the_pods_of_a_run_without_status() -> None:
    lost = gang_view(pods=[pod(0, pod_group="r-a1"), pod(1, pod_group="r-a1")])
    assert (decide_run(lost).status or {})["active"]["podGroup"] == "r-a1"

    alone = gang_view(pods=[pod(0), pod(1)])
    assert "podGroup" not in (decide_run(alone).status or {})["active"]


CAUSE = "0/5 nodes are available: 1 node(s) had untolerated taint(s), 2 Insufficient cpu"
SHORT = "minCount (2) cannot be satisfied: 0 scheduled, 1 remaining"


@pytest.mark.parametrize(
    ("of_pods", "of_group", "told"),
    [
        ((SHORT, CAUSE), SHORT, f"{CAUSE}; {SHORT}"),
        ((CAUSE, CAUSE), SHORT, CAUSE),
        (("", ""), SHORT, SHORT),
        (("", ""), "", "not looked at yet"),
    ],
)
def test_the_scheduler_s_words_about_the_cause_go_first(of_pods: tuple[str, str], of_group: str, told: str) -> None:
    waiting = [pending(rank, pod_group="r-a1", unschedulable_message=said) for rank, said in enumerate(of_pods)]
    groups = {"r-a1": group(unschedulable_message=of_group)}
    view = with_children(begun(gang_view()), pods=tuple(waiting), groups=groups)
    made = decide_run(view)
    ready = condition(made, ConditionType.READY)
    assert ready is not None
    assert ready.message.endswith(f"2 of 2 pods wait for a node: {told}")

    over = decide_run(replace(view, now=later(121), run=view.run.model_copy(update={"status": _status(made)})))
    assert over.reason is Reason.NOT_BOUND
    assert (over.status or {})["attempts"][-1]["message"] == f"2 of 2 pods found no node: {told}"
    assert deleted(over) == ["r-a1-0", "r-a1-1", "r-a1"]


def test_a_group_goes_with_the_last_of_its_pods() -> None:
    """Those that ended are kept for their logs, and their group with them; another's group is left alone."""
    ended = {"attempt": 1, "observedGeneration": 1, "notBefore": "2026-11-23T11:00:00Z"}
    between = run_view(run(ended, pods=2), served=SERVED, groups=[group()])
    assert deleted(with_pods(between, failed(0), pod(1, deleting_since=later(0)))) == []
    assert deleted(with_pods(between, pod(1, deleting_since=later(0)))) == ["r-a1"]
    assert deleted(with_pods(between)) == ["r-a1"]
    assert deleted(decide_run(with_children(between, groups={"r-a1": group(deleting=True)}))) == []
    assert deleted(decide_run(with_children(between, groups={"other": group(name="other")}))) == []


def test_the_group_of_a_run_that_ended_goes_with_its_pods() -> None:
    begun_ = begun(gang_view(spec={"cleanup": {"podsAfterSeconds": 0}}))
    done = decide_run(with_children(begun_, pods=(succeeded(0), succeeded(1)), groups={"r-a1": group()}))
    assert deleted(done) == []

    ended = begun_.run.model_copy(update={"status": _status(done)})
    kept = with_children(replace(begun_, run=ended), pods=(succeeded(0), succeeded(1)), groups={"r-a1": group()})
    assert deleted(decide_run(kept)) == ["r-a1-0", "r-a1-1", "r-a1"]
    going = with_children(kept, pods=(), groups={"r-a1": group(deleting=True)})
    assert deleted(decide_run(going)) == []


def with_pods(view: RunView, *pods: Any) -> Plan:
    """The plan with these pods."""
    return decide_run(with_children(view, pods=pods))


def _status(plan: Plan) -> Any:
    return TrainingRunStatus.model_validate(plan.status)
