"""CPU time and memory of processes, from /proc."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1024


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def rss_mib(pid: int, field: str = "VmRSS") -> float:
    """Resident memory of a process now, or with VmHWM its highest so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / MIB
    raise ValueError(f"no {field} of process {pid}")


@dataclass(frozen=True)
class Usage:
    """CPU seconds since some moment: of the machine, and of the processes of the benchmark."""

    machine: float
    own: float

    @classmethod
    def now(cls, pids: Sequence[int]) -> Self:
        busy = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        idle = busy[3] + busy[4]
        return cls((sum(busy) - idle) / _TICKS, sum(cpu_seconds(pid) for pid in pids))

    def others_since(self, before: "Usage", seconds: float, operator: float = 0.0) -> float:
        """Share of the machine that went to somebody else's processes; `operator` are CPU seconds of the operator."""
        others = (self.machine - before.machine) - (self.own - before.own) - operator
        return max(0.0, others) / (seconds * (os.cpu_count() or 1))
