"""InferenceService: replicas of one model server, spread over one or several accelerators, behind one Service."""

from typing import Annotated

from pydantic import Field

from tandem.api.base import Message, Model, ObjectName, Refused, RelativePath, cel, list_map, refused, rules
from tandem.api.conditions import Conditions, ObservedGeneration
from tandem.api.workload import (
    DEVICES_SOMEWHERE,
    IMAGE_SOMEWHERE,
    ONE_ACCELERATOR,
    VARIANT_ACCELERATOR,
    AcceleratorChoice,
    ClaimRef,
    DecidedBy,
    DevicesPerPod,
    MainContainer,
    ManagedBy,
    PlacementOrder,
    RejectedList,
    Template,
    VariantName,
)

DEFAULT_REPLICAS = 1
DEFAULT_PORT = 8000
DEFAULT_STARTUP_SECONDS = 1800
DEFAULT_STARTUP_PATH = "/v1/models"
DEFAULT_DRAIN_SECONDS = 60
HEALTH_PATH = "/health"

HttpPath = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^/[A-Za-z0-9_./~-]*$")]


ModelUri = Annotated[
    str,
    Field(
        min_length=1,
        max_length=1024,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.~:/@+=,%-]*$",
        json_schema_extra=rules(
            cel(
                "!self.matches('^[^/]*://[^/]*@')",
                "credentials do not belong in a URI, which many can read: give them to the engine by env from a Secret",
            )
        ),
    ),
]


class ModelSource(Model):
    """Where the served model comes from: exactly one of these."""

    model_config = {
        "json_schema_extra": rules(
            cel("has(self.claim) != has(self.uri)", "set exactly one of claim and uri: where the model comes from")
        )
    }

    claim: Annotated[
        ClaimRef | None,
        Field(description="Claim mounted read-only at /models; TANDEM_MODEL_PATH names the path. Default: none."),
    ] = None
    uri: Annotated[
        ModelUri | None,
        Field(
            description="What the engine fetches by itself, handed over as TANDEM_MODEL_PATH: a repository of its hub"
            " (org/name), or a directory of an object store (s3://, gs://, az://). The operator fetches nothing. Default: none."
        ),
    ] = None


class Startup(Model):
    """How long loading may take, and how to see that it is done."""

    timeout_seconds: Annotated[
        int | None, Field(ge=10, le=86400, description="Seconds a replica may take to load. Default: 1800.")
    ] = None
    path: Annotated[
        HttpPath | None,
        Field(description="HTTP path that answers 200 once requests can be served. Default: /v1/models."),
    ] = None


class Drain(Model):
    """How a replica leaves."""

    seconds: Annotated[
        int | None,
        Field(
            ge=0,
            le=3600,
            description="Seconds a leaving replica still answers, out of the Service already. Default: 60.",
        ),
    ] = None


class ServingVariant(AcceleratorChoice, MainContainer):
    """How a replica looks on one accelerator."""

    model_config = {
        "json_schema_extra": rules(
            VARIANT_ACCELERATOR,
            cel(
                "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
                "minReplicas is larger than maxReplicas",
            ),
        )
    }

    name: VariantName
    devices_per_pod: DevicesPerPod = None
    min_replicas: Annotated[
        int | None,
        Field(
            ge=0,
            le=1000,
            description="Replicas given to this variant before others are filled. Where all minimums together are more than"
            " spec.replicas, those listed first are served first. Replicas that have a place do not move for it. Default: 0.",
        ),
    ] = None
    max_replicas: Annotated[
        int | None,
        Field(
            ge=0,
            le=1000,
            description="Most replicas of this variant. What no variant may take counts as unplaced. Default: no bound.",
        ),
    ] = None
    model: Annotated[
        ModelSource | None,
        Field(description="Model of this variant, e.g. quantized for its accelerator. Default: the spec's."),
    ] = None


class ReplicaPlacementSpec(Model):
    """In which order variants are filled."""

    order: PlacementOrder = None


class InferenceServiceSpec(AcceleratorChoice, MainContainer):
    """What to serve, with what, and on which accelerators."""

    model_config = {
        "json_schema_extra": rules(
            ONE_ACCELERATOR,
            IMAGE_SOMEWHERE,
            DEVICES_SOMEWHERE,
            cel(
                "!has(self.variants) || self.variants.size() == 0 || self.variants.exists(v, !has(v.maxReplicas) || v.maxReplicas > 0)",
                "maxReplicas is 0 in every variant, so no replica could run: to pause the service set replicas to 0",
            ),
        )
    }

    replicas: Annotated[
        int,
        Field(ge=0, le=1000, description="Replicas of all variants together; /scale sets it. Default: 1."),
    ] = DEFAULT_REPLICAS
    port: Annotated[
        int | None, Field(ge=1, le=65535, description="HTTP port of server and Service. Default: 8000.")
    ] = None
    devices_per_pod: DevicesPerPod = None
    template: Template = None
    variants: Annotated[
        list[ServingVariant] | None,
        Field(
            min_length=1,
            max_length=8,
            description="How a replica looks on each accelerator, filled in this order. Default: one variant, written inline.",
            json_schema_extra=list_map("name"),
        ),
    ] = None
    model: Annotated[
        ModelSource | None,
        Field(description="The model to serve; a variant may have another. Default: none, the image carries it."),
    ] = None
    startup: Annotated[
        Startup | None, Field(description="Loading time and readiness. Default: 1800 s on /v1/models.")
    ] = None
    drain: Annotated[Drain | None, Field(description="How a replica leaves. Default: 60 s.")] = None
    placement: Annotated[
        ReplicaPlacementSpec | None,
        Field(description="Which variant is filled first. Default: as its fields say. What has a place stays there."),
    ] = None
    managed_by: ManagedBy = None
    traffic: Annotated[
        Refused,
        Field(
            description="Reserved for a later version.",
            json_schema_extra=refused("object", "false", "traffic is reserved for a later version: leave it out"),
        ),
    ] = None
    pods_per_replica: Annotated[
        Refused,
        Field(
            description="Reserved for a later version; only 1 is accepted.",
            json_schema_extra=refused(
                "integer",
                "self == 1",
                "replicas of several pods are reserved for a later version: set podsPerReplica to 1",
                harmless=(1,),
            ),
        ),
    ] = None


class VariantStatus(Model):
    """Replicas of one variant."""

    name: Annotated[str, Field(max_length=12, description="Name of the variant.")]
    accelerator: Annotated[
        str | None, Field(max_length=253, description="AcceleratorProfile it is pinned to while it has replicas.")
    ] = None
    replicas: Annotated[int, Field(ge=0, description="Replicas given to this variant.")]
    ready: Annotated[int, Field(ge=0, description="Replicas that answer.")]
    owned_fields: Annotated[
        str | None,
        Field(
            max_length=64,
            description="Digest of which fields of its Deployment the operator wrote; another one is somebody else's change.",
        ),
    ] = None
    reason: Annotated[str, Field(max_length=63, description="State of the variant, from docs/reasons.md.")]
    message: Annotated[Message | None, Field(description="One sentence about it.")] = None


class ServicePlacement(Model):
    """The last decision about replicas."""

    chosen: Annotated[
        str | None, Field(max_length=1024, description="Profiles that hold replicas, in the order of variants.")
    ] = None
    decided_by: DecidedBy = None
    rejected: RejectedList = None


class ServedModel(Model):
    """The model that is served."""

    source: Annotated[
        str | None,
        Field(max_length=1024, description="Where it comes from, for people; each variant's where they differ."),
    ] = None
    claim: Annotated[str | None, Field(max_length=253, description="Claim it comes from.")] = None
    path: Annotated[RelativePath | None, Field(description="Path inside the claim.")] = None
    uri: Annotated[ModelUri | None, Field(description="What the engine fetches.")] = None


class InferenceServiceStatus(Model):
    """What the operator observed and decided."""

    observed_generation: ObservedGeneration = None
    conditions: Conditions = []
    replicas: Annotated[int, Field(ge=0, description="Replicas that exist, for /scale.")] = 0
    ready_replicas: Annotated[int, Field(ge=0, description="Replicas that answer.")] = 0
    summary: Annotated[str, Field(max_length=32, description="Ready and wanted, e.g. 3/4, for people.")] = ""
    unplaced_replicas: Annotated[int | None, Field(ge=0, description="Replicas that found no free devices.")] = None
    selector: Annotated[str, Field(max_length=256, description="Label selector of the replicas, for /scale.")] = ""
    url: Annotated[str | None, Field(max_length=512, description="Where the service answers inside the cluster.")] = (
        None
    )
    variants: Annotated[
        list[VariantStatus] | None,
        Field(max_length=8, description="Replicas by variant.", json_schema_extra=list_map("name")),
    ] = None
    placement: Annotated[ServicePlacement | None, Field(description="The last placement decision.")] = None
    model: Annotated[ServedModel | None, Field(description="The model that is served.")] = None


class InferenceService(Model):
    """Replicas of one model server on one or several accelerators, behind one Service."""

    name: ObjectName
    namespace: ObjectName
    uid: str
    generation: int = 0
    spec: InferenceServiceSpec
    status: InferenceServiceStatus = InferenceServiceStatus()
