"""Hypothesis strategies for objects that a structural schema allows."""

import string
from typing import Any

from hypothesis import strategies as st

Schema = dict[str, Any]
TEXT = string.ascii_letters + string.digits + " -_./:$()é"


def objects(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that `schema` allows; quantities are strings, since a model writes them as strings."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "x-kubernetes-int-or-string" in schema:
        return st.sampled_from(["0", "4", "500m", "16Gi", "0.5"])
    if "x-kubernetes-preserve-unknown-fields" in schema:
        return st.just({})
    match schema["type"]:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum", -(2**31)), schema.get("maximum", 2**31))
        case "string":
            return _strings(schema)
        case "array":
            return _lists(schema)
        case _ if "additionalProperties" in schema:
            return st.dictionaries(
                st.text(string.ascii_lowercase, min_size=1, max_size=9),
                objects(schema["additionalProperties"]),
                min_size=schema.get("minProperties", 0),
                max_size=2,
            )
        case _:
            return _with_fields(schema)


def _strings(schema: Schema) -> st.SearchStrategy[str]:
    low, high = schema.get("minLength", 0), schema["maxLength"]
    if "format" in schema:
        return st.datetimes().map(lambda time: time.isoformat(timespec="seconds") + "Z")
    if "pattern" in schema:
        found = st.from_regex(schema["pattern"], fullmatch=True, alphabet=st.sampled_from(TEXT))
        return found.filter(lambda text: low <= len(text) <= high and ".." not in text)
    return st.text(TEXT, min_size=low, max_size=min(high, 12))


def _lists(schema: Schema) -> st.SearchStrategy[list[Any]]:
    keys = schema.get("x-kubernetes-list-map-keys", [])
    return st.lists(
        objects(schema["items"]),
        min_size=schema.get("minItems", 0),
        max_size=2,
        unique_by=(lambda item: tuple(item[key] for key in keys)) if keys else None,
    )


def _with_fields(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: objects(child) for name, child in schema["properties"].items()}
    required = {name: fields.pop(name) for name in schema.get("required", [])}
    return st.fixed_dictionaries(required, optional=fields)
