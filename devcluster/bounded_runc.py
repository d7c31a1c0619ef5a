#!/usr/bin/python3
"""runc, asked for no capability that this machine cannot grant.

`docker run --privileged` asks for every capability there is; where root itself lacks one (a sandbox, a container), runc fails
with `unable to apply caps`. The missing ones are taken out of the specification before runc reads it.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

# In the order of their bits (linux/capability.h).
NAMES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT
SYS_ADMIN  SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL
SETFCAP MAC_OVERRIDE  MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
""".split()  # noqa: SIM905  (a literal list is forty lines)


def missing_capabilities(status: str) -> set[str]:
    """The capabilities outside the bounding set of a /proc/<pid>/status text, as `CAP_...`."""
    bounding = int(next(line for line in status.splitlines() if line.startswith("CapBnd")).split()[1], 16)
    return {f"CAP_{name}" for bit, name in enumerate(NAMES) if not bounding >> bit & 1}


def specification(args: list[str]) -> Path | None:
    """The file in which runc finds the capabilities it shall apply, if this command has one."""
    if {"create", "run"} & set(args) and "--bundle" in args:
        return Path(args[args.index("--bundle") + 1]) / "config.json"
    if "exec" in args and "--process" in args:
        return Path(args[args.index("--process") + 1])
    return None


def bound(spec: dict[str, Any], missing: set[str]) -> None:
    """Take the missing capabilities out of a bundle's or a process's specification."""
    sets = spec.get("process", spec).get("capabilities") or {}
    for name, wanted in sets.items():
        sets[name] = [capability for capability in wanted if capability not in missing]


def main() -> None:
    path = specification(sys.argv[1:])
    if path:
        spec = json.loads(path.read_text())
        bound(spec, missing_capabilities(Path("/proc/self/status").read_text()))
        path.write_text(json.dumps(spec))
    os.execvp("runc", ["runc", *sys.argv[1:]])


if __name__ == "__main__":
    main()
