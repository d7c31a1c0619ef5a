"""All that a decision about a TrainingRun may look at."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.training_run import ActiveAttempt, TrainingRun
from tandem.domain import clock, naming
from tandem.domain.observed import Children, GroupRecord, NamespaceRecord, NodeRecord, OwnPod
from tandem.domain.served import NOTHING, Served
from tandem.domain.timing import Timing
from tandem.domain.training import ranges
from tandem.domain.variants import Variant, by_name, training_variants


@dataclass(frozen=True)
class RunView:
    """One run, its children and the cluster around it, at one moment."""

    run: TrainingRun
    created: datetime
    now: datetime
    timing: Timing
    children: Children
    claims: Set[str]
    """Names of the PersistentVolumeClaims in its namespace."""
    profiles: Mapping[str, AcceleratorProfile]
    namespace: NamespaceRecord
    nodes: Mapping[str, NodeRecord] = field(default_factory=dict)
    priority: int = 0
    """Of its pods: the higher goes first."""
    served: Served = NOTHING
    jitter: float = 0.0
    """In [0, 1): spreads pauses, so that held-off runs do not return all at once."""

    @cached_property
    def pods(self) -> tuple[OwnPod, ...]:
        """Pods that really are the run's, in order: owned by its uid and named after their attempt and rank.

        A forged pod with the right labels and a wrong name is nobody's rank.
        """
        own = (
            pod
            for pod in self.children.pods
            if pod.owner_uid == self.run.uid and pod.name == naming.pod(self.run.name, pod.attempt, pod.rank)
        )
        return tuple(sorted(own, key=lambda pod: (pod.attempt, pod.rank)))

    @cached_property
    def _gangs(self) -> Mapping[int, Mapping[int, OwnPod]]:
        gangs: dict[int, dict[int, OwnPod]] = {}
        for pod in self.pods:
            gangs.setdefault(pod.attempt, {})[pod.rank] = pod
        return gangs

    def gang(self, attempt: int) -> Mapping[int, OwnPod]:
        """Rank -> pod of one attempt."""
        return self._gangs.get(attempt, {})

    @property
    def groups(self) -> tuple[GroupRecord, ...]:
        """PodGroups of its attempts."""
        named = ((naming.pod_group(self.run.name, group.attempt), group) for group in self.children.groups.values())
        return tuple(group for name, group in named if group.name == name)

    def group(self, attempt: int) -> GroupRecord | None:
        """PodGroup of one attempt."""
        return next((group for group in self.groups if group.attempt == attempt), None)

    @cached_property
    def newest_attempt(self) -> int:
        """Number of the newest attempt: status or pods, whichever knows more."""
        return max([self.run.status.attempt, *(pod.attempt for pod in self.pods)])

    @property
    def bind_seconds(self) -> float:
        """From the last pod's creation until all pods must have a node."""
        asked = self.run.spec.placement and self.run.spec.placement.bind_seconds
        return asked or self.timing.bind

    def bind_seconds_on(self, accelerator: str) -> float:
        """The same on a profile, whose autoscaler may have to add nodes first."""
        profile = self.profiles.get(accelerator)
        asked = self.run.spec.placement and self.run.spec.placement.bind_seconds
        if asked or profile is None or profile.spec.provisioning != "Autoscaled":
            return self.bind_seconds
        return max(self.bind_seconds, self.timing.provision)

    @property
    def as_listed(self) -> bool:
        """Whether the user's order of variants goes before what policies prefer."""
        return self.run.spec.placement is not None and self.run.spec.placement.order == "AsListed"

    @property
    def wait_seconds(self) -> float:
        """How long a variant that lacks devices keeps those after it from being tried."""
        return float((self.run.spec.placement and self.run.spec.placement.wait_seconds) or 0)

    @property
    def waiting_since(self) -> datetime | None:
        """Since when no devices are found for it."""
        since = self.run.status.waiting_since
        return clock.parse(since) if since else None

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The run's variants, complete."""
        return training_variants(self.run.spec)

    def variant(self, name: str) -> Variant | None:
        """The variant of this name, if the spec still has it."""
        return by_name(self.variants, name)

    def finished_ranks(self, active: ActiveAttempt) -> frozenset[int]:
        """Ranks of the active attempt that ended well, seen now or recorded before."""
        recorded = self.run.status.pods.succeeded if self.run.status.pods else None
        same = self.run.status.active is not None and self.run.status.active.number == active.number
        seen = {rank for rank, pod in self.gang(active.number).items() if pod.phase == "Succeeded"}
        return frozenset(seen) | (ranges.from_text(recorded) if same else frozenset())

    def after_edit(self) -> "RunView":
        """The view with no variant held off where the spec is newer than status: the edit may be what mends it."""
        status = self.run.status
        if not status.hold_offs or status.observed_generation == self.run.generation:
            return self
        forgiven = status.model_copy(update={"hold_offs": None})
        return replace(self, run=self.run.model_copy(update={"status": forgiven}))
