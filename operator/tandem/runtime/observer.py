"""Gathers what a decision may look at, from the stores. Reads only; no request is made here."""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from tandem.api.accelerator_profile import AcceleratorProfileStatus
from tandem.api.inference_service import InferenceService
from tandem.api.training_run import TrainingRun
from tandem.cluster.store import Store
from tandem.domain.inventory.plan import ProfileView
from tandem.domain.observed import (
    ChildRecord,
    Children,
    ClaimRecord,
    DeploymentRecord,
    ForeignPod,
    GroupRecord,
    Key,
    NamespaceRecord,
    NodeRecord,
    OwnPod,
    PriorityRecord,
    QuotaRecord,
)
from tandem.domain.placement import priority
from tandem.domain.placement.fit import Snapshot
from tandem.domain.served import NOTHING, Served
from tandem.domain.serving.view import ServiceView
from tandem.domain.timing import Timing
from tandem.domain.training.view import RunView
from tandem.runtime.objects import ObjectStore, StoredObject, read_profile


@dataclass(slots=True)
class Stores:
    """All that is watched."""

    objects: ObjectStore
    pods: Store[OwnPod | ForeignPod]
    nodes: Store[NodeRecord]
    deployments: Store[DeploymentRecord]
    services: Store[ChildRecord]
    budgets: Store[ChildRecord]
    claims: Store[ClaimRecord]
    namespaces: Store[NamespaceRecord]
    priorities: Store[PriorityRecord]
    quotas: Store[QuotaRecord]
    groups: Store[GroupRecord]
    served: Served = NOTHING
    """Nothing, until it has been looked up."""


def own_pods(stores: Stores, key: Key, uid: str) -> Sequence[OwnPod]:
    """Pods of an object: of a run by its uid; of a service by its name, for their controller is a ReplicaSet."""
    owned = stores.pods.by_owner(uid if key.kind == "TrainingRun" else key, key.namespace)
    return [pod for pod in owned if isinstance(pod, OwnPod)]


def run_view(
    stores: Stores, stored: StoredObject, run: TrainingRun, now: datetime, timing: Timing, jitter: float
) -> RunView:
    """The view of a run."""
    return RunView(
        run=run,
        created=stored.created,
        now=now,
        timing=timing,
        jitter=jitter,
        served=stores.served,
        children=_children(stores, stored),
        claims=stores.claims.in_namespace(stored.key.namespace).keys(),
        profiles=stores.objects.profiles,
        nodes=stores.nodes.in_namespace(""),
        namespace=_namespace(stores, stored),
        priority=priority.value(stores.priorities.in_namespace(""), run.spec.template),
    )


def service_view(
    stores: Stores,
    stored: StoredObject,
    service: InferenceService,
    now: datetime,
    timing: Timing,
    repaired: Set[str] = frozenset(),
) -> ServiceView:
    """The view of a service; `repaired` names the Deployments that this pass has put right."""
    return ServiceView(
        service=service,
        created=stored.created,
        now=now,
        timing=timing,
        children=_children(stores, stored),
        claims=stores.claims.in_namespace(stored.key.namespace).keys(),
        profiles=stores.objects.profiles,
        namespace=_namespace(stores, stored),
        priority=priority.value(stores.priorities.in_namespace(""), service.spec.template),
        repaired=repaired,
    )


def profile_view(stores: Stores, stored: StoredObject, state: Snapshot, ours: int, now: datetime) -> ProfileView:
    """The view of a profile, on which runs and services hold `ours` devices. Raises pydantic.ValidationError when it cannot be read."""
    return ProfileView(
        profile=read_profile(stored.key.name, stored.labels, stored.spec),
        generation=stored.generation,
        status=_told(stored),
        profiles=stores.objects.profiles,
        state=state,
        ours=ours,
        now=now,
    )


def _told(stored: StoredObject) -> AcceleratorProfileStatus:
    """The profile's status; none where another release wrote it in a way that cannot be read: it is written anew."""
    try:
        return AcceleratorProfileStatus.model_validate(stored.status)
    except ValidationError:
        return AcceleratorProfileStatus()


def _namespace(stores: Stores, stored: StoredObject) -> NamespaceRecord:
    """The object's namespace. One that is not seen yet has just been made: a change of its label is news then."""
    name = stored.key.namespace
    return stores.namespaces.get("", name) or NamespaceRecord(name)


def _children(stores: Stores, stored: StoredObject) -> Children:
    """Children by name; only those that the object really owns, so another's of the same name stays unseen here."""
    uid = stored.uid
    return Children(
        pods=tuple(own_pods(stores, stored.key, uid)),
        deployments={record.name: record for record in stores.deployments.by_owner(uid, stored.key.namespace)},
        services={record.name: record for record in stores.services.by_owner(uid, stored.key.namespace)},
        budgets={record.name: record for record in stores.budgets.by_owner(uid, stored.key.namespace)},
        groups={record.name: record for record in stores.groups.by_owner(uid, stored.key.namespace)},
    )
