"""Devices without a profile, profiles without devices, and what is claimed twice."""

from collections.abc import Iterable, Mapping, Sequence

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.domain.observed import NodeRecord
from tandem.domain.placement.nodes import carries
from tandem.domain.prerequisites.finding import Finding, Level, Unread, some
from tandem.domain.words import times

GUIDE = "docs/profiles.md"
Profiles = Mapping[str, AcceleratorProfile]


def findings(
    nodes: Sequence[NodeRecord] | Unread, profiles: Profiles | Unread, unreadable: Mapping[str, str]
) -> list[Finding]:
    """`unreadable`: profiles that are not understood -> why."""
    broken = [
        Finding(Level.FAIL, "profile", f"{name} cannot be read and is ignored: {why}", f"kubectl edit accel {name}")
        for name, why in sorted(unreadable.items())
    ]
    if isinstance(profiles, Unread):
        return [*broken, profiles.finding("profile", "AcceleratorProfiles")]
    if not profiles:
        install = f"kubectl apply --server-side -f profiles/, or write one: {GUIDE}"
        none = Finding(Level.WARN, "profile", "there is no AcceleratorProfile: nothing can be placed", install)
        broken = [*broken, none]
    if isinstance(nodes, Unread):
        return [*broken, nodes.finding("nodes", "nodes")]
    return [*broken, *_of_profiles(nodes, profiles), *_shared(nodes, profiles), *_uncovered(nodes, profiles)]


def _of_profiles(nodes: Sequence[NodeRecord], profiles: Profiles) -> list[Finding]:
    found = []
    absent = []
    for name, profile in sorted(profiles.items()):
        members = [node for node in nodes if carries(node, profile)]
        if members:
            found.append(_members(name, _resource(profile), members))
        else:
            absent.append(name)
    if absent:
        found.append(Finding(Level.INFO, "profile", f"no node carries the labels of: {', '.join(absent)}"))
    return found


def _members(name: str, resource: str, members: Sequence[NodeRecord]) -> Finding:
    empty = sorted(node.name for node in members if not node.capacity.get(resource))
    devices = sum(node.allocatable.get(resource, 0) for node in members)
    if not empty:
        told = f"{name}: {times(len(members), 'node')} with {times(devices, 'healthy device')} ({resource})"
        return Finding(Level.OK, "profile", told)
    offered = sorted({other for node in members for other, count in node.capacity.items() if count})
    instead = f"; offered are {', '.join(offered)}" if offered else ""
    lack = f"{name}: {some(empty)} of its {times(len(members), 'node')} offer no {resource}{instead}"
    return Finding(Level.WARN, "profile", lack, "is the device plugin running there, and is this its resource's name?")


def _shared(nodes: Sequence[NodeRecord], profiles: Profiles) -> list[Finding]:
    """Two profiles for the same devices of the same node; two resources of one node are fine."""
    places: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for node in nodes:
        claims: dict[str, list[str]] = {}
        for name, profile in sorted(profiles.items()):
            if carries(node, profile):
                claims.setdefault(_resource(profile), []).append(name)
        for resource, names in claims.items():
            if len(names) > 1:
                places.setdefault((resource, tuple(names)), []).append(node.name)
    return [
        Finding(
            Level.WARN,
            "profile",
            f"{' and '.join(names)} both match {some(sorted(where))}: their {resource} count twice",
            "add a label to one nodeSelector",
        )
        for (resource, names), where in sorted(places.items())
    ]


def _uncovered(nodes: Sequence[NodeRecord], profiles: Profiles) -> list[Finding]:
    """Resources that no profile names for the node that offers them."""
    lonely: dict[str, list[NodeRecord]] = {}
    beside: dict[str, list[NodeRecord]] = {}
    for node in nodes:
        known = {_resource(profile) for profile in profiles.values() if carries(node, profile)}
        offered = {resource for resource, count in node.capacity.items() if count}
        # Network cards and counters of device plugins are extended resources too: no wonder beside devices that are known.
        place = beside if offered & known else lonely
        for resource in offered - known:
            place.setdefault(resource, []).append(node)
    found = [_lonely(resource, where, profiles) for resource, where in sorted(lonely.items())]
    if beside:
        told = f"offered beside devices with a profile, and by none itself: {', '.join(sorted(beside))}"
        found.append(Finding(Level.INFO, "nodes", told))
    return found


def _lonely(resource: str, where: Sequence[NodeRecord], profiles: Profiles) -> Finding:
    names = some(sorted(node.name for node in where))
    told = f"{resource} of {names} {'is' if len(where) == 1 else 'are'} in no profile"
    near = [profile for profile in profiles.values() if _resource(profile) == resource]
    if not near:
        return Finding(Level.WARN, "nodes", told, f"write a profile: {GUIDE}")
    misses = "; ".join(f"{profile.name} wants {_missing(where, profile)}" for profile in near)
    return Finding(Level.WARN, "nodes", f"{told}: {misses}", f"mend a nodeSelector, or write a profile: {GUIDE}")


def _missing(where: Iterable[NodeRecord], profile: AcceleratorProfile) -> str:
    """The labels that keep the first of these nodes out."""
    node = next(iter(where))
    wanted = profile.spec.node_selector
    parts = [f"{key}={value}" for key, value in sorted(wanted.items()) if node.labels.get(key) != value]
    had = [
        f"{key}={node.labels[key]}" for key in sorted(wanted) if key in node.labels and node.labels[key] != wanted[key]
    ]
    if not parts:
        return f"architecture {profile.spec.architecture}"
    return ",".join(parts) + (f", {node.name} has {','.join(had)}" if had else "")


def _resource(profile: AcceleratorProfile) -> str:
    return profile.spec.allocation.extended_resource.name
