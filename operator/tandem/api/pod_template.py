"""The allow-listed part of a pod template that users may set, and the dangerous fields that are refused with a reason.

The source of the refusals is the Pod Security Standards' `restricted` level; what the operator itself must decide
(node, restart policy) is refused too.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from tandem.api.base import (
    ATOMIC,
    DNS_LABEL,
    LabelMap,
    Model,
    ObjectName,
    Quantity,
    cel,
    list_map,
    refused,
    rules,
)

NOT_TRUE = "!self"
NEVER = "self.size() == 0"

Refused = Annotated[Any, Field(default=None)]


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

    config_map_key_ref: Annotated[KeyRef | None, Field(description="A key of a ConfigMap.")] = None
    secret_key_ref: Annotated[KeyRef | None, Field(description="A key of a Secret.")] = None
    field_ref: Annotated[FieldRef | None, Field(description="A field of the pod.")] = None


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
        str | None, Field(max_length=4096, description="The value. $(NAME) refers to a variable defined before.")
    ] = None
    value_from: Annotated[EnvSource | None, Field(description="A source for the value instead.")] = None


class ResourceRequirements(Model):
    """CPU and memory of the main container. Devices are asked for by devicesPerPod."""

    requests: Annotated[
        dict[Annotated[str, Field(max_length=253)], Quantity] | None,
        Field(max_length=8, description="What the scheduler reserves. Default: the profile's perDevice times devices."),
    ] = None
    limits: Annotated[
        dict[Annotated[str, Field(max_length=253)], Quantity] | None,
        Field(max_length=8, description="What the container may use at most. Default: no limit."),
    ] = None


class Capabilities(Model):
    """Linux capabilities."""

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


class ContainerSecurityContext(Model):
    """Security settings of a container, within Pod Security `restricted`."""

    run_as_user: Annotated[int | None, Field(ge=0, le=2147483647)] = None
    run_as_group: Annotated[int | None, Field(ge=0, le=2147483647)] = None
    run_as_non_root: bool | None = None
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


class PodSecurityContext(Model):
    """Security settings of the pod, within Pod Security `restricted`."""

    run_as_user: Annotated[int | None, Field(ge=0, le=2147483647)] = None
    run_as_group: Annotated[int | None, Field(ge=0, le=2147483647)] = None
    run_as_non_root: bool | None = None
    fs_group: Annotated[int | None, Field(ge=0, le=2147483647)] = None
    fs_group_change_policy: Literal["OnRootMismatch", "Always"] | None = None
    supplemental_groups: Annotated[
        list[Annotated[int, Field(ge=0, le=2147483647)]] | None, Field(max_length=16, json_schema_extra=ATOMIC)
    ] = None


def _own_prefix(what: str) -> dict[str, Any]:
    return rules(
        cel("!self.startsWith('tandem-')", f"names that start with 'tandem-' are the operator's: rename the {what}")
    )


class VolumeMount(Model):
    """Where a volume stands in the main container."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL, json_schema_extra=_own_prefix("volume"))]
    mount_path: Annotated[str, Field(min_length=1, max_length=512, pattern="^/")]
    sub_path: Annotated[str | None, Field(max_length=512)] = None
    read_only: bool | None = None


class TemplateContainer(Model):
    """Settings of a container of the pod. The only one so far is `main`."""

    name: Annotated[
        str,
        Field(
            max_length=63,
            pattern=DNS_LABEL,
            json_schema_extra=rules(
                cel("self == 'main'", "the container that is trained or served in is named 'main'")
            ),
        ),
    ]
    volume_mounts: Annotated[
        list[VolumeMount] | None, Field(max_length=32, json_schema_extra=list_map("mountPath"))
    ] = None
    security_context: ContainerSecurityContext | None = None
    ports: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "array", NEVER, "ports (and hostPort) are refused: a service's port is spec.port, a pod needs none"
            )
        ),
    ] = None


class KeyToPath(Model):
    """One key of a ConfigMap or Secret and the file it becomes."""

    key: Annotated[str, Field(max_length=253)]
    path: Annotated[str, Field(max_length=512)]
    mode: Annotated[int | None, Field(ge=0, le=511)] = None


class ConfigMapVolume(Model):
    """Files from a ConfigMap."""

    name: ObjectName
    items: Annotated[list[KeyToPath] | None, Field(max_length=32, json_schema_extra=ATOMIC)] = None
    default_mode: Annotated[int | None, Field(ge=0, le=511)] = None
    optional: bool | None = None


class SecretVolume(Model):
    """Files from a Secret."""

    secret_name: ObjectName
    items: Annotated[list[KeyToPath] | None, Field(max_length=32, json_schema_extra=ATOMIC)] = None
    default_mode: Annotated[int | None, Field(ge=0, le=511)] = None
    optional: bool | None = None


class EmptyDirVolume(Model):
    """A directory that lives as long as the pod."""

    medium: Literal["", "Memory"] | None = None
    size_limit: Quantity | None = None


class ClaimVolume(Model):
    """A PersistentVolumeClaim of the same namespace."""

    claim_name: ObjectName
    read_only: bool | None = None


class Volume(Model):
    """A volume of the pod."""

    model_config = {
        "json_schema_extra": rules(
            # Any other source is pruned, and Kubernetes makes an emptyDir of a volume without one: data would be lost.
            # hostPath has its own message.
            cel(
                "has(self.hostPath) || [has(self.configMap), has(self.secret), has(self.emptyDir),"
                " has(self.persistentVolumeClaim)].exists_one(x, x)",
                "a volume needs exactly one of configMap, secret, emptyDir and persistentVolumeClaim",
            )
        )
    }

    name: Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL, json_schema_extra=_own_prefix("volume"))]
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    empty_dir: EmptyDirVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None
    host_path: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "object",
                "false",
                "hostPath is refused: use a PersistentVolumeClaim",
            )
        ),
    ] = None


class Toleration(Model):
    """A taint that the pods accept."""

    key: Annotated[str | None, Field(max_length=317, description="Key of the taint. Default: every key.")] = None
    operator: Annotated[
        Literal["Exists", "Equal"] | None,
        Field(description="Exists accepts every value, Equal the one in `value`. Default: Equal."),
    ] = None
    value: Annotated[str | None, Field(max_length=63, description="Value of the taint. Default: empty.")] = None
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Field(description="Effect of the taint. Default: every effect."),
    ] = None
    toleration_seconds: Annotated[
        int | None,
        Field(ge=0, le=2147483647, description="Seconds a NoExecute taint is borne. Default: for ever."),
    ] = None


class TemplateSpec(Model):
    """What users may say of the pod beyond the fields of the spec."""

    containers: Annotated[list[TemplateContainer] | None, Field(max_length=8, json_schema_extra=list_map("name"))] = (
        None
    )
    volumes: Annotated[list[Volume] | None, Field(max_length=32, json_schema_extra=list_map("name"))] = None
    tolerations: Annotated[list[Toleration] | None, Field(max_length=16, json_schema_extra=ATOMIC)] = None
    node_selector: LabelMap | None = None
    security_context: PodSecurityContext | None = None

    host_network: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "boolean", NOT_TRUE, "hostNetwork is refused: pods reach each other by the headless Service"
            )
        ),
    ] = None
    host_pid: Annotated[
        Refused,
        Field(alias="hostPID", json_schema_extra=refused("boolean", NOT_TRUE, "hostPID is refused: leave it out")),
    ] = None
    host_ipc: Annotated[
        Refused,
        Field(
            alias="hostIPC",
            json_schema_extra=refused("boolean", NOT_TRUE, "hostIPC is refused: /dev/shm is mounted by the operator"),
        ),
    ] = None
    node_name: Annotated[
        Refused,
        Field(json_schema_extra=refused("string", NEVER, "nodeName is refused: use nodeSelector, the scheduler binds")),
    ] = None
    restart_policy: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "string", NEVER, "restartPolicy is refused: the operator restarts the gang as a whole"
            )
        ),
    ] = None
    ephemeral_containers: Annotated[
        Refused,
        Field(
            json_schema_extra=refused("array", NEVER, "ephemeralContainers are refused: use `kubectl debug` on the pod")
        ),
    ] = None


class PodTemplate(Model):
    """The allow-listed part of a pod template."""

    spec: TemplateSpec | None = None
