"""Kubernetes itself: its version, the APIs that change how Tandem works, the operator's namespace."""

import re
from collections.abc import Collection, Iterable, Mapping

from tandem.domain import served
from tandem.domain.prerequisites.finding import Finding, Level, Unread
from tandem.domain.prerequisites.rights import GANGS, Right
from tandem.domain.served import GANG_API

OLDEST = (1, 33)
"""Oldest Kubernetes that is supported."""
ENFORCE = "pod-security.kubernetes.io/enforce"


def version(told: Mapping[str, str]) -> Finding:
    """`told`: the answer of /version. Vendors add signs to the numbers (`33+`)."""
    numbers = tuple(int(re.sub(r"\D", "", told.get(part, "")) or 0) for part in ("major", "minor"))
    name = told.get("gitVersion") or "unknown"
    if numbers < OLDEST:
        oldest = ".".join(str(number) for number in OLDEST)
        return Finding(Level.FAIL, "kubernetes", f"{name} is older than {oldest}", "upgrade the cluster")
    return Finding(Level.OK, "kubernetes", name)


def gang_scheduling(apis: Collection[str] | Unread, denied: Iterable[Right] | Unread) -> Finding:
    """`apis`: group/version of all that is served; `denied`: what the operator may not do."""
    if isinstance(apis, Unread):
        return apis.finding("gang", "which APIs are served")
    if served.of(apis).gangs and not isinstance(denied, Unread) and not GANGS.isdisjoint(denied):
        lacking = f"{GANG_API} is served, but the operator may not use it: gangs are bound pod by pod"
        return Finding(Level.WARN, "gang", lacking, "helm upgrade --set gangScheduling.enabled=true")
    if served.of(apis).gangs:
        whole = f"{GANG_API} is served: the scheduler binds a gang whole or not at all"
        return Finding(Level.INFO, "gang", whole)
    alone = f"{GANG_API} is not served: a gang that is not bound in time is taken back and tried again"
    return Finding(Level.INFO, "gang", alone)


def kueue(apis: Collection[str] | Unread) -> Finding:
    """Whether runs can be queued by Kueue."""
    if isinstance(apis, Unread):
        return apis.finding("kueue", "which APIs are served")
    return Finding(Level.INFO, "kueue", "installed" if served.of(apis).kueue else "not installed")


def namespace(name: str, labels: Mapping[str, str] | Unread | None) -> Finding:
    """Pod Security of the operator's namespace; `labels` is None where there is no such namespace."""
    if isinstance(labels, Unread):
        return labels.finding("namespace", f"namespace {name}")
    if labels is None:
        return Finding(Level.WARN, "namespace", f"{name} does not exist", f"kubectl create namespace {name}")
    level = labels.get(ENFORCE)
    if level == "restricted":
        return Finding(Level.OK, "namespace", f"{name} enforces Pod Security level restricted")
    mend = f"kubectl label --overwrite namespace {name} {ENFORCE}=restricted"
    loose = f"{name} enforces Pod Security level {level or 'privileged (the default)'}; the operator needs no more than restricted"
    return Finding(Level.WARN if level == "privileged" else Level.INFO, "namespace", loose, mend)
