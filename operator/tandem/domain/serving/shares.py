"""Replicas of a service by variant."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Share:
    """Replicas of a variant, pinned to the profile they were placed on."""

    accelerator: str
    replicas: int


Shares = dict[str, Share]
