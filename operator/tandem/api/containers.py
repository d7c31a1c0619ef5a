"""Containers of a pod as users may describe them: `main`, and helpers that run before it or beside it.

What would weaken the pod, see the devices or stand in the way of the operator is declared and refused with the way out.
The source of the refusals is the Pod Security Standards' `restricted` level.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from tandem.api.base import (
    ATOMIC,
    DNS_LABEL,
    NEVER,
    NOT_TRUE,
    ImageName,
    Model,
    ObjectName,
    Quantity,
    Refused,
    cel,
    list_map,
    refused,
    rules,
)
from tandem.api.constants import OWN_PREFIX
from tandem.api.volumes import VolumeMounts, own_name

UserId = Annotated[int | None, Field(ge=0, le=2147483647)]
Amounts = dict[Annotated[str, Field(max_length=253)], Quantity]
Words = Annotated[list[Annotated[str, Field(max_length=4096)]] | None, Field(max_length=128, json_schema_extra=ATOMIC)]
HELPERS_NO_DEVICES = "devices are for main only: take the extended resource out of this container"
ONLY_MAIN = (
    "only 'main' stands in containers: put a helper into initContainers, with restartPolicy Always if it is to run"
    " beside main"
)
NOT_MAIN = "'main' is the container that is trained or served in: choose another name for this one"
MAINS_IMAGE = "the image of main is not set here: set spec.image, or image in a variant"
HELPER_RESTARTS = "restartPolicy of a helper is Always (it runs beside main) or left out"


class KeyRef(Model):
    """A key of a ConfigMap or Secret in the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the ConfigMap or Secret.")]
    key: Annotated[str, Field(min_length=1, max_length=253, description="Key whose value is taken.")]
    optional: Annotated[
        bool | None, Field(description="True lets the pod start without the object or the key. Default: false.")
    ] = None


class FieldRef(Model):
    """A field of the pod itself, by the downward API."""

    field_path: Annotated[str, Field(min_length=1, max_length=256, description="Path, e.g. metadata.name.")]


class EnvSource(Model):
    """Where the value of a variable comes from."""

    model_config = {
        "json_schema_extra": rules(
            cel(
                "[has(self.configMapKeyRef), has(self.secretKeyRef), has(self.fieldRef)].exists_one(x, x)",
                "valueFrom needs exactly one of configMapKeyRef, secretKeyRef and fieldRef",
            )
        )
    }

    config_map_key_ref: Annotated[
        KeyRef | None, Field(description="A key of a ConfigMap. One of the three sources is set.")
    ] = None
    secret_key_ref: Annotated[
        KeyRef | None, Field(description="A key of a Secret. One of the three sources is set.")
    ] = None
    field_ref: Annotated[FieldRef | None, Field(description="A field of the pod. One of the three sources is set.")] = (
        None
    )


class EnvVar(Model):
    """One environment variable."""

    model_config = {
        "json_schema_extra": rules(
            cel("!has(self.value) || !has(self.valueFrom)", "set value or valueFrom of a variable, not both")
        )
    }

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$",
            description="Name of the variable. PET_*, MASTER_* and TANDEM_* are set by the operator and refused here.",
            json_schema_extra=rules(
                cel(
                    "!self.startsWith('PET_') && !self.startsWith('MASTER_') && !self.startsWith('TANDEM_')",
                    "PET_*, MASTER_* and TANDEM_* are set by the operator: take this variable out",
                )
            ),
        ),
    ]
    value: Annotated[
        str | None,
        Field(max_length=4096, description="The value. $(NAME) refers to a variable defined before. Default: empty."),
    ] = None
    value_from: Annotated[EnvSource | None, Field(description="A source for the value instead. Default: none.")] = None


class ResourceRequirements(Model):
    """CPU and memory of the main container. Devices are asked for by devicesPerPod."""

    requests: Annotated[
        Amounts | None,
        Field(max_length=8, description="What the scheduler reserves. Default: the profile's perDevice times devices."),
    ] = None
    limits: Annotated[
        Amounts | None,
        Field(max_length=8, description="What the container may use at most. Default: no limit."),
    ] = None
    claims: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "array", NEVER, "claims are reserved for a later version: set devicesPerPod instead"
            )
        ),
    ] = None


HelperAmounts = Annotated[
    Amounts | None,
    Field(max_length=8, json_schema_extra=rules(cel("self.all(name, !name.contains('/'))", HELPERS_NO_DEVICES))),
]


class HelperResources(ResourceRequirements):
    """CPU and memory of a helper."""

    requests: HelperAmounts = None
    limits: HelperAmounts = None


class Capabilities(Model):
    """Linux capabilities. All are dropped, whatever stands here."""

    drop: Annotated[
        list[Annotated[str, Field(max_length=63)]] | None, Field(max_length=48, json_schema_extra=ATOMIC)
    ] = None
    add: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "array",
                NEVER,
                "capabilities.add is refused: leave it out, devices come from the device plugin",
                items={"type": "string", "maxLength": 63},
            )
        ),
    ] = None


def always_runtime_default(what: str) -> str:
    """Why another profile is refused."""
    return f"{what} is always RuntimeDefault: leave it out"


def _runtime_default(what: str) -> dict[str, Any]:
    return rules(cel("self == 'RuntimeDefault'", always_runtime_default(what)))


class SeccompProfile(Model):
    """System calls that are allowed."""

    type: Annotated[str, Field(max_length=32, json_schema_extra=_runtime_default("seccompProfile"))]


class AppArmorProfile(Model):
    """AppArmor's rules."""

    type: Annotated[str, Field(max_length=32, json_schema_extra=_runtime_default("appArmorProfile"))]


class SecuritySettings(Model):
    """What a pod and a container have in common, within Pod Security `restricted`."""

    run_as_user: UserId = None
    run_as_group: UserId = None
    run_as_non_root: bool | None = None
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: AppArmorProfile | None = None
    se_linux_options: Annotated[
        Refused,
        Field(json_schema_extra=refused("object", "false", "seLinuxOptions are refused: the runtime labels the pod")),
    ] = None
    windows_options: Annotated[
        Refused, Field(json_schema_extra=refused("object", "false", "windowsOptions are refused: pods run on Linux"))
    ] = None


class ContainerSecurityContext(SecuritySettings):
    """Security settings of a container, within Pod Security `restricted`."""

    read_only_root_filesystem: bool | None = None
    capabilities: Capabilities | None = None
    privileged: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "boolean", NOT_TRUE, "privileged is refused: devices come from the device plugin, not from the host"
            )
        ),
    ] = None
    allow_privilege_escalation: Annotated[
        Refused,
        Field(json_schema_extra=refused("boolean", NOT_TRUE, "allowPrivilegeEscalation is refused: leave it out")),
    ] = None
    proc_mount: Annotated[
        Refused, Field(json_schema_extra=refused("string", NEVER, "procMount is refused: leave it out"))
    ] = None


PROBES = "probes are the operator's: a service's follow spec.startup, a helper has none"
TERMINATION = "the termination message is read by the operator, from its default file: leave this out"

Probe = Annotated[Refused, Field(json_schema_extra=refused("object", "false", PROBES))]


class Container(Model):
    """What `main` and helpers have in common."""

    command: Words = None
    args: Words = None
    working_dir: Annotated[str | None, Field(max_length=512)] = None
    env: Annotated[list[EnvVar] | None, Field(max_length=128, json_schema_extra=list_map("name"))] = None
    volume_mounts: VolumeMounts = None
    security_context: ContainerSecurityContext | None = None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None

    env_from: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "array", NEVER, "envFrom is refused, it could set reserved variables: name each in env, with valueFrom"
            )
        ),
    ] = None
    ports: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "array", NEVER, "ports (and hostPort) are refused: a service's port is spec.port, a pod needs none"
            )
        ),
    ] = None
    volume_devices: Annotated[
        Refused,
        Field(
            json_schema_extra=refused("array", NEVER, "volumeDevices are refused: mount a volume with a file system")
        ),
    ] = None
    lifecycle: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "object", "false", "lifecycle hooks are the operator's: a service drains by spec.drain"
            )
        ),
    ] = None
    liveness_probe: Probe = None
    readiness_probe: Probe = None
    startup_probe: Probe = None
    termination_message_path: Annotated[Refused, Field(json_schema_extra=refused("string", NEVER, TERMINATION))] = None
    termination_message_policy: Annotated[Refused, Field(json_schema_extra=refused("string", NEVER, TERMINATION))] = (
        None
    )


class TemplateContainer(Container):
    """Settings of the container `main`, below what spec and variant say of it."""

    name: Annotated[
        str, Field(max_length=63, pattern=DNS_LABEL, json_schema_extra=rules(cel("self == 'main'", ONLY_MAIN)))
    ]
    resources: ResourceRequirements | None = None
    image: Annotated[Refused, Field(json_schema_extra=refused("string", NEVER, MAINS_IMAGE))] = None
    restart_policy: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "string", NEVER, "restartPolicy of main is refused: the operator restarts a gang as a whole"
            )
        ),
    ] = None


class HelperContainer(Container):
    """A container that runs to its end before main, or beside it where restartPolicy is Always (a native sidecar)."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=DNS_LABEL,
            json_schema_extra=rules(
                cel("self != 'main'", NOT_MAIN),
                cel(f"!self.startsWith('{OWN_PREFIX}')", own_name("container")),
            ),
        ),
    ]
    image: ImageName
    resources: HelperResources | None = None
    restart_policy: Annotated[
        str | None,
        Field(
            max_length=16,
            json_schema_extra=rules(cel("self == 'Always'", HELPER_RESTARTS)),
        ),
    ] = None
