"""Those that wait for devices, in order, alike ones together.

Of asks for the same thing the first is tried alone: where it gets nothing, none of them does. So the work of serving a
queue grows with the kinds of asks in it and with what is granted, not with its length.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from operator import attrgetter

from tandem.domain.placement.request import Ask, Demand

LOOK_SECONDS = 1.0
"""Waits are known to the second, so who has become the first to wait too long is looked for once a second."""

_order = attrgetter("order")


class Line:
    """Asks by demand, each demand's in order. An object has one ask at most."""

    def __init__(self, asks: Iterable[Ask] = ()) -> None:
        self._asks: dict[str, Ask] = {}
        self._alike: dict[Demand, list[Ask]] = {}
        self._holding: dict[Demand, Ask] = {}
        self._looked: datetime | None = None
        for ask in asks:
            self.put(ask)

    def __len__(self) -> int:
        return len(self._asks)

    def __iter__(self) -> Iterator[Ask]:
        return iter(self._asks.values())

    def get(self, uid: str) -> Ask | None:
        """What the object asks for."""
        return self._asks.get(uid)

    def put(self, ask: Ask) -> None:
        """The ask joins at its place; an earlier one of the same object is forgotten."""
        self.drop(ask.uid)
        self._asks[ask.uid] = ask
        insort(self._alike.setdefault(ask.demand, []), ask, key=_order)
        if self._looked is not None and ask.overdue(self._looked):
            first = self._holding.get(ask.demand)
            if first is None or ask.order < first.order:
                self._holding[ask.demand] = ask

    def drop(self, uid: str) -> Ask | None:
        """The object waits no more. Returns what it asked for."""
        ask = self._asks.pop(uid, None)
        if ask is None:
            return None
        alike = self._alike[ask.demand]
        del alike[bisect_left(alike, ask.order, key=_order)]
        if not alike:
            del self._alike[ask.demand]
        if self._holding.get(ask.demand) is ask:
            del self._holding[ask.demand]
            self._looked = None
        return ask

    def alike(self, demand: Demand) -> Sequence[Ask]:
        """All that ask for this, in order."""
        return self._alike.get(demand, ())

    def kinds(self) -> Collection[Sequence[Ask]]:
        """The asks, those of each demand in order."""
        return self._alike.values()

    def holding(self, now: datetime) -> Collection[Ask]:
        """Of each demand the first that has waited too long. Those like it and behind it hold nothing else back."""
        if self._looked is None or abs(now - self._looked) >= timedelta(seconds=LOOK_SECONDS):
            firsts = (next((ask for ask in asks if ask.overdue(now)), None) for asks in self._alike.values())
            self._holding = {ask.demand: ask for ask in firsts if ask is not None}
            self._looked = now
        return self._holding.values()
