"""What a story stands on: a namespace of its own, the hands of a user, and stations at which everything must be as it should."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from tests.faults import state
from tests.faults.kubelet import LABEL, RESOURCE, Kubelet, node_of
from tests.faults.proxy import Proxy
from tests.faults.recorder import Object, Recorder
from tests.faults.state import Facts
from tests.faults.traffic import API

CONVERGE_SECONDS = 40.0
"""Within this an operator must have come home; less than the time after which it would look again by itself."""
QUIET_SECONDS = 1.2
"""A run without faults is settled when nothing was written for so long."""
SECRET = "canary-7b1f-do-not-tell"
"""Stands in an environment variable of every workload, and must stand nowhere else."""


class StuckError(Exception):
    """A station was not reached in time; the message says what differs."""


class GoneError(Exception):
    """The plan took the object away: the story is over early."""


class Stage:
    """One run of a story."""

    def __init__(
        self,
        server: str,
        session: aiohttp.ClientSession,
        recorder: Recorder,
        kubelet: Kubelet,
        proxy: Proxy,
        namespace: str,
        *,
        wanted: Mapping[str, Facts] | None = None,
        masked: frozenset[str] = frozenset(),
        cut_short: Callable[[], bool] = lambda: False,
        dwell: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """`wanted` are the facts at each station, None to learn them. `cut_short` says that the object was taken away, `dwell`
        for how many seconds the user does nothing at a station.
        """
        self.namespace = namespace
        self.recorder = recorder
        self.kubelet = kubelet
        self.learnt: dict[str, Facts] = {}
        self._server = server
        self._session = session
        self._proxy = proxy
        self._wanted = wanted
        self._masked = masked
        self._cut_short = cut_short
        self._dwell = dwell

    async def open(self) -> None:
        """Make the namespace, with objects in it that look like ours and are not."""
        await self._send("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        self.recorder.look_at(self.namespace)
        for resource, body in squatters().items():
            await self.create(resource, body)

    async def create(self, resource: str, body: Object) -> Object:
        """POST, as a user."""
        return await self._send("POST", self._path(resource), body)

    async def patch(self, resource: str, name: str, spec: Object) -> None:
        """Merge into a spec, as a user."""
        await self._send("PATCH", f"{self._path(resource)}/{name}", {"spec": spec})

    async def remove(self, resource: str, name: str) -> None:
        """Delete, as a user."""
        await self._send("DELETE", f"{self._path(resource)}/{name}", {"propagationPolicy": "Background"})

    async def events(self) -> list[Object]:
        """All Events of the namespace."""
        found = await self._send("GET", self._path("events"), None)
        return list(found["items"])

    async def touch_cluster(self) -> None:
        """Write to nodes and profiles, so that their watches have something to tell in this run too."""
        note = {"metadata": {"annotations": {"faults/plan": self.namespace}}}
        await self._send("PATCH", f"/api/v1/nodes/{node_of('alpha')}", note)
        await self._send("PATCH", f"{API}/acceleratorprofiles/alpha", note)

    async def station(self, name: str, reached: Callable[[], bool]) -> None:
        """Wait until everything is as it was here without faults. Raises StuckError or GoneError.

        When learning, wait for `reached` and until nothing moves any more, and keep what there is.
        """
        if self._wanted is None:
            if not await self.recorder.until(reached, CONVERGE_SECONDS):
                raise StuckError(f"{name} was not reached, without any fault: {self.facts()}")
            await self._settle()
            self.learnt[name] = self.facts()
            return
        wanted = self._wanted[name]

        def home() -> bool:
            return self._cut_short() or not state.difference(wanted, self.facts(), self._masked)

        if not await self.recorder.until(home, CONVERGE_SECONDS):
            lines = state.difference(wanted, self.facts(), self._masked)
            raise StuckError(f"{name} not reached in {CONVERGE_SECONDS:.0f} s:\n  " + "\n  ".join(lines[:12]))
        if self._cut_short():
            raise GoneError
        await asyncio.sleep(self._dwell())

    async def clear(self) -> None:
        """Take the namespace away, without waiting for it."""
        await self._send("DELETE", f"/api/v1/namespaces/{self.namespace}", None)

    async def all_gone(self) -> bool:
        """Wait until nothing of the story is left."""
        return await self.recorder.until(lambda: not self.facts(), CONVERGE_SECONDS)

    def facts(self) -> Facts:
        """How everything is now."""
        return state.facts(self.recorder.objects, self.namespace)

    def reason(self, resource: str, name: str) -> str:
        """Reason of Ready; empty where there is none."""
        found = self.recorder.get(resource, name) or {}
        conditions = found.get("status", {}).get("conditions", ())
        return next((item["reason"] for item in conditions if item["type"] == "Ready"), "")

    async def _settle(self) -> None:
        """Wait until neither the operator nor anybody else has written anything for a while."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < QUIET_SECONDS:
            moved = len(self.recorder.history) + sum(1 for item in self._proxy.log.exchanges if item.mutating)
            if moved != seen:
                seen, since = moved, time.monotonic()
            await asyncio.sleep(0.05)

    def _path(self, resource: str) -> str:
        group = {
            "trainingruns": API,
            "inferenceservices": API,
            "deployments": "/apis/apps/v1",
        }.get(resource, "/api/v1")
        return f"{group}/namespaces/{self.namespace}/{resource}"

    async def _send(self, method: str, path: str, body: Any) -> Object:
        return await send(self._session, method, self._server + path, body)


async def send(session: aiohttp.ClientSession, method: str, url: str, body: Any) -> Object:
    """One request to the API server itself. Raises AssertionError when it is refused."""
    kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
    data = None if body is None else json.dumps(body)
    async with session.request(method, url, data=data, headers={"Content-Type": kind}) as answer:
        decoded: Object = await answer.json()
        if answer.status >= 300 and not (method == "DELETE" and answer.status == 404):
            raise AssertionError(f"{method} {url}: {answer.status} {decoded.get('message')}")
        return decoded


def profile(accelerator: str) -> Object:
    """The AcceleratorProfile of one of the fake nodes."""
    resource = {"name": RESOURCE.format(accelerator)}
    return {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "AcceleratorProfile",
        "metadata": {"name": accelerator},
        "spec": {
            "nodeSelector": {LABEL: accelerator},
            "allocation": {"type": "ExtendedResource", "extendedResource": resource},
        },
    }


def squatters() -> dict[str, Object]:
    """Objects with our labels that nobody of ours owns: the operator must not touch them."""
    labels = {"app.kubernetes.io/managed-by": "tandem", "tandem.dev/run": "run", "tandem.dev/service": "svc"}
    more = {"tandem.dev/attempt": "7", "tandem.dev/rank": "0", "tandem.dev/variant": "alpha", "tandem.dev/role": "none"}
    spec = {"containers": [{"name": "main", "image": "example.com/other:1"}]}
    chosen = {"app": "squatter"}
    return {
        "pods": {"metadata": {"name": "squatter", "labels": labels | more}, "spec": spec | {"schedulerName": "nobody"}},
        "services": {
            "metadata": {"name": "squatter", "labels": labels},
            "spec": {"selector": chosen, "ports": [{"port": 80}]},
        },
        "deployments": {
            "metadata": {"name": "squatter", "labels": labels | more},
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": chosen},
                "template": {"metadata": {"labels": chosen}, "spec": spec},
            },
        },
    }
