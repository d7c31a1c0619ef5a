"""Operator processes that start at once: a parent that has imported everything forks them.

A plan costs an operator or two, and importing is most of an operator's start. `python -m tests.faults.zygote` is that parent: it
reads one JSON command per line and answers each with one line. Its children end with it. What a child runs is
`tandem run`, from the folder that PYTHONPATH names first.
"""

import gc
import json
import os
import sys
from typing import Any

from tandem.entry import cli
from tests.faults.orphans import die_with_parent


def main() -> None:
    """Obey until the input ends."""
    children: set[int] = set()
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        if "run" in command:
            pid = _fork(command["run"], command["environment"])
            children.add(pid)
            answer: dict[str, Any] = {"pid": pid}
        else:
            answer = {"code": _code(command["poll"], children)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _fork(log: str, environment: dict[str, str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        die_with_parent()
        sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.environ.update(environment)
        code = cli.main(["run"])
        sys.stdout.flush()
    finally:
        os._exit(code)


def _code(pid: int, children: set[int]) -> int | None:
    """How a child ended (128 + signal where one ended it); None while it runs."""
    if pid not in children:
        return 0
    found, status = os.waitpid(pid, os.WNOHANG)
    if not found:
        return None
    children.discard(pid)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
