"""Plays scheduler and kubelet: binds pods, runs them, ends them as a story says, and lets go of those that are deleted.

Pods with a scheduler of their own name are left alone.
"""

import asyncio
import json
import time
from datetime import UTC, datetime
from typing import Any

import aiohttp

from tests.faults.recorder import Object, Recorder, Seen

DEVICES = {"alpha": 64, "beta": 64, "gamma": 2}
"""Accelerator -> devices of its one node."""
RESOURCE = "test.tandem.dev/{}"
LABEL = "test.tandem.dev/accelerator"
KILLED = 143
"""Exit code of a program that ended by SIGTERM."""


class Kubelet:
    """One for all nodes."""

    def __init__(self, server: str, session: aiohttp.ClientSession, recorder: Recorder) -> None:
        self._server = server
        self._session = session
        self._may_bind = asyncio.Event()
        self._may_bind.set()
        self._held = ""
        self._done: set[tuple[str, str]] = set()
        """(uid, what) of what was done already."""
        self._tasks: set[asyncio.Task[None]] = set()
        recorder.listeners.append(self._hear)

    async def stop(self) -> None:
        """Do nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def make_nodes(self) -> None:
        """The nodes, ready, with their devices."""
        for accelerator, devices in DEVICES.items():
            name = node_of(accelerator)
            amount = {RESOURCE.format(accelerator): str(devices), "cpu": "64", "memory": "256Gi", "pods": "500"}
            body = {"metadata": {"name": name, "labels": {LABEL: accelerator}}}
            await self._send("POST", "/api/v1/nodes", body)
            # Admission taints every new node as not ready, and nobody is here who would take that away.
            await self._send("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": None}})
            ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": _now()}
            await self._send(
                "PATCH",
                f"/api/v1/nodes/{name}/status",
                {"status": {"capacity": amount, "allocatable": amount, "conditions": [ready]}},
            )

    def hold(self, accelerator: str) -> None:
        """Bind no pods to this accelerator's node, as a scheduler does that is slow."""
        self._held = accelerator
        self._may_bind.clear()

    def release(self) -> None:
        """Bind pods again."""
        self._may_bind.set()

    async def finish(self, pod: Object, code: int) -> None:
        """The program of a running pod ends."""
        await self._end(pod, code)

    def _hear(self, seen: Seen) -> None:
        if seen.resource != "pods" or seen.type == "DELETED":
            return
        spec, metadata, status = seen.raw["spec"], seen.raw["metadata"], seen.raw["status"]
        if spec.get("schedulerName") != "default-scheduler":
            return
        if "deletionTimestamp" in metadata:
            self._once(seen.raw, "go")
        elif not spec.get("nodeName"):
            self._once(seen.raw, "bind")
        elif status.get("phase") == "Pending":
            self._once(seen.raw, "run")

    def _once(self, pod: Object, what: str) -> None:
        key = (pod["metadata"]["uid"], what)
        if key in self._done:
            return
        self._done.add(key)
        task = asyncio.create_task({"go": self._go, "bind": self._bind, "run": self._run}[what](pod))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bind(self, pod: Object) -> None:
        accelerator = pod["spec"].get("nodeSelector", {}).get(LABEL)
        if accelerator not in DEVICES:
            return
        if accelerator == self._held:
            await self._may_bind.wait()
        binding = {
            "metadata": {"name": pod["metadata"]["name"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node_of(accelerator)},
        }
        await self._send("POST", f"{_path(pod)}/binding", binding)

    async def _run(self, pod: Object) -> None:
        started = {"running": {"startedAt": _now()}}
        await self._status(pod, "Running", started, ready=True)

    async def _go(self, pod: Object) -> None:
        """As a kubelet does: the end of the program is told first, then the pod is let go."""
        if pod["status"].get("phase") == "Running":
            await self._end(pod, KILLED)
        uid = pod["metadata"]["uid"]
        await self._send("DELETE", _path(pod), {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}})

    async def _end(self, pod: Object, code: int) -> None:
        ended = {"exitCode": code, "finishedAt": _now(), "reason": "Completed" if code == 0 else "Error"}
        await self._status(pod, "Failed" if code else "Succeeded", {"terminated": ended}, ready=False)

    async def _status(self, pod: Object, phase: str, state: Object, *, ready: bool) -> None:
        said = {"status": "True" if ready else "False", "lastTransitionTime": _now()}
        conditions = [{"type": kind, **said} for kind in ("Ready", "ContainersReady")]
        container = pod["spec"]["containers"][0]
        status = {
            "phase": phase,
            "conditions": [{"type": "PodScheduled", "status": "True", "lastTransitionTime": _now()}, *conditions],
            "containerStatuses": [
                {
                    "name": container["name"],
                    "image": container["image"],
                    "imageID": "",
                    "ready": ready,
                    "restartCount": 0,
                    "state": state,
                }
            ],
            "startTime": _now(),
        }
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        await self._send("PATCH", f"{_path(pod)}/status", body)

    async def _send(self, method: str, path: str, body: Any) -> None:
        """What is gone or another by now is nobody's business here."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        async with self._session.request(
            method, self._server + path, data=json.dumps(body), headers={"Content-Type": kind}
        ) as answer:
            if answer.status < 300 or answer.status in (404, 409):
                return
            text = await answer.text()
            if "NamespaceTerminating" not in text:
                raise AssertionError(f"{method} {path}: {answer.status} {text}")


def node_of(accelerator: str) -> str:
    """The node that has an accelerator's devices."""
    return f"node-{accelerator}"


def _path(pod: Object) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
