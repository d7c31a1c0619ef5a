"""Why no pods are made from a spec: what a person has to mend, found before the API server is asked."""

from collections.abc import Iterator

from pydantic import BaseModel

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.base import refused_field
from tandem.api.containers import EnvVar
from tandem.api.pod_template import spec_of
from tandem.domain.render.check import Body, Own, violation
from tandem.domain.variants import Variant


def spec_problem(spec: BaseModel, variant: Variant, profile: AcceleratorProfile, pod: Body, own: Own) -> str | None:
    """What is wrong with `pod`, the final pod spec that `variant` of `spec` becomes on `profile`: the field and the mend."""
    return refused_field(spec, "spec") or _missing(variant) or _forbidden(variant, profile) or violation(pod, own)


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
