"""The loops that the operator is compared with: they know beforehand what to write, watch nothing and decide nothing.

`bare` makes the pods and nothing else. `same` makes all the writes that the operator makes, in the order in which it means to
make them: intent, Service and pods of one run after another, and later statuses once all pods are there.
"""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiohttp

from tandem.api.constants import API_VERSION, FIELD_MANAGER
from tandem.cluster import credentials
from tandem.cluster.applier import APPLY_PATCH
from tandem.domain.plan import Resource
from tests.bench.bodies import PODS, Script, disowned, run
from tests.bench.stage import DEVICES_PER_NODE
from tests.support.api import Object

AT_ONCE = 50
"""Requests under way at the same time, as many as the operator's own limit."""
RUNS = "/apis/tandem.dev/v1alpha1/namespaces/{}/trainingruns"


class Poster:
    """Writes to the API server with as little of Python in between as possible."""

    def __init__(self, server: str, tls: ssl.SSLContext | None) -> None:
        self._server = server
        connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=tls if tls is not None else True)
        self._session = aiohttp.ClientSession(connector=connector, headers={"User-Agent": "bench"})

    @classmethod
    async def connect(cls, kubeconfig: Path) -> Self:
        """For the API server of a kubeconfig."""
        found = await credentials.load(str(kubeconfig))
        return cls(found.server, found.ssl_context())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def write(self, method: str, path: str, body: Any, content_type: str = "application/json") -> Object:
        """The answer. Raises AssertionError when it is a refusal: a loop that loses writes measures nothing."""
        headers = {"Content-Type": content_type}
        data = json.dumps(body).encode()
        async with self._session.request(method, self._server + path, data=data, headers=headers) as answer:
            text = await answer.read()
        assert answer.status < 300, f"{method} {path}: {answer.status} {text[:300]!r}"
        return dict(json.loads(text))

    async def status(self, namespace: str, name: str, status: Any) -> None:
        """The whole status of a run, as the operator writes it."""
        body = {
            "apiVersion": API_VERSION,
            "kind": "TrainingRun",
            "metadata": {"name": name, "namespace": namespace},
            "status": status,
        }
        path = f"{RUNS.format(namespace)}/{name}/status?fieldManager={FIELD_MANAGER}&force=true"
        await self.write("PATCH", path, body, APPLY_PATCH)


async def side_by_side(jobs: Iterable[Callable[[], Awaitable[object]]], at_once: int = AT_ONCE) -> None:
    """Carry all jobs out in their order, so many at a time."""
    queue = iter(list(jobs))

    async def worker() -> None:
        for job in queue:
            await job()

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(worker())


async def create_runs(poster: Poster, namespace: str, bodies: Iterable[Object], at_once: int = 20) -> None:
    """The runs of a burst, as a person with a script would create them."""
    path = RUNS.format(namespace)
    await side_by_side([partial(poster.write, "POST", path, body) for body in bodies], at_once)


async def bare(poster: Poster, namespace: str, resource: str, count: int) -> None:
    """The pods of `count` runs, as pods of nobody."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    pods = []
    for number in range(count):
        body = run(f"run-{number:04d}")
        body["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
        plan = Script(namespace, resource, body).begin()
        pods += [disowned(child.body, resource) for child in plan.create if child.resource is Resource.POD]
    assert len(pods) == count * PODS
    await side_by_side([partial(poster.write, "POST", path, pod) for pod in pods])


async def same(poster: Poster, namespace: str, resource: str, profile: str, count: int) -> None:
    """The runs, their intents, Services and pods; then the later statuses."""
    scripts: list[Script] = []
    await side_by_side([partial(_begin, poster, namespace, resource, profile, i, scripts) for i in range(count)])
    later = [partial(_later, poster, script) for script in scripts]
    await side_by_side(later)


async def _begin(poster: Poster, namespace: str, resource: str, profile: str, number: int, made: list[Script]) -> None:
    raw = await poster.write("POST", RUNS.format(namespace), run(f"run-{number:04d}", accelerator=profile))
    script = Script(namespace, resource, raw, profile)
    plan = script.begin()
    await poster.status(namespace, raw["metadata"]["name"], plan.status)
    collections = {Resource.SERVICE: "services", Resource.POD: "pods"}
    for stage, plural in collections.items():
        bodies = [child.body for child in plan.create if child.resource is stage]
        path = f"/api/v1/namespaces/{namespace}/{plural}?fieldManager={FIELD_MANAGER}"
        answers = await asyncio.gather(*(poster.write("POST", path, body) for body in bodies))
        if stage is Resource.POD:
            script.pods = list(answers)
    made.append(script)


async def _later(poster: Poster, script: Script) -> None:
    for phase in ("Pending", "Running"):
        await poster.status(script.namespace, script.raw["metadata"]["name"], script.settle(phase))


async def settled(poster: Poster, namespace: str, resource: str, count: int) -> None:
    """Runs with bound pods that have not started, each with the status that the operator would give it."""
    nodes = max(1, count * PODS // DEVICES_PER_NODE)

    async def make(number: int) -> None:
        raw = await poster.write("POST", RUNS.format(namespace), run(f"run-{number:05d}"))
        script = Script(namespace, resource, raw)
        plan = script.begin()
        for rank, body in enumerate(child.body for child in plan.create if child.resource is Resource.POD):
            bound = {**body, "spec": {**body["spec"], "nodeName": f"node-{(number * PODS + rank) % nodes:04d}"}}
            script.pods.append(await poster.write("POST", f"/api/v1/namespaces/{namespace}/pods", bound))
        for child in plan.create:
            if child.resource is Resource.SERVICE:
                await poster.write("POST", f"/api/v1/namespaces/{namespace}/services", child.body)
        await poster.status(namespace, raw["metadata"]["name"], script.settle("Pending"))

    await side_by_side([partial(make, i) for i in range(count)])
