"""`kubectl explain` is the manual: what every description of a field must have."""

from collections.abc import Iterator

import pytest

from tandem.api.crd import KINDS, Kind, crd
from tandem.api.schema import UNDESCRIBED, Schema

by_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
LONGEST = 300
"""Characters of a description: about four lines of a terminal. `template` says on its root what others say at each field."""

DEFAULT_WORDS = ("Default", "default", "Required", "reserved", "Reserved", "refused", "One of")


def fields(node: Schema, path: str) -> Iterator[tuple[str, Schema, bool]]:
    """(path, schema, whether it is required) of every field that needs a description."""
    for name, child in node.get("properties", {}).items():
        yield f"{path}.{name}", child, name in node.get("required", ())
        if name not in UNDESCRIBED:
            yield from fields(child.get("items", child), f"{path}.{name}")


def parts(kind: Kind) -> Schema:
    """Properties of the root: spec, and status where there is one."""
    properties: Schema = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return properties


@by_kind
def test_descriptions_are_short_sentences(kind: Kind) -> None:
    for part in ("spec", "status"):
        for path, field, _ in fields(parts(kind).get(part, {}), part):
            said = field["description"]
            assert said.endswith("."), path
            assert said[0].isupper() or said.startswith(path.rsplit(".", 1)[-1]), path
            assert len(said) <= LONGEST or path.rsplit(".", 1)[-1] in UNDESCRIBED, path


@by_kind
def test_what_may_be_left_out_says_what_holds_then(kind: Kind) -> None:
    silent = [
        path
        for path, field, required in fields(parts(kind)["spec"], "spec")
        if not required and not any(word in field["description"] for word in DEFAULT_WORDS)
    ]
    assert silent == []
