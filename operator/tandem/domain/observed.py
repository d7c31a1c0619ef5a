"""What the cluster looks like, as small frozen records.

The stores hold these instead of API objects: a trimmed record costs a tenth of a client model, and a decision can only
depend on what stands here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tandem.api.scheduling import Toleration

PULL_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
"""Waiting reasons of the kubelet that mean: the image cannot be had. Source: k8s.io/kubernetes/pkg/kubelet/images."""


class Key(NamedTuple):
    """Name of an object of ours: what the work queue holds."""

    kind: str
    namespace: str
    name: str


class Report(NamedTuple):
    """What a program said in its termination message."""

    step: int
    path: str | None
    digest: str | None


class Requirement(NamedTuple):
    """One requirement of a node affinity."""

    key: str
    operator: str
    values: tuple[str, ...]
    is_field: bool = False
    """About the node's name instead of a label."""


class Wait(NamedTuple):
    """All that decides who goes first and where a pod without a node may go, devices aside."""

    priority: int
    node_selector: tuple[tuple[str, str], ...] = ()
    terms: tuple[tuple[Requirement, ...], ...] = ()
    """Required node affinity: one of the terms must hold. Empty: none is required."""
    tolerations: tuple[Toleration, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignPod:
    """A pod of others that may hold devices."""

    uid: str
    node: str | None
    """Where it is bound, or nominated for after others made room."""
    devices: Mapping[str, int]
    """Resource name -> devices asked for; only extended resources."""
    terminal: bool = False
    wait: Wait | None = None
    """Set while the scheduler would bind it if devices were free."""


@dataclass(frozen=True, slots=True)
class OwnPod:
    """A pod that the operator made, or that claims so by its labels."""

    namespace: str
    name: str
    uid: str
    resource_version: int
    owner_uid: str | None
    owner: Key | None
    """The object of ours that its controller reference names."""
    attempt: int
    rank: int
    variant: str
    accelerator: str
    inputs_hash: str
    node: str | None
    devices: Mapping[str, int]
    phase: str = "Pending"
    created: datetime | None = None
    deleting_since: datetime | None = None
    """deletionTimestamp: the moment by which it should be gone, its grace included."""
    ready: bool = False
    scheduled: bool = False
    scheduled_at: datetime | None = None
    """When it got its node."""
    unschedulable_message: str = ""
    exit_code: int | None = None
    finished_at: datetime | None = None
    reason: str = ""
    """status.reason of the pod, or of its main container where the pod has none."""
    message: str = ""
    waiting_reason: str = ""
    waiting_message: str = ""
    report: Report | None = None
    pod_group: str = ""
    """PodGroup that it belongs to; empty where the scheduler binds it by itself."""

    @property
    def terminal(self) -> bool:
        """Whether its containers have ended for good, so that its devices are free."""
        return self.phase in ("Succeeded", "Failed")

    @property
    def pull_failed(self) -> bool:
        """Whether it cannot start since its image cannot be pulled."""
        return self.waiting_reason in PULL_REASONS


@dataclass(frozen=True, slots=True)
class Taint:
    """A node's taint."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """A node as placement sees it."""

    name: str
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]
    cordoned: bool
    ready: bool
    not_ready_since: datetime | None
    allocatable: Mapping[str, int]
    """Extended resource -> healthy devices."""
    capacity: Mapping[str, int]
    annotations: frozenset[str] = frozenset()
    """Keys only: values change with every heartbeat of whoever writes them."""
    conditions: frozenset[tuple[str, str]] = frozenset()
    """(type, status) of each condition."""


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """A Deployment of ours."""

    namespace: str
    name: str
    uid: str
    resource_version: int
    owner_uid: str | None
    owner: Key | None
    variant: str
    accelerator: str
    inputs_hash: str
    generation: int
    observed_generation: int
    wanted: int
    """spec.replicas"""
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    rendered: str = ""
    """Digest of what it was rendered as; see constants.ANNOTATION_RENDERED."""
    owned: str = ""
    """Digest of which fields of its spec were last written by us, by the API server's account. Replicas apart."""
    refused: str = ""
    """Message of condition ReplicaFailure: the API server refused a pod."""
    overdue: str = ""
    """Message of condition Progressing where it is False: no progress within progressDeadlineSeconds."""
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class ChildRecord:
    """A Service or a PodDisruptionBudget of ours: it exists, and was made from these inputs."""

    namespace: str
    name: str
    uid: str
    resource_version: int
    owner_uid: str | None
    owner: Key | None
    inputs_hash: str
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """A PodGroup of ours."""

    namespace: str
    name: str
    uid: str
    resource_version: int
    owner_uid: str | None
    owner: Key | None
    attempt: int
    unschedulable_message: str = ""
    """Why the scheduler cannot bind the gang, as long as it never could."""
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class ClaimRecord:
    """A PersistentVolumeClaim."""

    namespace: str
    name: str
    resource_version: int


@dataclass(frozen=True, slots=True)
class NamespaceRecord:
    """A namespace."""

    name: str
    pod_security: str = ""
    """The Pod Security level that it enforces; empty where it says nothing."""
    resource_version: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    """All of them: policies select namespaces by any."""


@dataclass(frozen=True, slots=True)
class QuotaRecord:
    """A ResourceQuota that counts for every pod of its namespace, as the API server enforces it."""

    namespace: str
    name: str
    resource_version: int
    hard: Mapping[str, int]
    """Resource as the quota names it -> how much is allowed; only devices and pods."""
    used: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PriorityRecord:
    """A PriorityClass."""

    name: str
    value: int
    is_default: bool = False
    """Whether pods that name no class are of this one."""


@dataclass(frozen=True, slots=True)
class Children:
    """All that an object of ours owns, from the stores."""

    pods: tuple[OwnPod, ...] = ()
    deployments: Mapping[str, DeploymentRecord] = field(default_factory=dict)
    services: Mapping[str, ChildRecord] = field(default_factory=dict)
    budgets: Mapping[str, ChildRecord] = field(default_factory=dict)
    groups: Mapping[str, GroupRecord] = field(default_factory=dict)
