"""In which order an ask's options are tried, and which rule decided about the one that was taken.

Forbid and Require exclude. What is left goes by the policy that orders, unless the user says AsListed: first its preferred
accelerators, then those whose wished share would fall short if the devices went elsewhere. Where these say nothing, by the
listed order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import NamedTuple

from tandem.api.placement_policy import PlacementPolicy
from tandem.domain.placement.holders import Held
from tandem.domain.placement.policy import chosen
from tandem.domain.placement.policy_rules import exclusion
from tandem.domain.placement.request import Ask, Candidate, Decision, Grant, Option

LISTED_ORDER = "ListedOrder"
AS_LISTED = "AsListed"
PREFER = "Prefer"
SHARE = "Share"


class Rank(NamedTuple):
    """Why an option stands where it stands: the least goes first, earlier fields before later ones."""

    preferred: int
    share: int
    """Device-percents by which its share would fall short, negative; 0 where it would not."""
    listed: int
    option: int


@dataclass(frozen=True, slots=True)
class Arrangement:
    """An ask's candidates in the order in which they are tried."""

    candidates: tuple[Candidate, ...]
    ranks: Mapping[tuple[str, str], Rank] = field(default_factory=dict)
    """(variant, profile) -> rank, of the options that no policy excludes."""
    excluded: Mapping[tuple[str, str], tuple[Rank, str]] = field(default_factory=dict)
    """The others, with the rule that excludes them."""
    order: PlacementPolicy | None = None
    as_listed: bool = False
    """A policy would order, but the user's own order counts."""
    overruled: tuple[str, ...] = ()
    """Names of policies that would have a say, had not another gone before them."""

    def decided_by(self, grant: Grant) -> str:
        """The rule by which these devices were given rather than others."""
        mine = self.ranks.get((grant.variant, grant.option.profile.name))
        if mine is None:
            return LISTED_ORDER
        before = [(rank, rule) for rank, rule in self.excluded.values() if rank < mine]
        if before:
            return min(before)[1]
        others = sorted(rank for rank in self.ranks.values() if rank != mine)
        # The one that it was preferred to; where it came last, the one after which it was tried.
        other = next((rank for rank in others if rank > mine), others[-1] if others else mine)
        if self.order is not None and not self.as_listed:
            if other.preferred != mine.preferred:
                return f"{PREFER}/{self.order.name}"
            if other.share != mine.share:
                return f"{SHARE}/{self.order.name}"
        return AS_LISTED if self.as_listed else LISTED_ORDER


def wording(decision: Decision) -> str:
    """Of what was chosen: in which order it is the first that fits, and over which policies' heads."""
    rule, _, policy = decision.decided_by.partition("/")
    if not policy:
        return "the first listed that fits"
    over = f" (over {', '.join(decision.overruled)})" if decision.overruled else ""
    if rule in (PREFER, SHARE):
        return f"the first in the order of policy {policy}{over} that fits"
    return f"the first that policy {policy}{over} allows and that fits"


def arranged(ask: Ask, held: Held) -> Arrangement:
    """The ask's candidates, arranged by the policies that reach it. A candidate may come twice, with different options."""
    ruling = held.policies.ruling(ask.kind, ask.namespace)
    if not ruling.reaching:
        return Arrangement(ask.candidates)
    counts = None if ask.as_listed else ruling.order
    ranks: dict[tuple[str, str], Rank] = {}
    excluded: dict[tuple[str, str], tuple[Rank, str]] = {}
    pieces: list[tuple[Rank, Candidate]] = []
    for place, candidate in enumerate(ask.candidates):
        found = [
            (_rank(ask, option, held, counts, place, number), option) for number, option in enumerate(candidate.options)
        ]
        for rank, option in found:
            key, why = (candidate.variant, option.profile.name), exclusion(ruling, option.profile)
            if why is None:
                ranks[key] = rank
            else:
                excluded[key] = rank, why.name
        if candidate.held_off is not None or not found:
            # It is rejected as a whole, and once.
            pieces.append((min((rank for rank, _ in found), default=Rank(0, 0, place, 0)), candidate))
        else:
            pieces += [(rank, replace(candidate, options=(option,))) for rank, option in found]
    pieces.sort(key=lambda piece: piece[0])
    return Arrangement(
        candidates=tuple(_joined(pieces)),
        ranks=ranks,
        excluded=excluded,
        order=ruling.order,
        as_listed=ask.as_listed and ruling.order is not None,
        overruled=tuple(dict.fromkeys(item.loser for item in ruling.overruled)),
    )


def _joined(pieces: list[tuple[Rank, Candidate]]) -> list[Candidate]:
    """Pieces of one candidate in a row as one."""
    joined = []
    for _, row in groupby((candidate for _, candidate in pieces), key=lambda candidate: candidate.variant):
        first, *others = row
        joined.append(
            replace(first, options=(*first.options, *(option for other in others for option in other.options)))
        )
    return joined


def _rank(ask: Ask, option: Option, held: Held, order: PlacementPolicy | None, place: int, number: int) -> Rank:
    if order is None:
        return Rank(0, 0, place, number)
    preferences = order.spec.accelerators if order.spec.mode == "Prefer" else None
    preferred = chosen(preferences, option.profile)
    return Rank(
        preferred=len(preferences or ()) if preferred is None else preferred,
        share=-_shortfall(ask, option, held, order),
        listed=place,
        option=number,
    )


def _shortfall(ask: Ask, option: Option, held: Held, order: PlacementPolicy) -> int:
    """Device-percents that the option's share would lack if the devices went elsewhere."""
    shares = order.spec.shares or []
    place = chosen(shares, option.profile)
    if place is None:
        return 0
    pods = option.pods if ask.replicas is None else min(ask.replicas, option.pods)
    total = sum(held.within(order).values()) + pods * option.devices
    return max(0, shares[place].percent * total - 100 * of_share(held, order, place))


def of_share(held: Held, policy: PlacementPolicy, place: int) -> int:
    """Devices that count for the policy's share at this place: a profile counts for the first that names it."""
    shares, profiles = policy.spec.shares or [], held.policies.profiles
    return sum(
        devices
        for name, devices in held.within(policy).items()
        if name in profiles and chosen(shares, profiles[name]) == place
    )
