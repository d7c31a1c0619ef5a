"""Tandem's objects on the real API server: smallest valid ones, dry runs, applies, and refusals as data."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from tests.support.api import Api, ApiFailureError, Object

API_VERSION = "tandem.dev/v1alpha1"
PLURALS = {
    "TrainingRun": "trainingruns",
    "InferenceService": "inferenceservices",
    "AcceleratorProfile": "acceleratorprofiles",
    "PlacementPolicy": "placementpolicies",
}
WORK = ("TrainingRun", "InferenceService")
"""The kinds that users write; they share most fields."""
KINDS = (*WORK, "AcceleratorProfile", "PlacementPolicy")

NOT_CHECKED = "some validation rules were not checked"
"""Added by the server to every refusal by a schema: it then evaluates no CEL rules."""

# No profile has this name, so an operator that runs on the same cluster makes no pods for these objects.
_WORK_SPEC = {"accelerator": "no-such-profile", "devicesPerPod": 1, "image": "example.com/image:1"}
# It is for nobody: other work on the same cluster must not be touched.
_POLICY_SPEC = {
    "namespaceSelector": {"matchLabels": {"example.com/nobody": "x"}},
    "forbid": [{"accelerator": "no-such-profile"}],
}
_PROFILE_SPEC = {
    "nodeSelector": {"example.com/model": "x"},
    "allocation": {"type": "ExtendedResource", "extendedResource": {"name": "example.com/gpu"}},
}


def smallest(kind: str, name: str = "sample", **changes: Any) -> Object:
    """The smallest valid object of a kind, with fields of spec replaced, or taken out where None is given."""
    own = {"AcceleratorProfile": _PROFILE_SPEC, "PlacementPolicy": _POLICY_SPEC}
    spec = {**own.get(kind, _WORK_SPEC), **changes}
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name},
        "spec": {field: value for field, value in spec.items() if value is not None},
    }


@dataclass(frozen=True)
class Refusal:
    """One cause of a 422: the field, and the words behind `Invalid value: `."""

    field: str
    message: str


class Server:
    """Requests about objects of one namespace (profiles and policies are cluster-wide)."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.api = api
        self.namespace = namespace

    def path(self, kind: str, name: str = "", subresource: str = "", **query: str) -> str:
        """URL path of a collection, an object or a subresource."""
        scope = f"/namespaces/{self.namespace}" if kind in WORK else ""
        parts = [f"/apis/{API_VERSION}{scope}/{PLURALS[kind]}", name, subresource]
        return "/".join(part for part in parts if part) + (f"?{urlencode(query)}" if query else "")

    def dry_run(self, item: Object, validation: str = "Strict") -> Object:
        """The object as it would be stored. Raises ApiFailureError where it is refused."""
        return self.api.create(self.path(item["kind"], dryRun="All", fieldValidation=validation), item)

    def refusals(self, item: Object) -> list[Refusal]:
        """Why the server refuses the object; empty where it takes it."""
        try:
            self.dry_run(item)
        except ApiFailureError as failure:
            assert failure.status == 422, failure.body
            causes = failure.body["details"]["causes"]
            return [Refusal(c["field"], c["message"]) for c in causes if NOT_CHECKED not in c["message"]]
        return []

    def apply(self, item: Object, manager: str, subresource: str = "", **query: str) -> Object:
        """Server-side apply by a field manager. Raises ApiFailureError, 409 for a conflict."""
        path = self.path(item["kind"], item["metadata"]["name"], subresource, fieldManager=manager, **query)
        return self.api.request("PATCH", path, item, "application/apply-patch+yaml")

    def delete(self, item: Object) -> None:
        """Deletes the object; nothing there is fine."""
        self.api.delete(self.path(item["kind"], item["metadata"]["name"]))
