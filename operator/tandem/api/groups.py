"""How the API reference orders the fields of a spec: by what a reader wants to do, each group with an example."""

from collections.abc import Iterable
from typing import NamedTuple


class Group(NamedTuple):
    """Fields of a spec that are read together. `example` is a manifest in docs/examples that uses one of them at least."""

    title: str
    fields: tuple[str, ...]
    example: str | None


_ONE = ("accelerator", "devicesPerPod")
_PROGRAM = ("image", "command", "args", "env", "resources", "shmSize")
_MANY = ("variants", "acceleratorSelector", "placement")
RESERVED = ("managedBy", "traffic", "podsPerReplica")
"""Fields that are there to be refused; they come last."""

GROUPS = {
    "TrainingRun": (
        Group("Which accelerator, and how many", (*_ONE, "pods"), "run-smallest.yaml"),
        Group("The program", (*_PROGRAM, "launcher"), "run-program.yaml"),
        Group("Several accelerators", _MANY, "run-variants.yaml"),
        Group("Checkpoints", ("checkpoint",), "run-checkpoint.yaml"),
        Group("Holding and ending", ("suspend", "activeDeadlineSeconds", "cleanup"), "run-ending.yaml"),
        Group("The pod", ("template",), "run-template.yaml"),
    ),
    "InferenceService": (
        Group("Which accelerator, and how many", (*_ONE, "replicas"), "service-smallest.yaml"),
        Group("The program", _PROGRAM, "service-program.yaml"),
        Group("The model", ("model",), "service-model.yaml"),
        Group("Several accelerators", _MANY, "service-variants.yaml"),
        Group("Requests, loading and leaving", ("port", "startup", "drain"), "service-requests.yaml"),
        Group("The pod", ("template",), "service-template.yaml"),
    ),
    "AcceleratorProfile": (
        Group("Nodes and devices", ("nodeSelector", "architecture", "allocation"), "profile-smallest.yaml"),
        Group("Legal counts and ranks", ("counts", "ranksPerDevice"), "profile-counts.yaml"),
        Group("Nodes that do not count, and autoscaling", ("excludeNodes", "provisioning"), "profile-nodes.yaml"),
        Group("Who may use it", ("allowedNamespaces",), "profile-namespaces.yaml"),
        Group(
            "What every pod gets",
            ("perDevice", "tolerations", "runtimeClassName", "env", "voidEnv", "forbidEnv", "revision"),
            "profile-pods.yaml",
        ),
    ),
    "PlacementPolicy": (
        Group(
            "Where its work goes first", ("namespaceSelector", "kinds", "mode", "accelerators"), "policy-prefer.yaml"
        ),
        Group("What is not allowed", ("forbid", "caps"), "policy-forbid.yaml"),
        Group("Wished shares, and who goes first", ("shares", "priority"), "policy-shares.yaml"),
    ),
}


def grouped(kind: str, fields: Iterable[str]) -> list[Group]:
    """The groups of a kind over all its fields; those that none names come in one more, before the reserved ones."""
    groups = GROUPS.get(kind, ())
    named = {field for group in groups for field in group.fields}
    others = tuple(field for field in fields if field not in named)
    further = tuple(field for field in others if field not in RESERVED)
    reserved = tuple(field for field in others if field in RESERVED)
    rest = (Group("Further fields" if groups else "Fields", further, None), Group("Reserved", reserved, None))
    return [*groups, *(group for group in rest if group.fields)]
