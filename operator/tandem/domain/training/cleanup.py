"""What is left of a run that has ended for good, and when it is taken away. The run itself is never deleted."""

from dataclasses import replace
from datetime import timedelta

from tandem.domain import clock, naming
from tandem.domain.headline import Headline
from tandem.domain.plan import Delete, Plan, Resource
from tandem.domain.training.report import rest
from tandem.domain.training.view import RunView


def ended(view: RunView, why: Headline) -> Plan:
    """The plan of a run that has ended: nothing changes but that its children go in time."""
    plan = rest(view, why)
    left = _children(view)
    if not left or view.run.status.completion_time is None:
        return plan
    asked = view.run.spec.cleanup.pods_after_seconds if view.run.spec.cleanup else None
    kept = timedelta(seconds=view.timing.cleanup if asked is None else asked)
    wait = (clock.parse(view.run.status.completion_time) + kept - view.now).total_seconds()
    return replace(plan, requeue_after=wait) if wait > 0 else replace(plan, delete=left)


def _children(view: RunView) -> tuple[Delete, ...]:
    left = [Delete(Resource.POD, pod.name, pod.uid) for pod in view.pods if pod.deleting_since is None]
    left += [Delete(Resource.POD_GROUP, group.name, group.uid) for group in view.groups if not group.deleting]
    front = view.children.services.get(naming.rendezvous_service(view.run.name))
    if front is not None and not front.deleting and front.owner_uid == view.run.uid:
        left.append(Delete(Resource.SERVICE, front.name, front.uid))
    return tuple(left)
