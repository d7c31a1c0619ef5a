"""What a run asks of the placer, and how the answer reads in status."""

from collections.abc import Sequence

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.conditions import clip
from tandem.api.reasons import Reason, reason_of
from tandem.api.training_run import Placement
from tandem.api.workload import HoldOff, Rejected
from tandem.domain import clock, headline
from tandem.domain.headline import Headline
from tandem.domain.placement import candidates
from tandem.domain.placement.arrange import LISTED_ORDER, wording
from tandem.domain.placement.rejection import REFUSING
from tandem.domain.placement.request import Ask, Decision, Grant, Option
from tandem.domain.render.problem import claim_missing
from tandem.domain.training import pods, steady
from tandem.domain.training.view import RunView
from tandem.domain.variants import Variant
from tandem.domain.words import times

HOLDING = frozenset(
    {Reason.NOT_BOUND, Reason.CREATE_REFUSED, Reason.QUOTA_EXCEEDED, Reason.IMAGE_PULL, Reason.NAME_CONFLICT}
)
"""Outcomes that hold a variant off; they stay the run's headline until it is tried again."""


def input_problem(view: RunView) -> Headline | None:
    """What a person has to mend before anything can start, seen without the placer."""
    for variant in view.variants:
        for claim in pods.claims(view.run, variant):
            if claim not in view.claims:
                return claim_missing(claim, view.run.namespace)
        for profile in variant.matching(view.profiles):
            problem = pods_problem(view, variant, profile)
            if problem is not None:
                return problem
    return None


def pods_problem(view: RunView, variant: Variant, profile: AcceleratorProfile) -> Headline | None:
    """Why pods of this variant on this profile must not be made."""
    return pods.specimen(view.run, variant, profile).problem(view.namespace)


def ask(view: RunView) -> Ask:
    """The run's gang, on any of its variants, in listed order."""
    holds = _holds(view)
    return Ask(
        uid=view.run.uid,
        kind="TrainingRun",
        namespace=view.run.namespace,
        name=view.run.name,
        attempt=view.newest_attempt + 1,
        since=view.created,
        priority=view.priority,
        candidates=tuple(
            candidates.candidate(variant, variant.matching(view.profiles), holds, view.now, pods=variant.pods)
            for variant in view.variants
        ),
        waits_since=view.waiting_since,
        starves_after=view.timing.starvation,
        as_listed=view.as_listed,
        patience=view.wait_seconds,
        hold=view.bind_seconds + view.timing.partial_create,
    )


def _holds(view: RunView) -> tuple[HoldOff, ...]:
    """Variants that are not tried for now: those that were refused, and others while the run stays where it is."""
    return (*(view.run.status.hold_offs or ()), *steady.holds(view))


def option(variant: Variant, profile: AcceleratorProfile) -> Option:
    """The gang on one profile."""
    return candidates.option(variant, profile, variant.pods)


def chosen(decision: Decision, grant: Grant) -> Placement:
    """Status of a decision that found a place."""
    taken = f"{times(grant.pods, 'pod')} x {grant.option.devices} {grant.option.resource}"
    skipped = f"; {times(len(decision.rejected), 'candidate')} before it rejected" if decision.rejected else ""
    trial = f"; by trial: {grant.trial}" if grant.trial else ""
    return Placement(
        chosen=grant.option.profile.name,
        variant=grant.variant,
        decided_by=decision.decided_by,
        reason=clip(f"{grant.option.profile.name} is {wording(decision)} {taken}{trial}{skipped}"),
        rejected=candidates.rejected_status(decision.rejected),
    )


def rejected(decision: Decision) -> Placement:
    """Status of a decision that found none."""
    return Placement(decided_by=LISTED_ORDER, rejected=candidates.rejected_status(decision.rejected))


def rejected_before(view: RunView) -> Sequence[Rejected]:
    """What the decision before this one rejected."""
    before = view.run.status.placement
    return (before and before.rejected) or ()


def waiting_headline(view: RunView, decision: Decision) -> Headline:
    """Why nothing was chosen: waiting helps, or a person has to act."""
    refused = candidates.refused_reason(decision.rejected, REFUSING)
    if refused is not None:
        return headline.blocked(refused.reason, refused.message)
    first = decision.rejected[0]
    message = f"{first.variant} on {first.accelerator}: {first.message}"
    ended = view.run.status.attempts or []
    if first.reason is Reason.HELD_OFF and ended and reason_of(ended[-1].outcome) in HOLDING:
        return headline.troubled(reason_of(ended[-1].outcome), message)
    return Headline(Reason.QUEUED, message)


def next_look(view: RunView) -> float:
    """Seconds until a hold-off or the wait for a better variant ends, or until everything is looked at again."""
    ends = [clock.seconds_until(hold.until, view.now) for hold in _holds(view)]
    ends.append(view.wait_seconds - (view.now - (view.waiting_since or view.now)).total_seconds())
    return min([view.timing.look_again, *(seconds for seconds in ends if seconds > 0)])
