"""Checkpoints on a shared directory: written whole or not at all, never read half.

Layout, one folder per checkpoint::

    <directory>/step-120/model.pt    the payload, opaque here
    <directory>/step-120/meta.json   {"step": 120, "digest": "sha256:<hex>", ...}

A folder is filled under a hidden name and then renamed, so a reader sees all of it or nothing. The digest covers what a
rename cannot: a disk that lost the end of a file. Readers take the newest folder whose digest matches.
"""

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAYLOAD = "model.pt"
META = "meta.json"
UNFINISHED = ".unfinished-"
STEP_FOLDER = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint: its folder, step, `sha256:<hex>` of the payload, and the payload itself."""

    folder: Path
    step: int
    digest: str
    payload: bytes


def save(directory: Path, step: int, payload: bytes, meta: dict[str, Any], keep: int) -> Checkpoint:
    """Write `step-<step>` under `directory`, then remove all but the newest `keep` checkpoints.

    `meta` is added to meta.json beside step and digest. One writer at a time.
    """
    digest = digest_of(payload)
    directory.mkdir(parents=True, exist_ok=True)
    for leftover in directory.glob(f"{UNFINISHED}*"):
        shutil.rmtree(leftover)
    unfinished = directory / f"{UNFINISHED}{step}"
    unfinished.mkdir()
    _write_synced(unfinished / PAYLOAD, payload)
    _write_synced(unfinished / META, json.dumps({**meta, "step": step, "digest": digest}).encode())

    folder = directory / f"step-{step}"
    if folder.exists():  # only a damaged one: a run resumes after every complete step
        shutil.rmtree(folder)
    unfinished.rename(folder)
    for old in _newest_first(directory)[keep:]:
        shutil.rmtree(old)
    return Checkpoint(folder, step, digest, payload)


def newest(path: Path) -> Checkpoint | None:
    """The newest complete checkpoint under `path`, or in `path` itself when it is a `step-<n>` folder. None: there is none."""
    candidates = [path] if STEP_FOLDER.fullmatch(path.name) else _newest_first(path)
    return next((checkpoint for folder in candidates if (checkpoint := _read(folder))), None)


def digest_of(payload: bytes) -> str:
    """`sha256:<hex>`, as in the termination message and in status."""
    return f"sha256:{hashlib.sha256(payload).hexdigest()}"


def _read(folder: Path) -> Checkpoint | None:
    """None for a folder that is incomplete, damaged, or removed by its writer while we read it."""
    try:
        meta = json.loads((folder / META).read_bytes())
        payload = (folder / PAYLOAD).read_bytes()
        step, digest = meta["step"], meta["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Checkpoint(folder, step, digest, payload) if digest_of(payload) == digest else None


def _newest_first(directory: Path) -> list[Path]:
    steps = {
        int(match[1]): folder for folder in directory.glob("step-*") if (match := STEP_FOLDER.fullmatch(folder.name))
    }
    return [steps[step] for step in sorted(steps, reverse=True)]


def _write_synced(path: Path, data: bytes) -> None:
    """The bytes must be on the disk before the rename is, or a power cut leaves a complete name on an empty file."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
