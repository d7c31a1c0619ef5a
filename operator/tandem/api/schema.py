"""Structural schemas, as a CustomResourceDefinition wants them, from pydantic models.

An API server refuses or silently weakens what pydantic writes: references, `anyOf` with null, titles and defaults. Here
all of it is inlined or dropped, and what would hurt later (a field that nobody can understand, a string or list without
a bound, whose CEL rules then cost too much) is an error now, with its path.
"""

from typing import Any

from pydantic import BaseModel

Schema = dict[str, Any]

VALIDATIONS = "x-kubernetes-validations"
UNDESCRIBED = frozenset({"template"})
"""Fields whose inner fields are Kubernetes's own and need no description: one on the root says what is allowed."""

DROPPED = frozenset({"$defs", "$ref", "anyOf", "const", "default", "propertyNames", "title"})
KEPT = frozenset(
    {
        "additionalProperties",
        "description",
        "enum",
        "format",
        "items",
        "maximum",
        "maxItems",
        "maxLength",
        "maxProperties",
        "minimum",
        "minItems",
        "minLength",
        "minProperties",
        "pattern",
        "properties",
        "required",
        "type",
        VALIDATIONS,
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-preserve-unknown-fields",
    }
)
"""Keywords that a structural schema may hold and that mean there what they mean here."""


class SchemaError(ValueError):
    """A model cannot become a schema; the message names the path and the mend."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")


def structural_schema(model: type[BaseModel], path: str) -> Schema:
    """The model as a structural schema without defaults. `path` stands first in errors. Raises SchemaError."""
    raw = model.model_json_schema(by_alias=True)
    schema = _inlined(raw, raw.get("$defs", {}), path)
    _check(schema, path, described=True)
    return schema


def _inlined(node: Schema, definitions: Schema, path: str) -> Schema:
    """`node` with references and optional types resolved, and keywords of no use to an API server dropped."""
    flat = _flattened(node, definitions, path)
    unknown = sorted(flat.keys() - KEPT - DROPPED)
    if unknown:
        raise SchemaError(path, f"the keyword {unknown[0]} has no place in a structural schema: change the type")
    schema = {keyword: flat[keyword] for keyword in flat if keyword in KEPT}
    if "const" in flat:
        schema["enum"] = [flat["const"]]
    if "properties" in schema:
        schema["properties"] = {
            name: _inlined(child, definitions, f"{path}.{name}") for name, child in schema["properties"].items()
        }
    if "items" in schema:
        schema["items"] = _inlined(schema["items"], definitions, f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = _inlined(schema["additionalProperties"], definitions, f"{path}.*")
    elif "additionalProperties" in schema:
        # False would need every field declared, and pruning then never happens; True is not structural.
        del schema["additionalProperties"]
    return schema


def _flattened(node: Schema, definitions: Schema, path: str) -> Schema:
    """`node` merged with what it refers to. The node's own words win, but validations of both hold."""
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
    elif "anyOf" in node:
        branches = [branch for branch in node["anyOf"] if branch.get("type") != "null"]
        if len(branches) != 1:
            raise SchemaError(path, "a union of types has no structural schema: use one type, or null")
        target = branches[0]
    else:
        return node
    target = _flattened(target, definitions, path)
    merged = target | node
    if VALIDATIONS in target and VALIDATIONS in node:
        merged[VALIDATIONS] = target[VALIDATIONS] + node[VALIDATIONS]
    return merged


def _check(node: Schema, path: str, *, described: bool) -> None:
    """Raises SchemaError for what is unbounded, unmergeable or, where `described`, unexplained."""
    if node.get("type") == "array":
        _require(node, path, "maxItems", "a list needs a bound: set max_length")
        _require(node, path, "x-kubernetes-list-type", "a list needs a way to be merged: use list_map() or ATOMIC")
        _check(node["items"], f"{path}[]", described=described)
    elif "additionalProperties" in node:
        _require(node, path, "maxProperties", "a map needs a bound: set max_length")
        _check(node["additionalProperties"], f"{path}.*", described=described)
    elif "properties" in node:
        for name, child in node["properties"].items():
            if described:
                _require(child, f"{path}.{name}", "description", "a field needs a description: it is the manual")
            _check(child, f"{path}.{name}", described=described and name not in UNDESCRIBED)
    elif node.get("type") == "object":
        _require(node, path, "x-kubernetes-preserve-unknown-fields", "an object without fields keeps nothing: add some")
    elif node.get("type") == "string" or "x-kubernetes-int-or-string" in node:
        if "enum" not in node:
            _require(node, path, "maxLength", "a string needs a bound: set max_length")
    elif node.get("type") not in {"boolean", "integer"}:
        raise SchemaError(
            path, "a field needs a type that an API server knows: boolean, integer, string, list or object"
        )


def _require(node: Schema, path: str, keyword: str, problem: str) -> None:
    if not node.get(keyword):
        raise SchemaError(path, problem)
