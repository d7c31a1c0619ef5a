"""What a decision asks for: writes in a fixed order, and when to look again.

A plan carries either an intent (a status that is written first, guarded by resourceVersion, and acted on in the same
pass) or a status that is written after the actions. The order makes a crash between any two writes harmless: whoever
comes next reads the intent and goes on.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from tandem.api.reasons import Reason
from tandem.domain.placement.request import Ask, Grant


class Resource(StrEnum):
    """Kinds of children, by the plural that stands in API paths."""

    POD = "pods"
    SERVICE = "services"
    DEPLOYMENT = "deployments"
    BUDGET = "poddisruptionbudgets"
    POD_GROUP = "podgroups"


@dataclass(frozen=True, slots=True)
class Child:
    """An object to be made, complete."""

    resource: Resource
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        """metadata.name"""
        return str(self.body["metadata"]["name"])


@dataclass(frozen=True, slots=True)
class Replace:
    """A whole new body for an object of ours; refused when it changed or is another one by now."""

    child: Child
    uid: str
    resource_version: int

    @property
    def name(self) -> str:
        """metadata.name"""
        return self.child.name


@dataclass(frozen=True, slots=True)
class Scale:
    """spec.replicas of a Deployment, nothing else; refused when the Deployment changed meanwhile."""

    name: str
    uid: str
    resource_version: int
    replicas: int


@dataclass(frozen=True, slots=True)
class Delete:
    """An object to be deleted, only if it is still the one that was observed."""

    resource: Resource
    name: str
    uid: str
    resource_version: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell people in `kubectl describe`."""

    reason: str
    message: str
    warning: bool = False


class ProblemKind(StrEnum):
    """How the API server answered a write."""

    NAME_CONFLICT = "NameConflict"
    """The name belongs to somebody else."""
    REFUSED = "Refused"
    """403 or 422: the same request will be refused again."""
    TRANSIENT = "Transient"
    """Timeouts, 409, 429, 5xx: the same request may succeed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A write that failed, fed back into the next plan of the same pass."""

    kind: ProblemKind
    name: str
    message: str
    retry_after: float = 0.0
    """Seconds for which the server asked to be left alone."""


WRITES = ("create", "replace", "apply", "scale", "delete")
"""Fields of a plan that hold writes to children; whatever stands in one has a name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The outcome of one decision. Empty when there is nothing to do."""

    status: Mapping[str, Any] | None = None
    """The whole status that should stand; None leaves it alone."""
    intent: bool = False
    """Write `status` first and only go on if it was accepted."""
    create: tuple[Child, ...] = ()
    """Made if absent. A failure of one kind of resource stops the kinds after it."""
    replace: tuple[Replace, ...] = ()
    apply: tuple[Replace, ...] = ()
    """Bodies whose fields are set again; what others have added stays."""
    scale: tuple[Scale, ...] = ()
    delete: tuple[Delete, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: float | None = None
    ask: Ask | None = None
    """Set when a placement decision is needed first: plan again with the answer."""
    standing: tuple[Grant, ...] | None = None
    """Set when an object that stays gives devices back: what it still holds."""
    release: bool = False
    """Devices reserved for this object are no longer needed."""
    reason: Reason = Reason.UNKNOWN
    """Reason of Ready, for the log line of this decision."""

    @property
    def acts(self) -> bool:
        """Whether anything but the status is written."""
        return any(getattr(self, kind) for kind in WRITES)

    def without(self, names: Set[str]) -> "Plan":
        """The plan without writes to the children of these names."""
        if not names:
            return self
        left: dict[str, Any] = {
            kind: tuple(item for item in getattr(self, kind) if item.name not in names) for kind in WRITES
        }
        return replace(self, **left)
