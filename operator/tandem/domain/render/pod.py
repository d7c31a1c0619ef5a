"""The pod spec: profile < template's main < spec inline < variant < what the operator reserves.

Everything that a training pod and a serving replica have in common is made here, once.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.base import dump
from tandem.api.constants import MAIN_CONTAINER, RESERVED_ENV
from tandem.api.pod_template import EnvVar, TemplateContainer, TemplateSpec
from tandem.api.workload import ClaimRef
from tandem.domain import quantity
from tandem.domain.placement.candidates import tolerations
from tandem.domain.placement.fit import ARCH_LABEL
from tandem.domain.variants import Variant, merge_env

SHM_PATH = "/dev/shm"
SHM_VOLUME = "tandem-shm"

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Extras:
    """What the kind of workload adds to the pod."""

    env: Mapping[str, str] = field(default_factory=dict)
    """Reserved variables; they come first, so that the user's may refer to them."""
    claims: Sequence["ClaimMount"] = ()
    container: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the main container: ports, probes, lifecycle."""


@dataclass(frozen=True, slots=True)
class ClaimMount:
    """A claim that the operator mounts."""

    volume: str
    claim: str
    path: str
    read_only: bool


def pod_spec(variant: Variant, profile: AcceleratorProfile, extras: Extras) -> Body:
    """The pod spec of `variant` on `profile`, without what names a rank or a replica."""
    template = (variant.template and variant.template.spec) or TemplateSpec()
    main = next(
        (c for c in template.containers or () if c.name == MAIN_CONTAINER), TemplateContainer(name=MAIN_CONTAINER)
    )
    shm = _shm(variant, profile, main)
    spec: Body = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "seccompProfile": {"type": "RuntimeDefault"},
            **(dump(template.security_context) if template.security_context else {}),
        },
        "nodeSelector": _node_selector(profile, template),
        "containers": [_main(variant, profile, main, extras, shm)],
    }
    if allowed := tolerations(profile, variant.template):
        spec["tolerations"] = [dump(item) for item in allowed]
    if profile.spec.runtime_class_name:
        spec["runtimeClassName"] = profile.spec.runtime_class_name
    volumes = [dump(volume) for volume in template.volumes or ()]
    volumes += [_claim_volume(mount) for mount in extras.claims]
    if shm:
        volumes.append({"name": SHM_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": shm}})
    if volumes:
        spec["volumes"] = volumes
    return spec


def spec_problem(variant: Variant, profile: AcceleratorProfile) -> str | None:
    """What the CRD cannot tell but makes the pod wrong: the field and the mend, or None."""
    if not variant.image:
        return f"variant {variant.name} has no image: set spec.image, or image in the variant"
    if variant.devices < 1:
        return f"variant {variant.name} has no devicesPerPod: set it in spec or in the variant"
    for item in variant.env:
        if item.name.startswith(RESERVED_ENV):
            return f"env {item.name} is set by the operator: take it out of env"
        if item.name in (profile.spec.forbid_env or ()):
            return f"env {item.name} is set by the device plugin of {profile.name}: take it out of env"
    template = (variant.template and variant.template.spec) or TemplateSpec()
    known = {volume.name for volume in template.volumes or ()}
    for container in template.containers or ():
        for mount in container.volume_mounts or ():
            if mount.name not in known:
                return f"template.spec.containers[main].volumeMounts names volume {mount.name!r}, which volumes does not define"
    return None


def claims_of(variant: Variant) -> tuple[str, ...]:
    """Names of the claims that the user's template mounts."""
    template = (variant.template and variant.template.spec) or TemplateSpec()
    return tuple(v.persistent_volume_claim.claim_name for v in template.volumes or () if v.persistent_volume_claim)


def directory(mount: str, claim: ClaimRef) -> str:
    """Directory of a claim reference below its mount point."""
    return f"{mount}/{claim.path}" if claim.path else mount


def _main(
    variant: Variant, profile: AcceleratorProfile, main: TemplateContainer, extras: Extras, shm: str | None
) -> Body:
    container: Body = {
        "name": MAIN_CONTAINER,
        "image": variant.image,
        "env": [{"name": name, "value": value} for name, value in extras.env.items()] + _env(profile, variant.env),
        "resources": _resources(variant, profile),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            **(dump(main.security_context) if main.security_context else {}),
        },
        **extras.container,
    }
    if variant.command is not None:
        container["command"] = list(variant.command)
    if variant.args is not None:
        container["args"] = list(variant.args)
    mounts = [dump(mount) for mount in main.volume_mounts or ()]
    mounts += [{"name": m.volume, "mountPath": m.path, "readOnly": m.read_only} for m in extras.claims]
    if shm:
        mounts.append({"name": SHM_VOLUME, "mountPath": SHM_PATH})
    if mounts:
        container["volumeMounts"] = mounts
    return container


def _env(profile: AcceleratorProfile, users: Iterable[EnvVar]) -> list[Body]:
    return [dump(item) for item in merge_env(profile.spec.env or (), users)]


def _resources(variant: Variant, profile: AcceleratorProfile) -> Body:
    per_device = profile.spec.per_device
    requests: dict[str, str] = {}
    if per_device and per_device.cpu:
        requests["cpu"] = quantity.times(per_device.cpu, variant.devices)
    if per_device and per_device.memory:
        requests["memory"] = quantity.times(per_device.memory, variant.devices)
    users = variant.resources
    limits = dict((users and users.limits) or {})
    # A limit below the profile's request would be refused; a limit alone has always meant an equal request.
    requests.update({name: amount for name, amount in limits.items() if name in requests})
    requests.update((users and users.requests) or {})
    devices = {profile.spec.allocation.extended_resource.name: str(variant.devices)}
    return {"requests": {**requests, **devices}, "limits": {**limits, **devices}}


def _shm(variant: Variant, profile: AcceleratorProfile, main: TemplateContainer) -> str | None:
    """Size of the /dev/shm that is mounted; None when the profile asks for none or the user mounts one."""
    per_device = profile.spec.per_device
    if per_device is None or per_device.shm is None:
        return None
    if any(mount.mount_path.rstrip("/") == SHM_PATH for mount in main.volume_mounts or ()):
        return None
    return quantity.times(per_device.shm, variant.devices)


def _node_selector(profile: AcceleratorProfile, template: TemplateSpec) -> dict[str, str]:
    architecture = {ARCH_LABEL: profile.spec.architecture} if profile.spec.architecture else {}
    return {**(template.node_selector or {}), **profile.spec.node_selector, **architecture}


def _claim_volume(mount: ClaimMount) -> Body:
    return {"name": mount.volume, "persistentVolumeClaim": {"claimName": mount.claim, "readOnly": mount.read_only}}
