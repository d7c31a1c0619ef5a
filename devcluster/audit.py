"""The API server's audit log: which requests were made, by whom. "No request" and "no duplicate" are judged from it.

The API server answers a request only after it has written its line, so whoever has the answer can read the line. Which requests
are written is decided in devcluster/apiserver/policy.yaml; bodies are not.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from devcluster import paths

CURRENT = "audit.log"
LONGEST_LINE = 1 << 20
"""Bytes; without bodies a line has one or two thousand."""
WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Mark:
    """A place in the log: a file, by inode (a full one is renamed), and a byte offset in it."""

    inode: int
    offset: int


@dataclass(frozen=True)
class Event:
    """One answered request; `namespace` and `name` are empty where the request has none (a list, a cluster's object)."""

    time: datetime
    user: str
    user_agent: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    code: int
    uri: str

    @classmethod
    def parse(cls, line: str) -> "Event":
        raw: dict[str, Any] = json.loads(line)
        target = raw.get("objectRef", {})
        return cls(
            time=datetime.fromisoformat(raw["requestReceivedTimestamp"]),
            user=raw["user"].get("username", ""),
            user_agent=raw.get("userAgent", ""),
            verb=raw["verb"],
            group=target.get("apiGroup", ""),
            resource=target.get("resource", ""),
            subresource=target.get("subresource", ""),
            namespace=target.get("namespace", ""),
            name=target.get("name", ""),
            code=raw.get("responseStatus", {}).get("code", 0),
            uri=raw.get("requestURI", ""),
        )

    @property
    def is_write(self) -> bool:
        """Whether the request asks for a change."""
        return self.verb in WRITES


def mark() -> Mark:
    """The end of the log's last whole line: a line that is being written belongs to what comes."""
    with (paths.audit_dir() / CURRENT).open("rb") as file:
        found = os.fstat(file.fileno())
        file.seek(max(0, found.st_size - LONGEST_LINE))
        tail = file.read(LONGEST_LINE)
        unfinished = len(tail) - (tail.rfind(b"\n") + 1)
        return Mark(found.st_ino, file.tell() - unfinished)


def since(start: Mark, *, user: str | None = None, user_agent: str | None = None) -> list[Event]:
    """The requests answered after a mark, in the order of their answers.

    `user` keeps those of exactly this user (`system:serviceaccount:<namespace>:<name>`), `user_agent` those whose agent holds
    this text.
    """
    events = (Event.parse(line) for line in _lines(start))
    return [
        event
        for event in events
        if (user is None or event.user == user) and (user_agent is None or user_agent in event.user_agent)
    ]


def _lines(start: Mark) -> Iterator[str]:
    """Whole lines from the mark on, through the files that followed."""
    offset = start.offset
    for path in _files_from(start.inode):
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                # The last line may be half written: its request is not answered yet.
                if line.endswith(b"\n"):
                    yield line.decode()
        offset = 0


def _files_from(inode: int) -> list[Path]:
    """The log's files, oldest first, from the one with this inode on; all of them when it was dropped since."""
    backups = sorted(paths.audit_dir().glob("audit-*.log"))
    files = [*backups, paths.audit_dir() / CURRENT]
    inodes = [path.stat().st_ino for path in files]
    return files[inodes.index(inode) :] if inode in inodes else files
