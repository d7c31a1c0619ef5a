"""Kernel limits that five nodes in one machine outgrow: inotify's, which are one count for all of root's processes.

Too low, they show as `too many open files` from kubelets and log readers (kind's known issues).
"""

import json
from pathlib import Path

from devcluster import paths
from devcluster.shell import say

WANTED = {"max_user_instances": 1024, "max_user_watches": 524288}
FOLDER = Path("/proc/sys/fs/inotify")


def raise_limits(folder: Path = FOLDER) -> None:
    """Raise what is too low, and remember how it was; where that is not allowed, say what to do and go on."""
    low = {name: now for name in WANTED if (now := int((folder / name).read_text())) < WANTED[name]}
    try:
        for name in low:
            (folder / name).write_text(str(WANTED[name]))
    except PermissionError:
        settings = " ".join(f"fs.inotify.{name}={WANTED[name]}" for name in low)
        say(f"pods may fail with `too many open files`; to be safe: sudo sysctl {settings}")
        return
    if low:
        _notes().write_text(json.dumps({**low, **_remembered()}))


def restore_limits(folder: Path = FOLDER) -> None:
    """Put back what `raise_limits` raised."""
    for name, before in _remembered().items():
        (folder / name).write_text(str(before))
    _notes().unlink(missing_ok=True)


def _notes() -> Path:
    return paths.state_dir() / "limits.json"


def _remembered() -> dict[str, int]:
    notes: dict[str, int] = json.loads(_notes().read_text()) if _notes().exists() else {}
    return notes
