"""TrainingRun: a gang of pods that trains, on the first accelerator that can take it."""

from typing import Annotated, Literal

from pydantic import Field

from tandem.api.base import (
    ATOMIC,
    Message,
    Model,
    ObjectName,
    RelativePath,
    ShortText,
    Timestamp,
    list_map,
    rules,
)
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
    HoldOff,
    MainContainer,
    ManagedBy,
    PlacementOrder,
    RejectedList,
    Template,
    VariantName,
)

Launcher = Literal["Torchrun", "Plain"]
DEFAULT_LAUNCHER: Launcher = "Torchrun"
DEFAULT_PODS = 1
MOST_SECONDS = 315_360_000
"""Ten years: far beyond any run, and far within what clocks and numbers hold."""

Pods = Annotated[
    int | None,
    Field(
        ge=1,
        le=5000,
        description="Pods of the gang, started and ended together. Default: 1. A variant may override it.",
    ),
]


class Checkpoint(Model):
    """Where the program writes checkpoints; it finds the directory in TANDEM_CHECKPOINT_DIR."""

    claim: Annotated[
        ClaimRef, Field(description="Claim that every pod mounts at /checkpoints. ReadWriteMany for several pods.")
    ]


class Cleanup(Model):
    """What is taken away after the end. The run itself stays, with its status, until somebody deletes it."""

    pods_after_seconds: Annotated[
        int | None,
        Field(
            ge=0,
            le=MOST_SECONDS,
            description="Seconds after its end for good at which the run's pods, with their logs, and its headless Service are"
            " deleted. Default: 86400 (24 h).",
        ),
    ] = None


class PlacementSpec(Model):
    """In which order variants are tried, and how the run waits for devices."""

    order: PlacementOrder = None
    wait_seconds: Annotated[
        int | None,
        Field(
            ge=0,
            le=86_400,
            description="Seconds of waiting for which a variant that lacks devices keeps those after it from being tried; from"
            " then on the first that fits is taken. Default: 0, the next is tried at once.",
        ),
    ] = None
    bind_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=3600,
            description="Seconds within which every pod must have a node, counted from the creation of the last one. Then the"
            " attempt ends with NotBound, uncharged, and its variant is held off for a while. Default: the operator's"
            " bindSeconds, 120.",
        ),
    ] = None


class TrainingVariant(AcceleratorChoice, MainContainer):
    """How the run looks on one accelerator."""

    model_config = {"json_schema_extra": rules(VARIANT_ACCELERATOR)}

    name: VariantName
    pods: Pods = None
    devices_per_pod: DevicesPerPod = None


class TrainingRunSpec(AcceleratorChoice, MainContainer):
    """What to train, with what, and on which accelerators."""

    model_config = {"json_schema_extra": rules(ONE_ACCELERATOR, IMAGE_SOMEWHERE, DEVICES_SOMEWHERE)}

    pods: Pods = None
    devices_per_pod: DevicesPerPod = None
    launcher: Annotated[
        Launcher | None,
        Field(
            description="Torchrun sets PET_* and MASTER_* for torchrun; Plain sets only TANDEM_*. Default: Torchrun.",
        ),
    ] = None
    template: Template = None
    variants: Annotated[
        list[TrainingVariant] | None,
        Field(
            min_length=1,
            max_length=8,
            description="How the run looks on each accelerator, in order of preference. Default: one variant, written inline.",
            json_schema_extra=list_map("name"),
        ),
    ] = None
    placement: Annotated[
        PlacementSpec | None,
        Field(description="Which variant is tried first, and how the run waits. Default: as its fields say."),
    ] = None
    suspend: Annotated[
        bool | None,
        Field(
            description="True ends the running attempt and keeps no pods; false goes on with the next one. Default: false."
        ),
    ] = None
    checkpoint: Annotated[
        Checkpoint | None,
        Field(description="Where checkpoints are kept. Default: nowhere; a restart begins at step 0."),
    ] = None
    active_deadline_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=MOST_SECONDS,
            description="Seconds that the run may hold all its pods bound to nodes, over all attempts. Neither the queue nor a"
            " suspended time counts. Then it fails for good, with reason DeadlineExceeded. Default: no limit.",
        ),
    ] = None
    cleanup: Annotated[
        Cleanup | None, Field(description="What is taken away after the end. Default: pods after 24 h.")
    ] = None
    managed_by: ManagedBy = None


class ActiveAttempt(Model):
    """The attempt that holds or may hold pods. Written before the first of them is made."""

    number: Annotated[int, Field(ge=1, description="Number of the attempt, from 1.")]
    variant: Annotated[str, Field(max_length=12, description="Variant it runs.")]
    accelerator: Annotated[str, Field(max_length=253, description="AcceleratorProfile it runs on.")]
    inputs_hash: Annotated[str, Field(max_length=64, description="Hash of what its pods were made from.")]
    pods: Annotated[int, Field(ge=1, description="Size of its gang.")]
    devices_per_pod: Annotated[int, Field(ge=1, description="Devices of each pod.")]
    start_time: Annotated[Timestamp, Field(description="When it was decided.")]
    created_time: Annotated[
        Timestamp | None, Field(description="When its last pod was made. From then on a missing pod counts as lost.")
    ] = None
    bound_time: Annotated[
        Timestamp | None,
        Field(description="When its last pod got a node. From then on it uses up spec.activeDeadlineSeconds."),
    ] = None
    pod_group: Annotated[
        str | None,
        Field(
            max_length=63,
            description="PodGroup by which the scheduler binds its pods all at once or not at all. Absent where the cluster does"
            " not serve PodGroups: then pods are bound one by one, and a gang that is not bound whole in time is taken back.",
        ),
    ] = None


class EndedAttempt(Model):
    """How an attempt ended."""

    number: Annotated[int, Field(ge=1, description="Number of the attempt.")]
    variant: Annotated[str, Field(max_length=12, description="Variant it ran.")]
    accelerator: Annotated[str, Field(max_length=253, description="AcceleratorProfile it ran on.")]
    outcome: Annotated[str, Field(max_length=63, description="Reason of its end, from docs/reasons.md.")]
    start_time: Annotated[Timestamp, Field(description="When it was decided.")]
    end_time: Annotated[Timestamp, Field(description="When its end was recorded.")]
    message: Annotated[Message, Field(description="One sentence about the end.")] = ""


class LastFailure(Model):
    """The first cause of the last failure: enough to act without reading logs."""

    attempt: Annotated[int, Field(ge=1, description="Attempt that failed.")]
    pod: Annotated[str, Field(max_length=253, description="Pod that failed first.")]
    node: Annotated[str | None, Field(max_length=253, description="Its node.")] = None
    class_: Annotated[
        Literal["User", "Infra"],
        Field(alias="class", description="User: the program's own error. Infra: pod, node or devices."),
    ]
    exit_code: Annotated[int | None, Field(description="Exit code of the main container, where it had one.")] = None
    message: Annotated[Message, Field(description="What happened.")] = ""
    time: Annotated[Timestamp, Field(description="When it happened, or was seen.")]


class Failures(Model):
    """Failures charged against the run's limits."""

    user: Annotated[int, Field(ge=0, description="Failures of the program; the limit is 3.")] = 0
    infra: Annotated[int, Field(ge=0, description="Failures of pods, nodes and devices; the limit is 20.")] = 0


class Placement(Model):
    """The last decision: what was chosen, what was rejected, and why."""

    chosen: Annotated[str | None, Field(max_length=253, description="AcceleratorProfile that was chosen.")] = None
    variant: Annotated[str | None, Field(max_length=12, description="Variant that was chosen.")] = None
    decided_by: DecidedBy = None
    reason: Annotated[Message | None, Field(description="Why, in one sentence.")] = None
    rejected: RejectedList = None


class PodCounts(Model):
    """Pods of the active attempt; never a list of ranks."""

    wanted: Annotated[int, Field(ge=0, description="Size of the gang.")]
    ready: Annotated[int, Field(ge=0, description="Pods that run, or ended well.")]
    summary: Annotated[str, Field(max_length=32, description="Ready and wanted, e.g. 3/4, for people.")]
    succeeded: Annotated[
        ShortText | None, Field(description="Ranks that ended with exit code 0, as ranges such as 0-2,5.")
    ] = None


class CheckpointStatus(Model):
    """The newest checkpoint that the program reported."""

    # JSON numbers above 2^53 are not exact everywhere, and above 2^63 the API server refuses the whole status.
    step: Annotated[int, Field(ge=0, le=2**53 - 1, description="Training step it was written at.")]
    path: Annotated[RelativePath | None, Field(description="Path below the checkpoint directory.")] = None
    digest: Annotated[str | None, Field(max_length=128, description="Digest of its content.")] = None


class TrainingRunStatus(Model):
    """What the operator observed and decided."""

    observed_generation: ObservedGeneration = None
    conditions: Conditions = []
    attempt: Annotated[int, Field(ge=0, description="Number of the newest attempt; 0 before the first.")] = 0
    active: Annotated[ActiveAttempt | None, Field(description="The attempt that runs; absent between attempts.")] = None
    attempts: Annotated[
        list[EndedAttempt] | None,
        Field(max_length=5, description="The last five attempts that ended.", json_schema_extra=ATOMIC),
    ] = None
    failures: Annotated[Failures | None, Field(description="Failures charged so far.")] = None
    last_failure: Annotated[LastFailure | None, Field(description="The last failure and its first cause.")] = None
    active_seconds: Annotated[
        int | None,
        Field(ge=0, description="Seconds that ended attempts used of spec.activeDeadlineSeconds."),
    ] = None
    waiting_since: Annotated[
        Timestamp | None,
        Field(description="Since when no devices are found for it; absent while it does not look for any."),
    ] = None
    not_before: Annotated[Timestamp | None, Field(description="No attempt starts before this time (backoff).")] = None
    hold_offs: Annotated[
        list[HoldOff] | None,
        Field(
            max_length=8,
            description="Variants that are not tried for a while, or until the spec is edited.",
            json_schema_extra=list_map("variant"),
        ),
    ] = None
    placement: Annotated[Placement | None, Field(description="The last placement decision.")] = None
    pods: Annotated[PodCounts | None, Field(description="Pods of the active attempt, or of the last one.")] = None
    checkpoint: Annotated[CheckpointStatus | None, Field(description="The newest checkpoint reported.")] = None
    pending_change: Annotated[
        bool | None, Field(description="True when the spec differs from what runs; it applies to the next attempt.")
    ] = None
    start_time: Annotated[Timestamp | None, Field(description="When the first attempt was decided.")] = None
    completion_time: Annotated[Timestamp | None, Field(description="When the run succeeded or failed for good.")] = None


class TrainingRun(Model):
    """A gang of pods that trains a model, restarted as a whole, on the first accelerator that can take it."""

    name: ObjectName
    namespace: ObjectName
    uid: str
    generation: int = 0
    spec: TrainingRunSpec
    status: TrainingRunStatus = TrainingRunStatus()
