"""The operator as a process of this host, from the working tree."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

from devcluster import kube

ROOT = Path(__file__).resolve().parents[2]

FAST = {
    "TANDEM_BACKOFF_SECONDS": "1",
    "TANDEM_MAX_BACKOFF_SECONDS": "4",
    "TANDEM_COLLECT_SECONDS": "1",
    "TANDEM_BIND_SECONDS": "12",
    "TANDEM_HOLD_OFF_SECONDS": "2",
    "TANDEM_LOOK_AGAIN_SECONDS": "5",
    "TANDEM_PARTIAL_CREATE_SECONDS": "10",
    "TANDEM_NODE_LOST_SECONDS": "15",
}
"""Times that make stories short. Tests never rely on a pause being over, they wait for what follows it."""

PATIENT = {"TANDEM_BIND_SECONDS": "120", "TANDEM_PARTIAL_CREATE_SECONDS": "90"}
"""Times that a gang must not run into while an operator or an API server is being restarted under it."""


def make_room() -> None:
    """The CRDs as generated, and no other operator: one of a demo would answer the tests too."""
    installed = ("deployment/tandem", "--ignore-not-found", "--cascade=foreground")
    kube.kubectl("--namespace=tandem-system", "delete", *installed)
    for manifest in sorted((ROOT / "crds").glob("*.yaml")):
        kube.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(manifest))


class HostOperator:
    """One operator process; `log` gathers the output of all its lives."""

    def __init__(self, kubeconfig: Path, log: Path, *, times: Mapping[str, str] = FAST, **environment: str) -> None:
        self.kubeconfig = kubeconfig
        self.log = log
        self.port = 0
        self._offset = 0
        self._environment = {**times, **environment}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of the running operator."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        self.until_ready()

    def launch(self) -> None:
        """Start the process, and do not wait for anything."""
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("TANDEM_")},
            **self._environment,
            "TANDEM_KUBECONFIG": str(self.kubeconfig),
            "TANDEM_LISTEN": "127.0.0.1",
            "TANDEM_PORT": "0",
            "TANDEM_LOG_FORMAT": "json",
            "PYTHONPATH": str(ROOT / "operator"),
        }
        with self.log.open("ab") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tandem", "run"],
                stdout=sink,
                stderr=sink,
                env=environment,
                start_new_session=True,
            )

    def until_ready(self, seconds: float = 60) -> None:
        """Wait until /readyz says so."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise AssertionError(f"the operator ended at once:\n{self.tail()}")
            if self._ready():
                return
            time.sleep(0.1)
        raise AssertionError(f"the operator was not ready in {seconds:.0f} s:\n{self.tail()}")

    def freeze(self) -> None:
        """SIGSTOP, as a machine that hangs would."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, as an out-of-memory kill would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def terminate(self) -> None:
        """SIGTERM, and do not wait."""
        os.kill(self.pid, signal.SIGTERM)

    def exit_code(self, seconds: float = 30.0) -> int:
        """Wait until it has ended by itself."""
        assert self._process is not None
        return self._process.wait(timeout=seconds)

    def tail(self, lines: int = 40) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def metrics(self) -> str:
        """The text of /metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def role(self) -> str:
        """What a ready replica says of itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
            return str(answer.read().decode()).strip()

    def value(self, series: str) -> float | None:
        """The value of one series of /metrics, named as it stands there; None when there is none or nobody answers."""
        try:
            lines = self.metrics().splitlines()
        except OSError:
            return None
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{series} ")), None)

    def _ready(self) -> bool:
        for line in self.log.read_bytes()[self._offset :].decode(errors="replace").splitlines():
            if '"listening"' in line:
                self.port = int(line.split('"port": ')[1].split(",")[0].rstrip("}"))
        if not self.port:
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(timeout=10)
        self.port = 0
