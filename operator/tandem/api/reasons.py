"""The closed list of reasons that conditions, events and rejected candidates may carry.

Scripts and alerts match on these words, so a reason is never renamed. `docs/reasons.md` is generated from this enum:
each member's description is what an admin reads at night, and says what to do.
"""

from enum import StrEnum


class Reason(StrEnum):
    """One word of machine meaning; `describe()` gives the sentence for people."""

    description: str

    def __new__(cls, value: str, description: str) -> "Reason":
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    # Life of a run or a service
    QUEUED = (
        "Queued",
        "Accepted, and waiting for free devices. `status.placement.rejected` says why each candidate waits.",
    )
    STARTING = "Starting", "Pods are being created, scheduled or started."
    RUNNING = "Running", "Every pod of the gang runs."
    SUSPENDED = "Suspended", "`spec.suspend` is true: no pods are kept. Set it to false to go on with the next attempt."
    SUCCEEDED = "Succeeded", "Every rank ended with exit code 0."
    AVAILABLE = "Available", "Enough replicas answer requests."
    PARTIALLY_PLACED = "PartiallyPlaced", "The service answers, but some replicas found no free devices."
    SCALED_TO_ZERO = "ScaledToZero", "`spec.replicas` is 0. The Service is kept."
    ROLLING = "Rolling", "Replicas are being replaced by a new revision."
    MODEL_RESOLVED = "ModelResolved", "The model's source is there."
    PLACED = "Placed", "An accelerator was chosen. `status.placement` says which and why."

    # Failures of attempts
    USER_FAILURE = (
        "UserFailure",
        "The program ended with an error of its own. See `status.lastFailure` and the pod's logs.",
    )
    INFRA_FAILURE = (
        "InfraFailure",
        "A pod, its node or its devices were lost. The run restarts on its own, up to 20 times.",
    )
    RESTART_LIMIT = (
        "RestartLimit",
        "The run failed more often than its limit allows. Fix the cause, then recreate the run.",
    )
    DEADLINE_EXCEEDED = (
        "DeadlineExceeded",
        "A run held its pods for longer than `spec.activeDeadlineSeconds`: recreate it with a larger one. Or new replicas of a"
        " service did not answer in time: look at their logs, or raise `spec.startup.timeoutSeconds`.",
    )
    SUPERSEDED = "Superseded", "The spec changed while an attempt was half made; it starts anew with the new spec."
    NOT_BOUND = "NotBound", "The scheduler found no nodes for the pods in time. The message is the scheduler's own."
    CREATE_REFUSED = (
        "CreateRefused",
        "The API server refused a pod (quota, admission policy). The message is the server's own.",
    )
    IMAGE_PULL = "ImagePull", "An image cannot be pulled. Check its name, tag and pull secrets."
    TERMINATION_STUCK = "TerminationStuck", "Pods of an ended attempt do not go away. Look at their node."
    WAITING_FOR_PREDECESSOR = "WaitingForPredecessor", "Pods of the attempt before are still ending."

    # What a person has to mend
    INVALID_SPEC = "InvalidSpec", "The spec cannot be rendered. The message names the field and the mend."
    CLAIM_MISSING = (
        "ClaimMissing",
        "A PersistentVolumeClaim that the spec names does not exist. Create it; work starts by itself.",
    )
    POD_SECURITY_WOULD_REJECT = (
        "PodSecurityWouldReject",
        "The namespace's Pod Security level refuses such pods. Change the spec as the message says, or the namespace's label.",
    )
    NO_LOADER = (
        "NoLoader",
        "No engine loads a model from such a URI, and the operator fetches nothing. The message says what to write instead.",
    )
    NAME_CONFLICT = (
        "NameConflict",
        "An object with a name that is needed exists and belongs to somebody else. Rename or remove it.",
    )
    PROFILE_MISSING = (
        "ProfileMissing",
        "The AcceleratorProfile of running replicas is gone. They go on; new ones cannot start.",
    )

    # Why a candidate was rejected
    UNKNOWN_ACCELERATOR = (
        "UnknownAccelerator",
        "No AcceleratorProfile has this name or these labels. See `kubectl get accel`.",
    )
    ILLEGAL_COUNT = (
        "IllegalCount",
        "The profile does not allow this number of devices in a pod. The message lists the legal ones.",
    )
    ARCH_MISMATCH = (
        "ArchMismatch",
        "All nodes with the profile's labels are of another architecture than the profile says. Add nodes, or correct the"
        " profile's `architecture` (images must be built for it).",
    )
    NEVER_FITS = (
        "NeverFits",
        "The profile's nodes have been too few or too small for ten minutes, even if nothing else ran on them. Add nodes, ask for"
        " less, or set the profile's `provisioning: Autoscaled` where an autoscaler adds nodes.",
    )
    QUOTA_EXCEEDED = (
        "QuotaExceeded",
        "A ResourceQuota of the namespace, which the message names, has no room. It starts by itself when the quota is raised or"
        " others of the namespace end.",
    )
    UNHEALTHY = (
        "Unhealthy",
        "It would fit if all devices were healthy: a node's allocatable is below its capacity. Look at the device plugin and the"
        " devices of the profile's nodes.",
    )
    NAMESPACE_NOT_ALLOWED = (
        "NamespaceNotAllowed",
        "The profile is not for work of this namespace. List another accelerator, or have an admin add the namespace to"
        " `spec.allowedNamespaces` of the profile, by name or by a label; what waits starts by itself.",
    )
    DOES_NOT_FIT_NOW = (
        "DoesNotFitNow",
        "Too few free devices at the moment. It is looked at again whenever devices become free.",
    )
    FIT_UNKNOWN = (
        "FitUnknown",
        "The operator may not list all pods, so free devices are unknown; placement goes by trial.",
    )
    HELD_OFF = (
        "HeldOff",
        "It is not tried before the time in the message: its pods were not bound or were refused lately, a better variant is"
        " given time (`placement.waitSeconds`), or the run stays for a while with the variant it has come to.",
    )

    POLICY_FORBIDS = (
        "PolicyForbids",
        "A PlacementPolicy, which the message names, does not allow it: list another accelerator, or ask an admin. Where its cap"
        " is reached, work that ends makes room.",
    )

    # Of policies
    IN_FORCE = "InForce", "The policy counts. `status` says how far its shares and caps are used."
    OVERRULED = (
        "Overruled",
        "Another policy of higher priority goes before it for some work; `status.overruled` names it. Change one's priority or"
        " reach if that is not wanted.",
    )
    NOTHING_SELECTED = (
        "NothingSelected",
        "Something in the policy selects no AcceleratorProfile, and has no effect. See `kubectl get accel --show-labels`.",
    )

    # State of a profile
    OFFERED = "Offered", "Nodes with the profile's labels offer its devices."
    NO_NODES = (
        "NoNodes",
        "No node has the profile's labels and architecture. Nothing is wrong if the cluster has no such accelerator; else"
        " compare `spec.nodeSelector` with `kubectl get nodes --show-labels`.",
    )
    NO_DEVICES = (
        "NoDevices",
        "Nodes have the profile's labels, but offer none of its resource. Look at the device plugin of these nodes.",
    )
    NO_USABLE_NODES = (
        "NoUsableNodes",
        "The profile's nodes have devices, but its pods may be bound to none of them: they are cordoned, not ready, tainted in a"
        " way that the profile does not tolerate, unhealthy by `spec.health`, or left out by `spec.excludeNodes`.",
    )
    DEVICES_UNHEALTHY = (
        "DevicesUnhealthy",
        "Nodes have more devices than their device plugin offers. Nothing is placed on the others; the message names the nodes to"
        " look at.",
    )
    OVERLAP = (
        "Overlap",
        "Another profile claims the same resource on some of the same nodes, so their devices are counted in both. Tell them"
        " apart by `spec.nodeSelector`, unless one is only another way to use the same devices.",
    )

    # Neutral
    UNKNOWN = "Unknown", "Not looked at yet."
    PENDING = "Pending", "Waiting for an earlier step."


def reason_of(word: str) -> Reason:
    """The reason of this word; UNKNOWN for one of a newer or older operator."""
    return next((reason for reason in Reason if reason.value == word), Reason.UNKNOWN)
