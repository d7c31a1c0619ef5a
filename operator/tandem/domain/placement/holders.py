"""Who holds devices: what caps bound and what shares are measured by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tandem.api.placement_policy import PlacementPolicy, PolicyChoice
from tandem.domain.observed import ForeignPod, OwnPod
from tandem.domain.placement.policy import Policies, reaches, selects


class Holder(NamedTuple):
    """Work of one kind in one namespace, on one profile."""

    kind: str
    namespace: str
    profile: str


@dataclass(slots=True)
class Held:
    """Devices of our work by holder, and their sums within the reach of policies."""

    policies: Policies = field(default_factory=Policies)
    counts: dict[Holder, int] = field(default_factory=dict)
    _sums: dict[str, dict[str, int]] = field(default_factory=dict, compare=False, repr=False)
    """Policy -> profile -> devices, of those that were asked about."""

    def add(self, holder: Holder, devices: int) -> None:
        """So many more devices of this holder; fewer when negative."""
        left = self.counts.get(holder, 0) + devices
        if left:
            self.counts[holder] = left
        else:
            self.counts.pop(holder, None)
        for policy in self.policies.ruling(holder.kind, holder.namespace).reaching if self._sums else ():
            sums = self._sums.get(policy.name)
            if sums is not None:
                sums[holder.profile] = sums.get(holder.profile, 0) + devices

    def under(self, policies: Policies) -> "Held":
        """The same devices, by themselves, for these policies. Without any nobody asks, and nothing is copied."""
        return Held(policies, dict(self.counts) if policies.listed else {})

    def within(self, policy: PlacementPolicy) -> Mapping[str, int]:
        """Profile -> devices that work within the policy's reach holds."""
        sums = self._sums.get(policy.name)
        if sums is None:
            sums = self._sums[policy.name] = {}
            for holder, devices in self.counts.items():
                if reaches(policy, holder.kind, self.policies.namespaces.get(holder.namespace, {})):
                    sums[holder.profile] = sums.get(holder.profile, 0) + devices
        return sums

    def of(self, policy: PlacementPolicy, choice: PolicyChoice) -> int:
        """Devices within the policy's reach, of the profiles that the choice selects."""
        held, profiles = self.within(policy), self.policies.profiles
        return sum(count for name, count in held.items() if name in profiles and selects(choice, profiles[name]))

    def pod_changed(self, old: OwnPod | ForeignPod | None, new: OwnPod | ForeignPod | None) -> None:
        """A pod appeared, changed or went."""
        for pod, sign in ((old, -1), (new, 1)):
            if isinstance(pod, OwnPod) and pod.owner is not None and pod.node is not None and not pod.terminal:
                devices = sum(pod.devices.values())
                if devices:
                    self.add(Holder(pod.owner.kind, pod.namespace, pod.accelerator), sign * devices)
