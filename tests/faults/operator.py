"""The operator of fault plans: killed and started again within a fraction of a second, always behind the proxy."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.controlplane import ROOT

TIMES = {
    "TANDEM_BACKOFF_SECONDS": "0.5",
    "TANDEM_MAX_BACKOFF_SECONDS": "1",
    "TANDEM_COLLECT_SECONDS": "0.3",
    "TANDEM_BIND_SECONDS": "120",
    "TANDEM_HOLD_OFF_SECONDS": "1",
    "TANDEM_PARTIAL_CREATE_SECONDS": "90",
    "TANDEM_STATUS_DELAY": "0.05",
    "TANDEM_REQUEST_TIMEOUT": "10",
}
"""Pauses that a story has to live through are short. Those by which an operator finds out what it has missed are left long:
nothing but its own care may bring it home."""


class PlannedOperator:
    """One operator at a time; `log` gathers the output of all its lives."""

    def __init__(self, server: str, folder: Path, source: Path = ROOT / "operator") -> None:
        """`source` is the folder that holds the package `tandem`."""
        self.log = folder / "operator.log"
        self.pid = 0
        self._kubeconfig = folder / "operator.conf"
        self._kubeconfig.write_text(yaml.safe_dump(_kubeconfig(server)))
        self._offset = 0
        self._zygote = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", sys.executable, "-m", "tests.faults.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("TANDEM_")},
                "PYTHONPATH": f"{source}:{ROOT}",
            },
            text=True,
        )

    async def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it, unless it runs, and wait until it is ready. Raises AssertionError with the end of its log."""
        self._offset = self.log.stat().st_size if self.log.exists() else 0
        settings = {
            **TIMES,
            **(environment or {}),
            "TANDEM_KUBECONFIG": str(self._kubeconfig),
            "TANDEM_LISTEN": "127.0.0.1",
            "TANDEM_PORT": "0",
            "TANDEM_LOG_FORMAT": "json",
        }
        self.pid = self._ask(run=str(self.log), environment=settings)["pid"]
        deadline = time.monotonic() + 60
        while not await asyncio.to_thread(self._ready):
            if not self.running():
                raise AssertionError(f"the operator ended at once:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"the operator was not ready in 60 s:\n{self.tail()}")
            await asyncio.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        pid, self.pid = self.pid, 0
        if not pid:
            return
        os.kill(pid, signal.SIGKILL)
        while self._ask(poll=pid)["code"] is None:
            time.sleep(0.002)

    def running(self) -> bool:
        """Whether the process is alive."""
        return bool(self.pid) and self._ask(poll=self.pid)["code"] is None

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._zygote.kill()
        self._zygote.wait()

    def said(self) -> list[dict[str, Any]]:
        """Its log since the log was last emptied, as records."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{")]

    def text(self) -> str:
        """Its log since the log was last emptied."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def empty_log(self) -> None:
        """Forget what was said so far."""
        if self.log.exists():
            os.truncate(self.log, 0)

    def tail(self, lines: int = 40) -> str:
        """The end of its log."""
        return "\n".join(self.text().splitlines()[-lines:])

    def _ready(self) -> bool:
        port = 0
        for line in self.log.read_bytes()[self._offset :].splitlines() if self.log.exists() else ():
            if b'"listening"' in line:
                port = int(json.loads(line)["port"])
        if not port:
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _ask(self, **command: Any) -> dict[str, Any]:
        assert self._zygote.stdin is not None
        assert self._zygote.stdout is not None
        self._zygote.stdin.write(json.dumps(command) + "\n")
        self._zygote.stdin.flush()
        answer = self._zygote.stdout.readline()
        if not answer:
            raise AssertionError("the operator's parent process ended")
        decoded: dict[str, Any] = json.loads(answer)
        return decoded


def _kubeconfig(server: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "faults", "cluster": {"server": server}}],
        "users": [{"name": "faults", "user": {"token": "none"}}],
        "contexts": [{"name": "faults", "context": {"cluster": "faults", "user": "faults"}}],
        "current-context": "faults",
    }
