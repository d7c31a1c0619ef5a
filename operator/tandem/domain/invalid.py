"""The plan for an object that cannot be read: stored under another schema, or by hand past the CRD.

It must not stop the operator, and its owner must see why nothing happens.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tandem.api.base import dump
from tandem.api.conditions import Condition, ConditionType, clip
from tandem.api.reasons import Reason
from tandem.domain.headline import ConditionWriter, blocked
from tandem.domain.plan import Event, Plan

READINESS = frozenset({ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED})

FIRST: Mapping[str, Mapping[ConditionType, bool | None]] = {
    "TrainingRun": {
        ConditionType.PLACED: False,
        ConditionType.PODS_READY: False,
        ConditionType.PROGRESSING: False,
        ConditionType.SUSPENDED: False,
        ConditionType.SUCCEEDED: None,
    },
    "InferenceService": {
        ConditionType.MODEL_RESOLVED: None,
        ConditionType.PLACED: False,
        ConditionType.AVAILABLE: False,
        ConditionType.ROLLOUT_COMPLETE: False,
    },
    "PlacementPolicy": {},
    "AcceleratorProfile": {},
}
"""Kind -> the conditions of an object that could never be read."""


def plan_invalid(kind: str, status: Mapping[str, Any], generation: int, problem: str, now: datetime) -> Plan:
    """Tell what is wrong, once, and touch nothing else."""
    known = {item["type"]: item for item in status.get("conditions") or ()}
    told = known.get(ConditionType.READY, {}).get("reason") == Reason.INVALID_SPEC.value
    return Plan(
        status=_status(kind, status, generation, problem, now),
        events=() if told else (Event(Reason.INVALID_SPEC.value, clip(problem), warning=True),),
        reason=Reason.INVALID_SPEC,
    )


def _status(kind: str, status: Mapping[str, Any], generation: int, problem: str, now: datetime) -> dict[str, Any]:
    """`status` kept as it is, but for conditions that say what is wrong.

    The other conditions stay: a run that succeeded must not start again once its spec can be read.
    """
    before = {item["type"]: item for item in status.get("conditions") or ()}
    write = ConditionWriter(generation, now)
    said = write.readiness(blocked(Reason.INVALID_SPEC, problem))
    said += [
        write(missing, state, Reason.INVALID_SPEC, problem)
        for missing, state in FIRST[kind].items()
        if before.get(missing, {}).get("reason") in (None, Reason.INVALID_SPEC.value)
    ]
    conditions = [_with_time(condition, before.get(condition.type, {})) for condition in said]
    spoken = READINESS | {condition.type for condition in said}
    conditions += [item for kept, item in before.items() if kept not in spoken]
    return {**status, "observedGeneration": generation, "conditions": conditions}


def _with_time(condition: Condition, before: Mapping[str, Any]) -> dict[str, Any]:
    """The condition, with the time of the one before where the status is the same."""
    same = before.get("status") == condition.status
    return dump(condition) | ({"lastTransitionTime": before["lastTransitionTime"]} if same else {})
