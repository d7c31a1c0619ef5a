"""The variants of a spec, each with everything inherited filled in, and what their pods are made from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.base import dump
from tandem.api.constants import DEFAULT_VARIANT
from tandem.api.containers import EnvVar, ResourceRequirements, TemplateContainer
from tandem.api.inference_service import InferenceServiceSpec, ModelSource, ServingVariant
from tandem.api.pod_template import PodTemplate, main_of
from tandem.api.training_run import DEFAULT_PODS, TrainingRunSpec, TrainingVariant
from tandem.api.workload import AcceleratorChoice, MainContainer
from tandem.domain import naming

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to run, complete: template's main < spec inline < variant."""

    name: str
    choice: AcceleratorChoice
    pods: int
    """Size of the gang; 1 for a service, whose replicas are counted apart."""
    devices: int
    """Devices of each pod."""
    image: str
    command: tuple[str, ...] | None
    args: tuple[str, ...] | None
    env: tuple[EnvVar, ...]
    """The template's, spec's and variant's, merged by name, in this order."""
    resources: ResourceRequirements | None
    template: PodTemplate | None
    shm_size: str | None = None
    min_replicas: int = 0
    max_replicas: int | None = None
    model: ModelSource | None = None
    """What its replicas serve; never for training."""

    def wants(self) -> str:
        """The accelerator asked for, in words: a profile's name or a selector's labels."""
        if self.choice.accelerator_selector is None:
            return str(self.choice.accelerator)
        labels = self.choice.accelerator_selector.match_labels
        return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))

    def matching(self, profiles: Mapping[str, AcceleratorProfile]) -> tuple[AcceleratorProfile, ...]:
        """The profiles that would do, by name."""
        selector = self.choice.accelerator_selector
        if selector is None:
            profile = profiles.get(str(self.choice.accelerator))
            return (profile,) if profile is not None else ()
        wanted = selector.match_labels.items()
        return tuple(profiles[name] for name in sorted(profiles) if wanted <= profiles[name].labels.items())


def training_variants(spec: TrainingRunSpec) -> tuple[Variant, ...]:
    """The run's variants in order of preference."""
    return tuple(_training(spec, variant) for variant in spec.variants or (None,))


def serving_variants(spec: InferenceServiceSpec) -> tuple[Variant, ...]:
    """The service's variants in the order in which they are filled."""
    return tuple(_serving(spec, variant) for variant in spec.variants or (None,))


def by_name(variants: Iterable[Variant], name: str) -> Variant | None:
    """The variant of this name, if the spec still has it."""
    return next((variant for variant in variants if variant.name == name), None)


def inputs_hash(variant: Variant, profile: AcceleratorProfile, **more: Any) -> str:
    """Digest of what pods of this variant are made from: the user's fields and the profile's name and revision.

    The profile's other fields are left out on purpose: an admin's edit must not restart what runs.
    `more` holds further fields of the spec that shape pods; absent ones must not be given.
    """
    if variant.shm_size is not None:
        more["shmSize"] = variant.shm_size
    inputs: dict[str, Any] = {
        "variant": variant.name,
        "accelerator": profile.name,
        "revision": profile.spec.revision or "",
        "pods": variant.pods,
        "devices": variant.devices,
        "image": variant.image,
        "command": list(variant.command or ()),
        "args": list(variant.args or ()),
        "env": [dump(item) for item in variant.env],
        "resources": dump(variant.resources) if variant.resources else {},
        "template": dump(variant.template) if variant.template else {},
        **more,
    }
    return naming.inputs_hash(inputs)


def _training(spec: TrainingRunSpec, variant: TrainingVariant | None) -> Variant:
    return _variant(
        spec,
        variant,
        template=spec.template,
        pods=(variant and variant.pods) or spec.pods or DEFAULT_PODS,
        devices=(variant and variant.devices_per_pod) or spec.devices_per_pod or 0,
    )


def _serving(spec: InferenceServiceSpec, variant: ServingVariant | None) -> Variant:
    made = _variant(
        spec,
        variant,
        template=spec.template,
        pods=1,
        devices=(variant and variant.devices_per_pod) or spec.devices_per_pod or 0,
    )
    return replace(
        made,
        min_replicas=(variant and variant.min_replicas) or 0,
        max_replicas=variant.max_replicas if variant else None,
        model=(variant and variant.model) or spec.model,
    )


def _variant(
    spec: TrainingRunSpec | InferenceServiceSpec,
    variant: TrainingVariant | ServingVariant | None,
    *,
    template: PodTemplate | None,
    pods: int,
    devices: int,
) -> Variant:
    inline: list[MainContainer] = [spec] if variant is None else [spec, variant]
    layers: list[MainContainer | TemplateContainer] = [main_of(template), *inline]
    command = _last([layer.command for layer in layers])
    args = _last([layer.args for layer in layers])
    return Variant(
        name=variant.name if variant else DEFAULT_VARIANT,
        choice=variant or spec,
        pods=pods,
        devices=devices,
        image=_last([layer.image for layer in inline]) or "",
        command=tuple(command) if command is not None else None,
        args=tuple(args) if args is not None else None,
        env=merge_env(*(layer.env or [] for layer in layers)),
        resources=_last([layer.resources for layer in layers]),
        template=template,
        shm_size=_last([layer.shm_size for layer in inline]),
    )


def merge_env(*layers: Iterable[EnvVar]) -> tuple[EnvVar, ...]:
    """Variables merged by name: a later layer replaces the value and keeps the place."""
    merged: dict[str, EnvVar] = {}
    for layer in layers:
        merged.update((item.name, item) for item in layer)
    return tuple(merged.values())


def _last(values: list[T | None]) -> T | None:
    return next((value for value in reversed(values) if value is not None), None)
