"""Fields that TrainingRun and InferenceService share: what runs in the main container, and on which accelerator."""

from typing import Annotated, Literal

from pydantic import Field

from tandem.api.base import (
    ATOMIC,
    DNS_LABEL,
    ImageName,
    LabelMap,
    Message,
    Model,
    ObjectName,
    Quantity,
    Refused,
    RelativePath,
    Timestamp,
    cel,
    list_map,
    refused,
    rules,
)
from tandem.api.containers import EnvVar, ResourceRequirements, Words
from tandem.api.pod_template import PodTemplate

NAME_RULE = cel(
    "self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    "metadata.name must have at most 40 characters, start with a letter and hold only a-z, 0-9 and '-':"
    " pods and Services are named after it",
)
ONE_ACCELERATOR = cel(
    "[has(self.accelerator), has(self.acceleratorSelector), has(self.variants)].exists_one(x, x)",
    "set exactly one of accelerator, acceleratorSelector and variants",
)
IMAGE_SOMEWHERE = cel(
    "has(self.image) || (has(self.variants) && self.variants.all(v, has(v.image)))",
    "no image: set spec.image, or image in every variant",
)
DEVICES_SOMEWHERE = cel(
    "has(self.devicesPerPod) || (has(self.variants) && self.variants.all(v, has(v.devicesPerPod)))",
    "no devicesPerPod: set spec.devicesPerPod, or devicesPerPod in every variant; devices cost money, so there is no default",
)
VARIANT_ACCELERATOR = cel(
    "has(self.accelerator) != has(self.acceleratorSelector)",
    "a variant sets exactly one of accelerator and acceleratorSelector",
)


class LabelSelector(Model):
    """Profiles that carry all of these labels."""

    match_labels: Annotated[
        LabelMap,
        Field(min_length=1, description="Labels of AcceleratorProfiles, e.g. tandem.dev/family: example."),
    ]


class MainContainer(Model):
    """What runs in the container named `main`. A variant's value goes before the spec's."""

    image: Annotated[
        ImageName | None,
        Field(description="Image of the main container. No default: here, or in every variant."),
    ] = None
    command: Annotated[
        Words,
        Field(description="Entrypoint of the main container. Default: the image's. A variant's replaces it whole."),
    ] = None
    args: Annotated[
        Words,
        Field(
            description="Arguments; $(NAME) refers to environment. Default: the image's. A variant's replaces it whole."
        ),
    ] = None
    env: Annotated[
        list[EnvVar] | None,
        Field(
            max_length=128,
            description="Environment of the main container, merged by name: profile, then spec, then variant. Default: none.",
            json_schema_extra=list_map("name"),
        ),
    ] = None
    resources: Annotated[
        ResourceRequirements | None,
        Field(
            description="CPU and memory of the main container. Default: the profile's perDevice times devicesPerPod."
        ),
    ] = None

    shm_size: Annotated[
        Quantity | None,
        Field(
            description="Size of /dev/shm in memory; it counts against the memory limit. Default: the profile's"
            " perDevice.shm times devicesPerPod; a volume that the template mounts at /dev/shm goes before both."
        ),
    ] = None


class AcceleratorChoice(Model):
    """Which AcceleratorProfile is asked for: by name, or by labels."""

    accelerator: Annotated[
        ObjectName | None,
        Field(
            description="Name of an AcceleratorProfile; see `kubectl get accel`. No default: this or acceleratorSelector is set,"
            " here or in every variant."
        ),
    ] = None
    accelerator_selector: Annotated[
        LabelSelector | None,
        Field(
            description="Labels of AcceleratorProfiles; of several that match, the first by name that fits is taken. No default:"
            " this or accelerator is set, here or in every variant."
        ),
    ] = None


DevicesPerPod = Annotated[
    int | None,
    Field(
        ge=1,
        le=64,
        description="Whole devices for each pod. Required here or in every variant: it costs money, so there is no default.",
    ),
]

VariantName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=12,
        pattern=DNS_LABEL,
        description="Name of the variant, at most 12 characters; part of the names of children.",
        json_schema_extra=rules(cel("self != 'canary'", "the name 'canary' is reserved: choose another")),
    ),
]

Template = Annotated[
    PodTemplate | None,
    Field(
        description="Allow-listed part of a pod template; fields mean what they mean in a Pod. Default: none."
        " Of the pod: volumes (configMap, secret, emptyDir, persistentVolumeClaim, projected, csi, ephemeral, image,"
        " downwardAPI), nodeSelector, affinity, topologySpreadConstraints, tolerations, priorityClassName, schedulerName,"
        " imagePullSecrets, serviceAccountName (its token is mounted only with automountServiceAccountToken; whoever sets"
        " it needs the verb use on that service account), terminationGracePeriodSeconds (default: 30; of a service never"
        " less than drain.seconds + 30), securityContext within Pod Security restricted. In containers only main, whose"
        " image stands in spec: command, args, env, resources (each below spec's), workingDir, volumeMounts,"
        " securityContext, imagePullPolicy. Helpers go into initContainers: they run before main, or beside it with"
        " restartPolicy Always and end with it; a second ordinary container would keep a pod alive after main has ended."
        " Helpers get no devices. Refused with the way out: hostNetwork, hostPID, hostIPC, hostPath, hostPort, privileged,"
        " capabilities.add and nodeName, which reach the host; restartPolicy, hostname, DNS, probes, ports and"
        " runtimeClassName, which the operator or the profile decides; and names that start with tandem-."
    ),
]


ManagedBy = Annotated[
    Refused,
    Field(
        description="Reserved for a later version.",
        json_schema_extra=refused(
            "string", "self.size() == 0", "managedBy is reserved for a later version: leave it out"
        ),
    ),
]


class ClaimRef(Model):
    """A directory on a PersistentVolumeClaim of the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of the PersistentVolumeClaim.")]
    path: Annotated[
        RelativePath | None, Field(description="Directory inside the claim. Default: the claim's root.")
    ] = None


class Rejected(Model):
    """A candidate that was not chosen, and why."""

    variant: Annotated[str, Field(max_length=12, description="Name of the variant.")]
    accelerator: Annotated[str, Field(max_length=253, description="Name of the profile, or the selector's labels.")]
    reason: Annotated[str, Field(max_length=63, description="One word from the closed list in docs/reasons.md.")]
    message: Annotated[Message, Field(description="What a person can do, with numbers.")]
    too_small_since: Annotated[
        Timestamp | None,
        Field(
            description="Since when its nodes have been too few or too small for it, even when empty. Ten minutes later, by"
            " default, the reason is NeverFits. Absent where they are not."
        ),
    ] = None


RejectedList = Annotated[
    list[Rejected] | None,
    Field(
        max_length=16, description="The candidates of the last decision that were not taken.", json_schema_extra=ATOMIC
    ),
]


PlacementOrder = Annotated[
    Literal["Policy", "AsListed"] | None,
    Field(
        description="Policy: what a PlacementPolicy prefers is tried first, then variants in their order. AsListed: variants in"
        " their order, whatever policies prefer; what they forbid or require counts all the same. Default: Policy."
    ),
]

DecidedBy = Annotated[
    str | None,
    Field(
        max_length=80,
        description="Rule that decided: ListedOrder, AsListed, or that of a PlacementPolicy with its name: Forbid/NAME,"
        " Require/NAME, Prefer/NAME or Share/NAME.",
    ),
]


class HoldOff(Model):
    """A variant that is not tried again before a time, since the scheduler or the server refused it."""

    variant: Annotated[str, Field(max_length=12, description="Name of the variant.")]
    until: Annotated[Timestamp, Field(description="When it may be tried again.")]
    count: Annotated[int, Field(ge=1, description="Refusals in a row; the pause doubles with each.")]
    message: Annotated[Message, Field(description="The words of the scheduler or of the server.")] = ""
