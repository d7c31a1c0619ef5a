"""What the environment asks of the training program: its place in the gang, its options, where to report.

The operator sets `PET_*` (read by torchrun, which starts this program with RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT)
and `TANDEM_*`; the image or the user sets the options.
"""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEVICE_LISTS = ("NVIDIA_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Place:
    """One process of the gang: rank in [0, world), and where rank 0 listens for the others."""

    rank: int
    world: int
    leader: str
    port: int
    by_torchrun: bool

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Place":
        """Under torchrun its variables, else one process per pod (launcher Plain), else one process alone.

        ValueError: Plain was asked for several ranks in a pod.
        """
        if "TORCHELASTIC_RUN_ID" in env:
            return cls(int(env["RANK"]), int(env["WORLD_SIZE"]), env["MASTER_ADDR"], int(env["MASTER_PORT"]), True)
        if (ranks := _whole(env, "TANDEM_RANKS_PER_POD", 1)) != 1:
            raise ValueError(
                f"{ranks} ranks per pod, but without torchrun this program is one rank: set launcher Torchrun and start "
                "it as `torchrun train.py`, or ask for one device per pod"
            )
        return cls(
            rank=_whole(env, "TANDEM_POD_RANK", 0, least=0),
            world=_whole(env, "TANDEM_PODS", 1),
            leader=env.get("TANDEM_LEADER_ADDR", "127.0.0.1"),
            port=_whole(env, "TANDEM_LEADER_PORT", 29500),
            by_torchrun=False,
        )


@dataclass(frozen=True)
class Options:
    """All of one training run, the same in every process of it. Times in seconds."""

    steps: int
    checkpoint_every: int
    checkpoint_keep: int
    checkpoint_dir: Path | None
    log_every: int
    rendezvous_timeout: int
    peer_timeout: int
    fail_at_step: int | None
    attempt: int
    accelerator: str
    resume_expected: bool
    termination_log: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Options":
        """ValueError names a variable that is not a number of its kind."""
        attempt = _whole(env, "TANDEM_ATTEMPT", 1)
        failing = "FAIL_AT_STEP" in env and attempt <= _whole(env, "FAIL_ATTEMPTS", 1)
        return cls(
            steps=_whole(env, "STEPS", 200),
            checkpoint_every=_whole(env, "CHECKPOINT_EVERY", 20),
            checkpoint_keep=_whole(env, "CHECKPOINT_KEEP", 3),
            checkpoint_dir=Path(path) if (path := env.get("TANDEM_CHECKPOINT_DIR")) else None,
            log_every=_whole(env, "LOG_EVERY", 10),
            rendezvous_timeout=_whole(env, "RENDEZVOUS_TIMEOUT", 300),
            peer_timeout=_whole(env, "PEER_TIMEOUT", 30),
            fail_at_step=_whole(env, "FAIL_AT_STEP", 1) if failing else None,
            attempt=attempt,
            accelerator=env.get("TANDEM_ACCELERATOR", "none"),
            resume_expected=env.get("TANDEM_RESUME") == "1",
            termination_log=Path(env.get("TERMINATION_LOG", "/dev/termination-log")),
        )


def granted_devices(env: Mapping[str, str]) -> str:
    """The devices that a vendor's plugin gave this container, for the log: `NVIDIA_VISIBLE_DEVICES=0,1`."""
    return " ".join(f"{name}={env[name]}" for name in DEVICE_LISTS if name in env) or "no devices"


def report(termination_log: Path, step: int, checkpoint: tuple[str, str] | None) -> None:
    """Leave the line that the operator reads when the pod has ended: the step, and the last checkpoint as (path, digest).

    Written anew at every checkpoint, so that it is there when the pod is killed. The file is the kubelet's; outside of a pod
    it may be out of reach, which must not end the training.
    """
    progress: dict[str, object] = {"step": step}
    if checkpoint:
        progress["checkpoint"] = {"path": checkpoint[0], "digest": checkpoint[1]}
    try:
        termination_log.write_text(json.dumps({"tandem": progress}) + "\n")
    except OSError as error:
        print(f"no termination message: {error}; set TERMINATION_LOG to a writable file", file=sys.stderr)


def main_environment() -> tuple[Place, Options]:
    """Both from the process's own environment; leaves with a message, not a traceback, when it makes no sense."""
    try:
        return Place.from_env(os.environ), Options.from_env(os.environ)
    except ValueError as error:
        sys.exit(f"environment: {error}")


def _whole(env: Mapping[str, str], name: str, default: int, least: int = 1) -> int:
    value = env.get(name, str(default))
    if not value.isdecimal() or int(value) < least:
        raise ValueError(f"{name}={value}: set it to a whole number of {least} or more, or leave it out")
    return int(value)
