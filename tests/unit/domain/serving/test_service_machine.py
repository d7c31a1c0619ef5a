"""Plays a cluster against the planner of services: whatever happens, replicas are neither lost, doubled nor moved.

The rules at each write are asserted in `world.py`: never more replicas than asked for, never more of a variant than it
may have, none moved while the spec stands, nothing rendered anew from the same inputs, the same state the same plan.
"""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tandem.api.inference_service import InferenceServiceStatus
from tandem.domain.plan import ProblemKind
from tests.unit.domain.builders import GPU, GPUS, NPU, PROFILES, profile
from tests.unit.domain.serving.world import EDITED, SPEC, World

ASCEND, NVIDIA = SPEC["variants"]
VARIANTS: list[list[dict[str, Any]]] = [
    [ASCEND, NVIDIA],
    [NVIDIA, ASCEND],
    [NVIDIA],
    [{**ASCEND, "maxReplicas": 1}, {**NVIDIA, "minReplicas": 1}],
    [{**ASCEND, "maxReplicas": 0}, NVIDIA],
    [{**ASCEND, "accelerator": "nvidia-h20"}, {**NVIDIA, "maxReplicas": 1}],
    [ASCEND, {**NVIDIA, "image": "serve:cuda"}],
]
NAMES = st.sampled_from(["nvidia-h20", "ascend-910b"])


class ServiceMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    def conditions(self) -> dict[str, str]:
        return {item["type"]: item["status"] for item in self.world.status["conditions"]}

    # The operator

    @rule()
    def reconcile(self) -> None:
        self.world.reconcile()

    @rule(writes=st.integers(0, 5))
    def reconcile_and_be_killed(self, writes: int) -> None:
        self.world.reconcile(writes)

    @rule()
    def settle(self) -> None:
        self.world.faults.clear()
        self.world.settle()

    @rule()
    def go_on(self) -> None:
        self.world.reconcile()
        self.world.roll_out()
        self.world.reconcile()

    # The cluster

    @rule()
    def roll_out(self) -> None:
        self.world.roll_out()

    @precondition(lambda self: self.world.deployments)
    @rule(index=st.integers(0, 3))
    def a_deployment_is_deleted_by_hand(self, index: int) -> None:
        names = sorted(self.world.deployments)
        del self.world.deployments[names[index % len(names)]]

    @precondition(lambda self: self.world.deployments)
    @rule(index=st.integers(0, 3))
    def a_deployment_is_edited_by_hand(self, index: int) -> None:
        self.world.faults.clear()
        self.world.settle()
        names = sorted(self.world.deployments)
        if names:
            self.world.edit_deployment(names[index % len(names)])

    @rule(name=NAMES, count=st.integers(0, 4))
    def others_take_devices(self, name: str, count: int) -> None:
        self.world.taken[name] = count

    @rule(kinds=st.lists(st.sampled_from(list(ProblemKind)), min_size=1, max_size=3))
    def creates_go_wrong(self, kinds: list[ProblemKind]) -> None:
        self.world.faults = list(kinds)

    @rule(seconds=st.sampled_from([1, 61]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    # Users and admins

    @rule(replicas=st.integers(0, 6))
    def scale(self, replicas: int) -> None:
        self.world.edit(replicas=replicas)

    @rule(variants=st.sampled_from(VARIANTS))
    def edit_variants(self, variants: list[dict[str, Any]]) -> None:
        self.world.edit(variants=variants)

    @rule(image=st.sampled_from(["serve:1", "serve:2"]), port=st.sampled_from([8000, 9000]))
    def edit(self, image: str, port: int) -> None:
        self.world.edit(image=image, port=port)

    @rule(model=st.sampled_from([None, {"claim": {"name": "models"}}]))
    def edit_model(self, model: dict[str, Any] | None) -> None:
        self.world.edit(model=model)

    @rule()
    def a_claim_vanishes(self) -> None:
        self.world.claims.clear()

    @rule()
    def a_claim_returns(self) -> None:
        self.world.claims.add("models")

    @rule(name=NAMES)
    def a_profile_vanishes(self, name: str) -> None:
        self.world.change_profile(name, None)

    @rule(name=NAMES)
    def a_profile_returns(self, name: str) -> None:
        self.world.change_profile(name, PROFILES[name])

    @rule()
    def a_profile_is_edited_and_nothing_restarts(self) -> None:
        """Neither an edit of a profile nor an upgrade of the operator makes a Deployment anew."""
        self.world.faults.clear()
        self.world.settle()
        resources = {"nvidia-h20": GPU, "ascend-910b": NPU}
        for name in list(self.world.profiles):
            known = self.world.profiles[name]
            env = [
                {"name": "NEW", "value": str(len(known.spec.env or ()))},
                *({"name": f"E{i}"} for i in range(len(known.spec.env or ()))),
            ]
            self.world.change_profile(
                name, profile(name, resources[name], known.labels, env=env, revision=known.spec.revision)
            )
        plan = self.world.plan()
        assert plan.replace == ()
        # An edit may bring back the profile from which something that others changed was made: then that is put right.
        assert all(self.world.deployments[change.child.name].owned == EDITED for change in plan.apply)

    @rule()
    def a_profile_s_revision_is_raised(self) -> None:
        self.world.change_profile("nvidia-h20", profile("nvidia-h20", GPU, GPUS.labels, revision="2"))

    # What holds at every moment

    @invariant()
    def status_is_one_that_the_api_server_takes(self) -> None:
        InferenceServiceStatus.model_validate(self.world.status)

    @invariant()
    def planning_changes_nothing_and_repeats_itself(self) -> None:
        self.world.plan()

    def teardown(self) -> None:
        """When faults stop and devices are free, every replica that may have a place has one, and answers."""
        world = self.world
        world.faults.clear()
        world.taken.clear()
        world.claims.add("models")
        world.profiles = dict(PROFILES)
        for _ in range(6):
            world.settle()
            world.roll_out()
        world.settle()
        shares = world.shares()
        wanted = {record.variant: record.wanted for record in world.deployments.values() if record.wanted}
        assert wanted == shares
        assert set(shares) <= {variant["name"] for variant in world.spec["variants"]}
        assert all(
            record.variant in {v["name"] for v in world.spec["variants"]} for record in world.deployments.values()
        )
        assert self.conditions()["Ready"] == "True"
        told = {item["name"]: item.get("message", "") for item in world.status["variants"]}
        for record in world.deployments.values():
            assert record.owned != EDITED or not record.wanted or "changed by somebody else" in told[record.variant]
        if sum(shares.values()) < world.spec["replicas"]:
            assert world.status["unplacedReplicas"] == world.spec["replicas"] - sum(shares.values())
            rooms = {"nvidia-h20": 4, "ascend-910b": 4}
            for variant in world.spec["variants"]:
                rooms[variant["accelerator"]] -= shares.get(variant["name"], 0)
            for variant in world.spec["variants"]:
                full = shares.get(variant["name"], 0) >= variant.get("maxReplicas", 1000)
                assert full or rooms[variant["accelerator"]] == 0


TestServiceMachine = ServiceMachine.TestCase
TestServiceMachine.settings = settings(max_examples=120, stateful_step_count=30)
