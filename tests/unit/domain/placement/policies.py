"""Policies for tests of decisions: who is reached by which, over two profiles and three namespaces."""

from typing import Any

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.placement_policy import PlacementPolicy, PlacementPolicySpec
from tandem.domain.placement.holders import Held, Holder
from tandem.domain.placement.policy import Policies, in_order
from tests.unit.domain.builders import PROFILES

GPU = {"accelerator": "nvidia-h20"}
NPU = {"acceleratorSelector": {"matchLabels": {"tandem.dev/stack": "cann"}}}
NAMESPACES = {"team": {"team": "research", "tier": "1"}, "guests": {}, "web": {"team": "web"}}


def policy(name: str = "p", **spec: Any) -> PlacementPolicy:
    """A policy; `spec` in camelCase."""
    return PlacementPolicy(name=name, spec=PlacementPolicySpec.model_validate(spec))


def book(*policies: PlacementPolicy, profiles: dict[str, AcceleratorProfile] = PROFILES) -> Policies:
    """These policies in force, whatever their order here."""
    return Policies(listed=in_order(policies), namespaces=NAMESPACES, profiles=profiles)


def held(policies: Policies, **devices: int) -> Held:
    """Devices that runs of the namespace `team` hold, by profile with `_` for `-`."""
    counts = {Holder("TrainingRun", "team", name.replace("_", "-")): count for name, count in devices.items()}
    return Held(policies, counts)
