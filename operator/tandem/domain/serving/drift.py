"""Changes of a service's Deployments by others' hands: how they are seen, and when they are put right.

The API server keeps account of who wrote each field last, so whoever changes or removes a field of ours takes it out of our
set. A digest of the set is recorded in status once our own write is seen, and after a repair from its reply: whatever was
changed by then would be taken for ours if it were learnt any later. What others add is theirs (a restart by kubectl, a
pause), and replicas are put right by scaling.

A field is only set again from the rendering that it was made from. Where the profile or the operator is another by now, a
repair would bring that in too, and restart replicas for it: then the change is told, and left.
"""

from dataclasses import dataclass

from tandem.api.constants import ANNOTATION_RENDERED
from tandem.domain.observed import DeploymentRecord
from tandem.domain.plan import Child, Replace
from tandem.domain.serving import children
from tandem.domain.serving.shares import Shares
from tandem.domain.serving.view import ServiceView
from tandem.domain.variants import by_name

LEFT = (
    "its Deployment was changed by somebody else and stays so, since its profile or the operator changed too:"
    " it is made anew with the next edit of the service, or of the profile's revision"
)


def recorded(view: ServiceView, name: str) -> str | None:
    """What status records of a variant: learnt anew after a new revision or a repair, else kept, to be compared with."""
    record = view.deployments.get(name)
    if record is None:
        return None
    known = _known(view, name)
    if known is None or record.name in view.repaired or not known.startswith(f"{record.inputs_hash}:"):
        return _mark(record)
    return known


def repairs(view: ServiceView, shares: Shares) -> dict[str, Replace]:
    """Variant -> the Deployment with its own fields as they were written."""
    found: dict[str, Replace] = {}
    for name in shares:
        drift = _drift(view, shares, name)
        if drift is not None and drift.same:
            found[name] = Replace(drift.child, drift.record.uid, drift.record.resource_version)
    return found


def left(view: ServiceView, shares: Shares, name: str) -> str | None:
    """What people have to know of a change that is not put right."""
    drift = _drift(view, shares, name)
    return LEFT if drift is not None and not drift.same else None


@dataclass(frozen=True, slots=True)
class _Drift:
    """A Deployment that others changed, and how it would be rendered now."""

    record: DeploymentRecord
    child: Child

    @property
    def same(self) -> bool:
        """Whether that is what it was made from."""
        return bool(self.child.body["metadata"]["annotations"][ANNOTATION_RENDERED] == self.record.rendered)


def _drift(view: ServiceView, shares: Shares, name: str) -> _Drift | None:
    record, share = view.deployments.get(name), shares.get(name)
    if record is None or share is None or recorded(view, name) == _mark(record):
        return None
    variant, profile = by_name(view.variants, name), view.profiles.get(share.accelerator)
    if variant is None or profile is None or record.inputs_hash != children.hash_of(view.service, variant, profile):
        # Either nothing can be rendered, or it is made anew anyway.
        return None
    return _Drift(record, children.deployment(view.service, variant, profile, share.replicas))


def _mark(record: DeploymentRecord) -> str:
    return f"{record.inputs_hash}:{record.owned}"


def _known(view: ServiceView, name: str) -> str | None:
    known = view.service.status.variants or []
    return next((item.owned_fields for item in known if item.name == name), None)
