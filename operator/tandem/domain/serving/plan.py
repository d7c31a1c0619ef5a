"""The decision about one InferenceService: from what is observed to what is to be written.

Shares of replicas are decided first and written as an intent; the Deployments follow from them. A Deployment is made anew
only when the digest of its inputs changes, so neither a profile's edit nor an upgrade of the operator restarts a replica.
What others changed in one is put right without making it anew (`drift`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tandem.api.reasons import Reason
from tandem.domain import headline
from tandem.domain.headline import Headline
from tandem.domain.placement import never
from tandem.domain.placement.request import Decision, Rejection
from tandem.domain.plan import Child, Delete, Plan, Problem, ProblemKind, Replace, Resource, Scale
from tandem.domain.render.pod import claims_of
from tandem.domain.render.problem import claim_missing
from tandem.domain.serving import children, drift, model, split, status
from tandem.domain.serving.reservation import outstanding
from tandem.domain.serving.shares import Shares
from tandem.domain.serving.view import ServiceView
from tandem.domain.variants import by_name


def plan_service(view: ServiceView, *, decision: Decision | None = None, problems: Sequence[Problem] = ()) -> Plan:
    """What to do for one service now.

    `decision` answers the `ask` of an earlier plan of the same pass; `problems` are its writes that failed.
    """
    obstacle = _obstacle(view)
    if obstacle is not None and view.service.spec.replicas > 0:
        return _hindered(view, obstacle, problems)
    shares = split.kept(view)
    if problems:
        refused = _refusal(problems)
        # A write that may succeed when it is repeated is no news.
        return _report(view, shares, (), refused, view.timing.conflict_retry) if refused else Plan()
    rejected: tuple[Rejection, ...] = ()
    look = view.timing.look_again
    decided_by = None
    if split.lacking(view, shares) > 0:
        if decision is None:
            return Plan(ask=split.ask(view, shares))
        before = view.service.status.placement
        decision = never.settle(decision, (before and before.rejected) or (), view.now, view.timing)
        look = never.next_look(decision, view.now, view.timing)
        shares = split.grown(shares, decision)
        rejected = decision.rejected
        decided_by = decision.decided_by if decision.grants else None
    changed = shares != split.recorded(view)
    # An intent is written first, and would forget what a repair that then fails is recognized by: the next pass repairs.
    repaired = {} if changed else drift.repairs(view, shares)
    again = look if split.lacking(view, shares) else None
    plan = _report(view, shares, rejected, status.state(view, shares, rejected), again, decided_by)
    if repaired:
        # The pass goes on with what the replies show; that is what status tells.
        plan = replace(plan, status=None, events=())
    return replace(
        plan,
        intent=changed,
        # Without a decision shares only shrink; with one, the placer was told what stands when it was asked.
        standing=outstanding(view, shares) if changed and decision is None else None,
        create=_missing(view, shares),
        replace=_outdated(view, shares),
        apply=tuple(repaired.values()),
        scale=_misscaled(view, shares, repaired.values()),
        delete=_dropped(view),
    )


def _hindered(view: ServiceView, obstacle: Headline, problems: Sequence[Problem]) -> Plan:
    """What runs goes on, in smaller numbers where fewer are asked for; nothing is made from a spec that cannot be rendered."""
    shares = split.fewer(view)
    return replace(
        _report(view, shares, (), obstacle, view.timing.look_again),
        intent=shares != split.recorded(view),
        scale=() if problems else _scales(view, shares),
        release=True,
    )


def _report(
    view: ServiceView,
    shares: Shares,
    rejected: Sequence[Rejection],
    why: Headline,
    requeue_after: float | None,
    decided_by: str | None = None,
) -> Plan:
    return Plan(
        status=status.render(view, shares, rejected, why, decided_by),
        events=headline.events(view.service.status.conditions, why),
        requeue_after=requeue_after,
        reason=why.reason,
    )


def _obstacle(view: ServiceView) -> Headline | None:
    """What a person has to mend before anything can be made."""
    unresolved = model.problem(view)
    if unresolved is not None:
        return unresolved
    for variant in view.variants:
        for claim in claims_of(variant):
            if claim not in view.claims:
                return claim_missing(claim, view.service.namespace)
        for profile in variant.matching(view.profiles):
            problem = children.specimen(view.service, variant, profile).problem(view.namespace)
            if problem is not None:
                return problem
    return None


def _refusal(problems: Sequence[Problem]) -> Headline | None:
    """A write that was refused, as the service's state."""
    for problem in problems:
        if problem.kind is ProblemKind.NAME_CONFLICT:
            return headline.blocked(Reason.NAME_CONFLICT, problem.message)
        if problem.kind is ProblemKind.REFUSED:
            return headline.troubled(Reason.CREATE_REFUSED, problem.message)
    return None


def _missing(view: ServiceView, shares: Shares) -> tuple[Child, ...]:
    """The Service and the budget always, a Deployment for each variant that has replicas."""
    made: list[Child] = []
    if view.service.name not in view.children.services:
        made.append(children.front_service(view.service))
    if view.service.name not in view.children.budgets:
        made.append(children.budget(view.service))
    for name, share in shares.items():
        variant, profile = by_name(view.variants, name), view.profiles.get(share.accelerator)
        if name not in view.deployments and variant is not None and profile is not None:
            made.append(children.deployment(view.service, variant, profile, share.replicas))
    return tuple(made)


def _outdated(view: ServiceView, shares: Shares) -> tuple[Replace, ...]:
    """Children that were made from other inputs."""
    changes: list[Replace] = []
    front = view.children.services.get(view.service.name)
    if (
        front is not None
        and front.owner_uid == view.service.uid
        and front.inputs_hash != children.front_hash(view.service)
    ):
        changes.append(Replace(children.front_service(view.service), front.uid, front.resource_version))
    for name, share in shares.items():
        variant, profile = by_name(view.variants, name), view.profiles.get(share.accelerator)
        record = view.deployments.get(name)
        if record is None or variant is None or profile is None:
            continue
        if record.inputs_hash != children.hash_of(view.service, variant, profile):
            child = children.deployment(view.service, variant, profile, share.replicas)
            changes.append(Replace(child, record.uid, record.resource_version))
    return tuple(changes)


def _misscaled(view: ServiceView, shares: Shares, repaired: Iterable[Replace]) -> tuple[Scale, ...]:
    """Deployments with another number of replicas than their share; one that is written anyway gets its number there."""
    written = {change.name for change in (*_outdated(view, shares), *repaired)}
    return tuple(scale for scale in _scales(view, shares) if scale.name not in written)


def _scales(view: ServiceView, shares: Shares) -> tuple[Scale, ...]:
    return tuple(
        Scale(record.name, record.uid, record.resource_version, wanted)
        for name, record in view.deployments.items()
        if by_name(view.variants, name) is not None
        and record.wanted != (wanted := shares[name].replicas if name in shares else 0)
    )


def _dropped(view: ServiceView) -> tuple[Delete, ...]:
    """Deployments of variants that the spec no longer has."""
    return tuple(
        Delete(Resource.DEPLOYMENT, record.name, record.uid)
        for name, record in view.deployments.items()
        if by_name(view.variants, name) is None
    )
