"""The placer: one serial, pure decision over all that wait.

The queue is served in order of age. Each ask tries its candidates in listed order; a grant takes its devices out of what
later asks see. Nobody is preempted. The function depends on its arguments alone, so a decision can be replayed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tandem.domain.placement import rejection
from tandem.domain.placement.fit import Room, Snapshot, room
from tandem.domain.placement.request import Ask, Candidate, Decision, Grant, Option, Rejection

DECIDED_BY = "ListedOrder"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Devices that were granted but whose pods show no node yet."""

    uid: str
    attempt: int
    option: Option
    pods: int
    """Pods without a node."""


Used = dict[tuple[str, str], int]


def place(queue: Sequence[Ask], state: Snapshot, reservations: Sequence[Reservation]) -> Mapping[str, Decision]:
    """A decision for every ask, by the uid of who asks."""
    used = dict(state.used)
    for reservation in reservations:
        _take(state, used, reservation.option, reservation.pods)
    decisions = {}
    for ask in sorted(queue, key=lambda ask: (ask.since, ask.uid)):
        decisions[ask.uid] = _gang(ask, state, used) if ask.replicas is None else _replicas(ask, state, used)
    return decisions


def _gang(ask: Ask, state: Snapshot, used: Used) -> Decision:
    rejected: list[Rejection] = []
    for candidate in ask.candidates:
        for option in _allowed(ask, candidate, rejected):
            if state.pods_known:
                found = room(state, used, option)
                if found.pods < option.pods:
                    rejected.append(rejection.does_not_fit(candidate.variant, option, found))
                    continue
                _take(state, used, option, option.pods)
            return Decision((Grant(candidate.variant, option, option.pods),), tuple(rejected))
    return Decision((), tuple(rejected))


def _replicas(ask: Ask, state: Snapshot, used: Used) -> Decision:
    """Minimums first, then each candidate in listed order as far as it goes."""
    left = ask.replicas or 0
    rejected: list[Rejection] = []
    given: dict[str, Grant] = {}
    for only_minimum in (True, False):
        for candidate in ask.candidates:
            rejections: list[Rejection] = []
            for option in _allowed(ask, candidate, rejections):
                held = given.get(candidate.variant)
                if held is not None and held.option.profile.name != option.profile.name:
                    continue
                most = candidate.minimum if only_minimum else option.pods - (held.pods if held else 0)
                wanted = min(left, most)
                fits = room(state, used, option) if state.pods_known else None
                granted = wanted if fits is None else min(wanted, fits.pods)
                if granted > 0:
                    _take(state, used, option, granted)
                    given[candidate.variant] = Grant(candidate.variant, option, (held.pods if held else 0) + granted)
                    left -= granted
                if fits is not None and granted < wanted:
                    short = replace(option, pods=wanted)
                    rejections.append(rejection.does_not_fit(candidate.variant, short, fits))
                elif granted > 0:
                    break
            if not only_minimum and left > 0:
                rejected.extend(rejections)
    return Decision(tuple(given.values()), tuple(rejected))


def _allowed(ask: Ask, candidate: Candidate, rejected: list[Rejection]) -> list[Option]:
    """The candidate's options that only lack of devices can still exclude; the others' rejections are added."""
    if candidate.held_off is not None:
        rejected.append(rejection.held_off(candidate, candidate.held_off))
        return []
    if not candidate.options:
        rejected.append(rejection.unknown(candidate))
        return []
    allowed = []
    for option in candidate.options:
        distributed = ask.replicas is None and option.pods > 1
        illegal = rejection.illegal_count(candidate.variant, option, distributed=distributed)
        if illegal is None:
            allowed.append(option)
        else:
            rejected.append(illegal)
    return allowed


def _take(state: Snapshot, used: Used, option: Option, pods: int) -> None:
    """Count `pods` of `option` as used, on the fullest nodes first, so that whole nodes stay free for large pods."""
    found: Room = room(state, used, option)
    for node in sorted(found.pods_by_node, key=lambda name: (found.pods_by_node[name], name)):
        taken = min(pods, found.pods_by_node[node])
        if taken:
            place_ = (node, option.resource)
            used[place_] = used.get(place_, 0) + taken * option.devices
            pods -= taken
