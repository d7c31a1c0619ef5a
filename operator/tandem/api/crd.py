"""CustomResourceDefinitions of all kinds, as dictionaries, from the API models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from tandem.api.accelerator_profile import AcceleratorProfile, AcceleratorProfileSpec
from tandem.api.constants import CATEGORY, GROUP, LABEL_STACK, LABEL_VENDOR, VERSION
from tandem.api.inference_service import (
    DEFAULT_REPLICAS,
    InferenceService,
    InferenceServiceSpec,
    InferenceServiceStatus,
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


AGE = Column("Age", ".metadata.creationTimestamp", "date")


@dataclass(frozen=True)
class Kind:
    """What a CustomResourceDefinition needs to know beyond the schema."""

    model: type[BaseModel]
    spec: type[BaseModel]
    plural: str
    columns: tuple[Column, ...]
    short_names: tuple[str, ...]
    status: type[BaseModel] | None = None
    namespaced: bool = True
    scalable: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Fields of spec that the API server itself fills in; all other defaults live in code."""
    validations: tuple[dict[str, str], ...] = ()

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
        Column("Model", ".status.model.path", wide=True),
        Column("URL", ".status.url", wide=True),
        Column("Message", READY_MESSAGE, wide=True),
    ),
)
ACCELERATOR_PROFILE = Kind(
    model=AcceleratorProfile,
    spec=AcceleratorProfileSpec,
    plural="acceleratorprofiles",
    short_names=("accel",),
    namespaced=False,
    columns=(
        Column("Resource", ".spec.allocation.extendedResource.name"),
        Column("Arch", ".spec.architecture"),
        Column("Vendor", _label := f".metadata.labels.{LABEL_VENDOR.replace('.', chr(92) + '.')}"),
        AGE,
    ),
)
KINDS = (TRAINING_RUN, INFERENCE_SERVICE, ACCELERATOR_PROFILE)
