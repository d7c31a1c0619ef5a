"""Status writes: the fullest status of each kind, its bounds, and its separation from the spec."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from tandem.api.accelerator_profile import AcceleratorProfileStatus
from tandem.api.base import dump
from tandem.api.conditions import MESSAGE_LIMIT, ConditionType
from tandem.api.inference_service import InferenceServiceStatus
from tandem.api.placement_policy import PlacementPolicyStatus
from tandem.api.reasons import Reason
from tandem.api.schema import structural_schema
from tandem.api.training_run import TrainingRunStatus
from tests.api.server import Server, smallest
from tests.support.api import ApiFailureError, Object

pytestmark = pytest.mark.cluster

Create = Callable[[Object], Object]
SIZE_LIMIT = 50_000
"""Bytes of a status (api.md); etcd and every watcher pay for each."""

TIME = "2026-01-01T00:00:00Z"
MESSAGE = "é" * MESSAGE_LIMIT
NAME = "n" * 253
VARIANT = "v" * 12
CONDITIONS = [
    {
        "type": kind.value,
        "status": "True",
        "reason": Reason.RUNNING.value,
        "message": MESSAGE,
        "lastTransitionTime": TIME,
        "observedGeneration": 7,
    }
    for kind in ConditionType
]
REJECTED = [
    {
        "variant": VARIANT,
        "accelerator": NAME,
        "reason": Reason.DOES_NOT_FIT_NOW.value,
        "message": MESSAGE,
        "tooSmallSince": "2026-11-23T10:00:00Z",
    }
] * 16
RUN_STATUS = {
    "observedGeneration": 7,
    "conditions": CONDITIONS,
    "attempt": 9,
    "active": {
        "number": 9,
        "variant": VARIANT,
        "accelerator": NAME,
        "inputsHash": "a" * 64,
        "pods": 5000,
        "devicesPerPod": 64,
        "startTime": TIME,
        "createdTime": TIME,
        "boundTime": TIME,
        "podGroup": "g" * 63,
    },
    "activeSeconds": 3600,
    "attempts": [
        {
            "number": number,
            "variant": VARIANT,
            "accelerator": NAME,
            "outcome": Reason.INFRA_FAILURE.value,
            "startTime": TIME,
            "endTime": TIME,
            "message": MESSAGE,
        }
        for number in range(4, 9)
    ],
    "failures": {"user": 3, "infra": 20},
    "lastFailure": {
        "attempt": 8,
        "pod": NAME,
        "node": NAME,
        "class": "User",
        "exitCode": 137,
        "message": MESSAGE,
        "time": TIME,
    },
    "notBefore": TIME,
    "waitingSince": TIME,
    "holdOffs": [{"variant": f"v{number}", "until": TIME, "count": 3, "message": MESSAGE} for number in range(8)],
    "placement": {
        "chosen": NAME,
        "variant": VARIANT,
        "decidedBy": "ListedOrder",
        "reason": MESSAGE,
        "rejected": REJECTED,
    },
    "pods": {"wanted": 5000, "ready": 4999, "summary": "4999/5000", "succeeded": "0-2," * 256},
    "checkpoint": {"step": 2**53 - 1, "path": "c" * 256, "digest": "d" * 128},
    "pendingChange": True,
    "startTime": TIME,
    "completionTime": TIME,
}
SERVICE_STATUS = {
    "observedGeneration": 7,
    "conditions": CONDITIONS,
    "replicas": 1000,
    "readyReplicas": 999,
    "summary": "999/1000",
    "unplacedReplicas": 1,
    "selector": "s" * 256,
    "url": "u" * 512,
    "variants": [
        {
            "name": f"v{number}",
            "accelerator": NAME,
            "replicas": 125,
            "ready": 125,
            "reason": Reason.AVAILABLE.value,
            "message": MESSAGE,
            "ownedFields": "o" * 64,
        }
        for number in range(8)
    ],
    "placement": {"chosen": "p" * 1024, "decidedBy": "ListedOrder", "rejected": REJECTED},
    "model": {"source": "s" * 1024, "claim": NAME, "path": "c" * 256, "uri": "u" * 1024},
}
POLICY_STATUS = {
    "observedGeneration": 7,
    "conditions": CONDITIONS,
    "profiles": "p" * 1024,
    "shares": [
        {
            "accelerators": "a" * MESSAGE_LIMIT,
            "wished": 12,
            "actual": 1,
            "shortfall": 11,
            "devices": 10,
            "total": 1000,
            "message": MESSAGE,
        }
    ]
    * 8,
    "caps": [{"accelerators": "a" * MESSAGE_LIMIT, "devices": 1_000_000, "used": 10}] * 16,
    "overruled": [{"by": "p" * 63, "rule": "Require"}] * 16,
}
PROFILE_STATUS = {
    "observedGeneration": 7,
    "conditions": CONDITIONS,
    "nodes": {"found": 5000, "usable": 4999},
    "devices": {
        "capacity": 40_000,
        "allocatable": 39_999,
        "unhealthy": 1,
        "free": 9_999,
        "ours": 20_000,
        "others": 10_000,
    },
}
STATUSES: dict[str, tuple[type[BaseModel], Any]] = {
    "PlacementPolicy": (PlacementPolicyStatus, POLICY_STATUS),
    "TrainingRun": (TrainingRunStatus, RUN_STATUS),
    "InferenceService": (InferenceServiceStatus, SERVICE_STATUS),
    "AcceleratorProfile": (AcceleratorProfileStatus, PROFILE_STATUS),
}
each_kind = pytest.mark.parametrize("kind", STATUSES)


def with_status(kind: str, name: str, status: Any) -> Object:
    """What is applied to /status: the whole status and nothing of the spec."""
    item = smallest(kind, name)
    del item["spec"]
    return item | {"status": status}


def unset(schema: dict[str, Any], value: Any, path: str) -> list[str]:
    """Paths of fields that the schema knows and `value` leaves out."""
    if "items" in schema:
        return unset(schema["items"], value[0], f"{path}[]")
    found = []
    for name, child in schema.get("properties", {}).items():
        found += unset(child, value[name], f"{path}.{name}") if name in value else [f"{path}.{name}"]
    return found


@each_kind
def test_the_samples_here_set_every_field_of_the_models(kind: str) -> None:
    model, status = STATUSES[kind]
    assert unset(structural_schema(model, kind), status, "status") == []


@each_kind
def test_the_fullest_status_is_taken_as_a_model_writes_it(server: Server, create: Create, name: str, kind: str) -> None:
    model, status = STATUSES[kind]
    written = dump(model.model_validate(status))
    before = create(smallest(kind, name))
    after = server.apply(with_status(kind, name, written), "tandem", "status", force="true", dryRun="All")
    assert after["status"] == written == status
    assert after["metadata"]["generation"] == before["metadata"]["generation"]


@each_kind
def test_the_fullest_status_is_small_enough(kind: str) -> None:
    model, status = STATUSES[kind]
    text = json.dumps(dump(model.model_validate(status)), ensure_ascii=False)
    assert len(text.encode()) < SIZE_LIMIT


@each_kind
def test_the_empty_status_is_taken(server: Server, create: Create, name: str, kind: str) -> None:
    model, _ = STATUSES[kind]
    create(smallest(kind, name))
    written = dump(model())
    applied = server.apply(with_status(kind, name, written), "tandem", "status", force="true", dryRun="All")
    # A list that is emptied is left out: an operator on this cluster may have written conditions before.
    assert all(applied["status"].get(field, []) == value for field, value in written.items())


@each_kind
def test_an_object_that_nobody_looked_at_says_so(server: Server, name: str, kind: str) -> None:
    """Without a status GitOps tools would call it healthy; a manifest cannot bring one."""
    for item in (smallest(kind, name), smallest(kind, name) | {"status": {"observedGeneration": 1}}):
        assert server.dry_run(item)["status"] == {"observedGeneration": -1}


@each_kind
def test_a_message_that_is_too_long_is_refused_so_the_operator_clips(
    server: Server, create: Create, name: str, kind: str
) -> None:
    create(smallest(kind, name))
    status = {"conditions": [CONDITIONS[0] | {"message": "é" * (MESSAGE_LIMIT + 1)}]}
    with pytest.raises(ApiFailureError, match="may not be more than 256"):
        server.apply(with_status(kind, name, status), "tandem", "status", force="true", dryRun="All")


@each_kind
def test_a_status_in_a_manifest_is_not_stored(server: Server, name: str, kind: str) -> None:
    _, status = STATUSES[kind]
    stored = server.dry_run(smallest(kind, name) | {"status": status})["status"]
    assert stored == {"observedGeneration": -1}


OTHER: dict[str, dict[str, Any]] = {
    "PlacementPolicy": {"priority": 7},
    "AcceleratorProfile": {"revision": "7"},
}
"""A change to the spec of the smallest object of a kind; of those that users write, another image."""


@each_kind
def test_a_write_of_status_cannot_change_the_spec(server: Server, create: Create, name: str, kind: str) -> None:
    before = create(smallest(kind, name))
    other = OTHER.get(kind, {"image": "example.com/other:1"})
    item = smallest(kind, name, **other) | {"status": {"observedGeneration": 1}}
    after = server.apply(item, "tandem", "status", force="true", dryRun="All")
    assert after["spec"] == before["spec"]
