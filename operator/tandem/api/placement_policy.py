"""PlacementPolicy: what an admin says about where work runs, over the heads of those who write runs and services."""

from typing import Annotated, Literal

from pydantic import Field

from tandem.api.base import ATOMIC, Message, Model, ObjectName, cel, rules
from tandem.api.conditions import MESSAGE_LIMIT, Conditions, ObservedGeneration
from tandem.api.namespaces import NamespaceSelector
from tandem.api.workload import LabelSelector

WorkloadKind = Literal["TrainingRun", "InferenceService"]

POLICY_NAME_RULE = cel(
    "self.metadata.name.size() <= 63",
    "metadata.name must have at most 63 characters: it stands in the status of what the policy decides about",
)
ONE_CHOICE = cel(
    "has(self.accelerator) != has(self.acceleratorSelector)",
    "set exactly one of accelerator and acceleratorSelector",
)
SAYS_SOMETHING = cel(
    "has(self.accelerators) || has(self.forbid) || has(self.caps) || has(self.shares)",
    "the policy says nothing: set accelerators with mode, forbid, caps or shares",
)
MODE_OF_ACCELERATORS = cel(
    "has(self.mode) == has(self.accelerators)",
    "set mode and accelerators together: mode says whether the accelerators are a wish (Prefer) or all that is allowed (Require)",
)
SHARES_OF_A_WHOLE = cel(
    "self.map(s, s.percent).sum() <= 100", "the shares add up to more than 100 percent: lower one of them"
)


class PolicyChoice(Model):
    """Profiles, by name or by labels."""

    accelerator: Annotated[
        ObjectName | None,
        Field(
            description="Name of an AcceleratorProfile; see `kubectl get accel`. No default: this or acceleratorSelector."
        ),
    ] = None
    accelerator_selector: Annotated[
        LabelSelector | None,
        Field(description="Labels of AcceleratorProfiles: all that carry them. No default: this or accelerator."),
    ] = None

    model_config = {"json_schema_extra": rules(ONE_CHOICE)}


class Cap(PolicyChoice):
    """A bound on the devices in use."""

    devices: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Most devices of these profiles, together, that work within the policy's reach may hold. Checked when"
            " work is placed; what runs already is left alone.",
        ),
    ]


class Share(PolicyChoice):
    """A wished part of all devices in use."""

    percent: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="Wished percentage of these profiles among all devices that work within the policy's reach holds. While"
            " it is less, these profiles are tried first; nothing ever waits for it.",
        ),
    ]


class PlacementPolicySpec(Model):
    """For whom it is, and what it says of accelerators."""

    priority: Annotated[
        int | None,
        Field(
            ge=-1000,
            le=1000,
            description="Of policies that contradict each other the higher counts, then the first by name. Default: 0.",
        ),
    ] = None
    namespace_selector: Annotated[
        NamespaceSelector | None, Field(description="Namespaces within the policy's reach. Default: all.")
    ] = None
    kinds: Annotated[
        list[WorkloadKind] | None,
        Field(
            min_length=1,
            max_length=2,
            description="Kinds of work within the policy's reach. Default: both.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = None
    mode: Annotated[
        Literal["Prefer", "Require"] | None,
        Field(
            description="Prefer: accelerators are tried first, in their order; a run or service with placement.order AsListed"
            " goes by its own. Require: nothing else is allowed. Default: none; set together with accelerators."
        ),
    ] = None
    accelerators: Annotated[
        list[PolicyChoice] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Profiles that are preferred or required. Default: none.",
            json_schema_extra=ATOMIC,
        ),
    ] = None
    forbid: Annotated[
        list[PolicyChoice] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Profiles that are not allowed. Those of all policies count, whatever their priority; what runs already"
            " is left alone. Default: none.",
            json_schema_extra=ATOMIC,
        ),
    ] = None
    caps: Annotated[
        list[Cap] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Bounds on the devices in use. Those of all policies count. Default: none.",
            json_schema_extra=ATOMIC,
        ),
    ] = None
    shares: Annotated[
        list[Share] | None,
        Field(
            min_length=1,
            max_length=8,
            description="Wished parts of the devices in use; see status.shares. A profile counts for the first share that names"
            " it. Default: none.",
            json_schema_extra=ATOMIC | rules(SHARES_OF_A_WHOLE),
        ),
    ] = None

    model_config = {"json_schema_extra": rules(SAYS_SOMETHING, MODE_OF_ACCELERATORS)}


Percent = Annotated[int, Field(ge=0, le=100)]
Devices = Annotated[int, Field(ge=0)]
Choice = Annotated[str, Field(max_length=MESSAGE_LIMIT)]


class ShareStatus(Model):
    """A share, as it is."""

    accelerators: Annotated[Choice, Field(description="The profiles as the spec names them.")]
    wished: Annotated[Percent, Field(description="Wished percentage.")]
    actual: Annotated[Percent, Field(description="Percentage of the devices in use, rounded down; 0 while none is.")]
    shortfall: Annotated[Percent, Field(description="Wished less actual; 0 where it is met, and while none is in use.")]
    devices: Annotated[Devices, Field(description="Devices of these profiles in use within the policy's reach.")]
    total: Annotated[Devices, Field(description="Devices of all profiles in use within the policy's reach.")]
    message: Annotated[Message, Field(description="Why it falls short, and what becomes of that.")] = ""


class CapStatus(Model):
    """A cap, as it is."""

    accelerators: Annotated[Choice, Field(description="The profiles as the spec names them.")]
    devices: Annotated[Devices, Field(description="Most devices that may be in use.")]
    used: Annotated[Devices, Field(description="Devices in use within the policy's reach.")]


class Overruled(Model):
    """Another policy that goes before this one somewhere."""

    by: Annotated[str, Field(max_length=253, description="Name of the policy that goes before this one.")]
    rule: Annotated[
        Literal["Require", "Order"],
        Field(description="Require: what is allowed. Order: what is tried first, by preferences and shares."),
    ]


class PlacementPolicyStatus(Model):
    """What the policy comes to, as last seen."""

    observed_generation: ObservedGeneration = None
    conditions: Conditions = []
    profiles: Annotated[
        str | None,
        Field(max_length=1024, description="The AcceleratorProfiles that accelerators selects now, in order."),
    ] = None
    shares: Annotated[
        list[ShareStatus] | None,
        Field(max_length=8, description="The shares, in their order.", json_schema_extra=ATOMIC),
    ] = None
    caps: Annotated[
        list[CapStatus] | None,
        Field(max_length=16, description="The caps, in their order.", json_schema_extra=ATOMIC),
    ] = None
    overruled: Annotated[
        list[Overruled] | None,
        Field(
            max_length=16,
            description="Policies that go before this one for some work in some namespace.",
            json_schema_extra=ATOMIC,
        ),
    ] = None


class PlacementPolicy(Model):
    """What is allowed, required and preferred of accelerators, for the work of some namespaces."""

    name: ObjectName
    spec: PlacementPolicySpec
