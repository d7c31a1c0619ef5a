"""A cluster in memory with one InferenceService: API server, Deployment controller, scheduler, and a mortal operator.

It carries plans out in the applier's order and may stop between any two writes. What must hold at every write is checked
where the write is made.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.constants import ANNOTATION_RENDERED, LABEL_ACCELERATOR, LABEL_INPUTS_HASH, LABEL_VARIANT
from tandem.api.inference_service import InferenceService, InferenceServiceStatus
from tandem.domain.observed import ChildRecord, Children, DeploymentRecord, ForeignPod, NamespaceRecord
from tandem.domain.placement.fit import snapshot
from tandem.domain.placement.place import Reservation, place
from tandem.domain.placement.request import Ask, Decision
from tandem.domain.plan import Child, Plan, Problem, ProblemKind, Replace, Resource, Scale
from tandem.domain.serving.plan import plan_service
from tandem.domain.serving.view import ServiceView
from tests.unit.domain.builders import CREATED, GPU, NOW, NPU, NPUS, PROFILES, TIMING, child, node

EDITED, SET_AGAIN, FORGOTTEN = "edited", "set again", "forgotten"
"""Whose the fields of a Deployment are: others changed some; they were put right; others' changes were taken for ours."""
STAGES = (Resource.SERVICE, Resource.BUDGET, Resource.DEPLOYMENT)
NODES = (node("gpu-0", 4), node("npu-0", 4, NPUS))
RESOURCES = {"nvidia-h20": ("gpu-0", GPU), "ascend-910b": ("npu-0", NPU)}
SPEC: dict[str, Any] = {
    "replicas": 2,
    "devicesPerPod": 1,
    "image": "serve:1",
    "variants": [
        {"name": "ascend", "accelerator": "ascend-910b", "maxReplicas": 3},
        {"name": "nvidia", "accelerator": "nvidia-h20"},
    ],
}


class KilledError(Exception):
    """The operator is gone; the rest of its plan is lost."""


@dataclass
class World:
    """The state of the cluster."""

    spec: dict[str, Any] = field(default_factory=lambda: dict(SPEC))
    generation: int = 1
    status: dict[str, Any] = field(default_factory=dict)
    now: datetime = NOW
    deployments: dict[str, DeploymentRecord] = field(default_factory=dict)
    services: dict[str, ChildRecord] = field(default_factory=dict)
    budgets: dict[str, ChildRecord] = field(default_factory=dict)
    profiles: dict[str, AcceleratorProfile] = field(default_factory=lambda: dict(PROFILES))
    taken: dict[str, int] = field(default_factory=dict)
    """Profile -> devices in use by others."""
    claims: set[str] = field(default_factory=lambda: {"models"})
    faults: list[ProblemKind] = field(default_factory=list)
    uids: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**9)))
    writes_left: int = 10**9
    stable_since: int = -1
    """Generation for which shares were written last; from then on they may only grow."""

    # The operator

    def view(self, repaired: Set[str] = frozenset()) -> ServiceView:
        """What the operator sees: all there is."""
        return ServiceView(
            service=InferenceService.model_validate(
                {
                    "name": "s",
                    "namespace": "team",
                    "uid": "service-uid",
                    "generation": self.generation,
                    "spec": self.spec,
                    "status": self.status,
                }
            ),
            created=CREATED,
            now=self.now,
            timing=TIMING,
            children=Children(deployments=self.deployments, services=self.services, budgets=self.budgets),
            claims=frozenset(self.claims),
            profiles=self.profiles,
            namespace=NamespaceRecord("team"),
            repaired=repaired,
        )

    def plan(self, problems: tuple[Problem, ...] = (), repaired: Set[str] = frozenset()) -> Plan:
        """The plan for this moment, with the placer's answer; made twice, it must be the same."""
        view = self.view(repaired)
        plan = plan_service(view, problems=problems)
        decision = self._decide(plan.ask) if plan.ask else None
        if decision is not None:
            plan = plan_service(view, decision=decision, problems=problems)
            assert plan.ask is None
        assert plan_service(self.view(repaired), decision=decision, problems=problems) == plan
        return plan

    def _decide(self, ask: Ask) -> Decision:
        held = [
            Reservation(ask.uid, 0, grant.option, grant.pods - self._bound(grant.variant)) for grant in ask.standing
        ]
        return place([ask], snapshot(NODES, self._pods()), [item for item in held if item.pods > 0], self.now)[ask.uid]

    def _pods(self) -> list[ForeignPod]:
        others = [(name, count) for name, count in self.taken.items()]
        ours = [(record.accelerator, record.replicas) for record in self.deployments.values()]
        return [
            ForeignPod(uid=f"{name}-{index}", node=RESOURCES[name][0], devices={RESOURCES[name][1]: count})
            for index, (name, count) in enumerate([*others, *ours])
        ]

    def _bound(self, variant: str) -> int:
        return sum(record.replicas for record in self.deployments.values() if record.variant == variant)

    def reconcile(self, writes: int = 10**9) -> None:
        """One pass of an operator that is killed after so many writes."""
        self.writes_left = writes
        try:
            plan = self.plan()
            problems = self._apply(plan)
            if plan.apply and not problems:
                # What others change from here on is met by a record of what the repair left.
                learnt = self.plan(repaired={change.name for change in plan.apply})
                assert not learnt.apply
                problems = self._apply(learnt)
            if problems:
                answer = self.plan(problems)
                assert not answer.acts
                self._apply(answer)
        except KilledError:
            pass

    def settle(self) -> None:
        """Reconcile until nothing changes; the last pass asks for nothing."""
        for _ in range(8):
            plan = self.plan()
            if not plan.acts and plan.status == self.status:
                names = {variant["name"] for variant in self.spec["variants"]}
                held = sum(record.wanted for record in self.deployments.values() if record.variant in names)
                assert held <= self.spec["replicas"], "whatever stands in the way, fewer replicas can be had"
                return
            self.reconcile()
        raise AssertionError(f"the service does not settle: {self.plan()}")

    def shares(self) -> dict[str, int]:
        """Variant -> replicas in status."""
        return {item["name"]: item["replicas"] for item in self.status.get("variants", ()) if item["replicas"]}

    def _apply(self, plan: Plan) -> tuple[Problem, ...]:
        if plan.intent:
            self._write_status(plan)
        for stage in STAGES:
            problems = [self._create(item) for item in plan.create if item.resource is stage]
            if any(problems):
                return tuple(problem for problem in problems if problem is not None)
        for change in plan.replace:
            self._replace(change)
        for change in plan.apply:
            self._set_again(change)
        for scale in plan.scale:
            self._scale(scale)
        for gone in plan.delete:
            self._write()
            assert gone.resource is Resource.DEPLOYMENT
            assert self.deployments.pop(gone.name).uid == gone.uid
        if not plan.intent and plan.status is not None and plan.status != self.status:
            self._write_status(plan)
        return ()

    def _write(self) -> None:
        if self.writes_left <= 0:
            raise KilledError
        self.writes_left -= 1

    def _write_status(self, plan: Plan) -> None:
        self._write()
        before, marks = self.shares(), self._marks()
        InferenceServiceStatus.model_validate(plan.status)
        self.status = dict(plan.status or {})
        for name, record in list(self.deployments.items()):
            if record.owned == EDITED and record.variant not in self._marks():
                # A variant that left the spec and comes back is a new one: nothing is known of what it was.
                self.deployments[name] = replace(record, owned=FORGOTTEN)
        for record in self.deployments.values():
            forgotten = (
                record.variant in self._marks() and marks.get(record.variant) and not self._marks()[record.variant]
            )
            assert record.owned != EDITED or not forgotten, (
                "what others changed is forgotten only once it was put right"
            )
        after = self.shares()
        if self.stable_since == self.generation:
            assert all(after.get(name, 0) >= count for name, count in before.items()), "replicas never move"
        self.stable_since = self.generation
        assert sum(after.values()) <= self.spec["replicas"], "never more than asked for"
        for variant in self.spec["variants"]:
            assert after.get(variant["name"], 0) <= variant.get("maxReplicas", 1000), "never above the variant's most"

    def _marks(self) -> dict[str, str | None]:
        return {item["name"]: item.get("ownedFields") for item in self.status.get("variants", ())}

    def _create(self, made: Child) -> Problem | None:
        self._write()
        if self.faults:
            kind = self.faults.pop(0)
            return Problem(kind, made.name, f"fault: {kind.value}")
        metadata = made.body["metadata"]
        digest = metadata.get("annotations", {}).get(LABEL_INPUTS_HASH, "")
        if made.resource is Resource.SERVICE:
            self.services[made.name] = child(made.name, inputs_hash=digest)
        elif made.resource is Resource.BUDGET:
            self.budgets[made.name] = child(made.name)
        else:
            assert made.name not in self.deployments
            self._check_intent(metadata["labels"][LABEL_VARIANT], made.body["spec"]["replicas"])
            self.deployments[made.name] = DeploymentRecord(
                namespace="team",
                name=made.name,
                uid=f"deployment-{next(self.uids)}",
                resource_version=1,
                owner_uid="service-uid",
                owner=None,
                variant=metadata["labels"][LABEL_VARIANT],
                accelerator=metadata["labels"][LABEL_ACCELERATOR],
                inputs_hash=digest,
                generation=1,
                observed_generation=0,
                wanted=made.body["spec"]["replicas"],
                rendered=metadata["annotations"][ANNOTATION_RENDERED],
                owned="created",
            )
        return None

    def _replace(self, change: Replace) -> None:
        self._write()
        name, body = change.child.name, change.child.body
        digest = body["metadata"]["annotations"][LABEL_INPUTS_HASH]
        if change.child.resource is Resource.SERVICE:
            assert self.services[name].inputs_hash != digest, "nothing is made anew from the same inputs"
            self.services[name] = replace(self.services[name], inputs_hash=digest)
            return
        record = self.deployments[name]
        assert (record.uid, record.resource_version) == (change.uid, change.resource_version)
        assert record.inputs_hash != digest, "nothing is made anew from the same inputs"
        self._check_intent(record.variant, body["spec"]["replicas"])
        self.deployments[name] = replace(
            record,
            resource_version=record.resource_version + 1,
            generation=record.generation + 1,
            accelerator=body["metadata"]["labels"][LABEL_ACCELERATOR],
            inputs_hash=digest,
            wanted=body["spec"]["replicas"],
            rendered=body["metadata"]["annotations"][ANNOTATION_RENDERED],
            owned="replaced",
            updated=0,
        )

    def _set_again(self, change: Replace) -> None:
        self._write()
        name, body = change.child.name, change.child.body
        record = self.deployments[name]
        assert (record.uid, record.resource_version) == (change.uid, change.resource_version)
        assert record.owned in (EDITED, SET_AGAIN), "only what others changed is set again"
        assert body["metadata"]["annotations"][ANNOTATION_RENDERED] == record.rendered, (
            "by nothing but what it was made from"
        )
        self._check_intent(record.variant, body["spec"]["replicas"])
        if record.owned == SET_AGAIN and record.wanted == body["spec"]["replicas"]:
            # Killed before status told of it. The same applied again leaves an object as it is.
            return
        self.deployments[name] = replace(
            record,
            resource_version=record.resource_version + 1,
            generation=record.generation + 1,
            wanted=body["spec"]["replicas"],
            owned=SET_AGAIN,
            updated=0,
        )

    def _scale(self, change: Scale) -> None:
        self._write()
        record = self.deployments[change.name]
        assert (record.uid, record.resource_version) == (change.uid, change.resource_version)
        assert record.wanted != change.replicas
        self._check_intent(record.variant, change.replicas)
        self.deployments[change.name] = replace(
            record,
            resource_version=record.resource_version + 1,
            generation=record.generation + 1,
            wanted=change.replicas,
        )

    def _check_intent(self, variant: str, replicas: int) -> None:
        assert self.shares().get(variant, 0) == replicas, "a share stands in status before a Deployment follows it"

    # The cluster

    def roll_out(self) -> None:
        """The Deployment controller and the kubelets do all they can at once."""
        for name, record in list(self.deployments.items()):
            self.deployments[name] = replace(record, replicas=0, updated=0, ready=0, available=0)
        for name, record in list(self.deployments.items()):
            used = snapshot((), self._pods()).used.get(RESOURCES[record.accelerator], 0)
            count = max(0, min(record.wanted, 4 - used))
            self.deployments[name] = replace(
                record,
                observed_generation=record.generation,
                replicas=count,
                updated=count,
                ready=count,
                available=count,
            )

    def edit_deployment(self, name: str) -> None:
        """Somebody else changes a field of ours, once the operator has seen what it made."""
        record = self.deployments[name]
        self.deployments[name] = replace(
            record,
            resource_version=record.resource_version + 1,
            generation=record.generation + 1,
            owned=EDITED,
            updated=0,
        )

    def edit(self, **fields: Any) -> None:
        """A user's edit of the spec."""
        spec = {**self.spec, **fields}
        if spec != self.spec:
            self.spec = spec
            self.generation += 1

    def change_profile(self, name: str, profile: AcceleratorProfile | None) -> None:
        """An admin edits a profile, or takes it away."""
        if profile is None:
            self.profiles.pop(name, None)
        else:
            self.profiles[name] = profile

    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)
