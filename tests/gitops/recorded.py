"""Recorded objects: what is kept of them, where they lie, and what two of the same stage have in common."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from devcluster import kube
from tests.support.api import Object

FOLDER = Path(__file__).parent / "recorded"
TIME = "2026-01-01T00:00:00Z"
UID = "00000000-0000-0000-0000-000000000000"
STAND_INS = {"inputsHash": "0000000000000000", "ownedFields": "0000000000000000:0000"}
"""Fields of status that differ each time."""
NOISE = ("managedFields", "resourceVersion")
NOT_ALWAYS = "activeSeconds"
"""A whole number of seconds that is left out while it is 0: a quick stage has it or not as the clock falls."""
KEYS = ("type", "name", "variant")
"""By these the items of a list are told apart; other lists are alike when their first items are."""

_TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_REGISTRY = re.compile(r"https://[^/\s]+/(?=v2/)")
_POD_SUFFIX = re.compile(r"(chat-\w+)-[a-z0-9]{6,10}-[a-z0-9]{5}\b")
SHORT = {"TrainingRun": "trun", "InferenceService": "infsvc"}
VARYING = (
    (re.compile(r"(UID|Resource Version):\s+\S+"), r"\1:  X"),
    (re.compile(r"(Inputs Hash|Owned Fields):\s+\S+"), r"\1:  X"),
    (re.compile(r"\b(\d+m)?\d+s( \(x\d+ over \S+\))?(?=  |$)"), "AGE"),
    (re.compile(r"(?<=\S)  +"), "  "),
    (re.compile(r"-{3,}"), "---"),
)
"""What differs each time that kubectl shows an object, and what stands for it."""


def file(stage: str) -> Path:
    """Where the object of a stage lies."""
    return FOLDER / f"{stage}.yaml"


def text_file(stage: str) -> Path:
    """Where lies what kubectl shows of a stage."""
    return FOLDER / f"{stage}.txt"


def load(stage: str) -> Object:
    """The recorded object of a stage."""
    found: Object = yaml.safe_load(file(stage).read_text(encoding="utf-8"))
    return found


def save(stage: str, found: Object) -> None:
    """Write a scrubbed object."""
    text = yaml.safe_dump(found, sort_keys=True, allow_unicode=True, width=120)
    file(stage).write_text(f"# Written by `python -m tests.gitops.record`.\n{text}", encoding="utf-8")


def scrub(found: Object, scene: str) -> Object:
    """An object without what differs from one recording to the next: names of the scene, times, ids, pods' suffixes."""
    metadata = {name: value for name, value in found["metadata"].items() if name not in NOISE}
    scrubbed: Object = _scrub({**found, "metadata": {**metadata, "uid": UID}}, scene)
    return scrubbed


def shown(found: Object, scene: str) -> str:
    """What a person sees of an object: `kubectl get`, its wide form, and `kubectl describe`, without what differs each time."""
    short, name = SHORT[found["kind"]], found["metadata"]["name"]
    commands = (("get", short, name), ("get", short, name, "--output=wide"), ("describe", short, name))
    told = [f"$ kubectl {' '.join(words)}\n{kube.kubectl('--namespace', scene, *words)}" for words in commands]
    return "\n".join([*_calmed(_scrub("\n".join(told), scene)), ""])


def _calmed(text: str) -> Iterator[str]:
    """Lines with ages, ids, widths of columns and the order of events made equal."""
    events: list[str] = []
    for line in text.splitlines():
        if line.strip().startswith("Active Seconds:"):
            continue
        for pattern, instead in VARYING:
            line = pattern.sub(instead, line)  # noqa: PLW2901
        if re.match(r"  (Normal|Warning)  ", line):
            events.append(line)
        else:
            yield line
    yield from sorted(events)


def _scrub(value: Any, scene: str) -> Any:
    if isinstance(value, dict):
        return {
            name: STAND_INS[name] if name in STAND_INS else _scrub(item, scene)
            for name, item in value.items()
            if name != NOT_ALWAYS
        }
    if isinstance(value, list):
        return [_scrub(item, scene) for item in value]
    if isinstance(value, str):
        named = _REGISTRY.sub("https://registry.example/", value.replace(scene, "team"))
        return _POD_SUFFIX.sub(r"\1-0000000000-00000", _TIMES.sub(TIME, named))
    return value


def shape(value: Any, field: str = "") -> Any:
    """What two objects of the same stage share: their fields, and the words of conditions, but no counts and no sentences."""
    if isinstance(value, dict):
        return {name: shape(item, name) for name, item in value.items() if name != "spec"}
    if isinstance(value, list):
        named = [item for item in value if isinstance(item, dict) and any(key in item for key in KEYS)]
        if named:
            return {next(item[key] for key in KEYS if key in item): shape(item) for item in named}
        return [shape(item) for item in value[:1]]
    if field in {"reason", "status", "type", "outcome", "class"}:
        return value
    return type(value).__name__
