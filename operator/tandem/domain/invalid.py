"""Status of an object that cannot be read: stored under another schema, or by hand past the CRD.

It must not stop the operator, and its owner must see why nothing happens.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tandem.api.base import dump
from tandem.api.conditions import Condition, ConditionType
from tandem.api.reasons import Reason
from tandem.domain.headline import ConditionWriter, blocked

READINESS = frozenset({ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED})


def invalid_status(status: Mapping[str, Any], generation: int, problem: str, now: datetime) -> dict[str, Any]:
    """`status` kept as it is, but for conditions that say what is wrong with the spec.

    The other conditions stay: a run that succeeded must not start again once its spec can be read.
    """
    before = {item["type"]: item for item in status.get("conditions") or ()}
    written = ConditionWriter(generation, now).readiness(blocked(Reason.INVALID_SPEC, problem))
    conditions = [_with_time(condition, before.get(condition.type, {})) for condition in written]
    conditions += [item for kind, item in before.items() if kind not in READINESS]
    return {**status, "observedGeneration": generation, "conditions": conditions}


def _with_time(condition: Condition, before: Mapping[str, Any]) -> dict[str, Any]:
    """The condition, with the time of the one before where the status is the same."""
    same = before.get("status") == condition.status
    return dump(condition) | ({"lastTransitionTime": before["lastTransitionTime"]} if same else {})
