"""Conditions: the part of status that people, GitOps tools and `kubectl wait` read."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from tandem.api.base import Message, Model, Timestamp, list_map
from tandem.api.constants import UNSEEN

ConditionStatus = Literal["True", "False", "Unknown"]
MESSAGE_LIMIT = 256


class ConditionType(StrEnum):
    """All condition types of both kinds. Reconciling and Stalled exist only while True (kstatus)."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    PLACED = "Placed"
    PODS_READY = "PodsReady"
    PROGRESSING = "Progressing"
    SUSPENDED = "Suspended"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    MODEL_RESOLVED = "ModelResolved"
    AVAILABLE = "Available"
    ROLLOUT_COMPLETE = "RolloutComplete"


class Condition(Model):
    """One observation, as in the Kubernetes API conventions."""

    type: Annotated[str, Field(max_length=63, description="What is observed, e.g. Ready.")]
    status: Annotated[ConditionStatus, Field(description="True, False or Unknown.")]
    reason: Annotated[str, Field(max_length=63, description="One word from the closed list in docs/reasons.md.")]
    message: Annotated[Message, Field(description="One sentence for people.")] = ""
    last_transition_time: Annotated[Timestamp, Field(description="When status last changed.")]
    observed_generation: Annotated[
        int, Field(ge=0, description="The metadata.generation that this observation was made for.")
    ]


ObservedGeneration = Annotated[
    int | None,
    Field(
        ge=UNSEEN,
        description="The metadata.generation that this status speaks of; -1 before the operator's first look.",
    ),
]

Conditions = Annotated[
    list[Condition],
    Field(max_length=16, description="Observations, one of each type.", json_schema_extra=list_map("type")),
]


def clip(message: str, limit: int = MESSAGE_LIMIT) -> str:
    """`message` cut to what a condition, or another field with a limit, may hold."""
    return message if len(message) <= limit else message[: limit - 1] + "…"


def merge_conditions(old: Sequence[Condition], new: Sequence[Condition]) -> list[Condition]:
    """`new` with the transition times of `old` where the status did not change."""
    before = {condition.type: condition for condition in old}

    def with_time(condition: Condition) -> Condition:
        previous = before.get(condition.type)
        if previous is None or previous.status != condition.status:
            return condition
        return condition.model_copy(update={"last_transition_time": previous.last_transition_time})

    return [with_time(condition) for condition in new]


def find(conditions: Sequence[Condition], kind: ConditionType) -> Condition | None:
    """The condition of this type, if there is one."""
    return next((condition for condition in conditions if condition.type == kind), None)


def is_true(conditions: Sequence[Condition], kind: ConditionType) -> bool:
    """Whether the condition of this type is there and True."""
    condition = find(conditions, kind)
    return condition is not None and condition.status == "True"
