"""All that a decision about an InferenceService may look at."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.inference_service import InferenceService
from tandem.domain import naming
from tandem.domain.observed import Children, DeploymentRecord, NamespaceRecord
from tandem.domain.timing import Timing
from tandem.domain.variants import Variant, serving_variants


@dataclass(frozen=True)
class ServiceView:
    """One service, its children and the cluster around it, at one moment."""

    service: InferenceService
    created: datetime
    now: datetime
    timing: Timing
    children: Children
    """Its pods are only looked at to explain; the Deployments own them."""
    claims: Set[str]
    profiles: Mapping[str, AcceleratorProfile]
    namespace: NamespaceRecord
    priority: int = 0
    """Of its pods: the higher goes first."""
    repaired: Set[str] = frozenset()
    """Names of Deployments that were put right in this pass; the children show the replies."""

    @cached_property
    def variants(self) -> tuple[Variant, ...]:
        """The service's variants, complete, in the order in which they are filled."""
        return serving_variants(self.service.spec)

    @cached_property
    def deployments(self) -> dict[str, DeploymentRecord]:
        """Variant -> its Deployment. One with the right labels and a wrong name or owner is nobody's."""
        return {
            record.variant: record
            for record in self.children.deployments.values()
            if record.owner_uid == self.service.uid
            and record.name == naming.deployment(self.service.name, record.variant)
            and not record.deleting
        }
