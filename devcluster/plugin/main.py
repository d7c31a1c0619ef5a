"""A device plugin with fake devices: serves the kubelet's real v1beta1 API for every resource of its node.

Faults are read from a file of the node, so that they can be set while the API server is down; what is in force is written beside it.
"""

import json
import os
import signal
import ssl
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import api_pb2 as pb  # type: ignore[import-not-found]
import api_pb2_grpc as rpc  # type: ignore[import-not-found]
import grpc  # type: ignore[import-untyped]
import yaml

from devcluster.plugin.devices import DeviceSet, Faults, of_node

PLUGINS = Path("/var/lib/kubelet/device-plugins")
KUBELET = PLUGINS / "kubelet.sock"
CONFIG = Path("/etc/devices/devices.yaml")
FAULTS = Path("/faults/wanted.json")
IN_FORCE = Path("/faults/in-force.json")
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TICK_SECONDS = 0.5


class FakePlugin(rpc.DevicePluginServicer):  # type: ignore[misc]
    """The service of one resource: one socket, one registration."""

    def __init__(self, devices: DeviceSet) -> None:
        self.devices = devices
        self.socket = PLUGINS / f"fake-{devices.resource.replace('/', '-')}.sock"
        self._faults = Faults()
        self._changed = threading.Condition()
        self._server: grpc.Server | None = None
        self._kubelet: tuple[int, int] | None = None

    def GetDevicePluginOptions(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802
        return pb.DevicePluginOptions()

    def ListAndWatch(self, _request: Any, context: grpc.ServicerContext) -> Iterator[Any]:  # noqa: N802
        told = None
        while context.is_active():
            with self._changed:
                health = self.devices.health(self._faults)
                if health == told:
                    self._changed.wait(TICK_SECONDS)
                    continue
            yield pb.ListAndWatchResponse(devices=[pb.Device(ID=name, health=state) for name, state in health.items()])
            told = health

    def Allocate(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        if self._faults.allocate:
            context.abort(grpc.StatusCode.INTERNAL, self._faults.allocate)
        containers = [self.devices.environment(wanted.devices_ids) for wanted in request.container_requests]
        return pb.AllocateResponse(container_responses=[pb.ContainerAllocateResponse(envs=envs) for envs in containers])

    def put(self, faults: Faults) -> None:
        with self._changed:
            self._faults = faults
            self._changed.notify_all()

    def keep_registered(self) -> None:
        """Serve and register, again whenever the kubelet came back: it wipes the folder when it starts."""
        if not KUBELET.exists():
            return
        kubelet = (KUBELET.stat().st_ino, KUBELET.stat().st_ctime_ns)
        if kubelet == self._kubelet and self.socket.exists():
            return
        self.stop()
        self.socket.unlink(missing_ok=True)
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
        rpc.add_DevicePluginServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"unix://{self.socket}")
        self._server.start()
        with grpc.insecure_channel(f"unix://{KUBELET}") as channel:
            request = pb.RegisterRequest(
                version="v1beta1", endpoint=self.socket.name, resource_name=self.devices.resource
            )
            rpc.RegistrationStub(channel).Register(request, timeout=5)
        self._kubelet = kubelet
        print(f"registered {len(self.devices.ids)} {self.devices.resource}", flush=True)

    def stop(self) -> None:
        if self._server:
            self._server.stop(grace=None).wait()


def node_labels(node: str) -> dict[str, str]:
    """The labels of this node, asked of the API server."""
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    request = urllib.request.Request(
        f"https://{host}:{port}/api/v1/nodes/{node}",
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "User-Agent": "fake-device-plugin"},
    )
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=10, context=trust) as answer:
        return dict(json.load(answer)["metadata"]["labels"])


def wanted_faults() -> dict[str, Any]:
    wanted: dict[str, Any] = json.loads(FAULTS.read_text()) if FAULTS.exists() else {}
    return wanted


def tell(wanted: dict[str, Any], plugins: list[FakePlugin]) -> None:
    """Write what is in force, whole or not at all; a node has one kind of device."""
    devices = plugins[0].devices
    state = {"wanted": wanted, "resource": devices.resource, "devices": devices.health(Faults.parse(wanted))}
    draft = IN_FORCE.with_suffix(".draft")
    draft.write_text(json.dumps(state))
    draft.rename(IN_FORCE)


def main() -> None:
    # A first process of a container ignores the signals that it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    node = os.environ["NODE_NAME"]
    entries = yaml.safe_load(CONFIG.read_text())["devices"]
    plugins = [FakePlugin(devices) for devices in of_node(entries, node, node_labels(node))]
    if not plugins:
        sys.exit(f"no entry of {CONFIG} selects {node}: give the node the labels of one, or keep the plugin off it")
    in_force: dict[str, Any] | None = None
    try:
        while True:
            wanted = wanted_faults()
            for plugin in plugins:
                plugin.put(Faults.parse(wanted))
                try:
                    plugin.keep_registered()
                except grpc.RpcError as error:
                    print(f"not registered yet: {error}", file=sys.stderr, flush=True)
            if wanted != in_force:
                tell(wanted, plugins)
                in_force = wanted
            time.sleep(TICK_SECONDS)
    finally:
        for plugin in plugins:
            plugin.stop()


if __name__ == "__main__":
    main()
