"""A cluster in memory with one TrainingRun: API server, scheduler, kubelets and people, and an operator that may be killed.

It carries plans out in the applier's order and may stop between any two writes. What must hold at every write is checked
where the write is made.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tandem.api.constants import LABEL_ACCELERATOR, LABEL_ATTEMPT, LABEL_INPUTS_HASH, LABEL_RANK, LABEL_VARIANT
from tandem.api.training_run import TrainingRun, TrainingRunStatus
from tandem.domain.observed import ChildRecord, Children, NamespaceRecord, NodeRecord, OwnPod
from tandem.domain.placement.fit import snapshot
from tandem.domain.placement.place import place
from tandem.domain.placement.requests_of_pods import effective_devices
from tandem.domain.plan import Child, Delete, Plan, Problem, ProblemKind, Resource
from tandem.domain.timing import Timing
from tandem.domain.training.plan import plan_run
from tandem.domain.training.view import RunView
from tests.unit.domain.builders import CREATED, NOW, NPUS, PROFILES, child, node

GRACE = 30.0
STAGES = (Resource.SERVICE, Resource.POD)
FAILURES = {"UserFailure", "InfraFailure", "RestartLimit"}
TIMING = Timing(user_limit=1, infra_limit=2, cleanup=600)
SPEC: dict[str, Any] = {
    "pods": 2,
    "devicesPerPod": 8,
    "image": "train:1",
    "variants": [
        {"name": "nvidia", "accelerator": "nvidia-h20"},
        {"name": "ascend", "accelerator": "ascend-910b"},
    ],
}
NODES = (node("gpu-0"), node("gpu-1"), node("gpu-2"), node("npu-0", 8, NPUS), node("npu-1", 8, NPUS))


class KilledError(Exception):
    """The operator is gone; the rest of its plan is lost."""


@dataclass
class World:
    """The state of the cluster, and the history that the rules speak of."""

    spec: dict[str, Any] = field(default_factory=lambda: dict(SPEC))
    generation: int = 1
    status: dict[str, Any] = field(default_factory=dict)
    now: datetime = NOW
    pods: dict[str, OwnPod] = field(default_factory=dict)
    nodes: dict[str, NodeRecord] = field(default_factory=lambda: {item.name: item for item in NODES})
    services: dict[str, ChildRecord] = field(default_factory=dict)
    faults: list[ProblemKind] = field(default_factory=list)
    """How the next creates go wrong, in order."""
    taken: set[str] = field(default_factory=set)
    """Names of pods that somebody else holds."""
    uids: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**9)))
    writes_left: int = 10**9
    charged: set[int] = field(default_factory=set)
    """Attempts whose failure was charged."""
    bound: set[int] = field(default_factory=set)
    """Attempts of which every pod has had a node."""
    held: float = 0.0
    """Seconds that passed while a bound attempt was active."""
    complete: set[int] = field(default_factory=set)
    """Attempts that were recorded as wholly made."""

    # The operator

    def view(self) -> RunView:
        """What the operator sees: all there is."""
        return RunView(
            run=TrainingRun.model_validate(
                {
                    "name": "r",
                    "namespace": "team",
                    "uid": "run-uid",
                    "generation": self.generation,
                    "spec": self.spec,
                    "status": self.status,
                }
            ),
            created=CREATED,
            now=self.now,
            timing=TIMING,
            children=Children(pods=tuple(self.pods.values()), services=self.services),
            claims=frozenset(),
            profiles=PROFILES,
            namespace=NamespaceRecord("team"),
            nodes=self.nodes,
        )

    def plan(self, problems: tuple[Problem, ...] = ()) -> Plan:
        """The plan for this moment, with the placer's answer; made twice, it must be the same."""
        view = self.view()
        plan = plan_run(view, problems=problems)
        if plan.ask is not None:
            decision = place([plan.ask], snapshot(self.nodes.values(), self.pods.values()), (), self.now)[plan.ask.uid]
            plan = plan_run(view, decision=decision, problems=problems)
            assert plan.ask is None
            assert plan_run(self.view(), decision=decision, problems=problems) == plan
        else:
            assert plan_run(self.view(), problems=problems) == plan
        return plan

    def reconcile(self, writes: int = 10**9) -> None:
        """One pass of an operator that is killed after so many writes."""
        self.writes_left = writes
        try:
            problems = self._apply(self.plan())
            if problems:
                self._apply(self.plan(problems))
        except KilledError:
            pass

    def settle(self) -> None:
        """Reconcile until nothing changes; the last pass asks for nothing."""
        for _ in range(12):
            plan = self.plan()
            if not plan.acts and (plan.status is None or plan.status == self.status):
                return
            self.reconcile()
        raise AssertionError(f"the run does not settle: {self.plan()}")

    def _apply(self, plan: Plan) -> tuple[Problem, ...]:
        if plan.intent:
            self._write_status(plan)
        for stage in STAGES:
            problems = [self._create(item) for item in plan.create if item.resource is stage]
            if any(problems):
                return tuple(problem for problem in problems if problem is not None)
        assert not plan.replace and not plan.scale
        for gone in plan.delete:
            self._delete(gone)
        if not plan.intent and plan.status is not None and plan.status != self.status:
            self._write_status(plan)
        return ()

    def _write(self) -> None:
        if self.writes_left <= 0:
            raise KilledError
        self.writes_left -= 1

    def _write_status(self, plan: Plan) -> None:
        self._write()
        before = TrainingRunStatus.model_validate(self.status)
        after = TrainingRunStatus.model_validate(plan.status)
        self._check_status(before, after)
        self.status = dict(plan.status or {})

    def _check_status(self, before: TrainingRunStatus, after: TrainingRunStatus) -> None:
        assert after.attempt >= before.attempt, "attempt numbers only grow"
        for kind in ("Succeeded", "Failed"):
            was, is_ = (next((c.status for c in s.conditions if c.type == kind), None) for s in (before, after))
            assert was != "True" or is_ == "True", f"{kind} must not flip back"
        ended = {item.number for item in after.attempts or () if item.outcome in FAILURES}
        self.charged |= ended
        counted = after.failures.user + after.failures.infra if after.failures else 0
        assert counted == len(self.charged), "each failure is charged once"
        if before.completion_time is not None:
            ended = before.model_copy(
                update={"conditions": after.conditions, "observed_generation": after.observed_generation}
            )
            assert after == ended, "what has ended for good changes no more"
        if before.observed_generation != self.generation:
            assert all(hold.count == 1 for hold in after.hold_offs or ()), "an edit makes up for earlier refusals"
        assert (after.active_seconds or 0) <= self.held, "only time with all pods bound is counted"
        if after.active is not None and before.active is None:
            limit = self.spec.get("activeDeadlineSeconds", self.held + 1)
            assert (after.active_seconds or 0) < limit, "no attempt begins past the deadline"
        if any(item.status == "True" and item.reason == "DeadlineExceeded" for item in after.conditions):
            assert self.held >= self.spec.get("activeDeadlineSeconds", 0) or before.completion_time, "never early"
        if after.active and after.active.created_time:
            self.complete.add(after.active.number)
        if after.active is not None:
            assert after.active.number == after.attempt

    def _create(self, made: Child) -> Problem | None:
        self._write()
        kind = self.faults.pop(0) if self.faults else None
        if kind is not None:
            return Problem(kind, made.name, f"fault: {kind.value}")
        if made.resource is Resource.SERVICE:
            self.services.setdefault(made.name, child(made.name, owner_uid="run-uid"))
            return None
        if made.name in self.taken:
            return Problem(ProblemKind.NAME_CONFLICT, made.name, f"Pod {made.name!r} exists")
        if made.name not in self.pods:
            self._add_pod(made)
        return None

    def _add_pod(self, made: Child) -> None:
        labels, spec = made.body["metadata"]["labels"], made.body["spec"]
        attempt = int(labels[LABEL_ATTEMPT])
        assert attempt == self.status["active"]["number"], "a pod is only made for the attempt in status"
        assert attempt not in self.complete, "a rank of a complete attempt is never made again"
        older = [pod for pod in self.pods.values() if pod.attempt != attempt and not pod.terminal]
        assert all(pod.deleting_since for pod in older), "two attempts must never run at once"
        self.pods[made.name] = OwnPod(
            namespace="team",
            name=made.name,
            uid=f"pod-{next(self.uids)}",
            resource_version=1,
            owner_uid="run-uid",
            owner=None,
            attempt=attempt,
            rank=int(labels[LABEL_RANK]),
            variant=labels[LABEL_VARIANT],
            accelerator=labels[LABEL_ACCELERATOR],
            inputs_hash=labels[LABEL_INPUTS_HASH],
            node=None,
            devices=effective_devices(spec),
            created=self.now,
        )

    def _delete(self, gone: Delete) -> None:
        self._write()
        if gone.resource is Resource.SERVICE:
            assert TrainingRunStatus.model_validate(self.status).completion_time, "ranks may still look for each other"
            assert self.services.pop(gone.name).uid == gone.uid
            return
        assert gone.resource is Resource.POD
        pod = self.pods.get(gone.name)
        if pod is not None and pod.uid == gone.uid:
            active = self.status.get("active")
            assert not active or pod.attempt != active["number"], "no pod of the active attempt is deleted"
            self.delete(pod)

    # The cluster

    def delete(self, pod: OwnPod) -> None:
        """A DELETE as the API server does it: at once where no kubelet has to end containers."""
        if pod.node is None or pod.terminal:
            del self.pods[pod.name]
        elif pod.deleting_since is None:
            self.update(pod, deleting_since=self.now + timedelta(seconds=GRACE))

    def update(self, pod: OwnPod, **fields: Any) -> None:
        """A change of a pod's status."""
        self.pods[pod.name] = replace(pod, **fields)

    def schedule(self) -> None:
        """The scheduler: each waiting pod goes to a node with free devices, or hears why not."""
        for pod in list(self.pods.values()):
            if pod.node is None and not pod.terminal:
                used = snapshot((), self.pods.values()).used
                ((resource, amount),) = pod.devices.items()
                fitting = [
                    item.name
                    for item in self.nodes.values()
                    if item.ready and item.allocatable.get(resource, 0) - used.get((item.name, resource), 0) >= amount
                ]
                if fitting:
                    self.update(pod, node=fitting[0], scheduled=True, scheduled_at=self.now, unschedulable_message="")
                else:
                    self.update(pod, unschedulable_message="0/4 nodes are available")

        active = self.status.get("active")
        if (
            active
            and sum(pod.attempt == active["number"] and pod.node is not None for pod in self.pods.values())
            >= (active["pods"])
        ):
            self.bound.add(active["number"])

    def start(self, pod: OwnPod) -> None:
        """The kubelet starts a bound pod on a live node."""
        if pod.phase == "Pending" and self._alive(pod) and pod.deleting_since is None:
            self.update(pod, phase="Running", ready=True, waiting_reason="")

    def finish(self, pod: OwnPod, code: int | None) -> None:
        """The program ends; without an exit code the kubelet has refused or evicted the pod."""
        if self._alive(pod) and (pod.phase == "Running" or (code is None and pod.phase == "Pending")):
            phase = "Succeeded" if code == 0 else "Failed"
            self.update(
                pod, phase=phase, ready=False, exit_code=code, finished_at=self.now, reason="" if code else "Evicted"
            )

    def collect(self, pod: OwnPod) -> None:
        """A deleted pod is gone: its kubelet ended it, or its node does not exist any more."""
        if pod.deleting_since is not None and (self._alive(pod) or pod.node not in self.nodes):
            del self.pods[pod.name]

    def fill(self) -> None:
        """All that a healthy cluster does by itself."""
        for pod in list(self.pods.values()):
            self.collect(pod)
        self.schedule()
        for pod in list(self.pods.values()):
            self.start(pod)

    def pass_time(self, seconds: float) -> None:
        """Time passes; pods of nodes that are gone are marked deleted, as the garbage collector does."""
        self.now += timedelta(seconds=seconds)
        active = self.status.get("active")
        if active and active["number"] in self.bound:
            self.held += seconds
        for pod in list(self.pods.values()):
            if pod.node is not None and pod.node not in self.nodes:
                self.delete(pod)

    def node_fails(self, name: str) -> None:
        """A node stops answering."""
        self.nodes[name] = replace(self.nodes[name], ready=False, not_ready_since=self.now)

    def heal(self) -> None:
        """All nodes are there and well, and nothing goes wrong any more."""
        self.nodes = {item.name: item for item in NODES}
        self.faults.clear()
        self.taken.clear()

    def _alive(self, pod: OwnPod) -> bool:
        found = self.nodes.get(pod.node or "")
        return found is not None and found.ready
