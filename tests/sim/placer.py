"""Tandem as a strategy: the operator's own pure placer over its own ledger. All that knows their signatures stands here."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tandem.api.accelerator_profile import AcceleratorProfile, AcceleratorProfileSpec
from tandem.domain.observed import ForeignPod, NodeRecord
from tandem.domain.placement.ledger import Ledger
from tandem.domain.placement.line import Line
from tandem.domain.placement.place import serve
from tandem.domain.placement.request import Ask, Candidate, Option
from tandem.domain.timing import Timing
from tests.sim.fleet import Fleet, Nodes
from tests.sim.trace import Job, Make, Shape, Trace

START = datetime(2026, 1, 1, tzinfo=UTC)
LABEL = "sim.example/make"


class Tandem:
    """The placer serves the whole line, whenever something changed."""

    def __init__(
        self, trace: Trace, fleet: Fleet, *, starvation: float = Timing.starvation, patience: float = 0
    ) -> None:
        self._starvation = starvation
        self._patience = patience
        self._profiles = {make.name: profile(make) for make in trace.makes}
        self._candidates: dict[tuple[Shape, ...], tuple[Candidate, ...]] = {}
        self._jobs: dict[str, Job] = {}
        self._line = Line()
        self._pods: dict[str, list[ForeignPod]] = {}
        self._nodes = {name: record(make, name) for make in trace.makes for name in make.node_names}
        self._ledger = Ledger()
        for node in self._nodes.values():
            self._ledger.node_changed(None, node)

    def queued(self, job: Job, now: float) -> None:
        """A run that waits from now on."""
        self._jobs[job.name] = job
        self._line.put(
            Ask(
                uid=job.name,
                kind="TrainingRun",
                namespace="sim",
                name=job.name,
                attempt=1,
                since=START + timedelta(seconds=job.submit),
                candidates=self._candidates_of(job.shapes),
                priority=job.priority,
                waits_since=START + timedelta(seconds=now),
                starves_after=self._starvation,
                patience=self._patience,
            )
        )

    def choose(self, now: float) -> Iterator[tuple[Job, Shape]]:
        """What the placer grants. Jobs are bound at once, so nothing is reserved between two decisions."""
        answers = serve(self._line, self._ledger.snapshot(), (), START + timedelta(seconds=now))
        for uid, decision in answers.given.items():
            (grant,) = decision.grants
            job = self._jobs[uid]
            yield job, job.shapes[int(grant.variant)]

    def bound(self, job: Job, shape: Shape, nodes: Nodes) -> None:
        """Its pods count from now on."""
        resource = resource_of(shape.make)
        self._line.drop(job.name)
        self._pods[job.name] = [ForeignPod(job.name, node, {resource: devices}) for node, devices in nodes.items()]
        for pod in self._pods[job.name]:
            self._ledger.pod_changed(None, pod)

    def ended(self, job: Job) -> None:
        """Its pods are gone."""
        for pod in self._pods.pop(job.name):
            self._ledger.pod_changed(pod, None)

    def node_changed(self, node: str, *, there: bool) -> None:
        """A node that is gone is NotReady."""
        old = self._nodes[node]
        self._nodes[node] = replace(old, ready=there)
        self._ledger.node_changed(old, self._nodes[node])

    def _candidates_of(self, shapes: tuple[Shape, ...]) -> tuple[Candidate, ...]:
        """One object for all jobs that ask for the same, so that they are quickly seen to."""
        found = self._candidates.get(shapes)
        if found is None:
            found = self._candidates[shapes] = tuple(
                Candidate(str(number), shape.make, (self._option(shape),)) for number, shape in enumerate(shapes)
            )
        return found

    def _option(self, shape: Shape) -> Option:
        return Option(self._profiles[shape.make], shape.pods, shape.devices, node_selector={}, tolerations=())


def resource_of(make: str) -> str:
    """The extended resource of a make's devices."""
    return f"sim.example/{make}"


def profile(make: Make) -> AcceleratorProfile:
    """The make as the operator knows it."""
    fields = {
        "nodeSelector": {LABEL: make.name},
        "allocation": {"type": "ExtendedResource", "extendedResource": {"name": resource_of(make.name)}},
        **({"counts": {"perPod": list(make.legal)}} if make.legal else {}),
    }
    return AcceleratorProfile(name=make.name, spec=AcceleratorProfileSpec.model_validate(fields))


def record(make: Make, name: str) -> NodeRecord:
    """A node of the make."""
    devices = {resource_of(make.name): make.devices}
    return NodeRecord(
        name=name,
        labels={LABEL: make.name},
        taints=(),
        cordoned=False,
        ready=True,
        not_ready_since=None,
        allocatable=devices,
        capacity=devices,
    )
