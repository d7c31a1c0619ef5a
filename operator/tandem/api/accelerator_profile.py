"""AcceleratorProfile: all that the operator knows of a make of accelerator. Data, so that a vendor is one YAML file."""

from collections.abc import Hashable
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from tandem.api.base import ATOMIC, DNS_LABEL, LabelMap, Model, ObjectName, Quantity, cel, list_map, rules
from tandem.api.conditions import Conditions, ObservedGeneration
from tandem.api.containers import EnvVar
from tandem.api.namespaces import NamespaceSelector
from tandem.api.scheduling import Toleration

CLASS_RESERVED = "allocation.type ResourceClaim is reserved for a later version: use ExtendedResource"

PROFILE_NAME_RULE = cel(
    "self.metadata.name.size() <= 63",
    "metadata.name must have at most 63 characters: it is the value of a label on every pod",
)


SOMEBODY = cel(
    "has(self.names) || has(self.selector)",
    "nobody is allowed: set names or selector, or leave allowedNamespaces out to allow all",
)


class ExtendedResource(Model):
    """A resource that a device plugin offers."""

    name: Annotated[
        str,
        Field(
            min_length=3,
            max_length=253,
            pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?/[A-Za-z0-9]([-_.A-Za-z0-9]*[A-Za-z0-9])?$",
            description="Name as it stands in a node's status.allocatable, e.g. example.com/gpu.",
        ),
    ]


class Allocation(Model):
    """How pods ask for devices."""

    type: Annotated[
        Literal["ExtendedResource", "ResourceClaim"],
        Field(
            description="ExtendedResource: by a device plugin's resource. ResourceClaim is reserved for a later version.",
            json_schema_extra=rules(cel("self != 'ResourceClaim'", CLASS_RESERVED)),
        ),
    ]
    extended_resource: Annotated[ExtendedResource, Field(description="The device plugin's resource.")]


class Counts(Model):
    """Numbers of devices that a pod may ask for."""

    per_pod: Annotated[
        list[Annotated[int, Field(ge=1, le=64)]] | None,
        Field(
            min_length=1, max_length=64, description="Legal counts in one pod. Default: any.", json_schema_extra=ATOMIC
        ),
    ] = None
    distributed: Annotated[
        list[Annotated[int, Field(ge=1, le=64)]] | None,
        Field(
            min_length=1,
            max_length=64,
            description="Legal counts in each pod of a gang of several pods. Default: as perPod.",
            json_schema_extra=ATOMIC,
        ),
    ] = None


class PerDevice(Model):
    """What comes with each device unless the user says otherwise; device-only pods would be BestEffort."""

    cpu: Annotated[Quantity | None, Field(description="CPU request per device. Default: none.")] = None
    memory: Annotated[Quantity | None, Field(description="Memory request per device. Default: none.")] = None
    shm: Annotated[
        Quantity | None,
        Field(description="Size of /dev/shm per device; collective libraries need it. Default: the runtime's 64Mi."),
    ] = None


Pattern = Annotated[
    str,
    Field(
        min_length=1,
        max_length=253,
        pattern=r"^[-A-Za-z0-9_./*]+$",
        description="A name in which * stands for any number of any characters.",
    ),
]


class LabelSign(Model):
    """A label of a node."""

    key: Annotated[Pattern, Field(description="Key of the label; * stands for any characters.")]
    values: Annotated[
        list[Pattern] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Values that are meant; * stands for any characters. Default: every value.",
            json_schema_extra=ATOMIC,
        ),
    ] = None


class ExcludedNodes(Model):
    """Signs of which one is enough to leave a node out."""

    labels: Annotated[
        list[LabelSign] | None,
        Field(max_length=16, description="Labels. Default: none.", json_schema_extra=ATOMIC),
    ] = None
    annotations: Annotated[
        list[Pattern] | None,
        Field(
            max_length=16,
            description="Keys of annotations; * stands for any characters. Default: none.",
            json_schema_extra=ATOMIC,
        ),
    ] = None
    resources: Annotated[
        list[Pattern] | None,
        Field(
            max_length=16,
            description="Names of extended resources of which the node has some; * stands for any characters. Default: none.",
            json_schema_extra=ATOMIC,
        ),
    ] = None

    @cached_property
    def signs(self) -> tuple[Hashable, ...]:
        """All of it, as a value that can be compared fast."""
        labels = tuple((sign.key, tuple(sign.values or ())) for sign in self.labels or ())
        return labels, tuple(self.annotations or ()), tuple(self.resources or ())


class AllowedNamespaces(Model):
    """Namespaces whose work may use the profile: those that are named, and those that are selected."""

    names: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=63, pattern=DNS_LABEL)]] | None,
        Field(
            min_length=1,
            max_length=256,
            description="Names of namespaces. Default: none.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = None
    selector: Annotated[
        NamespaceSelector | None, Field(description="Labels of namespaces. Default: none is selected.")
    ] = None

    model_config = {"json_schema_extra": rules(SOMEBODY)}


class NodeConditionSign(Model):
    """A condition in a node's status that says that its devices are not well."""

    type: Annotated[
        str,
        Field(min_length=1, max_length=316, description="Type of the condition, e.g. one of node-problem-detector's."),
    ]
    status: Annotated[
        Literal["True", "False", "Unknown"] | None,
        Field(description="Status in which it is a sign of illness. Default: True."),
    ] = None


class Health(Model):
    """Where to look, beside what the device plugin says in status.allocatable."""

    node_conditions: Annotated[
        list[NodeConditionSign],
        Field(
            min_length=1,
            max_length=16,
            description="Conditions of which one is enough for a node to get no new pods; what runs there is left alone.",
            json_schema_extra=ATOMIC,
        ),
    ]

    @cached_property
    def signs(self) -> frozenset[tuple[str, str]]:
        """(type, status) of the conditions."""
        return frozenset((sign.type, sign.status or "True") for sign in self.node_conditions)


class AcceleratorProfileSpec(Model):
    """Where the devices are and what pods on them need."""

    node_selector: Annotated[
        LabelMap, Field(min_length=1, description="Labels of the nodes that carry the devices; also set on the pods.")
    ]
    exclude_nodes: Annotated[
        ExcludedNodes | None,
        Field(
            description="Signs of nodes whose devices are divided by a sharing layer, so that the count in status.allocatable is"
            " not one of whole devices: such nodes get none of the pods' devices counted as free. Default: none."
        ),
    ] = None
    health: Annotated[
        Health | None,
        Field(
            description="Further signs of ill devices. Default: none; devices that the device plugin does not offer never count."
        ),
    ] = None
    architecture: Annotated[
        Literal["amd64", "arm64"] | None,
        Field(description="Architecture of the nodes (kubernetes.io/arch); images must be built for it. Default: any."),
    ] = None
    allocation: Annotated[Allocation, Field(description="How pods ask for devices.")]
    provisioning: Annotated[
        Literal["Static", "Autoscaled"] | None,
        Field(
            description="Autoscaled: an autoscaler adds nodes for pods that wait, so pods are made though no devices are free, and"
            " may wait 15 minutes for a node unless bindSeconds says otherwise. Static: what does not fit waits without pods."
            " Default: Static."
        ),
    ] = None
    allowed_namespaces: Annotated[
        AllowedNamespaces | None,
        Field(
            description="Namespaces whose work may be placed on the devices; what runs already is left alone. Default: all."
        ),
    ] = None
    counts: Annotated[Counts | None, Field(description="Legal numbers of devices. Default: any.")] = None
    ranks_per_device: Annotated[
        int | None, Field(ge=1, le=16, description="Processes per device, 2 where a device has two dies. Default: 1.")
    ] = None
    per_device: Annotated[
        PerDevice | None, Field(description="CPU, memory and /dev/shm per device. Default: none.")
    ] = None
    tolerations: Annotated[
        list[Toleration] | None,
        Field(
            max_length=16, description="Taints of the nodes that pods accept. Default: none.", json_schema_extra=ATOMIC
        ),
    ] = None
    runtime_class_name: Annotated[
        ObjectName | None, Field(description="RuntimeClass of the pods. Default: the node's own.")
    ] = None
    env: Annotated[
        list[EnvVar] | None,
        Field(
            max_length=64,
            description="Environment of the main container. Default: none.",
            json_schema_extra=list_map("name"),
        ),
    ] = None
    forbid_env: Annotated[
        list[Annotated[str, Field(max_length=128)]] | None,
        Field(
            max_length=32,
            description="Variables that the device plugin sets and users must not, e.g. visible devices. Default: none.",
            json_schema_extra=ATOMIC,
        ),
    ] = None
    void_env: Annotated[
        list[EnvVar] | None,
        Field(
            max_length=32,
            description="Environment of every container but main, so that helpers see no devices, e.g. visible devices set"
            " to void. Default: none.",
            json_schema_extra=list_map("name"),
        ),
    ] = None
    revision: Annotated[
        str | None,
        Field(
            max_length=63,
            description="Raise it to have a changed profile applied to what runs; other edits reach new pods only. Default: empty.",
        ),
    ] = None


class DeviceCounts(Model):
    """The devices of all nodes of a profile. Counts of the profile's resource."""

    capacity: Annotated[int, Field(ge=0, description="Devices that the nodes have.")]
    allocatable: Annotated[int, Field(ge=0, description="Those that are healthy by their device plugin.")]
    unhealthy: Annotated[int, Field(ge=0, description="Capacity less allocatable.")]
    free: Annotated[
        int | None,
        Field(
            ge=0,
            description="Healthy ones that no pod holds, on usable nodes. Absent, as the next two, where the operator may not list"
            " all pods.",
        ),
    ] = None
    ours: Annotated[int | None, Field(ge=0, description="Held by pods of runs and services on this profile.")] = None
    others: Annotated[int | None, Field(ge=0, description="Held by all other pods.")] = None


class NodeCounts(Model):
    """The nodes of a profile."""

    found: Annotated[
        int, Field(ge=0, description="Nodes with the profile's labels and architecture, whatever their state.")
    ]
    usable: Annotated[
        int,
        Field(
            ge=0,
            description="Those to which its pods may be bound: ready, not cordoned, without taints that the profile does not"
            " tolerate, without a condition that health names, and not left out by excludeNodes.",
        ),
    ]


class AcceleratorProfileStatus(Model):
    """What the cluster has of the profile, as last seen. Pods that come and go are gathered over a few seconds."""

    observed_generation: ObservedGeneration = None
    conditions: Conditions = []
    nodes: Annotated[NodeCounts | None, Field(description="The profile's nodes, counted.")] = None
    devices: Annotated[DeviceCounts | None, Field(description="Their devices, counted.")] = None


class AcceleratorProfile(Model):
    """One make of accelerator: its nodes, its resource, and what pods on it need."""

    name: ObjectName
    labels: dict[str, str] = {}
    spec: AcceleratorProfileSpec
