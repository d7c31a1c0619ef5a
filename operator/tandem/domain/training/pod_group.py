"""The PodGroup of an attempt: where the cluster serves them, the scheduler binds all pods of a gang at once or none.

Source: scheduling.k8s.io/v1beta1, read on Kubernetes 1.37. Pods name their group in spec.schedulingGroup and wait until it
exists and enough of them do. The API server keeps a group that is deleted until its last pod has ended.
"""

from tandem.api.constants import LABEL_ATTEMPT, LABEL_RUN
from tandem.api.pod_template import spec_of
from tandem.api.training_run import ActiveAttempt, TrainingRun
from tandem.domain import naming
from tandem.domain.plan import Child, Delete, Resource
from tandem.domain.render.meta import metadata
from tandem.domain.served import GANG_API
from tandem.domain.training.view import RunView
from tandem.domain.variants import Variant

DEFAULT_SCHEDULER = "default-scheduler"
SYSTEM_CLASSES = "system-"


def group_for(view: RunView, variant: Variant, attempt: int) -> str | None:
    """Name of the group by which a new attempt is to be bound; None where its pods are bound one by one."""
    scheduler = spec_of(variant.template).scheduler_name or DEFAULT_SCHEDULER
    # Of other schedulers nobody knows whether they look at groups; a group may not be as urgent as the system's own pods.
    known = scheduler == DEFAULT_SCHEDULER and not _priority_class(variant).startswith(SYSTEM_CLASSES)
    return naming.pod_group(view.run.name, attempt) if view.served.gangs and variant.pods > 1 and known else None


def pod_group(run: TrainingRun, variant: Variant, active: ActiveAttempt) -> Child:
    """The group of an attempt. Losing one rank costs them all, so the scheduler is told to weigh them as one."""
    spec = {"schedulingPolicy": {"gang": {"minCount": active.pods}}, "disruptionMode": {"all": {}}}
    priority = _priority_class(variant)
    labels = {LABEL_RUN: run.name, LABEL_ATTEMPT: str(active.number)}
    return Child(
        Resource.POD_GROUP,
        {
            "apiVersion": GANG_API,
            "kind": "PodGroup",
            "metadata": metadata(run, naming.pod_group(run.name, active.number), labels),
            "spec": spec | ({"priorityClassName": priority} if priority else {}),
        },
    )


def to_delete(view: RunView, active: ActiveAttempt | None, pods: tuple[Delete, ...]) -> tuple[Delete, ...]:
    """Groups of ended attempts; `pods` are those that are deleted now. A group goes with the last of its pods, since those
    that are kept for their logs name it.
    """
    going = {gone.uid for gone in pods}
    kept = {pod.attempt for pod in view.pods if pod.uid not in going and pod.deleting_since is None}
    return tuple(
        Delete(Resource.POD_GROUP, group.name, group.uid)
        for group in view.groups
        if not group.deleting and group.attempt not in kept and (active is None or group.attempt != active.number)
    )


def _priority_class(variant: Variant) -> str:
    return spec_of(variant.template).priority_class_name or ""
