"""What the operator's account must be allowed: the chart's role, as a table that a test compares with it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tandem.api.constants import GROUP
from tandem.domain.prerequisites.finding import Finding, Level, Unread

SUBJECT = "rights"
MEND = "helm upgrade --install with the chart of this release, or bind its ClusterRole to the account"


class Right(NamedTuple):
    """One verb on one resource, in all namespaces unless said."""

    group: str
    resource: str
    """With its subresource, as in a role: trainingruns/status."""
    verb: str
    namespace: str = ""
    name: str = ""
    """The only object that it is about; empty: all of them."""


@dataclass(frozen=True, slots=True)
class Account:
    """A ServiceAccount."""

    namespace: str
    name: str

    @property
    def user(self) -> str:
        """Its user name, as RBAC sees it."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    @property
    def groups(self) -> tuple[str, ...]:
        """Its groups, as RBAC sees them."""
        return "system:serviceaccounts", f"system:serviceaccounts:{self.namespace}", "system:authenticated"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


_ROLE = (
    (GROUP, "trainingruns inferenceservices acceleratorprofiles placementpolicies", "get list watch"),
    (
        GROUP,
        "trainingruns/status inferenceservices/status acceleratorprofiles/status placementpolicies/status",
        "patch",
    ),
    (GROUP, "trainingruns/finalizers inferenceservices/finalizers", "update"),
    ("", "pods", "get list watch create delete"),
    ("", "services", "get list watch create update delete"),
    ("", "nodes namespaces persistentvolumeclaims resourcequotas", "list watch"),
    ("", "events", "create patch"),
    ("apps", "deployments", "get list watch create update patch delete"),
    ("scheduling.k8s.io", "priorityclasses", "list watch"),
    ("policy", "poddisruptionbudgets", "get list watch create"),
)


def _rights(role: Iterable[tuple[str, str, str]]) -> tuple[Right, ...]:
    return tuple(
        Right(group, resource, verb)
        for group, resources, verbs in role
        for resource in resources.split()
        for verb in verbs.split()
    )


_NEEDED = _rights(_ROLE)
GANGS = frozenset(_rights([("scheduling.k8s.io", "podgroups", "get list watch create delete")]))
"""What it needs only where PodGroups are served, and does without elsewhere."""


def needed(account: Account) -> tuple[Right, ...]:
    """All rights of the operator. Its Lease lies beside its account and has the same name: the release's."""
    leases = ("coordination.k8s.io", "leases")
    lease = tuple(Right(*leases, verb, account.namespace, account.name) for verb in ("get", "update"))
    return (*_NEEDED, *lease, Right(*leases, "create", account.namespace))


def findings(account: Account, installed: bool | Unread, denied: Iterable[Right] | Unread) -> list[Finding]:
    """`installed`: the account exists; `denied`: what it needs and may not do."""
    if installed is False:
        missing = f"no ServiceAccount {account}: the operator is not installed there, its rights were not checked"
        return [Finding(Level.WARN, SUBJECT, missing, "name it with --operator NAMESPACE/NAME, or install the chart")]
    if isinstance(denied, Unread):
        return [denied.finding(SUBJECT, f"what {account} is allowed")]
    lacking = _by_resource(right for right in denied if right not in GANGS)
    if not lacking:
        return [Finding(Level.OK, SUBJECT, f"{account} may do all that the operator does")]
    return [
        Finding(Level.FAIL, SUBJECT, f"{account} may not {', '.join(verbs)} {resource}", MEND)
        for resource, verbs in lacking.items()
    ]


def _by_resource(rights: Iterable[Right]) -> dict[str, list[str]]:
    verbs: dict[str, list[str]] = {}
    for right in rights:
        verbs.setdefault(f"{right.resource}.{right.group}".rstrip("."), []).append(right.verb)
    return verbs
