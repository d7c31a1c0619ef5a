"""A gang while it is made, bound and started: all pods of an attempt or none."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tandem.api.reasons import Reason
from tandem.api.training_run import ActiveAttempt
from tandem.domain import clock, headline
from tandem.domain.headline import Headline
from tandem.domain.observed import OwnPod
from tandem.domain.placement import quota
from tandem.domain.placement.request import Decision, Grant
from tandem.domain.plan import Child, Plan, Problem, ProblemKind
from tandem.domain.training import attempt, choose, ending, pod_group, pods, status
from tandem.domain.training.rendezvous import headless_service
from tandem.domain.training.report import report, stay
from tandem.domain.training.view import RunView
from tandem.domain.words import times


def begin(view: RunView, decision: Decision) -> Plan:
    """The next attempt: written first, then its Service and pods are made in the same pass."""
    grant = decision.grants[0]
    variant = view.variant(grant.variant)
    assert variant is not None, "a grant names a variant of the spec that asked"
    active = attempt.begin(view, variant, grant)
    after = view.run.status.model_copy(
        update={
            "attempt": active.number,
            "active": active,
            "placement": choose.chosen(decision, grant),
            "not_before": None,
            "waiting_since": None,
            "start_time": view.run.status.start_time or active.start_time,
        }
    )
    why = Headline(
        Reason.STARTING, f"attempt {active.number} on {active.accelerator}: making {times(active.pods, 'pod')}"
    )
    return report(view, after, why, intent=True, create=_children(view, active, range(active.pods), grant))


def complete(
    view: RunView,
    active: ActiveAttempt,
    finished: frozenset[int],
    problems: Sequence[Problem],
) -> Plan:
    """Make what is still missing, or end an attempt that cannot be made."""
    if attempt.outdated(view, active):
        why = Headline(Reason.SUPERSEDED, "the spec changed while the gang was being made")
        return ending.end(view, active, why)
    made = view.gang(active.number)
    missing = [rank for rank in range(active.pods) if rank not in made and rank not in finished]
    if problems and missing:
        return _cannot_make(view, active, problems)
    if missing:
        why = Headline(Reason.STARTING, f"attempt {active.number}: {len(made)} of {active.pods} pods are made")
        profile = view.profiles[active.accelerator]
        variant = view.variant(active.variant)
        assert variant is not None, "an attempt that is not outdated has its variant"
        problem = choose.pods_problem(view, variant, profile)
        if problem is not None:
            # The profile was edited, or the namespace: what is half made cannot be made whole.
            return ending.end(view, active, problem)
        grant = Grant(active.variant, choose.option(variant, profile), active.pods)
        return Plan(create=_children(view, active, missing, grant), reason=why.reason)
    moments = [pod.created for pod in made.values() if pod.created is not None]
    done = active.model_copy(update={"created_time": clock.stamp(max(moments, default=view.now))})
    return stay(view, done, progress(view, done, finished), next_look(view, done))


def overtaken(view: RunView, active: ActiveAttempt) -> Plan | None:
    """End an attempt whose spec was edited while one of its pods has no node or no image: no rank can have got anywhere."""
    if not (_unscheduled(view, active) or _pull_failures(view, active)) or not attempt.outdated(view, active):
        return None
    return ending.end(view, active, Headline(Reason.SUPERSEDED, "the spec changed before every pod could start"))


def not_bound(view: RunView, active: ActiveAttempt) -> Plan | None:
    """End an attempt whose pods found no node in time, with the scheduler's own words."""
    waiting = _unscheduled(view, active)
    if not waiting or view.now < _created(active) + timedelta(seconds=view.bind_seconds_on(active.accelerator)):
        return None
    message = f"{len(waiting)} of {active.pods} pods found no node: {_scheduler_says(view, active, waiting)}"
    return ending.hold(view, active, Reason.NOT_BOUND, message)


def not_pulled(view: RunView, active: ActiveAttempt) -> Plan | None:
    """End an attempt that holds devices while its image cannot be pulled."""
    pulling = _pull_failures(view, active)
    if not pulling or view.now < _created(active) + timedelta(seconds=view.timing.image_pull):
        return None
    return ending.hold(view, active, Reason.IMAGE_PULL, _pull_message(pulling[0]))


def progress(view: RunView, active: ActiveAttempt, finished: frozenset[int]) -> Headline:
    """How far a complete gang has come."""
    pulling = _pull_failures(view, active)
    if pulling:
        return headline.troubled(Reason.IMAGE_PULL, _pull_message(pulling[0]))
    where = f"attempt {active.number} on {active.accelerator}"
    if len(status.ready_ranks(view, active, finished)) == active.pods:
        return Headline(Reason.RUNNING, f"{where}: {times(active.pods, 'pod')} running")
    waiting = _unscheduled(view, active)
    if waiting:
        return Headline(
            Reason.STARTING,
            f"{where}: {len(waiting)} of {active.pods} pods wait for a node: {_scheduler_says(view, active, waiting)}",
        )
    return Headline(Reason.STARTING, f"{where}: {times(active.pods, 'pod')} starting")


def next_look(view: RunView, active: ActiveAttempt) -> float | None:
    """Seconds until a deadline of a complete gang passes; None when only events matter."""
    if _unscheduled(view, active):
        deadline = _created(active) + timedelta(seconds=view.bind_seconds_on(active.accelerator))
    elif _pull_failures(view, active):
        deadline = _created(active) + timedelta(seconds=view.timing.image_pull)
    else:
        return None
    return max(0.0, (deadline - view.now).total_seconds())


def _cannot_make(view: RunView, active: ActiveAttempt, problems: Sequence[Problem]) -> Plan:
    """A write was refused or failed: give the attempt up, or try the same again later."""
    made = view.gang(active.number)
    conflict = next((p for p in problems if p.kind is ProblemKind.NAME_CONFLICT), None)
    if conflict is not None and not made:
        # Nothing is half made, so the same attempt waits until the name is free.
        why = headline.blocked(Reason.NAME_CONFLICT, conflict.message)
        return stay(view, active, why, view.timing.conflict_retry)
    if conflict is not None:
        return ending.hold(view, active, Reason.NAME_CONFLICT, conflict.message)
    refused = next((p for p in problems if p.kind is ProblemKind.REFUSED), None)
    if refused is not None:
        outcome = Reason.QUOTA_EXCEEDED if quota.REFUSAL in refused.message else Reason.CREATE_REFUSED
        return ending.hold(view, active, outcome, refused.message)
    if view.now - clock.parse(active.start_time) > timedelta(seconds=view.timing.partial_create):
        message = f"the API server could not make the gang in {view.timing.partial_create:.0f} s: {problems[0].message}"
        return ending.hold(view, active, Reason.CREATE_REFUSED, message)
    return Plan(reason=Reason.STARTING)


def _children(view: RunView, active: ActiveAttempt, ranks: Sequence[int], grant: Grant) -> tuple[Child, ...]:
    variant = view.variant(active.variant)
    assert variant is not None, "children are only made for a variant of the spec"
    children = pods.gang(view.run, variant, grant.option.profile, active, ranks)
    service = headless_service(view.run)
    if variant.pods > 1 and service.name not in view.children.services:
        children = (service, *children)
    if active.pod_group is not None and view.group(active.number) is None:
        children = (pod_group.pod_group(view.run, variant, active), *children)
    return children


def _created(active: ActiveAttempt) -> datetime:
    return clock.parse(active.created_time or active.start_time)


def _unscheduled(view: RunView, active: ActiveAttempt) -> list[OwnPod]:
    return [pod for pod in view.gang(active.number).values() if not pod.scheduled and not pod.terminal]


def _scheduler_says(view: RunView, active: ActiveAttempt, waiting: Sequence[OwnPod]) -> str:
    """In its own words about the pods, else about the gang.

    Of a gang that it binds as one, Kubernetes 1.37 tells the cause beside one pod, which may be any; beside the others and the group
    stands only that too few could be bound. The cause counts nodes and has more to say, so the longest goes first.
    """
    said = {pod.unschedulable_message for pod in waiting if pod.unschedulable_message}
    group = view.group(active.number)
    if not said and group is not None and group.unschedulable_message:
        return group.unschedulable_message
    return "; ".join(sorted(said, key=lambda text: (-len(text), text))) or "not looked at yet"


def _pull_failures(view: RunView, active: ActiveAttempt) -> list[OwnPod]:
    return [pod for _, pod in sorted(view.gang(active.number).items()) if pod.pull_failed]


def _pull_message(pod: OwnPod) -> str:
    return f"{pod.name} on {pod.node}: {pod.waiting_reason}: {pod.waiting_message}"
