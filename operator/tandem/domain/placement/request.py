"""What is asked of the placer and what it answers."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.reasons import Reason
from tandem.api.scheduling import Toleration


@dataclass(frozen=True)
class Option:
    """One profile that a candidate may use, with all that decides on which nodes its pods can run."""

    profile: AcceleratorProfile
    pods: int
    """Pods that must all fit: the gang; or the most replicas that may be added."""
    devices: int
    """Devices of each pod."""
    node_selector: Mapping[str, str]
    tolerations: tuple[Toleration, ...]

    @property
    def resource(self) -> str:
        """Extended resource that the pods ask for."""
        return self.profile.spec.allocation.extended_resource.name

    @cached_property
    def shape(self) -> tuple[Hashable, ...]:
        """All that decides where one of its pods fits; options of one shape compete for the same places."""
        spec = self.profile.spec
        return (
            self.resource,
            self.devices,
            spec.architecture,
            spec.exclude_nodes and spec.exclude_nodes.signs,
            spec.health and spec.health.signs,
            tuple(sorted(spec.node_selector.items())),
            tuple(sorted(self.node_selector.items())),
            self.tolerations,
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """One variant of the object, with the profiles that match what it asks for."""

    variant: str
    wants: str
    """The accelerator in words, for messages."""
    options: tuple[Option, ...]
    held_off: str | None = None
    """Set while the variant is not to be tried: until when, and why."""
    minimum: int = 0
    """Replicas that it still lacks of its minReplicas."""


@dataclass(frozen=True)
class Demand:
    """All of an ask that decides whether it gets anything: as long as devices only become fewer, asks of one demand are
    refused alike."""

    kind: str
    namespace: str
    candidates: tuple[Candidate, ...]
    as_listed: bool
    replicas: int | None
    patience: float
    waits_since: datetime | None
    """None where it has no patience, so that its wait does not matter."""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Of what is cheap and tells most demands apart."""
        return hash(
            tuple(
                (
                    item.variant,
                    item.held_off,
                    *((choice.profile.name, choice.pods, choice.devices) for choice in item.options),
                )
                for item in self.candidates
            )
        )


@dataclass(frozen=True)
class Ask:
    """A request for devices. A gang takes all or nothing of one candidate; replicas are spread over candidates."""

    uid: str
    """Object that asks."""
    kind: str
    """TrainingRun or InferenceService."""
    namespace: str
    name: str
    attempt: int
    """Attempt that is to be made; 0 for replicas."""
    since: datetime
    """Creation of the object: of those of one priority the older goes first."""
    candidates: tuple[Candidate, ...]
    """As the user lists them."""
    as_listed: bool = False
    """The user's order goes before what policies prefer."""
    priority: int = 0
    """Of its pods: the higher goes first."""
    replicas: int | None = None
    """Replicas wanted in addition; None for a gang."""
    standing: tuple["Grant", ...] = ()
    """What earlier decisions gave it and status records; whatever else was granted came to nothing."""

    waits_since: datetime | None = None
    """Since when it has been without devices, by its status; None before the first answer."""
    starves_after: float | None = None
    """Seconds of waiting after which it holds back those behind it; None: never."""
    patience: float = 0
    """Seconds of waiting for which a candidate that lacks devices keeps those behind it from being tried."""
    hold: float = 0
    """Seconds that its pods may take to be bound: so long, at least, what it is granted stays reserved."""

    def overdue(self, now: datetime) -> datetime | None:
        """Since when it waits, where that is so long that nobody behind it may take what it could use."""
        since, limit = self.waits_since, self.starves_after
        return since if since is not None and limit is not None and (now - since).total_seconds() >= limit else None

    def tried_from(self, now: datetime) -> datetime | None:
        """When candidates behind one that lacks devices are tried; None: at once."""
        return (self.waits_since or now) + timedelta(seconds=self.patience) if self.patience else None

    @cached_property
    def demand(self) -> Demand:
        """What it has in common with others that are refused when it is."""
        since = self.waits_since if self.patience else None
        return Demand(self.kind, self.namespace, self.candidates, self.as_listed, self.replicas, self.patience, since)

    @cached_property
    def order(self) -> tuple[int, datetime, str]:
        """Its place in the queue: the least goes first."""
        return -self.priority, self.since, self.uid


@dataclass(frozen=True, slots=True)
class Rejection:
    """A candidate that is not taken, and why."""

    variant: str
    accelerator: str
    reason: Reason
    message: str
    passing: bool = False
    """Waiting may help, though others of this reason need a person."""
    too_small: bool = False
    """Not even empty nodes would do; it is told as NeverFits once that has lasted."""
    too_small_since: str | None = None
    """Since when, as status has it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Devices given: so many pods of a variant on a profile."""

    variant: str
    option: Option
    pods: int
    trial: str = ""
    """Why it is not known whether the pods fit; empty where they do."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to an Ask: grants (none, one, or for replicas several) and the rejected candidates."""

    grants: tuple[Grant, ...]
    rejected: tuple[Rejection, ...]
    decided_by: str = "ListedOrder"
    """The rule by which the first grant was chosen, with the policy's name where it is a policy's."""
    overruled: tuple[str, ...] = ()
    """Policies that would have had a say, had not another gone before them."""

    @property
    def grant(self) -> Grant | None:
        """The gang's grant."""
        return self.grants[0] if self.grants else None
