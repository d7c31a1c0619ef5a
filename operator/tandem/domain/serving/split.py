"""How many replicas each variant gets: kept as they are, shrunk from the least preferred, grown in listed order.

Replicas never move once they are placed; only what is missing is asked for.
"""

from dataclasses import replace

from tandem.domain.placement import candidates
from tandem.domain.placement.request import Ask, Candidate, Decision
from tandem.domain.serving.reservation import outstanding
from tandem.domain.serving.shares import Share, Shares
from tandem.domain.serving.view import ServiceView
from tandem.domain.variants import Variant, by_name

NO_BOUND = 1000
"""The schema's own upper bound of replicas."""


def recorded(view: ServiceView) -> Shares:
    """What was decided before: from status, or after a restore without status from the Deployments."""
    if view.service.status.variants is not None:
        return {
            item.name: Share(item.accelerator, item.replicas)
            for item in view.service.status.variants
            if item.accelerator is not None and item.replicas > 0
        }
    return {
        name: Share(record.accelerator, record.wanted) for name, record in view.deployments.items() if record.wanted > 0
    }


def kept(view: ServiceView) -> Shares:
    """What of that still stands under the spec, in listed order."""
    before = recorded(view)
    shares: Shares = {}
    for variant in view.variants:
        share = before.get(variant.name)
        if share is not None and _still_asked_for(view, variant, share):
            shares[variant.name] = _bounded(share, variant)
    return _shrunk(shares, view)


def fewer(view: ServiceView) -> Shares:
    """What was decided before, less what the spec no longer allows in number: all that can be told of a spec that cannot
    be rendered. Where the spec's variants went elsewhere or away, what runs is left."""
    before = recorded(view)
    shares: Shares = {}
    for variant in view.variants:
        share = before.pop(variant.name, None)
        if share is not None:
            shares[variant.name] = _bounded(share, variant)
    return _shrunk({**shares, **before}, view)


def lacking(view: ServiceView, shares: Shares) -> int:
    """Replicas that are asked for and have no place."""
    return view.service.spec.replicas - sum(share.replicas for share in shares.values())


def ask(view: ServiceView, shares: Shares) -> Ask:
    """The replicas that are missing, on any variant that may take more."""
    return Ask(
        uid=view.service.uid,
        kind="InferenceService",
        namespace=view.service.namespace,
        name=view.service.name,
        attempt=0,
        since=view.created,
        priority=view.priority,
        candidates=tuple(_candidate(view, variant, shares.get(variant.name)) for variant in view.variants),
        as_listed=view.service.spec.placement is not None and view.service.spec.placement.order == "AsListed",
        replicas=lacking(view, shares),
        standing=outstanding(view, shares),
    )


def grown(shares: Shares, decision: Decision) -> Shares:
    """The shares with what was granted."""
    result = dict(shares)
    for grant in decision.grants:
        held = result.get(grant.variant)
        result[grant.variant] = Share(grant.option.profile.name, (held.replicas if held else 0) + grant.pods)
    return result


def _bounded(share: Share, variant: Variant) -> Share:
    return replace(
        share, replicas=min(share.replicas, NO_BOUND if variant.max_replicas is None else variant.max_replicas)
    )


def _candidate(view: ServiceView, variant: Variant, share: Share | None) -> Candidate:
    held = share.replicas if share else 0
    bound = NO_BOUND if variant.max_replicas is None else variant.max_replicas
    profiles = variant.matching(view.profiles)
    if share is not None:
        profiles = tuple(profile for profile in profiles if profile.name == share.accelerator)
    return candidates.candidate(
        variant,
        profiles,
        (),
        view.now,
        pods=max(0, bound - held),
        minimum=max(0, min(variant.min_replicas, bound) - held),
    )


def _still_asked_for(view: ServiceView, variant: Variant, share: Share) -> bool:
    """A profile that vanished leaves its replicas alone; one that the variant no longer names does not."""
    if share.accelerator not in view.profiles:
        return variant.choice.accelerator in (None, share.accelerator)
    return any(profile.name == share.accelerator for profile in variant.matching(view.profiles))


def _shrunk(shares: Shares, view: ServiceView) -> Shares:
    """Too many replicas are taken from the last listed variant first: those above its minimum, then the rest."""
    surplus = -lacking(view, shares)
    for respect_minimum in (True, False):
        for name in reversed(shares):
            variant = by_name(view.variants, name)
            floor = variant.min_replicas if variant is not None and respect_minimum else 0
            taken = min(max(0, surplus), max(0, shares[name].replicas - floor))
            shares[name] = replace(shares[name], replicas=shares[name].replicas - taken)
            surplus -= taken
    return {name: share for name, share in shares.items() if share.replicas > 0}
