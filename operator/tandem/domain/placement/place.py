"""The placer: one serial, pure decision over all that wait.

The queue is served in order of priority, then of age. Each ask tries its candidates in listed order; a grant takes its devices out of what
later asks see. Nobody is preempted. The function depends on its arguments alone, so a decision can be replayed.

Its work grows with what is granted, not with what waits or is reserved: reservations of one shape in a row are taken in one
go, and the room found for a shape is known until devices are taken.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from tandem.domain.placement import rejection, rules
from tandem.domain.placement.fit import Room, Snapshot, room
from tandem.domain.placement.request import Ask, Decision, Grant, Option, Rejection

DECIDED_BY = "ListedOrder"


@dataclass(frozen=True, slots=True)
class Reservation:
    """Devices that were granted but whose pods show no node yet."""

    uid: str
    attempt: int
    option: Option
    pods: int
    """Pods without a node."""


@dataclass(slots=True)
class _Board:
    """Devices as they are while decisions are made."""

    state: Snapshot
    used: dict[tuple[str, str], int]
    _found: dict[Hashable, Room] = field(default_factory=dict)

    def room(self, option: Option) -> Room:
        """Where pods of `option` fit now."""
        found = self._found.get(option.shape)
        if found is None:
            found = self._found[option.shape] = room(self.state, self.used, option)
        return found

    def take(self, option: Option, pods: int) -> None:
        """Count `pods` of `option` as used, on the fullest nodes first, so that whole nodes stay free for large pods."""
        left = self.room(option).pods_by_node
        for node in sorted(left, key=lambda name: (left[name], name)):
            taken = min(pods, left[node])
            if taken:
                place_ = (node, option.resource)
                self.used[place_] = self.used.get(place_, 0) + taken * option.devices
                pods -= taken
                if not pods:
                    break
        # Options of other shapes may ask for the same resource.
        self._found.clear()


def place(queue: Sequence[Ask], state: Snapshot, reservations: Sequence[Reservation]) -> Mapping[str, Decision]:
    """A decision for every ask, by the uid of who asks."""
    board = _Board(state, dict(state.used))
    for option, pods in _together(reservations):
        board.take(option, pods)
    decisions = {}
    for ask in sorted(queue, key=lambda ask: ask.order):
        decisions[ask.uid] = _gang(ask, board) if ask.replicas is None else _replicas(ask, board)
    return decisions


def may_fit(ask: Ask, state: Snapshot) -> bool:
    """Whether nothing but devices decides about the ask."""
    return any(rules.allowed(ask, candidate, state)[0] for candidate in ask.candidates)


def _together(reservations: Iterable[Reservation]) -> Iterable[tuple[Option, int]]:
    """Reservations in their order, those of one shape in a row added up: after the first has been taken, the node that it
    left partly filled is the fullest, so the next goes on there, as the sum does."""
    for _, alike in groupby(reservations, key=lambda item: item.option.shape):
        row = list(alike)
        yield row[0].option, sum(item.pods for item in row)


def _gang(ask: Ask, board: _Board) -> Decision:
    rejected: list[Rejection] = []
    for candidate in ask.candidates:
        options, refused = rules.allowed(ask, candidate, board.state)
        rejected += refused
        for option in options:
            if board.state.pods_known:
                found = board.room(option)
                if found.pods < option.pods:
                    rejected.append(rejection.does_not_fit(candidate.variant, option, found))
                    continue
                board.take(option, option.pods)
            return Decision((Grant(candidate.variant, option, option.pods),), tuple(rejected))
    return Decision((), tuple(rejected))


def _replicas(ask: Ask, board: _Board) -> Decision:
    """Minimums first, then each candidate in listed order as far as it goes."""
    left = ask.replicas or 0
    rejected: list[Rejection] = []
    given: dict[str, Grant] = {}
    for only_minimum in (True, False):
        for candidate in ask.candidates:
            options, rejections = rules.allowed(ask, candidate, board.state)
            for option in options:
                held = given.get(candidate.variant)
                if held is not None and held.option.profile.name != option.profile.name:
                    continue
                most = candidate.minimum if only_minimum else option.pods - (held.pods if held else 0)
                wanted = min(left, most)
                fits = board.room(option) if board.state.pods_known else None
                granted = wanted if fits is None else min(wanted, fits.pods)
                if granted > 0:
                    board.take(option, granted)
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
