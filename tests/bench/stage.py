"""The ground of a benchmark: a control plane of its own, nodes and pods that kwok plays, and who used how much of the machine."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from devcluster import gobuild
from devcluster.audit import Event
from devcluster.shell import wait_for
from tests.bench.machine import Usage
from tests.support.api import Api, Object
from tests.support.controlplane import ALL, ControlPlane

HERE = Path(__file__).resolve().parent
TANDEM = "/apis/tandem.dev/v1alpha1"
DEVICES_PER_NODE = 16
PROFILE = "bench"
LEASE_SECONDS = 200
"""Of nodes; their renewals are no part of what is measured."""


class Stage:
    """A running control plane with controllers, scheduler and kwok; without `nodes`, neither of the latter two."""

    def __init__(self, resources: Sequence[str], nodes: int) -> None:
        """`resources` are the extended resources that each node offers."""
        self.resources = tuple(resources)
        self.nodes = nodes
        self._kwok: subprocess.Popen[bytes] | None = None
        self.plane = ControlPlane(
            controllers=ALL if nodes else (),
            scheduler=bool(nodes),
            options={
                "kube-apiserver": ["--audit-log-path=audit.log", f"--audit-policy-file={HERE / 'audit-policy.yaml'}"],
                "kube-controller-manager": [f"--node-monitor-grace-period={LEASE_SECONDS + 40}s"],
            },
        )

    def __enter__(self) -> Self:
        self.plane.start()
        try:
            self.api: Api = self.plane.api()
            if self.nodes:
                self.add_nodes(self.nodes)
                self.play("kwok.yaml")
                wait_for("nodes without taints", self._nodes_ready, 120)
            self.profile(PROFILE, self.resources[0])
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    @property
    def kubeconfig(self) -> Path:
        """Of a user who may do everything."""
        return self.plane.kubeconfig

    def namespace(self, name: str) -> None:
        """Make a namespace."""
        self.api.create("/api/v1/namespaces", {"metadata": {"name": name}})

    def profile(self, name: str, resource: str) -> None:
        """Make an AcceleratorProfile of one of the resources."""
        spec = {
            "nodeSelector": {"bench.example/nodes": "true"},
            "allocation": {"type": "ExtendedResource", "extendedResource": {"name": resource}},
        }
        body = {
            "apiVersion": "tandem.dev/v1alpha1",
            "kind": "AcceleratorProfile",
            "metadata": {"name": name},
            "spec": spec,
        }
        self.api.create(f"{TANDEM}/acceleratorprofiles", body)

    def play(self, *stages: str) -> None:
        """Have kwok play these files of stages, and no others."""
        if self._kwok is not None:
            _end(self._kwok)
        command: list[Any] = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            gobuild.ensure(gobuild.KWOK) / "kwok",
            f"--kubeconfig={self.kubeconfig}",
            "--manage-all-nodes",
            f"--node-lease-duration-seconds={LEASE_SECONDS}",
            *(f"--config={HERE / stage}" for stage in stages),
        ]
        with (self.plane.folder / "kwok.log").open("ab") as sink:
            self._kwok = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True)

    def usage(self) -> Usage:
        """What the machine and the benchmark's own processes have used so far, the operator apart."""
        names = ("etcd", "kube-apiserver", *(("kube-controller-manager", "kube-scheduler") if self.nodes else ()))
        pids = [os.getpid(), *(self.plane.pid(name) for name in names)]
        if self._kwok is not None:
            pids.append(self._kwok.pid)
        return Usage.now(pids)

    def requests(self, offset: int = 0) -> list[Event]:
        """The logged requests whose lines stand behind `offset`."""
        with (self.plane.folder / "audit.log").open("rb") as file:
            file.seek(offset)
            return [Event.parse(line.decode()) for line in file if line.endswith(b"\n")]

    def mark(self) -> int:
        """The end of the log of requests."""
        return (self.plane.folder / "audit.log").stat().st_size

    def add_nodes(self, count: int) -> None:
        """Make nodes that offer all resources."""
        amounts = {name: str(DEVICES_PER_NODE) for name in self.resources}
        for number in range(count):
            self.api.create("/api/v1/nodes", _node(f"node-{number:04d}", amounts))

    def _nodes_ready(self) -> bool:
        nodes = self.api.get("/api/v1/nodes")["items"]
        return len(nodes) == self.nodes and not any(node["spec"].get("taints") for node in nodes)

    def _close(self) -> None:
        if self._kwok is not None:
            _end(self._kwok)
        self.plane.stop()


def _node(name: str, devices: dict[str, str]) -> Object:
    amounts = {"cpu": "256", "memory": "2Ti", "pods": "1000", **devices}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    ready = {"type": "Ready", "status": "True", "reason": "Played", "lastTransitionTime": now, "lastHeartbeatTime": now}
    return {
        "metadata": {"name": name, "labels": {"bench.example/nodes": "true", "kubernetes.io/hostname": name}},
        "status": {"allocatable": amounts, "capacity": amounts, "conditions": [ready]},
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
