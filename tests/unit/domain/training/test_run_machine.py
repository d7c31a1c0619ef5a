"""Plays a cluster against the planner: whatever happens, and wherever the operator is killed, the rules of a gang hold.

The rules at each write are asserted in `world.py`: attempts only grow, a pod is only made for the attempt in status, no
two attempts run at once, each failure is charged once, what succeeded or failed stays so, the same state gives the same
plan, and no pod of the active attempt is deleted.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tandem.api.training_run import TrainingRunStatus
from tandem.domain.observed import OwnPod
from tandem.domain.plan import ProblemKind
from tests.unit.domain.training.world import NODES, SPEC, World

INDEX = st.integers(0, 9)
NODE_NAMES = st.sampled_from([item.name for item in NODES])


class TrainingMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def pick(self, index: int) -> OwnPod:
        pods = sorted(self.world.pods.values(), key=lambda pod: pod.name)
        return pods[index % len(pods)]

    def condition(self, kind: str) -> str | None:
        return next((item["status"] for item in self.world.status.get("conditions", ()) if item["type"] == kind), None)

    # The operator

    @rule()
    def reconcile(self) -> None:
        self.world.reconcile()

    @rule(writes=st.integers(0, 5))
    def reconcile_and_be_killed(self, writes: int) -> None:
        self.world.reconcile(writes)

    @rule()
    def settle(self) -> None:
        """With nothing going wrong, a moment's state settles, and then nothing is written."""
        self.world.faults.clear()
        self.world.taken.clear()
        self.world.settle()

    @rule()
    def go_on(self) -> None:
        """Everything works for a moment: pods are made, bound and started."""
        self.world.reconcile()
        self.world.fill()
        self.world.reconcile()

    # The cluster

    @rule()
    def fill(self) -> None:
        self.world.fill()

    @rule()
    def schedule(self) -> None:
        self.world.schedule()

    @precondition(lambda self: self.world.pods)
    @rule(index=INDEX)
    def start(self, index: int) -> None:
        self.world.start(self.pick(index))

    @precondition(lambda self: self.world.pods)
    @rule(index=INDEX, code=st.sampled_from([0, 0, 1, 137, None]))
    def finish(self, index: int, code: int | None) -> None:
        self.world.finish(self.pick(index), code)

    @rule()
    def all_succeed(self) -> None:
        for pod in list(self.world.pods.values()):
            self.world.finish(pod, 0)

    @precondition(lambda self: self.world.pods)
    @rule(index=INDEX)
    def delete_by_hand(self, index: int) -> None:
        self.world.delete(self.pick(index))

    @precondition(lambda self: self.world.pods)
    @rule(index=INDEX)
    def collect(self, index: int) -> None:
        self.world.collect(self.pick(index))

    @precondition(lambda self: self.world.pods)
    @rule(index=INDEX)
    def cannot_pull(self, index: int) -> None:
        pod = self.pick(index)
        if pod.phase == "Pending" and pod.node is not None:
            self.world.update(pod, waiting_reason="ImagePullBackOff", waiting_message="not found")

    @rule(name=NODE_NAMES)
    def node_stops(self, name: str) -> None:
        if name in self.world.nodes:
            self.world.node_fails(name)

    @rule(name=NODE_NAMES)
    def node_is_removed(self, name: str) -> None:
        self.world.nodes.pop(name, None)

    @rule()
    def nodes_return(self) -> None:
        self.world.nodes = {item.name: item for item in NODES}

    @rule(kinds=st.lists(st.sampled_from([ProblemKind.REFUSED, ProblemKind.TRANSIENT]), min_size=1, max_size=3))
    def creates_go_wrong(self, kinds: list[ProblemKind]) -> None:
        self.world.faults = list(kinds)

    @rule(ahead=st.integers(0, 1), rank=st.integers(0, 2))
    def a_name_is_taken(self, ahead: int, rank: int) -> None:
        name = f"r-a{self.world.status.get('attempt', 0) + ahead}-{rank}"
        if name not in self.world.pods:
            self.world.taken.add(name)

    @rule()
    def names_are_free_again(self) -> None:
        self.world.taken.clear()

    @rule(seconds=st.sampled_from([1, 5, 11, 31, 121, 301, 700]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    # The user

    @rule(
        fields=st.sampled_from(
            [
                {"suspend": True},
                {"suspend": False},
                {"image": "train:2"},
                {"pods": 3},
                {"pods": 1},
                {"activeDeadlineSeconds": 60},
                {"activeDeadlineSeconds": 600},
                {"cleanup": {"podsAfterSeconds": 0}},
                SPEC,
            ]
        )
    )
    def edit(self, fields: dict[str, Any]) -> None:
        spec = {**self.world.spec, **fields}
        if spec != self.world.spec:
            self.world.spec = spec
            self.world.generation += 1

    # What holds at every moment

    @invariant()
    def status_is_one_that_the_api_server_takes(self) -> None:
        TrainingRunStatus.model_validate(self.world.status)

    @invariant()
    def every_pod_is_of_an_attempt_in_status(self) -> None:
        assert all(pod.attempt <= self.world.status.get("attempt", 0) for pod in self.world.pods.values())

    @invariant()
    def only_one_attempt_has_pods_that_nobody_ends(self) -> None:
        live = {pod.attempt for pod in self.world.pods.values() if not pod.terminal and pod.deleting_since is None}
        assert len(live) <= 1

    @invariant()
    def planning_changes_nothing_and_repeats_itself(self) -> None:
        self.world.plan()

    def teardown(self) -> None:
        """When faults stop, the run comes to rest: succeeded, failed for good, or suspended with no pod left."""
        self.world.heal()
        for _ in range(60):
            self.world.settle()
            for pod in list(self.world.pods.values()):
                self.world.finish(pod, 0)
            self.world.fill()
            if self.at_rest():
                self.clean_up()
                return
            self.world.pass_time(31)
        raise AssertionError(f"the run does not come to rest: {self.world.status}")

    def clean_up(self) -> None:
        """Long after its end a run has no children, and asks for nothing."""
        if self.condition("Suspended") == "True":
            return
        self.world.pass_time(601)
        self.world.settle()
        assert not self.world.pods
        assert not self.world.services
        assert self.world.plan().requeue_after is None

    def at_rest(self) -> bool:
        if any(not pod.terminal for pod in self.world.pods.values()):
            return False
        if self.world.spec.get("suspend") and self.condition("Suspended") == "True":
            return True
        return "True" in (self.condition("Succeeded"), self.condition("Failed"))


TestTrainingMachine = TrainingMachine.TestCase
TestTrainingMachine.settings = settings(max_examples=200, stateful_step_count=40)
