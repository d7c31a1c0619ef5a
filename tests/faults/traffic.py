"""Requests of the operator as the proxy sees them, and the names by which plans speak of them.

A name tells what a write is for, not when it came: pods of a gang are made side by side, and statuses are gathered. So it
holds the verb, the resource and the object; for a status of ours also the attempt, or else the generation, and the reason
that it tells.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tandem.api.constants import GROUP
from tandem.cluster.paths import describe

OURS = ("trainingruns", "inferenceservices", "acceleratorprofiles", "placementpolicies")
APART = ("events", "leases")
"""Resources whose writes tell nothing about the state of an object."""
MUTATING = ("create", "update", "patch", "delete", "deletecollection")


@dataclass(slots=True)
class Exchange:
    """One request and what became of it."""

    number: int
    time: float
    """Monotonic, when it came."""
    life: int
    """Which operator process it came from; each start is a new life."""
    verb: str
    resource: str
    """With its subresource, e.g. trainingruns/status."""
    namespace: str
    name: str
    path: str
    body: Any
    digest: str
    status: int | None = None
    """Of the answer that the operator got; None where it got none."""
    committed: bool = False
    """The API server did what was asked for."""
    answered: float = 0.0
    fault: str = ""
    label: str = ""
    """Its name in plans, with its number among those of the same name."""

    @property
    def mutating(self) -> bool:
        """Whether it is a write that tells something about an object."""
        return self.verb in MUTATING and self.resource not in APART

    def is_for_what(self, other: "Exchange") -> bool:
        """Whether two exchanges try the same thing."""
        return (self.verb, self.path, self.name) == (other.verb, other.path, other.name)

    def line(self) -> str:
        """For people."""
        answer = self.status if self.status is not None else "no answer"
        fault = f" [{self.fault}]" if self.fault else ""
        return f"{self.number:4} life {self.life} {self.time:10.3f} {self.label} -> {answer}{fault} {self.digest}"


@dataclass(slots=True)
class Log:
    """All exchanges, and how often each name has come in each namespace."""

    exchanges: list[Exchange] = field(default_factory=list)
    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, exchange: Exchange) -> None:
        """Name and number an exchange and keep it."""
        name = label(exchange)
        self._counts[exchange.namespace, name] += 1
        exchange.label = f"{name}#{self._counts[exchange.namespace, name]}"
        self.exchanges.append(exchange)

    def of(self, namespace: str) -> list[Exchange]:
        """Those about one namespace."""
        return [item for item in self.exchanges if item.namespace == namespace]

    def forget(self) -> None:
        """Begin anew."""
        self.exchanges.clear()
        self._counts.clear()


def parse(
    method: str, path: str, query: Mapping[str, str], data: bytes, number: int, time: float, life: int
) -> Exchange:
    """An exchange from a request."""
    verb, resource = describe(method, path, query)
    parts = path.strip("/").split("/")
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    namespace = ""
    if len(parts) > 2 and parts[0] == "namespaces":
        namespace, parts = parts[1], parts[2:]
    body = json.loads(data) if data else None
    name = parts[1] if len(parts) > 1 else ""
    if not name and verb == "create" and isinstance(body, dict):
        name = body.get("metadata", {}).get("name", "")
    digest = hashlib.sha256(data).hexdigest()[:8] if data else "-"
    return Exchange(number, time, life, verb, resource, namespace, name, path, body, digest)


def label(exchange: Exchange) -> str:
    """What a write is for, e.g. create.pods.run-a1-0, or patch.trainingruns.status.run.a1-Running."""
    words = [exchange.verb, *exchange.resource.split("/"), exchange.name]
    if exchange.resource == "events" and exchange.verb == "create":
        words[-1] = f"{exchange.body['involvedObject']['name']}-{exchange.body['reason']}"
    elif exchange.verb == "patch" and exchange.resource.startswith(OURS):
        status = (exchange.body or {}).get("status") or {}
        ready: dict[str, Any] = next((c for c in status.get("conditions") or () if c["type"] == "Ready"), {})
        stage = f"a{status['attempt']}" if "attempt" in status else f"g{status.get('observedGeneration')}"
        words.append(f"{stage}-{ready.get('reason')}")
    return ".".join(word for word in words if word)


def owners(body: Any) -> list[str]:
    """Uids of the controllers of an object."""
    metadata = (body or {}).get("metadata") or {}
    return [item["uid"] for item in metadata.get("ownerReferences") or () if item.get("controller")]


def is_ours(resource: str) -> bool:
    """Whether a resource, maybe with its subresource, is one of the operator's kinds."""
    return resource.split("/", maxsplit=1)[0] in OURS


API = f"/apis/{GROUP}/v1alpha1"
