"""Commands, progress lines and waiting: what every other module of the devcluster stands on."""

import fcntl
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class DevclusterError(RuntimeError):
    """Something the user can act on; the message says what to do next."""


def run(
    *command: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> str:
    """The standard output of a command that must succeed.

    Raises DevclusterError with the command and the end of what it printed when it fails or is missing.
    """
    argv = [str(word) for word in command]
    try:
        done = subprocess.run(
            argv,
            env={**os.environ, **(env or {})},
            input=stdin,
            cwd=cwd,
            timeout=timeout,
            text=True,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise DevclusterError(f"{argv[0]} is not installed: install it, then run the command again") from error
    except subprocess.TimeoutExpired as error:
        raise DevclusterError(f"`{' '.join(argv)}` did not end within {timeout} s") from error
    if done.returncode:
        told = f"{done.stdout[-2000:]}{done.stderr[-2000:]}".strip()
        raise DevclusterError(f"`{' '.join(argv)[:300]}` failed with code {done.returncode}:\n{told}")
    return done.stdout


def succeeds(*command: str | Path, env: Mapping[str, str] | None = None, timeout: float = 10) -> bool:
    """Whether a command exists and ends well in time."""
    try:
        run(*command, env=env, timeout=timeout)
    except DevclusterError:
        return False
    return True


def wait_for(what: str, condition: Callable[[], T | None], seconds: float, interval: float = 0.25) -> T:
    """The first truthy answer of `condition`, asked again until `seconds` are over.

    Raises DevclusterError that names what was waited for, with the last error if the condition raised one.
    """
    deadline = time.monotonic() + seconds
    last: DevclusterError | None = None
    while True:
        try:
            if answer := condition():
                return answer
            last = None
        except DevclusterError as error:
            last = error
        if time.monotonic() > deadline:
            raise DevclusterError(f"not so within {seconds:g} s: {what}" + (f"\n{last}" if last else ""))
        time.sleep(interval)


def say(text: str) -> None:
    """One progress line, on standard error: standard output is for answers."""
    mark = "\033[36m•\033[0m" if sys.stderr.isatty() else "•"
    print(f"{mark} {text}", file=sys.stderr, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """A step worth waiting for: a line when it starts and one, with its seconds, when it ends."""
    say(f"{text} ...")
    begin = time.monotonic()
    yield
    say(f"{text}: {time.monotonic() - begin:.0f} s")


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold a lock file against other processes: two that build or load the same thing take turns."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another devcluster command (lock {lock})")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def content_key(*parts: str | bytes | Path) -> str:
    """A short hash of texts, bytes and files (folders: every file below, by relative name, mode and content)."""
    digest = hashlib.sha256()
    for name, content in _contents(parts):
        digest.update(f"{len(name)}:{name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def _contents(parts: Iterable[str | bytes | Path]) -> Iterator[tuple[str, bytes]]:
    for part in parts:
        if isinstance(part, str):
            yield "text", part.encode()
        elif isinstance(part, bytes):
            yield "bytes", part
        elif part.is_dir():
            for file in sorted(p for p in part.rglob("*") if p.is_file() and "__pycache__" not in p.parts):
                yield f"{file.relative_to(part)}:{os.access(file, os.X_OK)}", file.read_bytes()
        else:
            yield f"{part.name}:{os.access(part, os.X_OK)}", part.read_bytes()
