"""Metadata of children. Labels are from a fixed list: a parent's own are never copied (GitOps tools prune by them)."""

from typing import Any

from tandem.api.constants import API_VERSION, LABEL_MANAGED_BY, MANAGED_BY
from tandem.api.inference_service import InferenceService
from tandem.api.training_run import TrainingRun


def metadata(
    owner: TrainingRun | InferenceService,
    name: str,
    labels: dict[str, str],
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Metadata of a child named `name`, owned by `owner`, so that deletion is the garbage collector's."""
    body: dict[str, Any] = {
        "name": name,
        "namespace": owner.namespace,
        "labels": {LABEL_MANAGED_BY: MANAGED_BY, **labels},
        "ownerReferences": [
            {
                "apiVersion": API_VERSION,
                "kind": type(owner).__name__,
                "name": owner.name,
                "uid": owner.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    if annotations:
        body["annotations"] = annotations
    return body
