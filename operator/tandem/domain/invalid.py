"""Status of an object that cannot be read: stored under another schema, or by hand past the CRD.

It must not stop the operator, and its owner must see why nothing happens.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tandem.api.base import dump
from tandem.api.conditions import ConditionType, clip
from tandem.api.reasons import Reason
from tandem.domain.headline import ConditionWriter, blocked


def invalid_status(status: Mapping[str, Any], generation: int, problem: str, now: datetime) -> dict[str, Any]:
    """`status` kept as it is, but for conditions that say what is wrong with the spec."""
    before = {item.get("type"): item for item in status.get("conditions") or ()}
    ready = before.get(ConditionType.READY.value, {})
    if ready.get("reason") == Reason.INVALID_SPEC.value and ready.get("message") == clip(problem):
        return dict(status)
    conditions = ConditionWriter(generation, now).readiness(blocked(Reason.INVALID_SPEC, problem))
    return {**status, "observedGeneration": generation, "conditions": [dump(condition) for condition in conditions]}
