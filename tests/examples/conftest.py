"""Containers of the sample image on a network of their own: a gang as the operator would start it, without a cluster."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from devcluster import engine, images
from devcluster.shell import DevclusterError, wait_for

WORKLOAD = Path(__file__).parents[2] / "examples/workload"
IMAGE = "tandem-dev/sample:dev"
USER = f"{os.getuid() or 12345}:{os.getgid() or 23456}"
"""Never root; the tester's own where possible, so that what the containers wrote can be cleaned up."""
LEADER_PORT = 29500


@dataclass
class Lab:
    """A network and the containers on it. Each runs as a uid without a name, on a read-only root but for /tmp."""

    network: str
    containers: list[str] = field(default_factory=list)

    def start(
        self, *command: str, env: dict[str, str], mounts: dict[Path, str], options: tuple[str, ...] = (), name: str = ""
    ) -> str:
        name = name or f"c{uuid.uuid4().hex[:8]}"
        given = [word for key, value in env.items() for word in ("--env", f"{key}={value}")]
        bound = [word for source, target in mounts.items() for word in ("--volume", f"{source}:{target}")]
        limits = ("--read-only", "--tmpfs", "/tmp", "--user", USER, "--network", self.network)
        self.containers.append(name)
        engine.docker(
            "run", "--detach", "--name", name, "--hostname", name, *limits, *options, *given, *bound, IMAGE, *command
        )
        return name

    def logs(self, name: str) -> str:
        """All that the container said, on both streams."""
        command, env = ["docker", "logs", name], {**os.environ, **engine.docker_env()}
        return subprocess.run(
            command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
        ).stdout

    def exit_code(self, name: str, within: float) -> int:
        """Waits for the container's end; fails with its log when that takes more than `within` seconds."""
        try:
            return int(engine.docker("wait", name, timeout=within))
        except DevclusterError as error:
            raise AssertionError(f"{error}\n{self.logs(name)}") from error

    def until_said(self, name: str, text: str, within: float = 30) -> None:
        wait_for(f"{name} says {text!r}", lambda: text in self.logs(name), within, interval=0.1)

    def close(self) -> None:
        if self.containers:
            engine.docker("rm", "--force", "--volumes", *self.containers)
        engine.docker("network", "rm", self.network)


@dataclass
class Gang:
    """Two pods of one attempt, over one claim."""

    lab: Lab
    pods: list[str]
    claim: Path
    termination_log: Path

    def exit_codes(self, within: float = 60) -> list[int]:
        return [self.lab.exit_code(pod, within) for pod in self.pods]

    def log(self, rank: int = 0) -> str:
        return self.lab.logs(self.pods[rank])

    def message(self) -> dict[str, Any]:
        """The last line of rank 0's termination message."""
        last: dict[str, Any] = json.loads(self.termination_log.read_text().splitlines()[-1])
        return last

    def losses(self) -> list[float]:
        lines = [line.split() for line in self.log().splitlines() if line.startswith("step ")]
        return [float(words[3]) for words in lines]


def start_gang(
    lab: Lab,
    claim: Path,
    env: Mapping[str, str],
    *,
    attempt: int = 1,
    torchrun: bool = True,
    ranks: tuple[int, ...] = (0, 1),
) -> Gang:
    """An attempt of two pods of one rank, with the environment and the claim that the operator gives them.

    `ranks` are those that are started, in that order.
    """
    claim.mkdir(exist_ok=True)
    claim.chmod(0o777)
    names = [f"{lab.network}-{claim.name}-a{attempt}-{rank}" for rank in (0, 1)]
    command = ("torchrun", "train.py") if torchrun else ("python3", "train.py")
    termination_logs = [claim.with_name(f"{name}.log") for name in names]
    for rank in ranks:
        termination_logs[rank].touch()
        termination_logs[rank].chmod(0o666)
        place = {
            "TANDEM_PODS": "2",
            "TANDEM_POD_RANK": str(rank),
            "TANDEM_LEADER_ADDR": names[0],
            "TANDEM_LEADER_PORT": str(LEADER_PORT),
            "TANDEM_RANKS_PER_POD": "1",
            "TANDEM_ATTEMPT": str(attempt),
            "TANDEM_ACCELERATOR": "nvidia-tiny",
            "TANDEM_CHECKPOINT_DIR": "/checkpoints",
            "TANDEM_RESUME": "1" if attempt > 1 else "0",
        }
        rendezvous = {
            "PET_NNODES": "2",
            "PET_NODE_RANK": str(rank),
            "PET_NPROC_PER_NODE": "1",
            "PET_MASTER_ADDR": names[0],
            "PET_MASTER_PORT": str(LEADER_PORT),
        }
        mounts = {claim: "/checkpoints", termination_logs[rank]: "/dev/termination-log"}
        lab.start(*command, env={**place, **(rendezvous if torchrun else {}), **env}, mounts=mounts, name=names[rank])
    return Gang(lab, names, claim, termination_logs[0])


@pytest.fixture(scope="session")
def sample_image() -> str:
    engine.ensure()
    return images.build(IMAGE, WORKLOAD / "Dockerfile", WORKLOAD)


@pytest.fixture(scope="module")
def lab(sample_image: str) -> Iterator[Lab]:
    network = f"sample-{uuid.uuid4().hex[:8]}"
    engine.docker("network", "create", network)
    lab = Lab(network)
    try:
        yield lab
    finally:
        lab.close()
