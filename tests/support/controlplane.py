"""A control plane of the tests' own: etcd, an API server and the controllers that are asked for, as processes of this host.

For tests that disturb what others share, and for measurements: it starts in seconds, its data lies in memory, and nothing of
it is left behind. There is no kubelet and no node but those that a test makes. kubeadm, which the devcluster builds anyway,
makes the certificates.
"""

import fcntl
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import yaml

from devcluster import gobuild, versions
from devcluster.shell import DevclusterError, run, wait_for
from tests.support.api import Api, ApiFailureError, Object

ROOT = Path(__file__).resolve().parents[2]
MEMORY = Path("/dev/shm")
"""Where Linux has a file system in memory."""

COLLECTORS = ("garbage-collector-controller", "namespace-controller")
"""What deletes the children of what is deleted; without them no test can say that nothing is left."""
WORKLOADS = ("deployment-controller", "replicaset-controller")
"""What makes pods of Deployments."""
ALL = ("*",)
"""Every controller that runs by default."""

PREFIX, LOCK = "tandem-controlplane-", "lock"
YOUNG_SECONDS = 60.0
START_SECONDS = 60.0
STOP_SECONDS = 10.0
TRIES = 3
"""Ports are found free and taken a moment later; somebody may have been faster."""


class ControlPlane:
    """A control plane; running between `start` and `stop`, or as a context manager.

    `controllers` are the controller manager's, none for no controller manager. `scheduler` adds kube-scheduler. `options`
    are more flags by program, e.g. {"kube-apiserver": ["--audit-log-path=x"]}; the last of two equal flags counts.
    """

    def __init__(
        self,
        *,
        controllers: Sequence[str] = COLLECTORS,
        scheduler: bool = False,
        options: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._controllers = tuple(controllers)
        self._scheduler = scheduler
        self._options = dict(options or {})
        self._folder: Path | None = None
        self._lock: IO[str] | None = None
        """Held while it runs, so that others can tell its folder from one that was left behind."""
        self._ports: dict[str, int] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def folder(self) -> Path:
        """Where its data, certificates and logs lie while it runs."""
        assert self._folder is not None, "the control plane was not started"
        return self._folder

    @property
    def kubeconfig(self) -> Path:
        """Of a user who may do everything."""
        return self.folder / "super-admin.conf"

    @property
    def server(self) -> str:
        """URL of the API server."""
        return f"https://127.0.0.1:{self._ports['kube-apiserver']}"

    def api(self) -> Api:
        """A client that may do everything."""
        return Api(self.kubeconfig)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start everything, with Tandem's CRDs in place. Raises DevclusterError, which ends with what a program said last."""
        for left in reversed(range(TRIES)):
            try:
                self._start()
                return
            except BaseException as error:
                self.stop()
                if not left or not isinstance(error, DevclusterError):
                    raise

    def stop(self) -> None:
        """End everything and take its data away."""
        for name in reversed(list(self._running)):
            self.end(name)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        if self._lock is not None:
            self._lock.close()

    def pid(self, name: str) -> int:
        """Process id of a program of it, e.g. "etcd"."""
        return self._running[name].pid

    def end(self, name: str, how: signal.Signals = signal.SIGKILL) -> None:
        """End one program."""
        process = self._running.pop(name)
        process.send_signal(how)
        try:
            process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def launch(self, name: str) -> None:
        """Start one program, again where it was ended, and wait until it is healthy."""
        module = gobuild.ETCD if name == "etcd" else gobuild.KUBERNETES
        command = [gobuild.ensure(module) / name, *self._flags(name), *self._options.get(name, ())]
        log = self.folder / f"{name}.log"
        with log.open("ab") as sink:
            # Whatever kills the tests takes their control plane along.
            self._running[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *map(str, command)],
                stdout=sink,
                stderr=sink,
                cwd=self.folder,
                start_new_session=True,
            )
        try:
            wait_for(f"{name} is healthy", lambda: self._healthy(name), START_SECONDS, interval=0.05)
        except _EndedError as error:
            raise DevclusterError(str(error)) from error

    def _start(self) -> None:
        where = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        _sweep(where)
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=where))
        self._lock = (self._folder / LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._ports = {name: _free_port() for name in ("etcd", "peers", *_PROBES)}
        self._make_certificates()
        self.launch("etcd")
        self.launch("kube-apiserver")
        self._apply_crds()
        # The garbage collector learns of new kinds twice a minute only, so it comes after the CRDs.
        if self._controllers:
            self.launch("kube-controller-manager")
        if self._scheduler:
            self.launch("kube-scheduler")

    def _make_certificates(self) -> None:
        config = self.folder / "kubeadm.yaml"
        # kubeadm wants an address that is not the loopback's; nobody ever goes to this one, which is kept for documentation.
        init: Object = {"localAPIEndpoint": {"advertiseAddress": "192.0.2.1"}, "nodeRegistration": {"name": "tests"}}
        cluster: Object = {
            "kubernetesVersion": f"v{versions.KUBERNETES}",
            "certificatesDir": str(self.folder / "pki"),
            "encryptionAlgorithm": "ECDSA-P256",
            "controlPlaneEndpoint": self.server.removeprefix("https://"),
            "apiServer": {"certSANs": ["127.0.0.1"]},
        }
        kinds = {"InitConfiguration": init, "ClusterConfiguration": cluster}
        documents = [{"apiVersion": "kubeadm.k8s.io/v1beta4", "kind": kind, **body} for kind, body in kinds.items()]
        config.write_text(yaml.safe_dump_all(documents))
        kubeadm = gobuild.ensure(gobuild.KUBERNETES) / "kubeadm"
        run(kubeadm, "init", "phase", "certs", "all", "--config", config)
        for who in ("super-admin", "scheduler"):
            phase = ("init", "phase", "kubeconfig", who)
            run(kubeadm, *phase, "--config", config, "--kubeconfig-dir", self.folder)

    def _apply_crds(self) -> None:
        kubectl = (gobuild.ensure(gobuild.KUBERNETES) / "kubectl", f"--kubeconfig={self.kubeconfig}")
        run(*kubectl, "apply", "--server-side", f"--filename={ROOT / 'crds'}")
        run(*kubectl, "wait", "--for=condition=Established", "--timeout=30s", f"--filename={ROOT / 'crds'}")
        # For a moment longer than "established" tells it answers 429: their storage is initializing.
        wait_for("the new kinds are served", self._serves_kinds, START_SECONDS, interval=0.05)

    def _serves_kinds(self) -> bool:
        api = self.api()
        try:
            served = api.get("/apis/tandem.dev/v1alpha1")["resources"]
            for plural in (item["name"] for item in served if "/" not in item["name"]):
                api.get(f"/apis/tandem.dev/v1alpha1/{plural}?limit=1")
        except ApiFailureError:
            return False
        return True

    def _flags(self, name: str) -> list[str]:
        pki = self.folder / "pki"
        secure = ["--bind-address=127.0.0.1", f"--secure-port={self._ports.get(name)}"]
        admin = [f"--kubeconfig={self.kubeconfig}"]
        if name == "etcd":
            clients, peers = (f"http://127.0.0.1:{self._ports[port]}" for port in ("etcd", "peers"))
            return [
                f"--data-dir={self.folder / 'etcd'}",
                "--unsafe-no-fsync",
                "--log-level=warn",
                *(f"--{flag}-client-urls={clients}" for flag in ("listen", "advertise")),
                *(f"--{flag}-peer-urls={peers}" for flag in ("listen", "initial-advertise")),
                f"--initial-cluster=default={peers}",
            ]
        if name == "kube-apiserver":
            return [
                *secure,
                f"--etcd-servers=http://127.0.0.1:{self._ports['etcd']}",
                "--endpoint-reconciler-type=none",
                "--service-cluster-ip-range=10.96.0.0/16",
                f"--cert-dir={pki}",
                f"--tls-cert-file={pki / 'apiserver.crt'}",
                f"--tls-private-key-file={pki / 'apiserver.key'}",
                f"--client-ca-file={pki / 'ca.crt'}",
                f"--service-account-key-file={pki / 'sa.pub'}",
                f"--service-account-signing-key-file={pki / 'sa.key'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--authorization-mode=Node,RBAC",
                # Pods may be made at once: nobody needs to make an account for their namespace first.
                "--disable-admission-plugins=ServiceAccount",
                "--shutdown-delay-duration=0",
            ]
        if name == "kube-scheduler":
            # kubeadm names the advertised address in this kubeconfig, where nobody listens.
            conf = f"--kubeconfig={self.folder / 'scheduler.conf'}"
            return [*secure, conf, f"--master={self.server}", "--leader-elect=false"]
        return [
            *secure,
            *admin,
            f"--controllers={','.join(self._controllers)}",
            "--leader-elect=false",
            "--use-service-account-credentials=false",
            f"--service-account-private-key-file={pki / 'sa.key'}",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
        ]

    def _healthy(self, name: str) -> bool:
        process = self._running[name]
        if process.poll() is not None:
            tail = "\n".join((self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-20:])
            raise _EndedError(f"{name} ended with code {process.returncode}:\n{tail}")
        scheme, path = ("http", "/health") if name == "etcd" else ("https", _PROBES[name])
        try:
            # Controllers sign a certificate for themselves; nothing is told to them.
            blind = ssl._create_unverified_context()
            url = f"{scheme}://127.0.0.1:{self._ports[name]}{path}"
            with urllib.request.urlopen(url, timeout=2, context=blind) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


class _EndedError(Exception):
    """A program did not even start: waiting on is of no use."""


_PROBES = {"kube-apiserver": "/readyz", "kube-controller-manager": "/healthz", "kube-scheduler": "/readyz"}
"""Where those that speak TLS say that they are well."""


def _sweep(where: Path) -> None:
    """Take away what control planes have left whose tests were killed."""
    for folder in where.glob(f"{PREFIX}*"):
        # A folder's lock is taken a moment after it is made.
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime < YOUNG_SECONDS:
                continue
            with (folder / LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
