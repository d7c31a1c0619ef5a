"""Fault plans: one fault at one place of a story, and all places there are.

A plan's id says all about it: STORY/ACTION/PLACE. For a write the place is its name in the log of a run without faults
(`traffic.label`); for a watch it is the resource and the event at which it breaks; for the Lease, the write after which it does.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

CLEAN = "clean"
CRASHES = ("crash-before", "crash-after")
ANSWERS = {"409": 409, "429": 429, "500": 500}
"""Answered instead of asking the API server."""
WRITE_ACTIONS = (*CRASHES, "drop-reply", "drop-request", *ANSWERS, "exists", "gone", "poison")
"""crash-before: SIGKILL instead of the write. crash-after: SIGKILL once it is done, before its answer. drop-reply: done, and
the connection breaks. drop-request: the connection breaks before. 429: twice, as the client repeats the first by itself. exists:
done, and the answer is AlreadyExists, as a load balancer that repeats requests brings it about, with a watch that is late. gone:
the user deletes the object first. poison: from here on every write for the object gets 500, until another object has come up.
"""
WATCH_ACTIONS = ("cut", "silent", "410", "stale", "duplicate")
"""cut: the connection breaks before the event. silent: it stays open and nothing comes any more. 410: the version is too old, until
there was a new list. stale: this and all later events come late. duplicate: each comes twice."""
LEASE_LOST = ("lease-silent", "lease-taken")
LEASE_ACTIONS = ("lease-409", "lease-500", "lease-unheard", *LEASE_LOST)
"""What happens to the Lease, by which one of several replicas acts, from the first renewal after a write on. lease-409, lease-500:
the renewal is answered so. lease-unheard: it is done, and its answer gets lost. lease-silent: no request for the Lease is answered any
more, until the process has ended. lease-taken: another replica has taken it."""
ACTIONS = (*WRITE_ACTIONS, *WATCH_ACTIONS, *LEASE_ACTIONS)

RETRY_AFTER = 2
"""Seconds; long enough to be told from the operator's own first pause."""
STALE_SECONDS = 1.0

HASTE = {"TANDEM_WATCH_SILENCE": "2", "TANDEM_RESYNC_SECONDS": "2"}
"""Silence is found out by time, so for these plans it is short; all others must do without the safety net."""
LEASE_SECONDS = 2.0
LEASE_NAME = "tandem-faults"
WITH_LEASE = {
    "TANDEM_LEASE_NAMESPACE": "default",
    "TANDEM_LEASE_NAME": LEASE_NAME,
    "TANDEM_LEASE_SECONDS": str(LEASE_SECONDS),
    "TANDEM_LEASE_RENEW_SECONDS": "1.2",
    "TANDEM_LEASE_RETRY_SECONDS": "0.3",
}
"""A Lease that is lost, and free for the next life, within a story."""


@dataclass(frozen=True, order=True)
class Plan:
    """One fault. `place` is a write's name, or RESOURCE.EVENT#N of a watch."""

    story: str
    action: str = CLEAN
    place: str = ""

    @property
    def id(self) -> str:
        """For the command line."""
        return "/".join(part for part in (self.story, self.action, self.place) if part)

    @property
    def on_watch(self) -> bool:
        """Whether a watch breaks, and no write."""
        return self.action in WATCH_ACTIONS

    @property
    def on_lease(self) -> bool:
        """Whether the operator acts by a Lease, which breaks."""
        return self.action in LEASE_ACTIONS

    @property
    def environment(self) -> Mapping[str, str]:
        """Settings of the operator beyond the usual ones."""
        if self.on_lease:
            return WITH_LEASE
        return HASTE if self.action == "silent" else {}

    @property
    def kind(self) -> tuple[str, str]:
        """What it is counted under."""
        return (self.story, self.action)


@dataclass(frozen=True)
class Places:
    """Where a story can break, from runs without faults."""

    writes: Sequence[str] = ()
    events: Sequence[str] = ()


def parse(text: str) -> Plan:
    """The plan of an id. Raises ValueError."""
    story, action, place = (*text.split("/", 2), "", "")[:3]
    if action not in (CLEAN, *ACTIONS) and action:
        raise ValueError(f"{text}: no such action; there are {', '.join(ACTIONS)}")
    return Plan(story, action or CLEAN, place)


def enumerate_plans(story: str, places: Places) -> list[Plan]:
    """Every fault at every place of a story."""
    plans = [
        Plan(story, action, place) for action in WRITE_ACTIONS for place in places.writes if _makes_sense(action, place)
    ]
    plans += [Plan(story, action, place) for action in WATCH_ACTIONS for place in places.events]
    # A gang is half made then, and enough of the story is left to see who goes on with it.
    pods = [place for place in places.writes if place.startswith("create.pods.")]
    plans += [Plan(story, action, place) for action in LEASE_ACTIONS for place in pods]
    return sorted(plans)


def shuffled(plans: Iterable[Plan]) -> list[Plan]:
    """In an order that has nothing to do with what they are, the same for the same ones."""
    return sorted(plans, key=lambda plan: hashlib.sha256(plan.id.encode()).hexdigest())


def sample(plans: Iterable[Plan], per_kind: int) -> list[Plan]:
    """A few of each kind, the same ones whenever the list is the same, and mostly the same when it grows."""
    kinds: dict[tuple[str, str], list[Plan]] = {}
    for plan in shuffled(plans):
        kinds.setdefault(plan.kind, []).append(plan)
    return sorted(plan for found in kinds.values() for plan in found[:per_kind])


def _makes_sense(action: str, place: str) -> bool:
    if action == "exists":
        return place.startswith("create.")
    if action == "poison":
        return place.endswith("#1") and (".status." in place or place.startswith("create."))
    return True
