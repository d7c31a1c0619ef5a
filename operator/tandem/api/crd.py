"""CustomResourceDefinitions of all kinds, as dictionaries, from the API models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import cleandoc
from typing import Any

import yaml
from pydantic import BaseModel

from tandem.api.accelerator_profile import (
    PROFILE_NAME_RULE,
    AcceleratorProfile,
    AcceleratorProfileSpec,
    AcceleratorProfileStatus,
)
from tandem.api.constants import API_VERSION, CATEGORY, GROUP, LABEL_STACK, LABEL_VENDOR, UNSEEN, VERSION
from tandem.api.inference_service import (
    DEFAULT_REPLICAS,
    InferenceService,
    InferenceServiceSpec,
    InferenceServiceStatus,
)
from tandem.api.placement_policy import (
    POLICY_NAME_RULE,
    PlacementPolicy,
    PlacementPolicySpec,
    PlacementPolicyStatus,
)
from tandem.api.schema import VALIDATIONS, Schema, structural_schema
from tandem.api.training_run import TrainingRun, TrainingRunSpec, TrainingRunStatus
from tandem.api.workload import NAME_RULE

READY_REASON = '.status.conditions[?(@.type=="Ready")].reason'
READY_MESSAGE = '.status.conditions[?(@.type=="Ready")].message'


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; a wide one is shown with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The column as an additionalPrinterColumns entry."""
        return {"name": self.name, "type": self.type, "jsonPath": self.path} | ({"priority": 1} if self.wide else {})


def _label_path(label: str) -> str:
    """JSONPath of a label, whose dots would otherwise separate fields."""
    return ".metadata.labels." + label.replace(".", r"\.")


AGE = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True)
class Kind:
    """What a CustomResourceDefinition needs to know beyond the schema."""

    model: type[BaseModel]
    spec: type[BaseModel]
    status: type[BaseModel]
    plural: str
    columns: tuple[Column, ...]
    short_names: tuple[str, ...]
    validations: tuple[dict[str, str], ...]
    """CEL rules at the root: only they see metadata.name."""
    namespaced: bool = True
    scalable: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Fields of spec that the API server itself fills in; all other defaults live in code."""

    @property
    def name(self) -> str:
        """The kind as it stands in manifests."""
        return self.model.__name__


TRAINING_RUN = Kind(
    model=TrainingRun,
    spec=TrainingRunSpec,
    status=TrainingRunStatus,
    plural="trainingruns",
    short_names=("trun",),
    validations=(NAME_RULE,),
    columns=(
        Column("Status", READY_REASON),
        Column("Accelerator", ".status.placement.chosen"),
        Column("Pods", ".status.pods.summary"),
        Column("Attempt", ".status.attempt", "integer"),
        AGE,
        Column("Variant", ".status.placement.variant", wide=True),
        Column("Decided By", ".status.placement.decidedBy", wide=True),
        Column("Last Failure", ".status.lastFailure.class", wide=True),
        Column("Message", READY_MESSAGE, wide=True),
    ),
)
INFERENCE_SERVICE = Kind(
    model=InferenceService,
    spec=InferenceServiceSpec,
    status=InferenceServiceStatus,
    plural="inferenceservices",
    short_names=("infsvc",),
    scalable=True,
    defaults={"replicas": DEFAULT_REPLICAS},
    validations=(NAME_RULE,),
    columns=(
        Column("Status", READY_REASON),
        Column("Accelerator", ".status.placement.chosen"),
        Column("Replicas", ".status.summary"),
        AGE,
        Column("Decided By", ".status.placement.decidedBy", wide=True),
        Column("Model", ".status.model.source", wide=True),
        Column("URL", ".status.url", wide=True),
        Column("Message", READY_MESSAGE, wide=True),
    ),
)
ACCELERATOR_PROFILE = Kind(
    model=AcceleratorProfile,
    spec=AcceleratorProfileSpec,
    status=AcceleratorProfileStatus,
    plural="acceleratorprofiles",
    short_names=("accel",),
    namespaced=False,
    validations=(PROFILE_NAME_RULE,),
    columns=(
        Column("Status", READY_REASON),
        Column("Nodes", ".status.nodes.found", "integer"),
        Column("Devices", ".status.devices.capacity", "integer"),
        Column("Free", ".status.devices.free", "integer"),
        Column("Ours", ".status.devices.ours", "integer"),
        Column("Others", ".status.devices.others", "integer"),
        Column("Unhealthy", ".status.devices.unhealthy", "integer"),
        AGE,
        Column("Resource", ".spec.allocation.extendedResource.name", wide=True),
        Column("Arch", ".spec.architecture", wide=True),
        Column("Stack", _label_path(LABEL_STACK), wide=True),
        Column("Vendor", _label_path(LABEL_VENDOR), wide=True),
        Column("Message", READY_MESSAGE, wide=True),
    ),
)
PLACEMENT_POLICY = Kind(
    model=PlacementPolicy,
    spec=PlacementPolicySpec,
    status=PlacementPolicyStatus,
    plural="placementpolicies",
    short_names=("ppol",),
    namespaced=False,
    validations=(POLICY_NAME_RULE,),
    columns=(
        Column("Status", READY_REASON),
        Column("Priority", ".spec.priority", "integer"),
        Column("Mode", ".spec.mode"),
        Column("Accelerators", ".status.profiles"),
        AGE,
        Column("Message", READY_MESSAGE, wide=True),
    ),
)
KINDS = (TRAINING_RUN, INFERENCE_SERVICE, ACCELERATOR_PROFILE, PLACEMENT_POLICY)


def all_crds() -> list[dict[str, Any]]:
    """The CustomResourceDefinitions of all kinds. Raises SchemaError where a model cannot become a schema."""
    return [crd(kind) for kind in KINDS]


class _Dumper(yaml.SafeDumper):
    """YAML without anchors: schemas share parts, and a reader should not have to follow references."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def to_yaml(definition: dict[str, Any]) -> str:
    """A CustomResourceDefinition as text that is the same on every machine."""
    return yaml.dump(definition, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def crd(kind: Kind) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": list(kind.short_names),
                "categories": [CATEGORY],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": _root_schema(kind)},
                    "subresources": _subresources(kind),
                    "additionalPrinterColumns": [column.as_dict() for column in kind.columns],
                }
            ],
        },
    }


def _root_schema(kind: Kind) -> Schema:
    spec = structural_schema(kind.spec, f"{kind.name}.spec")
    for name, value in kind.defaults.items():
        spec["properties"][name]["default"] = value
    schema: Schema = {
        "type": "object",
        "description": cleandoc(kind.model.__doc__ or ""),
        "required": ["spec"],
        VALIDATIONS: list(kind.validations),
        "properties": {
            "apiVersion": {"type": "string", "description": f"Always {API_VERSION}."},
            "kind": {"type": "string", "description": f"Always {kind.name}."},
            "metadata": {"type": "object"},
            "spec": spec,
        },
    }
    status = structural_schema(kind.status, f"{kind.name}.status")
    schema["properties"]["status"] = {**status, "default": {"observedGeneration": UNSEEN}}
    return schema


def _subresources(kind: Kind) -> dict[str, Any]:
    subresources: dict[str, Any] = {"status": {}}
    if kind.scalable:
        subresources["scale"] = {
            "specReplicasPath": ".spec.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        }
    return subresources
