"""Volumes that users may give to a pod, and where they stand in a container.

Only sources that Pod Security `restricted` allows: what the namespace holds, what a driver makes for the pod, and images.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from tandem.api.base import (
    ATOMIC,
    DNS_LABEL,
    DNS_SUBDOMAIN,
    NEVER,
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

SOURCES = (
    "configMap",
    "secret",
    "emptyDir",
    "persistentVolumeClaim",
    "projected",
    "csi",
    "ephemeral",
    "image",
    "downwardAPI",
)
"""Kinds of volume; every other one of Kubernetes is pruned, and then refused as a volume without a source."""
PROJECTIONS = ("configMap", "secret", "downwardAPI", "serviceAccountToken")

ONE_SOURCE = f"a volume needs exactly one of {', '.join(SOURCES[:-1])} and {SOURCES[-1]}"
ONE_PROJECTION = f"a projected source needs exactly one of {', '.join(PROJECTIONS[:-1])} and {PROJECTIONS[-1]}"
SYSTEM_MOUNTS = "'/', '/etc', '/dev', '/proc' and '/sys' belong to the system: mount beside them or below /etc and /dev"
OUTSIDE = "the path must stay inside the volume: take out '..' and a leading '/'"

# A path that stands on the root or on a directory of the system, lies in /proc or /sys, or walks.
SYSTEM_PATH = r"^/+((etc|dev|proc|sys)/*|(proc|sys)/.*)?$|/[.][.]?(/|$)"
OUTSIDE_PATH = r"^/|(^|/)[.][.](/|$)"


def one_of(fields: tuple[str, ...]) -> str:
    """CEL that holds when exactly one of these fields is set."""
    return f"[{', '.join(f'has(self.{field})' for field in fields)}].exists_one(x, x)"


def own_prefix(what: str) -> dict[str, Any]:
    """The rule that keeps users' names apart from the operator's."""
    return rules(cel(f"!self.startsWith('{OWN_PREFIX}')", own_name(what)))


def own_name(what: str) -> str:
    """Why a name is refused."""
    return f"names that start with '{OWN_PREFIX}' are the operator's: rename the {what}"


VolumeName = Annotated[
    str, Field(min_length=1, max_length=63, pattern=DNS_LABEL, json_schema_extra=own_prefix("volume"))
]
InsidePath = Annotated[
    str,
    Field(min_length=1, max_length=256, json_schema_extra=rules(cel(f"!self.matches('{OUTSIDE_PATH}')", OUTSIDE))),
]
Mode = Annotated[int | None, Field(ge=0, le=511)]


class VolumeMount(Model):
    """Where a volume stands in a container."""

    name: VolumeName
    mount_path: Annotated[
        str,
        Field(
            min_length=1,
            max_length=512,
            pattern="^/[^:]*$",
            json_schema_extra=rules(cel(f"!self.matches('{SYSTEM_PATH}')", SYSTEM_MOUNTS)),
        ),
    ]
    sub_path: InsidePath | None = None
    read_only: bool | None = None
    mount_propagation: Annotated[
        Refused, Field(json_schema_extra=refused("string", NEVER, "mountPropagation is refused: it needs the host"))
    ] = None
    # Pruned silently, these would mount something else than was asked for.
    sub_path_expr: Annotated[
        Refused, Field(json_schema_extra=refused("string", NEVER, "subPathExpr is refused: use subPath"))
    ] = None
    recursive_read_only: Annotated[
        Refused, Field(json_schema_extra=refused("string", NEVER, "recursiveReadOnly is refused: use readOnly"))
    ] = None


class KeyToPath(Model):
    """One key of a ConfigMap or Secret and the file it becomes."""

    key: Annotated[str, Field(min_length=1, max_length=253)]
    path: InsidePath
    mode: Mode = None


Items = Annotated[list[KeyToPath] | None, Field(max_length=16, json_schema_extra=ATOMIC)]


class ConfigMapVolume(Model):
    """Files from a ConfigMap."""

    name: ObjectName
    items: Items = None
    default_mode: Mode = None
    optional: bool | None = None


class SecretVolume(Model):
    """Files from a Secret."""

    secret_name: ObjectName
    items: Items = None
    default_mode: Mode = None
    optional: bool | None = None


class EmptyDirVolume(Model):
    """A directory that lives as long as the pod."""

    medium: Literal["", "Memory"] | None = None
    size_limit: Quantity | None = None


class ClaimVolume(Model):
    """A PersistentVolumeClaim of the same namespace."""

    claim_name: ObjectName
    read_only: bool | None = None


class PodField(Model):
    """A field of the pod."""

    field_path: Annotated[str, Field(min_length=1, max_length=256)]


class DownwardFile(Model):
    """A file that holds a field of the pod."""

    path: InsidePath
    field_ref: PodField
    mode: Mode = None


Files = Annotated[list[DownwardFile] | None, Field(max_length=16, json_schema_extra=ATOMIC)]


class DownwardVolume(Model):
    """Files that hold fields of the pod."""

    items: Files = None
    default_mode: Mode = None


class ProjectedObject(Model):
    """Keys of a ConfigMap or Secret as part of a projected volume."""

    name: ObjectName
    items: Items = None
    optional: bool | None = None


class ProjectedFiles(Model):
    """Fields of the pod as part of a projected volume."""

    items: Files = None


class Token(Model):
    """A token of the service account that serviceAccountName names."""

    path: InsidePath
    audience: Annotated[str | None, Field(max_length=253)] = None
    expiration_seconds: Annotated[int | None, Field(ge=600, le=4294967296)] = None


class Projection(Model):
    """One source of a projected volume."""

    model_config = {"json_schema_extra": rules(cel(one_of(PROJECTIONS), ONE_PROJECTION))}

    config_map: ProjectedObject | None = None
    secret: ProjectedObject | None = None
    downward_api: Annotated[ProjectedFiles | None, Field(alias="downwardAPI")] = None
    service_account_token: Token | None = None


class ProjectedVolume(Model):
    """Several sources in one directory."""

    sources: Annotated[list[Projection], Field(min_length=1, max_length=8, json_schema_extra=ATOMIC)]
    default_mode: Mode = None


class SecretName(Model):
    """A Secret of the same namespace."""

    name: ObjectName


class CsiVolume(Model):
    """A volume that a CSI driver makes for the pod."""

    driver: Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_SUBDOMAIN)]
    fs_type: Annotated[str | None, Field(max_length=63)] = None
    read_only: bool | None = None
    volume_attributes: Annotated[
        dict[Annotated[str, Field(max_length=128)], Annotated[str, Field(max_length=1024)]] | None,
        Field(max_length=32),
    ] = None
    node_publish_secret_ref: SecretName | None = None


class Storage(Model):
    """An amount of storage."""

    storage: Quantity


class StorageRequest(Model):
    """How much storage is asked for."""

    requests: Storage


AccessMode = Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]


class ClaimTemplateSpec(Model):
    """A claim that is made with the pod and goes with it."""

    access_modes: Annotated[list[AccessMode], Field(min_length=1, max_length=4, json_schema_extra=ATOMIC)]
    storage_class_name: ObjectName | None = None
    resources: StorageRequest


class ClaimTemplate(Model):
    """The claim that is made."""

    spec: ClaimTemplateSpec


class EphemeralVolume(Model):
    """Storage of a storage class that lives as long as the pod."""

    volume_claim_template: ClaimTemplate


class ImageVolume(Model):
    """The files of an image or artifact, read-only."""

    reference: ImageName
    pull_policy: Literal["Always", "Never", "IfNotPresent"] | None = None


class Volume(Model):
    """A volume of the pod."""

    model_config = {
        "json_schema_extra": rules(
            # Any other source is pruned, and Kubernetes makes an emptyDir of a volume without one: data would be lost.
            # hostPath has its own message.
            cel(f"has(self.hostPath) || {one_of(SOURCES)}", ONE_SOURCE)
        )
    }

    name: VolumeName
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    empty_dir: EmptyDirVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None
    projected: ProjectedVolume | None = None
    csi: CsiVolume | None = None
    ephemeral: EphemeralVolume | None = None
    image: ImageVolume | None = None
    downward_api: Annotated[DownwardVolume | None, Field(alias="downwardAPI")] = None
    host_path: Annotated[
        Refused, Field(json_schema_extra=refused("object", "false", "hostPath is refused: use a PersistentVolumeClaim"))
    ] = None


Volumes = Annotated[list[Volume] | None, Field(max_length=32, json_schema_extra=list_map("name"))]
VolumeMounts = Annotated[list[VolumeMount] | None, Field(max_length=32, json_schema_extra=list_map("mountPath"))]
