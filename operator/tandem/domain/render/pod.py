"""The pod spec: profile < template's main < spec inline < variant < what the operator reserves.

Everything that a training pod and a serving replica have in common is made here, once. What may stand in a pod is not
decided here but in `check.py`, on the outcome.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.base import dump, said
from tandem.api.constants import MAIN_CONTAINER
from tandem.api.containers import Container, EnvVar, HelperContainer
from tandem.api.pod_template import TemplateSpec, main_of, spec_of
from tandem.api.workload import ClaimRef
from tandem.domain import quantity
from tandem.domain.placement.candidates import tolerations
from tandem.domain.placement.nodes import ARCH_LABEL
from tandem.domain.render.check import Own
from tandem.domain.variants import Variant, merge_env

SHM_PATH = "/dev/shm"
SHM_VOLUME = "tandem-shm"
AS_SAID = (
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "schedulerName",
    "imagePullSecrets",
    "serviceAccountName",
    "terminationGracePeriodSeconds",
)
"""Fields of the template that go into the pod as they are."""

Body = dict[str, Any]

LAST_WORDS = "FallbackToLogsOnError"
"""Where a program dies without a message, the end of its log is one: status can tell it when pod and log are gone."""


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
    template = spec_of(variant.template)
    users = said(template)
    shm = shm_size(variant, profile)
    spec: Body = {
        "automountServiceAccountToken": bool(template.automount_service_account_token),
        "enableServiceLinks": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, **users.get("securityContext", {})},
        "nodeSelector": _node_selector(profile, template),
        # One that must not be there is not dropped silently: the check tells of it.
        "containers": [
            _main(variant, profile, extras, shm),
            *(said(other) for other in template.containers or () if other.name != MAIN_CONTAINER),
        ],
    }
    if template.init_containers:
        spec["initContainers"] = [_helper(helper, profile) for helper in template.init_containers]
    if allowed := tolerations(profile, variant.template):
        spec["tolerations"] = [dump(item) for item in allowed]
    if profile.spec.runtime_class_name:
        spec["runtimeClassName"] = profile.spec.runtime_class_name
    spec.update({name: users[name] for name in AS_SAID if name in users})
    volumes = [*users.get("volumes", ()), *(_claim_volume(mount) for mount in extras.claims)]
    if shm:
        volumes.append({"name": SHM_VOLUME, "emptyDir": {"medium": "Memory", "sizeLimit": shm}})
    if volumes:
        spec["volumes"] = volumes
    return spec


def own(variant: Variant, profile: AcceleratorProfile, extras: Extras) -> Own:
    """What of that pod is the operator's: the bearers of its names."""
    mounts = {claim.volume: claim.path for claim in extras.claims}
    if shm_size(variant, profile):
        mounts[SHM_VOLUME] = SHM_PATH
    return Own(mounts=mounts, env=extras.env)


def claims_of(variant: Variant) -> tuple[str, ...]:
    """Names of the claims that the user's template mounts."""
    volumes = spec_of(variant.template).volumes or ()
    return tuple(v.persistent_volume_claim.claim_name for v in volumes if v.persistent_volume_claim)


def directory(mount: str, claim: ClaimRef) -> str:
    """Directory of a claim reference below its mount point."""
    return f"{mount}/{claim.path}" if claim.path else mount


def shm_size(variant: Variant, profile: AcceleratorProfile) -> str | None:
    """Size of the /dev/shm that is mounted; None when nobody asks for one or the user's template mounts one."""
    if any(mount.mount_path.rstrip("/") == SHM_PATH for mount in main_of(variant.template).volume_mounts or ()):
        return None
    if variant.shm_size is not None:
        return variant.shm_size
    per_device = profile.spec.per_device
    if per_device is None or per_device.shm is None:
        return None
    return quantity.times(per_device.shm, variant.devices)


def _main(variant: Variant, profile: AcceleratorProfile, extras: Extras, shm: str | None) -> Body:
    users = said(main_of(variant.template))
    container: Body = {
        "name": MAIN_CONTAINER,
        "image": variant.image,
        "terminationMessagePolicy": LAST_WORDS,
        "env": [{"name": name, "value": value} for name, value in extras.env.items()] + _env(profile, variant.env),
        "resources": _resources(variant, profile),
        "securityContext": _restricted(main_of(variant.template)),
        **extras.container,
    }
    if variant.command is not None:
        container["command"] = list(variant.command)
    if variant.args is not None:
        container["args"] = list(variant.args)
    container.update({name: users[name] for name in ("workingDir", "imagePullPolicy") if name in users})
    mounts = users.get("volumeMounts", [])
    mounts += [{"name": m.volume, "mountPath": m.path, "readOnly": m.read_only} for m in extras.claims]
    if shm:
        mounts.append({"name": SHM_VOLUME, "mountPath": SHM_PATH})
    if mounts:
        container["volumeMounts"] = mounts
    return container


def _helper(helper: HelperContainer, profile: AcceleratorProfile) -> Body:
    """A helper as the user describes it, blind for devices."""
    body = {**said(helper), "terminationMessagePolicy": LAST_WORDS, "securityContext": _restricted(helper)}
    env = merge_env(helper.env or (), profile.spec.void_env or ())
    if env:
        body["env"] = [dump(item) for item in env]
    return body


def _restricted(container: Container) -> Body:
    """The user's security settings, with what holds for every container."""
    users = said(container.security_context) if container.security_context else {}
    always = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {**always, **users, **always}


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


def _node_selector(profile: AcceleratorProfile, template: TemplateSpec) -> dict[str, str]:
    architecture = {ARCH_LABEL: profile.spec.architecture} if profile.spec.architecture else {}
    return {**(template.node_selector or {}), **profile.spec.node_selector, **architecture}


def _claim_volume(mount: ClaimMount) -> Body:
    return {"name": mount.volume, "persistentVolumeClaim": {"claimName": mount.claim, "readOnly": mount.read_only}}
