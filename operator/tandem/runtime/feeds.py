"""What is watched, and whom a change wakes.

Every change ends as a key in the queue, or as news for the placer; nothing is decided here.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.constants import LABEL_MANAGED_BY, MANAGED_BY
from tandem.api.placement_policy import PlacementPolicy
from tandem.cluster import trim
from tandem.cluster.applier import child_path
from tandem.cluster.client import Client, core_path, group_path
from tandem.cluster.informer import Informer
from tandem.cluster.lines import PodSkip
from tandem.cluster.store import Store
from tandem.domain.observed import (
    ChildRecord,
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
from tandem.domain.placement.policy import Policies, in_order
from tandem.domain.plan import Resource
from tandem.domain.served import Served
from tandem.runtime.objects import POLICY, PROFILE, WORKLOADS, ObjectStore
from tandem.runtime.observer import Stores
from tandem.runtime.placer import Placer
from tandem.runtime.workqueue import Lane, WorkQueue

Reader = Callable[[dict[str, Any]], Any]
COUNT_SECONDS = 3.0
"""For so long changes of devices are gathered before the profiles' status tells of them."""
OURS = {"labelSelector": f"{LABEL_MANAGED_BY}={MANAGED_BY}"}


class Feeds:
    """Stores, the informers that fill them, and the wake-ups."""

    def __init__(self, client: Client, queue: WorkQueue, silence: float, gather: float = 0.5) -> None:
        """`silence` is the informers'. A gang's pods appear, are bound, start and end well one by one: how far they got is
        looked at once for all that happens in `gather` seconds, together with what own writes changed.
        """
        self.queue = queue
        self._gather = gather
        self.objects = ObjectStore(self._object_changed, self._object_gone)
        self.stores = Stores(
            objects=self.objects,
            pods=Store[OwnPod | ForeignPod](),
            nodes=Store[NodeRecord](),
            deployments=Store[DeploymentRecord](),
            services=Store[ChildRecord](),
            budgets=Store[ChildRecord](),
            claims=Store[ClaimRecord](),
            namespaces=Store[NamespaceRecord](),
            priorities=Store[PriorityRecord](),
            quotas=Store[QuotaRecord](),
            groups=Store[GroupRecord](),
        )
        self.placer: Placer | None = None
        self._policies: dict[str, PlacementPolicy] = {}
        """Those of the last change: what waits was told of these."""
        self.policy_news: Callable[[], None] = lambda: None
        """Told of what changes the statuses of policies."""
        self._policy_book: Policies | None = None
        """None after a change of anything that is in it."""
        self._profiles: dict[str, AcceleratorProfile] = {}
        """As with policies."""
        self._skip = PodSkip()
        self._client = client
        self._silence = silence
        self.informers = self._informers()
        self.started = False
        """Set once the stores are complete and this replica leads; before, no key is worth queueing."""

    def adapt(self, served: Served) -> None:
        """Watch what only some clusters serve, too. Before the informers are started."""
        self.stores.served = served
        if served.gangs:
            path, store = child_path(Resource.POD_GROUP, ""), self.stores.groups
            groups = self._informer("podgroups", path, store, trim.group, self._child_changed, query=OURS)
            self.informers = (*self.informers, groups)

    def _informer(
        self, name: str, path: str, store: Store[Any], read: Reader, changed: Callable[[Any, Any], None], **more: Any
    ) -> Informer[Any]:
        return Informer(self._client, path, store, read, on_change=changed, name=name, silence=self._silence, **more)

    def _informers(self) -> tuple[Informer[Any], ...]:
        stores, informer = self.stores, self._informer
        self.pods = informer("pods", core_path("pods"), stores.pods, trim.pod, self._pod_changed, skip=self._skip)
        deployments = group_path("apps/v1", "deployments")
        budgets = group_path("policy/v1", "poddisruptionbudgets")
        claims = core_path("persistentvolumeclaims")
        child = self._child_changed
        return (
            self.pods,
            informer("nodes", core_path("nodes"), stores.nodes, trim.node, self._node_changed),
            informer("deployments", deployments, stores.deployments, trim.deployment, child, query=OURS),
            informer("services", core_path("services"), stores.services, trim.child, child, query=OURS),
            informer("budgets", budgets, stores.budgets, trim.child, child, query=OURS),
            informer("claims", claims, stores.claims, trim.claim, self._claim_changed, metadata_only=True),
            informer(
                "namespaces",
                core_path("namespaces"),
                stores.namespaces,
                trim.namespace,
                self._namespace_changed,
                metadata_only=True,
            ),
            informer(
                "priorities",
                group_path("scheduling.k8s.io/v1", "priorityclasses"),
                stores.priorities,
                trim.priority,
                self._priority_changed,
            ),
            informer("quotas", core_path("resourcequotas"), stores.quotas, trim.quota, self._quota_changed),
        )

    def policies(self) -> Policies:
        """The policies, and what they select by labels, as known now."""
        if self._policy_book is None:
            self._policy_book = Policies(
                listed=in_order(self.objects.policies.values()),
                namespaces={record.name: record.labels for record in self.stores.namespaces.values()},
                profiles=dict(self.objects.profiles),
            )
        return self._policy_book

    # Replies to own writes (the applier's Mirror)

    def child(self, resource: Resource, raw: Mapping[str, Any]) -> None:
        """A child as the server answered it."""
        metadata = raw["metadata"]
        if "resourceVersion" not in metadata:
            # Seen in answers to a delete that finished at once; the watch tells the rest.
            return
        store, read = self._store_of(resource)
        record = read(dict(raw))
        change = store.apply((metadata["namespace"], metadata["name"]), record, int(metadata["resourceVersion"]))
        self._mirrored(resource, change)

    def child_gone(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        """A child that the server no longer has."""
        store, _ = self._store_of(resource)
        known = store.get(namespace, name)
        if known is not None and known.uid == uid:
            self._mirrored(resource, store.apply((namespace, name), None, known.resource_version))

    def parent(self, kind: str, raw: Mapping[str, Any]) -> None:
        """An object of ours as the server answered it."""
        self.objects.put(kind, raw)

    def parent_gone(self, key: Key, uid: str) -> None:
        """An object of ours that the server no longer has: its end was missed."""
        self.objects.remove(key.kind, key.namespace, key.name, uid)

    def _mirrored(self, resource: Resource, change: tuple[Any, Any] | None) -> None:
        if change is None:
            return
        if resource is Resource.POD:
            self._pod_changed(*change)
        else:
            self._child_changed(*change)

    def _store_of(self, resource: Resource) -> tuple[Store[Any], Any]:
        if resource is Resource.POD:
            return self.stores.pods, trim.pod
        if resource is Resource.DEPLOYMENT:
            return self.stores.deployments, trim.deployment
        if resource is Resource.POD_GROUP:
            return self.stores.groups, trim.group
        return (self.stores.services if resource is Resource.SERVICE else self.stores.budgets), trim.child

    # Wake-ups

    def wake(self, key: Key) -> None:
        """Have a workload reconciled; what was never looked at, or not since its spec was edited, before others."""
        if self.started:
            stored = self.objects.get(key)
            self.queue.add(key, Lane.WORK if stored is None or stored.seen else Lane.URGENT)

    def _look(self, key: Key) -> None:
        """Have a workload looked at, in a while, of which something is known to get on and nothing to be wanting."""
        if self.started:
            self.queue.add_after(key, self._gather, Lane.LOOK)

    def wake_all(self) -> None:
        """Have every workload reconciled: something that any of them may depend on has changed."""
        for stored in self.objects:
            if stored.key.kind in WORKLOADS:
                self.wake(stored.key)

    def _object_changed(self, key: Key) -> None:
        if key.kind in (PROFILE, POLICY):
            self.policy_news()
        if key.kind == PROFILE:
            self._profile_changed(key)
            return
        if key.kind == POLICY:
            self._policy_changed()
            return
        stored = self.objects.get(key)
        if stored is not None and stored.seen and not stored.deleting:
            # Its spec is the one that was looked at, so it is its status that changed: nearly always by our own hand.
            self._look(key)
        else:
            self.wake(key)

    def _profile_changed(self, key: Key) -> None:
        """Whoever waits may be placed by it now, and all profiles may overlap it. A profile's own status is no news."""
        stored = self.objects.get(key)
        if self.started and stored is not None and not stored.seen:
            self.queue.add(key, Lane.URGENT)
        if self.objects.profiles != self._profiles:
            self._profiles = dict(self.objects.profiles)
            self._policy_book = None
            self._learn_resources()
            self._capacity_changed()
            self.wake_all()
            self.count_devices()

    def count_devices(self) -> None:
        """Have the profiles' devices counted, for all that changes in a few seconds at once."""
        if self.started:
            for name in self._profiles:
                self.queue.add_after(Key(PROFILE, "", name), COUNT_SECONDS, Lane.STATUS)

    def _policy_changed(self) -> None:
        """Whoever waits may be allowed elsewhere now; what runs is not moved. A policy's own status is no news."""
        if self.objects.policies != self._policies:
            self._policies = dict(self.objects.policies)
            self._policy_book = None
            self._capacity_changed()
            self.wake_all()

    def _object_gone(self, uid: str) -> None:
        if self.placer is not None:
            self.placer.release(uid)

    def _learn_resources(self) -> None:
        """Pods of a resource that was of no interest so far were skipped: they have to be listed."""
        if self._skip.learn(p.spec.allocation.extended_resource.name for p in self.objects.profiles.values()):
            self.pods.relist()

    def _pod_changed(self, old: OwnPod | ForeignPod | None, new: OwnPod | ForeignPod | None) -> None:
        progress = _gets_on(old) and _gets_on(new) and new is not None
        for pod in (old, new):
            if self.started and isinstance(pod, OwnPod) and pod.owner is not None:
                if progress:
                    self._look(pod.owner)
                else:
                    self.queue.add(pod.owner, Lane.URGENT)
        if _holds(old) and not _holds(new):
            self._capacity_changed()
        if _held(old) != _held(new):
            self.count_devices()

    def _node_changed(self, old: NodeRecord | None, new: NodeRecord | None) -> None:
        self._capacity_changed()
        self.count_devices()
        if old is not None and (new is None or old.ready != new.ready):
            for pod in list(self.stores.pods.values()):
                if isinstance(pod, OwnPod) and pod.node == old.name and pod.owner is not None:
                    self.wake(pod.owner)

    def _child_changed(self, old: Any, new: Any) -> None:
        made = old is None and not new.deleting
        for record in (old, new):
            if record is not None and record.owner is not None:
                (self._look if made else self.wake)(record.owner)

    def _claim_changed(self, old: ClaimRecord | None, new: ClaimRecord | None) -> None:
        if old is not None and new is not None:
            return
        self._wake_namespace((old or new).namespace)  # type: ignore[union-attr]

    def _namespace_changed(self, old: NamespaceRecord | None, new: NamespaceRecord | None) -> None:
        self._policy_book = None
        # A namespace that goes takes its objects along: nobody has to be told. Policies may select by any label.
        if new is not None and (old is None or (old.pod_security, old.labels) != (new.pod_security, new.labels)):
            self._capacity_changed()
            self._wake_namespace(new.name)

    def _quota_changed(self, old: QuotaRecord | None, new: QuotaRecord | None) -> None:
        # Each pod that is made changes one; only what leaves more room is news for those that wait.
        if old is not None and (new is None or _leaves_more(old, new)):
            self._capacity_changed()

    def _priority_changed(self, *_: PriorityRecord | None) -> None:
        # Rare, and a class that is the default concerns everybody.
        self.wake_all()

    def _wake_namespace(self, namespace: str) -> None:
        for stored in self.objects:
            if stored.key.namespace == namespace and stored.key.kind in WORKLOADS:
                self.wake(stored.key)

    def _capacity_changed(self) -> None:
        self.policy_news()
        if self.placer is not None:
            self.placer.capacity_changed()


def _gets_on(pod: OwnPod | ForeignPod | None) -> bool:
    """Whether there is nothing about this pod that somebody has to react to: it is made, runs, or ended well."""
    return pod is None or (
        isinstance(pod, OwnPod) and pod.phase != "Failed" and not pod.exit_code and pod.deleting_since is None
    )


def _held(pod: OwnPod | ForeignPod | None) -> Mapping[str, int]:
    """Devices that the pod holds on a node."""
    return pod.devices if pod is not None and pod.node is not None and not pod.terminal else {}


def _leaves_more(old: QuotaRecord, new: QuotaRecord) -> bool:
    """Whether a quota has more room for something than before."""
    return any(
        name not in new.hard or new.hard[name] - new.used.get(name, 0) > hard - old.used.get(name, 0)
        for name, hard in old.hard.items()
    )


def _holds(pod: OwnPod | ForeignPod | None) -> bool:
    if pod is None or not pod.devices or pod.terminal:
        return False
    # A pod of others that waits keeps devices from ours of lower priority; one of ours without a node has them reserved.
    return isinstance(pod, OwnPod) or pod.node is not None or pod.wait is not None
