"""Whether the served kinds are those of this program.

An older schema is no detail: the API server answers 500 to a status with a field that it does not know, so every decision
of the operator is lost.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tandem.domain.prerequisites.finding import NAMES_SHOWN, Finding, Level, Unread, some

SUBJECT = "crds"
MEND = "tandem crds | kubectl apply --server-side --force-conflicts -f -"
RELEASE = "meta.helm.sh/release-name"
"""Annotation by which Helm knows its own; what a release owns, its upgrade mends."""
Definition = Mapping[str, Any]


def findings(installed: Mapping[str, Definition] | Unread, wanted: Sequence[Definition]) -> list[Finding]:
    """One finding for each of our kinds. `installed`: CustomResourceDefinitions by name."""
    if isinstance(installed, Unread):
        return [installed.finding(SUBJECT, "CustomResourceDefinitions")]
    return [_one(wish["metadata"]["name"], installed.get(wish["metadata"]["name"]), wish) for wish in wanted]


def _one(name: str, found: Definition | None, wanted: Definition) -> Finding:
    if found is None:
        return Finding(Level.FAIL, SUBJECT, f"{name} is not installed", MEND)
    if not _holds(found, "Established"):
        why = "; ".join(one.get("message", "") for one in _conditions(found) if one.get("status") == "False")
        return Finding(Level.FAIL, SUBJECT, f"{name} is not served: {why or 'not established yet'}")
    (ours,) = wanted["spec"]["versions"]
    theirs = next((one for one in found["spec"]["versions"] if one["name"] == ours["name"]), None)
    if theirs is None or not theirs.get("served"):
        return Finding(Level.FAIL, SUBJECT, f"{name} does not serve {ours['name']}", _mend(found))
    return _compared(name, theirs, ours, _mend(found))


def _mend(found: Definition) -> str:
    release = found["metadata"].get("annotations", {}).get(RELEASE)
    return f"helm upgrade {release}, as docs/upgrade.md says" if release else MEND


def _compared(name: str, theirs: Definition, ours: Definition, mend: str) -> Finding:
    known, asked = set(_fields(_schema(theirs))), set(_fields(_schema(ours)))
    lacking, unknown = sorted(asked - known), sorted(known - asked)
    if lacking and unknown:
        return Finding(Level.FAIL, SUBJECT, f"{name} is another: it {_lacks(lacking)} and {_has(unknown)}", mend)
    if lacking:
        return Finding(Level.FAIL, SUBJECT, f"{name} is older than this program: it {_lacks(lacking)}", mend)
    if unknown:
        newer = f"{name} is newer than this program: it {_has(unknown)}"
        return Finding(Level.WARN, SUBJECT, newer, "use the tandem of the release that installed it")
    if _meaning(theirs) != _meaning(ours):
        differs = f"{name} has the fields of this program but other rules, defaults or columns"
        return Finding(Level.FAIL, SUBJECT, differs, mend)
    return Finding(Level.OK, SUBJECT, f"{name} {ours['name']}")


def _lacks(fields: Sequence[str]) -> str:
    return f"lacks {_list(fields)}"


def _has(fields: Sequence[str]) -> str:
    return f"has {_list(fields)}, which this one does not know"


def _list(fields: Sequence[str]) -> str:
    """Only the outermost: a missing object is one thing, not each of its fields."""
    outer = [field for field in fields if not any(field.startswith(f"{other}.") for other in fields)]
    return some(outer) if len(outer) > NAMES_SHOWN else " and ".join(outer)


def _schema(version: Definition) -> Definition:
    found: Definition = version.get("schema", {}).get("openAPIV3Schema", {})
    return found


def _fields(schema: Definition, path: str = "") -> Iterator[str]:
    """Paths of all fields, those of list items and map values with their parent's."""
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here
        yield from _fields(child, here)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), Mapping):
            yield from _fields(schema[key], path)


def _meaning(version: Definition) -> Any:
    """What the API server does with it: descriptions apart."""
    parts = ("schema", "subresources", "additionalPrinterColumns")
    return _without_descriptions({part: version.get(part) for part in parts})


def _without_descriptions(value: Any, *, names: bool = False) -> Any:
    """`names`: the keys are those of fields, one of which may well be called description."""
    if isinstance(value, Mapping):
        return {
            key: _without_descriptions(item, names=key == "properties" and not names)
            for key, item in value.items()
            if names or key != "description"
        }
    if isinstance(value, list):
        return [_without_descriptions(item) for item in value]
    return value


def _conditions(found: Definition) -> Sequence[Definition]:
    conditions: Sequence[Definition] = found.get("status", {}).get("conditions") or ()
    return conditions


def _holds(found: Definition, kind: str) -> bool:
    return any(one.get("type") == kind and one.get("status") == "True" for one in _conditions(found))
