"""The placer: one serial, pure decision over all that wait.

The queue is served in order of priority, then of age. Each ask tries its candidates in the order that policies and its own
list say; a grant takes its devices out of what later asks see; pods of others that wait for a node go before those of ours that
are not of higher priority, as with the scheduler. Nobody is preempted. The first gang
that has waited too long for a resource keeps as many nodes as it needs: nobody behind it is given devices there, so that they
gather for it. One that could not be placed were all nodes empty keeps nothing. The functions depend on their arguments alone, so
a decision can be replayed.

The work grows with what is granted, not with what waits or is reserved: of those that ask for the same and get nothing one is
tried, reservations of one shape are taken in one go, and the room found for a shape is known until devices are taken.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import heapify, heappop, heappush

from tandem.domain.observed import Key
from tandem.domain.placement import lack, policy_rules, rejection, rules
from tandem.domain.placement.arrange import LISTED_ORDER, arranged
from tandem.domain.placement.fit import Others, Room, Snapshot, base_room, recounted, room, survey
from tandem.domain.placement.holders import Holder
from tandem.domain.placement.line import Line
from tandem.domain.placement.request import Ask, Decision, Demand, Grant, Option, Rejection


@dataclass(frozen=True, slots=True)
class Reservation:
    """Devices that were granted but whose pods show no node yet."""

    uid: str
    attempt: int
    option: Option
    pods: int
    """Pods without a node."""
    owner: Key | None = None
    """Whose they are; policies count the devices for it."""


@dataclass(slots=True)
class _Board:
    """Devices as they are while decisions are made."""

    state: Snapshot
    """`held` in it is as it is at this point, too."""
    used: dict[tuple[str, str], int]
    now: datetime
    kept: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """(node, resource) -> since when somebody waits for devices there that nobody behind may take."""
    others: list[tuple[Others, int]] = field(default_factory=list)
    """Pods of others that wait for a node, the highest priority last."""
    promised: dict[tuple[str, str], int] = field(default_factory=dict)
    """Of the devices in use: those that pods of others will get."""
    _found: dict[Hashable, tuple[Option | Others, Room]] = field(default_factory=dict)
    _touched: dict[str, set[str]] = field(default_factory=dict)
    """Resource -> nodes on which other devices of it are used than in `state`."""

    def room(self, option: Option | Others) -> Room:
        """Where pods of `option` fit now."""
        found = self._found.get(option.shape)
        if found is None:
            found = self._found[option.shape] = option, self._counted(option)
        return found[1]

    def _counted(self, option: Option | Others) -> Room:
        if self.kept:
            return room(self.state, self.used, option, self.kept, self.promised)
        resource = option.resource
        used = {
            node: (self.state.used.get((node, resource), 0), self.used[node, resource])
            for node in self._touched.get(resource, ())
        }
        return recounted(base_room(self.state, option), survey(self.state, option).open, used, self.promised)

    def take(self, option: Option | Others, pods: int) -> None:
        """Count `pods` of `option` as used, on the fullest nodes first, so that whole nodes stay free for large pods."""
        resource = option.resource
        used: dict[str, tuple[int, int]] = {}
        promised: dict[tuple[str, str], int] = {}
        for left, node in sorted((left, node) for node, left in self.room(option).pods_by_node.items() if left):
            taken = min(pods, left)
            place_ = (node, resource)
            before = self.used.get(place_, 0)
            used[node] = before, before + taken * option.devices
            self.used[place_] = used[node][1]
            if isinstance(option, Others):
                promised[place_] = taken * option.devices
                self.promised[place_] = self.promised.get(place_, 0) + promised[place_]
            pods -= taken
            if not pods:
                break
        self._touched.setdefault(resource, set()).update(used)
        # Options of other shapes may ask for the same resource.
        for shape, (other, found) in self._found.items():
            if other.resource == resource:
                self._found[shape] = other, recounted(found, survey(self.state, other).open, used, promised)

    def let_pass(self, priority: int) -> None:
        """Pods of others of this priority or a higher one get their devices before whoever of ours is next."""
        while self.others and self.others[-1][0].wait.priority >= priority:
            self.take(*self.others.pop())

    def give(self, ask: Ask, option: Option, pods: int) -> None:
        """Count `pods` of `option` as used, for who asks."""
        if self.state.pods_known:
            self.take(option, pods)
        self.state.held.add(Holder(ask.kind, ask.namespace, option.profile.name), pods * option.devices)

    def keep(self, option: Option, since: datetime) -> None:
        """Nobody is given devices any more on as many nodes as `option` needs, if there are so many: those with the most free
        devices, which then only become more. One gang at a time keeps devices of a resource; the next follows once it is placed.
        """
        resource, devices = option.resource, survey(self.state, option).open
        if any(name == resource for _, name in self.kept):
            return
        left, enough = option.pods, {}
        for node in sorted(devices, key=lambda name: (self.used.get((name, resource), 0) - devices[name], name)):
            pods = devices[node] // option.devices
            if pods:
                enough[node, resource] = since
                left -= pods
            if left <= 0:
                self.kept.update(enough)
                self._found.clear()
                return


@dataclass(frozen=True, slots=True)
class Answers:
    """What is decided about a queue."""

    given: Mapping[str, Decision]
    """By the uid of who asks, for those that get something."""
    refused: Mapping[Demand, Decision]
    """For all others: the decision about the first that asked for this."""

    def of(self, ask: Ask) -> Decision:
        """The decision about one of them."""
        given = self.given.get(ask.uid)
        return given if given is not None else self.refused[ask.demand]


def place(
    queue: Sequence[Ask], state: Snapshot, reservations: Sequence[Reservation], now: datetime
) -> Mapping[str, Decision]:
    """A decision for every ask, by the uid of who asks."""
    answers = serve(Line(queue), state, reservations, now)
    return {ask.uid: answers.of(ask) for ask in queue}


def serve(line: Line, state: Snapshot, reservations: Sequence[Reservation], now: datetime) -> Answers:
    """Decisions about all that wait in line."""
    board = _board(state, reservations, now)
    given: dict[str, Decision] = {}
    refused: dict[Demand, Decision] = {}
    heads = [(asks[0].order, 0, asks) for asks in line.kinds()]
    heapify(heads)
    while heads:
        _, index, asks = heappop(heads)
        ask = asks[index]
        board.let_pass(ask.priority)
        decision = _gang(ask, board) if ask.replicas is None else _replicas(ask, board)
        if decision.grants:
            given[ask.uid] = decision
            index += 1
        else:
            refused.setdefault(ask.demand, decision)
            index = len(asks) if ask.overdue(now) else _next_overdue(asks, index + 1, now)
        if index < len(asks):
            heappush(heads, (asks[index].order, index, asks))
    return Answers(given, refused)


def rooms(
    options: Iterable[Option], priority: int, state: Snapshot, reservations: Sequence[Reservation], now: datetime
) -> list[Room]:
    """What each option, alone, would find for pods of this priority, were they the first in the queue."""
    board = _board(state, reservations, now)
    board.let_pass(priority)
    return [board.room(option) for option in options]


def _board(state: Snapshot, reservations: Sequence[Reservation], now: datetime) -> _Board:
    """Devices before the first decision."""
    held = state.held.under(state.held.policies)
    others = sorted(state.waiting.items(), key=_turn) if state.pods_known else []
    board = _Board(replace(state, held=held), dict(state.used), now, others=others)
    for item in reservations:
        if item.owner is not None:
            holder = Holder(item.owner.kind, item.owner.namespace, item.option.profile.name)
            held.add(holder, item.pods * item.option.devices)
    for option, pods in _together(reservations):
        board.take(option, pods)
    return board


def _turn(waiting: tuple[Others, int]) -> tuple[int, int, str, tuple[tuple[str, str], ...]]:
    """Pods of others in the order in which they get devices, the first last; of one priority the larger first."""
    others, _ = waiting
    return others.wait.priority, others.devices, others.resource, others.wait.node_selector


def _next_overdue(asks: Sequence[Ask], start: int, now: datetime) -> int:
    """Where among those that get nothing stands the first that keeps devices from others; their number where none does."""
    return next((index for index in range(start, len(asks)) if asks[index].overdue(now)), len(asks))


def may_fit(ask: Ask, state: Snapshot) -> bool:
    """Whether nothing but devices decides about the ask."""
    return any(rules.allowed(ask, candidate, state)[0] for candidate in ask.candidates)


def _together(reservations: Iterable[Reservation]) -> Iterable[tuple[Option, int]]:
    """Reservations of one shape added up, the largest pods first: they find the fewest places."""
    alike: dict[Hashable, tuple[Option, int]] = {}
    for item in reservations:
        option, pods = alike.get(item.option.shape, (item.option, 0))
        alike[option.shape] = option, pods + item.pods
    return sorted(alike.values(), key=lambda item: -item[0].devices)


def _gang(ask: Ask, board: _Board) -> Decision:
    rejected: list[Rejection] = []
    lacking: list[Option] = []
    tried_from = ask.tried_from(board.now)
    ahead = None
    order = arranged(ask, board.state.held)
    for candidate in order.candidates:
        if ahead is not None and tried_from is not None and board.now < tried_from:
            rejected.append(rejection.next_in_line(candidate, ahead, tried_from))
            continue
        options, refused = rules.allowed(ask, candidate, board.state)
        rejected += refused
        for option in options:
            found = board.room(option)
            trial: str | None = ""
            if found.pods < option.pods or not board.state.pods_known:
                trial = lack.by_trial(option, board.state)
            if trial is None:
                rejected.append(lack.explain(candidate.variant, option, board.state, board.used, found))
                lacking.append(option)
                ahead = ahead or candidate.variant
                continue
            board.give(ask, option, option.pods)
            grant = Grant(candidate.variant, option, option.pods, trial)
            return Decision((grant,), tuple(rejected), order.decided_by(grant), order.overruled)
    overdue = ask.overdue(board.now)
    if overdue is not None:
        for option in lacking:
            board.keep(option, overdue)
    return Decision((), tuple(rejected))


def _replicas(ask: Ask, board: _Board) -> Decision:
    """Minimums first, then each candidate in order as far as it goes."""
    left = ask.replicas or 0
    rejected: list[Rejection] = []
    given: dict[str, Grant] = {}
    order = arranged(ask, board.state.held)
    for only_minimum in (True, False):
        for candidate in order.candidates:
            options, rejections = rules.allowed(ask, candidate, board.state)
            for option in options:
                held = given.get(candidate.variant)
                if held is not None and held.option.profile.name != option.profile.name:
                    continue
                most = candidate.minimum if only_minimum else option.pods - (held.pods if held else 0)
                wanted = min(left, most)
                found = board.room(option)
                within = policy_rules.within_caps(ask, option, wanted, board.state.held)
                trial = None
                if found.pods < within or not board.state.pods_known:
                    trial = lack.by_trial(option, board.state)
                granted = min(within, found.pods) if trial is None else within
                if within < wanted and granted == within:
                    rejections.append(
                        policy_rules.short_by_cap(ask, candidate.variant, option, board.state.held, wanted)
                    )
                if granted < within:
                    short = replace(option, pods=wanted)
                    rejections.append(lack.explain(candidate.variant, short, board.state, board.used, found))
                if granted > 0:
                    board.give(ask, option, granted)
                    pods = (held.pods if held else 0) + granted
                    given[candidate.variant] = Grant(candidate.variant, option, pods, trial or "")
                    left -= granted
                    if granted == within:
                        break
            if not only_minimum and left > 0:
                rejected.extend(rejections)
    grants = tuple(given.values())
    return Decision(grants, tuple(rejected), order.decided_by(grants[0]) if grants else LISTED_ORDER, order.overruled)
