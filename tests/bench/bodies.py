"""The objects of a benchmark, made by the operator's own pure functions, so that a loop writes what the operator writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from tandem.api.accelerator_profile import AcceleratorProfile, AcceleratorProfileSpec
from tandem.api.training_run import TrainingRun
from tandem.cluster import trim
from tandem.domain.observed import Children, NamespaceRecord, NodeRecord, OwnPod
from tandem.domain.placement.fit import snapshot
from tandem.domain.placement.place import place
from tandem.domain.plan import Plan
from tandem.domain.timing import Timing
from tandem.domain.training.plan import plan_run
from tandem.domain.training.view import RunView
from tests.bench.stage import PROFILE
from tests.support.api import Object

PODS = 4


def run(name: str, **spec: Any) -> Object:
    """A TrainingRun of four pods with a device each."""
    return {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "TrainingRun",
        "metadata": {"name": name},
        "spec": {
            "accelerator": PROFILE,
            "pods": PODS,
            "devicesPerPod": 1,
            "image": "registry.example/train:1",
            "command": ["torchrun", "train.py"],
            **spec,
        },
    }


@dataclass
class Script:
    """What the operator decides for one run, step by step, without an operator."""

    namespace: str
    resource: str
    raw: Object
    """The run as the API server answered its creation."""
    profile: str = PROFILE

    def __post_init__(self) -> None:
        self.status: Mapping[str, Any] = {}
        self.pods: list[Object] = []

    def begin(self) -> Plan:
        """The first attempt: its status is to be written, then its Service and pods are to be made."""
        node = NodeRecord("node", {"bench.example/nodes": "true"}, (), False, True, None, {self.resource: PODS}, {})
        first = self._plan()
        assert first.ask is not None
        decision = place([first.ask], snapshot([node], []), [], datetime.now(UTC))[first.ask.uid]
        plan = plan_run(self._view(), decision=decision)
        self.status = plan.status or {}
        return plan

    def settle(self, phase: str) -> Mapping[str, Any]:
        """The status when all pods are in this phase; `pods` are as the API server answered their creation."""
        for pod in self.pods:
            pod["spec"]["nodeName"] = "node"
            pod["status"] = {"phase": phase, "conditions": [{"type": "Ready", "status": "True"}]}
        self.status = self._plan().status or self.status
        return self.status

    def _plan(self) -> Plan:
        return plan_run(self._view())

    def _view(self) -> RunView:
        metadata = self.raw["metadata"]
        fields = {"name": metadata["name"], "namespace": self.namespace, "uid": metadata["uid"], "generation": 1}
        now = datetime.now(UTC)
        return RunView(
            run=TrainingRun.model_validate({**fields, "spec": self.raw["spec"], "status": dict(self.status)}),
            created=now,
            now=now,
            timing=Timing(),
            children=Children(pods=tuple(cast("OwnPod", trim.pod(pod)) for pod in self.pods)),
            claims=frozenset(),
            namespace=NamespaceRecord(self.namespace),
            profiles={self.profile: self._profile()},
        )

    def _profile(self) -> AcceleratorProfile:
        spec = {
            "nodeSelector": {"bench.example/nodes": "true"},
            "allocation": {"type": "ExtendedResource", "extendedResource": {"name": self.resource}},
        }
        return AcceleratorProfile(name=self.profile, labels={}, spec=AcceleratorProfileSpec.model_validate(spec))


def disowned(pod: Mapping[str, Any], resource: str) -> Object:
    """The same pod as somebody else's: of the same size, but nobody's child, without our labels, with another resource."""
    metadata = {name: value for name, value in pod["metadata"].items() if name != "ownerReferences"}
    metadata["labels"] = {key.replace("tandem.dev/", "others.dev/"): value for key, value in metadata["labels"].items()}
    metadata["labels"]["app.kubernetes.io/managed-by"] = "others"
    container = {**pod["spec"]["containers"][0], "resources": {"requests": {resource: "1"}, "limits": {resource: "1"}}}
    return {**pod, "metadata": metadata, "spec": {**pod["spec"], "containers": [container]}}
