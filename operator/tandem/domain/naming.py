"""Names of children: functions of the object, the attempt and the rank, so that a repeated create cannot duplicate."""

import hashlib
import json
from typing import Any


def pod(run: str, attempt: int, rank: int) -> str:
    """Pod of a rank group. It is the pod's hostname too, so at most 63 characters: 40 + 2 + 10 + 1 + 4."""
    return f"{run}-a{attempt}-{rank}"


def pod_group(run: str, attempt: int) -> str:
    """PodGroup of an attempt, to which all of its pods belong."""
    return f"{run}-a{attempt}"


def rendezvous_service(run: str) -> str:
    """Headless Service by which ranks find rank 0."""
    return f"{run}-tr"


def deployment(service: str, variant: str) -> str:
    """Deployment of one variant of a service."""
    return f"{service}-{variant}"


def inputs_hash(inputs: Any) -> str:
    """Short digest of canonical JSON. A child is made anew only when this changes, so it must stay stable for ever."""
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
