"""Why no pods are made from a spec: what a person has to mend, found before the API server is asked."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.base import refused_field
from tandem.api.containers import EnvVar
from tandem.api.pod_template import spec_of
from tandem.api.reasons import Reason
from tandem.domain import headline
from tandem.domain.headline import Headline
from tandem.domain.observed import NamespaceRecord
from tandem.domain.render.check import Body, Own, violation
from tandem.domain.render.pod_security import objection
from tandem.domain.variants import Variant


@dataclass(frozen=True, slots=True)
class Specimen:
    """A pod as it would be made of `variant` of `spec` on `profile`. All of an object's pods are alike in what is looked at."""

    spec: BaseModel
    variant: Variant
    profile: AcceleratorProfile
    pod: Body
    """The final pod spec."""
    own: Own

    def problem(self, namespace: NamespaceRecord) -> Headline | None:
        """Why it must not be made: the field and the mend."""
        wrong = (
            refused_field(self.spec, "spec")
            or _missing(self.variant)
            or _forbidden(self.variant, self.profile)
            or violation(self.pod, self.own)
        )
        if wrong is not None:
            return headline.blocked(Reason.INVALID_SPEC, wrong)
        refused = objection(self.pod, namespace.pod_security)
        if refused is not None:
            where = f"namespace {namespace.name} enforces Pod Security {namespace.pod_security}"
            return headline.blocked(Reason.POD_SECURITY_WOULD_REJECT, f"{where}; {refused}")
        return None


def claim_missing(claim: str, namespace: str) -> Headline:
    """A claim that the pods would mount does not exist."""
    message = f"PersistentVolumeClaim {claim!r} does not exist in {namespace}: create it"
    return headline.blocked(Reason.CLAIM_MISSING, message)


def _missing(variant: Variant) -> str | None:
    if not variant.image:
        return f"variant {variant.name} has no image: set spec.image, or image in the variant"
    if variant.devices < 1:
        return f"variant {variant.name} has no devicesPerPod: set it in spec or in the variant"
    return None


def _forbidden(variant: Variant, profile: AcceleratorProfile) -> str | None:
    """A variable that only the device plugin may set: with it, a container would see devices of other pods."""
    forbidden = profile.spec.forbid_env or ()
    name = next((item.name for item in _env(variant) if item.name in forbidden), None)
    return name and f"env {name} is set by the device plugin of {profile.name}: take it out of env"


def _env(variant: Variant) -> Iterator[EnvVar]:
    yield from variant.env
    for helper in spec_of(variant.template).init_containers or ():
        yield from helper.env or ()
