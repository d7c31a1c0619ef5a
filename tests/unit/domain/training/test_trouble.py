"""A gang that cannot start, old pods that do not go, and input that a person has to mend."""

from dataclasses import replace
from typing import Any

import pytest

from tandem.api.conditions import ConditionType
from tandem.api.reasons import Reason
from tandem.api.training_run import Checkpoint
from tandem.api.workload import ClaimRef
from tandem.domain.observed import Children, NamespaceRecord, OwnPod
from tandem.domain.plan import Plan, Problem, ProblemKind
from tandem.domain.training.view import RunView
from tests.unit.domain.builders import (
    GPUS,
    NPUS,
    begun,
    complete,
    condition,
    decide_run,
    failed,
    later,
    node,
    pending,
    pod,
    profile,
    run,
    run_view,
    stamp,
    status_of,
    succeeded,
    taint,
    with_status,
)

GANG = run_view(run(pods=2))
UNPULLED = pending(1, node="gpu-0", scheduled=True, waiting_reason="ErrImagePull", waiting_message="no such tag")
UNBOUND = pending(1, unschedulable_message="0/2 nodes are available")


def state(plan: Plan) -> tuple[str, str, str | None, str | None]:
    """Reason and status of Ready, then Stalled and Reconciling."""
    ready = condition(plan, ConditionType.READY)
    assert ready is not None
    stalled, reconciling = status_of(plan, ConditionType.STALLED), status_of(plan, ConditionType.RECONCILING)
    return ready.reason, ready.status, stalled, reconciling


def message(plan: Plan) -> str:
    ready = condition(plan, ConditionType.READY)
    assert ready is not None
    return ready.message


def after(view: RunView, plan: Plan, *pods: OwnPod, **fields: Any) -> RunView:
    return replace(view, run=with_status(view.run, plan), children=Children(pods=pods), **fields)


# Not bound, not pulled


def test_a_pod_without_a_node_is_waited_for_until_the_deadline() -> None:
    view = complete(GANG, [pod(0), UNBOUND])
    plan = decide_run(replace(view, now=later(20)))
    assert (plan.reason, plan.requeue_after, plan.acts) == (Reason.STARTING, 100, False)
    assert message(plan).endswith("1 of 2 pods wait for a node: 0/2 nodes are available")


def test_a_gang_that_is_not_bound_in_time_gives_its_devices_back_uncharged() -> None:
    view = replace(complete(GANG, [pod(0), UNBOUND]), now=later(120))
    plan = decide_run(view)
    assert state(plan) == ("NotBound", "False", None, "True")
    assert message(plan) == "1 of 2 pods found no node: 0/2 nodes are available"
    assert (plan.intent, plan.release) == (True, True)
    assert [gone.name for gone in plan.delete] == ["r-a1-0", "r-a1-1"]
    status = with_status(view.run, plan).status
    assert status.failures is None
    assert [(item.variant, item.count, item.until) for item in status.hold_offs or []] == [("main", 1, stamp(130))]


@pytest.mark.parametrize(("seconds", "reason"), [(299, Reason.STARTING), (300, Reason.NOT_BOUND)])
def test_a_run_may_say_itself_how_long_its_gang_may_take_to_be_bound(seconds: int, reason: Reason) -> None:
    patient = run_view(run(pods=2, placement={"bindSeconds": 300}))
    assert decide_run(replace(complete(patient, [pod(0), UNBOUND]), now=later(seconds))).reason is reason


def test_a_scheduler_that_has_not_looked_yet_is_said_so() -> None:
    assert message(decide_run(complete(GANG, [pod(0), pending(1)]))).endswith("wait for a node: not looked at yet")


def test_after_not_bound_the_next_variant_is_tried_and_the_held_off_one_waits() -> None:
    listed = [{"name": "a", "accelerator": "nvidia-h20"}, {"name": "b", "accelerator": "ascend-910b"}]
    nodes = [node("gpu-0"), node("npu-0", 8, NPUS)]
    view = complete(run_view(run(accelerator=None, variants=listed), nodes=nodes), [pending(0, variant="a")])
    view = replace(view, now=later(120))
    ended = after(view, decide_run(view))
    plan = decide_run(ended)
    placement = with_status(ended.run, plan).status.placement
    assert placement is not None
    assert (placement.variant, [item.reason for item in placement.rejected or []]) == ("b", ["HeldOff"])


def test_a_variant_that_is_held_off_alone_keeps_its_reason_until_it_is_tried_again() -> None:
    view = replace(complete(GANG, [pod(0), UNBOUND]), now=later(120))
    ended = after(view, decide_run(view))
    plan = decide_run(ended)
    assert state(plan) == ("NotBound", "False", None, "True")
    assert plan.requeue_after == 10
    assert decide_run(replace(ended, now=later(131))).create


def test_a_held_off_variant_without_a_recorded_end_is_queued() -> None:
    hold = {"variant": "main", "until": stamp(30), "count": 1, "message": "quota"}
    plan = decide_run(run_view(run({"observedGeneration": 1, "holdOffs": [hold]})))
    assert (plan.reason, plan.requeue_after) == (Reason.QUEUED, 30)


def test_an_edit_lifts_hold_offs_at_once() -> None:
    """Also one that the run waits behind: what was refused may be what was edited."""
    holds = [{"variant": "main", "until": stamp(300), "count": 5, "message": "quota"}]
    held = run_view(run({"observedGeneration": 1, "holdOffs": holds}))
    assert decide_run(held).reason is Reason.QUEUED
    edited = replace(held, run=held.run.model_copy(update={"generation": 2}))
    plan = decide_run(edited)
    assert (plan.reason, [item.name for item in plan.create]) == (Reason.STARTING, ["r-a1-0"])
    assert with_status(edited.run, plan).status.hold_offs is None


def test_a_refusal_after_an_edit_counts_from_one() -> None:
    holds = [{"variant": "main", "until": stamp(-1), "count": 5, "message": "quota"}]
    view = begun(run_view(run({"observedGeneration": 1, "holdOffs": holds}, pods=2)))
    edited = replace(view, run=view.run.model_copy(update={"generation": 2}))
    refused = Problem(ProblemKind.REFUSED, "r-a1-0", "exceeded quota")
    counts = [with_status(found.run, decide_run(found, [refused])).status.hold_offs or [] for found in (view, edited)]
    assert [[hold.count for hold in holds] for holds in counts] == [[6], [1]]


def test_a_run_that_runs_forgets_its_hold_offs() -> None:
    hold = {"variant": "main", "until": stamp(-30), "count": 4, "message": "quota"}
    view = complete(run_view(run({"observedGeneration": 1, "holdOffs": [hold]})), [pod(0)])
    assert view.run.status.hold_offs
    assert with_status(view.run, decide_run(view)).status.hold_offs is None


def test_an_image_that_cannot_be_pulled_is_told_at_once_and_given_time() -> None:
    plan = decide_run(replace(complete(GANG, [pod(0), UNPULLED]), now=later(100)))
    assert state(plan) == ("ImagePull", "False", None, "True")
    assert message(plan) == "r-a1-1 on gpu-0: ErrImagePull: no such tag"
    assert (plan.acts, plan.requeue_after) == (False, 500)


def test_an_image_that_never_comes_gives_the_devices_back_uncharged() -> None:
    view = replace(complete(GANG, [pod(0), UNPULLED]), now=later(600))
    plan = decide_run(view)
    assert (plan.reason, plan.intent, len(plan.delete)) == (Reason.IMAGE_PULL, True, 2)
    assert with_status(view.run, plan).status.failures is None


# Writes that fail


def problem(kind: ProblemKind, name: str = "r-a1-1") -> Problem:
    return Problem(kind, name, "exceeded quota")


def test_a_refusal_by_another_than_a_quota_has_a_reason_of_its_own() -> None:
    plan = decide_run(half_made(pending(0)), [replace(problem(ProblemKind.REFUSED), message="denied by a webhook")])
    assert state(plan) == ("CreateRefused", "False", None, "True")


def half_made(*pods: OwnPod, seconds: float = 1) -> RunView:
    return replace(begun(GANG), children=Children(pods=pods), now=later(seconds))


@pytest.mark.parametrize(
    ("kind", "reason"), [(ProblemKind.REFUSED, "QuotaExceeded"), (ProblemKind.NAME_CONFLICT, "NameConflict")]
)
def test_a_gang_that_cannot_be_whole_is_ended_uncharged(kind: ProblemKind, reason: str) -> None:
    view = half_made(pending(0))
    plan = decide_run(view, [problem(ProblemKind.TRANSIENT), problem(kind)])
    assert state(plan) == (reason, "False", None, "True")
    assert message(plan) == "exceeded quota"
    assert (plan.intent, [gone.name for gone in plan.delete]) == (True, ["r-a1-0"])
    status = with_status(view.run, plan).status
    assert (status.active, status.failures, len(status.hold_offs or [])) == (None, None, 1)


def test_a_name_that_is_taken_before_anything_was_made_is_waited_for() -> None:
    view = half_made()
    plan = decide_run(view, [problem(ProblemKind.NAME_CONFLICT, "r-tr")])
    assert state(plan) == ("NameConflict", "False", "True", None)
    assert (plan.intent, plan.acts, plan.requeue_after) == (False, False, 10)
    assert [item.name for item in decide_run(after(view, plan)).create] == ["r-tr", "r-a1-0", "r-a1-1"]


def test_a_passing_error_is_tried_again_for_a_while_and_then_given_up() -> None:
    assert decide_run(half_made(pending(0), seconds=30), [problem(ProblemKind.TRANSIENT)]) == Plan(
        reason=Reason.STARTING
    )
    plan = decide_run(half_made(pending(0), seconds=31), [problem(ProblemKind.TRANSIENT)])
    assert plan.reason is Reason.CREATE_REFUSED
    assert message(plan) == "the API server could not make the gang in 30 s: exceeded quota"


@pytest.mark.parametrize("made", [(), (pending(0),)], ids=["nothing made", "half made"])
def test_a_gang_that_the_namespace_refuses_meanwhile_is_ended_uncharged(made: tuple[OwnPod, ...]) -> None:
    """Nothing more is made of it, and the next attempt waits for the mend."""
    view = replace(half_made(*made), namespace=NamespaceRecord("team", "restricted"))
    plan = decide_run(view)
    assert state(plan) == ("PodSecurityWouldReject", "False", "True", None)
    assert (plan.intent, plan.create, [gone.name for gone in plan.delete]) == (True, (), [item.name for item in made])
    ended = after(view, plan)
    assert (ended.run.status.active, ended.run.status.failures, ended.run.status.hold_offs) == (None, None, None)
    waiting = decide_run(ended)
    assert state(waiting) == ("PodSecurityWouldReject", "False", "True", None)
    assert not waiting.acts
    healed = replace(ended, namespace=NamespaceRecord("team", "baseline"))
    assert [item.name for item in decide_run(healed).create] == ["r-tr", "r-a2-0", "r-a2-1"]


def test_a_gang_that_runs_is_left_alone_by_a_namespace_that_grows_strict() -> None:
    """Pod Security looks at pods when they are made, never later."""
    view = replace(complete(GANG, [pod(0), pod(1)]), namespace=NamespaceRecord("team", "restricted"))
    assert decide_run(view).reason is Reason.RUNNING


def test_a_problem_with_a_whole_gang_ends_nothing() -> None:
    assert decide_run(half_made(pending(0), pending(1)), [problem(ProblemKind.TRANSIENT)]).reason is Reason.STARTING


# Pods of ended attempts


def between(*pods: OwnPod, now: float = 60, **fields: Any) -> RunView:
    """Between two attempts: the first was suspended, then resumed."""
    view = complete(GANG, [])
    suspended = replace(
        view, run=view.run.model_copy(update={"spec": view.run.spec.model_copy(update={"suspend": True})})
    )
    done = with_status(view.run, decide_run(suspended))
    return replace(view, run=done, children=Children(pods=pods), now=later(now), **fields)


def test_the_next_attempt_waits_for_old_pods_to_end() -> None:
    plan = decide_run(between(pod(0, deleting_since=later(90)), succeeded(1)))
    assert (plan.reason, plan.acts, plan.requeue_after) == (Reason.WAITING_FOR_PREDECESSOR, False, 60)
    assert message(plan) == "1 pod of attempt 1 still ending"


def test_an_old_pod_that_was_not_deleted_yet_is_deleted_and_waited_for() -> None:
    plan = decide_run(between(pod(0)))
    assert ([gone.name for gone in plan.delete], plan.create) == (["r-a1-0"], ())


DELETED = pod(0, deleting_since=later(30))
NOT_READY = node("gpu-0", ready=False, not_ready_since=later(0))


@pytest.mark.parametrize(
    ("old", "nodes", "now", "begins"),
    [
        (DELETED, [node("gpu-0")], 100, False),
        (DELETED, [], 100, True),
        (DELETED, [node("gpu-0", taints=(taint("node.kubernetes.io/out-of-service"),))], 100, True),
        (DELETED, [NOT_READY], 149, False),
        (replace(DELETED, deleting_since=later(290)), [NOT_READY], 299, False),
        (replace(DELETED, deleting_since=later(290)), [NOT_READY], 300, True),
        (replace(DELETED, deleting_since=later(290)), [node("gpu-0", ready=False)], 300, False),
        (pod(0), [], 100, False),
        (pod(0), [NOT_READY], 300, False),
        (pending(0, deleting_since=later(30)), [], 100, False),
        (failed(0), [node("gpu-0")], 100, True),
    ],
)
def test_old_pods_are_waited_for_unless_they_cannot_progress(
    old: OwnPod, nodes: list[Any], now: float, begins: bool
) -> None:
    spare = [node("spare-0"), node("spare-1")]
    plan = decide_run(between(old, now=now, nodes={item.name: item for item in [*nodes, *spare]}))
    assert bool(plan.create) is begins
    assert with_status(run(), plan).status.attempt == (2 if begins else 1)


@pytest.mark.parametrize(("pods", "begins"), [(1, False), (2, True)])
def test_a_pod_without_a_gang_may_still_write_checkpoints_on_a_lost_node(pods: int, begins: bool) -> None:
    """The ranks of a gang cannot progress without each other; a run of one pod can."""
    old = [replace(pod(rank), deleting_since=later(290)) for rank in range(pods)]
    nodes = [NOT_READY, node("spare-0"), node("spare-1")]
    view = between(*old, now=300, nodes={item.name: item for item in nodes})
    checkpoint = Checkpoint(claim=ClaimRef(name="ckpt"))
    spec = view.run.spec.model_copy(update={"checkpoint": checkpoint})
    view = replace(view, run=view.run.model_copy(update={"spec": spec}), claims=frozenset({"ckpt"}))
    assert bool(decide_run(view).create) is begins


def test_a_pod_that_does_not_end_on_a_live_node_is_somebody_s_to_look_at() -> None:
    stuck = between(DELETED, now=151)
    plan = decide_run(stuck)
    assert state(plan) == ("TerminationStuck", "False", None, "True")
    assert message(plan) == "r-a1-0 does not end on node gpu-0: look at its kubelet"
    assert decide_run(between(DELETED, now=150)).reason is Reason.WAITING_FOR_PREDECESSOR


def test_terminal_pods_are_kept_for_their_logs_until_the_attempt_after_has_ended() -> None:
    view = complete(GANG, [failed(0), succeeded(1)])
    first = after(view, decide_run(view), failed(0), succeeded(1), now=later(60))
    assert decide_run(first).delete == ()
    second = after(first, decide_run(first), failed(0), succeeded(1), pending(0, 2), pending(1, 2))
    second = after(second, decide_run(second), failed(0), succeeded(1), pod(0, 2), pod(1, 2))
    assert decide_run(second).delete == ()
    failing = replace(second, children=Children(pods=(failed(0), failed(0, 2), failed(1, 2))), now=later(120))
    ended = after(failing, decide_run(failing), *failing.children.pods)
    assert [gone.name for gone in decide_run(ended).delete] == ["r-a1-0"]


# Input


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        (
            {"checkpoint": {"claim": {"name": "ckpt"}}},
            "ClaimMissing",
            "PersistentVolumeClaim 'ckpt' does not exist in team",
        ),
        (
            {"template": {"spec": {"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]}}},
            "ClaimMissing",
            "'data'",
        ),
        ({"env": [{"name": "VISIBLE", "value": "0"}]}, "InvalidSpec", "VISIBLE"),
        ({"accelerator": "h100"}, "UnknownAccelerator", "h100"),
        ({"devicesPerPod": 3}, "IllegalCount", "1, 8"),
        ({"accelerator": "closed"}, "NamespaceNotAllowed", "namespace team may not use closed"),
    ],
)
def test_bad_input_stalls_with_a_stable_reason_and_asks_for_nothing(
    spec: dict[str, Any], reason: str, words: str
) -> None:
    strict = profile(counts={"perPod": [1, 8]}, forbidEnv=["VISIBLE"])
    closed = profile("closed", allowedNamespaces={"names": ["other"]})
    plan = decide_run(run_view(run(**spec), profiles={item.name: item for item in (strict, closed)}))
    assert state(plan) == (reason, "False", "True", None)
    assert words in message(plan)
    assert (plan.acts, plan.requeue_after) == (False, 60)
    assert with_status(run(), plan).status.attempt == 0


def test_it_heals_when_the_cause_goes() -> None:
    asked = run_view(run(checkpoint={"claim": {"name": "ckpt"}}))
    stalled = replace(asked, run=with_status(asked.run, decide_run(asked)), claims={"ckpt"})
    plan = decide_run(stalled)
    assert plan.create
    assert status_of(plan, ConditionType.STALLED) is None


def test_a_run_waits_in_the_queue_as_long_as_some_candidate_may_come_to_fit() -> None:
    listed = [{"name": "a", "accelerator": "h100"}, {"name": "b", "accelerator": GPUS.name, "pods": 9}]
    plan = decide_run(run_view(run(accelerator=None, variants=listed)))
    assert state(plan) == ("Queued", "True", None, None)
    assert message(plan).startswith("a on h100: no AcceleratorProfile")
    assert not plan.release
    placed = condition(plan, ConditionType.PLACED)
    assert placed is not None
    assert (placed.status, placed.reason) == ("False", "UnknownAccelerator")
