"""All findings about a cluster, from what was read of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.domain.observed import NodeRecord
from tandem.domain.prerequisites import definitions, devices, platform, rights
from tandem.domain.prerequisites.finding import Finding, Unread
from tandem.domain.prerequisites.rights import Account, Right


@dataclass(frozen=True, slots=True)
class Seen:
    """The cluster, as far as the caller may look."""

    version: Mapping[str, str]
    """Answer of /version."""
    apis: Collection[str] | Unread
    """group/version of all that is served."""
    definitions: Mapping[str, Mapping[str, Any]] | Unread
    """CustomResourceDefinitions of ours by name."""
    operator: Account
    installed: bool | Unread
    """Whether the operator's account exists."""
    denied: Sequence[Right] | Unread
    """What the account needs and is not allowed."""
    namespace: Mapping[str, str] | Unread | None
    """Labels of the operator's namespace; None where it does not exist."""
    nodes: Sequence[NodeRecord] | Unread
    profiles: Mapping[str, AcceleratorProfile] | Unread
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Profiles that are not understood -> why."""


def findings(seen: Seen, wanted: Sequence[Mapping[str, Any]]) -> tuple[Finding, ...]:
    """What there is to say. `wanted`: the CustomResourceDefinitions of this program."""
    return (
        platform.version(seen.version),
        *definitions.findings(seen.definitions, wanted),
        platform.namespace(seen.operator.namespace, seen.namespace),
        *rights.findings(seen.operator, seen.installed, seen.denied),
        *devices.findings(seen.nodes, seen.profiles, seen.unreadable),
        platform.gang_scheduling(seen.apis, seen.denied),
        platform.kueue(seen.apis),
    )
