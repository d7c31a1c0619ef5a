"""Base of all API models: camelCase outside, snake_case inside, and the pieces from which CRD schemas are made."""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.alias_generators import to_camel


class Model(BaseModel):
    """A frozen API object. Unknown fields are dropped, so an older operator reads objects of a newer CRD."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)


def dump(model: BaseModel) -> dict[str, Any]:
    """The model as the API server stores it: camelCase, absent fields left out."""
    return model.model_dump(by_alias=True, exclude_none=True, mode="json")


def cel(rule: str, message: str) -> dict[str, str]:
    """One CEL validation. The message is static and says the way out."""
    return {"rule": rule, "message": message}


def rules(*validations: dict[str, str]) -> dict[str, Any]:
    """`json_schema_extra` of a model or a field that carries CEL validations."""
    return {"x-kubernetes-validations": list(validations)}


def list_map(*keys: str) -> dict[str, Any]:
    """A list whose items are merged by key in server-side apply."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}
"""A list that is replaced as a whole in server-side apply."""


NOTHING: tuple[Any, ...] = (False, "", [])


@dataclass(frozen=True)
class Refusal:
    """`json_schema_extra` of a field that is declared only to be refused.

    A field missing from the schema is pruned without a word on every path but kubectl's strict one. The type must be
    the real one: after a wrong type an API server leaves out the rule, and with it the message.
    """

    json_type: str
    rule: str
    message: str
    items: dict[str, Any] | None = None
    """Schema of a list's items; default: objects."""
    harmless: tuple[Any, ...] = NOTHING
    """Values that mean the same as leaving the field out."""

    def __call__(self, schema: dict[str, Any]) -> None:
        """Replace the schema that pydantic made of the field."""
        description = schema.get("description") or f"{self.message}."
        schema.clear()
        schema.update(type=self.json_type, description=description, **rules(cel(self.rule, self.message)))
        if self.json_type == "string":
            schema["maxLength"] = 253
        if self.json_type == "array":
            schema.update({"maxItems": 64, "items": self.items or ANY_OBJECT, **ATOMIC})
        if self.json_type == "object":
            schema["x-kubernetes-preserve-unknown-fields"] = True

    def refuses(self, value: Any) -> bool:
        """What the rule says, in code: objects also come from servers with an older or weaker schema."""
        return value is not None and value not in self.harmless


def refused(
    json_type: str,
    rule: str,
    message: str,
    items: dict[str, Any] | None = None,
    harmless: tuple[Any, ...] = NOTHING,
) -> Refusal:
    """A refusal of values for which `rule` is false; the message says the way out."""
    return Refusal(json_type, rule, message, items, harmless)


Refused = Annotated[Any, Field(default=None)]
"""Type of a field with a Refusal: any value is read, so that the refusal can be told."""

NOT_TRUE = "!self"
NEVER = "self.size() == 0"


def refused_field(model: BaseModel, path: str) -> str | None:
    """The first refused field below `path` that is set, with the way out; None where there is none."""
    for name, info in type(model).model_fields.items():
        value = getattr(model, name, None)
        where = f"{path}.{info.alias or name}"
        if isinstance(info.json_schema_extra, Refusal):
            if info.json_schema_extra.refuses(value):
                return f"{where}: {info.json_schema_extra.message}"
            continue
        for key, item in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(item, BaseModel):
                below = where if key is None else f"{where}[{getattr(item, 'name', key)}]"
                found = refused_field(item, below)
                if found is not None:
                    return found
    return None


def said(model: BaseModel) -> dict[str, Any]:
    """What users said in the model, in camelCase: as `dump`, without the fields that are only there to be refused."""
    return {
        info.alias or name: _plain(value)
        for name, info in type(model).model_fields.items()
        if (value := getattr(model, name, None)) is not None and not isinstance(info.json_schema_extra, Refusal)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return said(value)
    return [_plain(item) for item in value] if isinstance(value, list) else value


ANY_OBJECT: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}

DNS_LABEL = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
DNS_SUBDOMAIN = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
ShortText = Annotated[str, Field(max_length=1024)]
Message = Annotated[str, Field(max_length=256)]
ImageName = Annotated[str, Field(min_length=1, max_length=512)]
Timestamp = Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})]
Quantity = Annotated[
    str,
    BeforeValidator(str),
    Field(max_length=32),
    WithJsonSchema({"x-kubernetes-int-or-string": True, "minimum": 0, "maxLength": 32, "pattern": QUANTITY_PATTERN}),
]
LabelMap = Annotated[
    dict[Annotated[str, Field(max_length=317)], Annotated[str, Field(max_length=63)]], Field(max_length=16)
]


def _inside(path: str) -> str:
    # The same rule as the CEL one: paths also reach us from programs, past the API server's check.
    if ".." in path.split("/"):
        raise ValueError("the path must stay inside the claim: take out '..'")
    return path


RelativePath = Annotated[
    str,
    Field(
        min_length=1,
        max_length=256,
        pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$",
        json_schema_extra=rules(
            cel("!self.split('/').exists(p, p == '..')", "the path must stay inside the claim: take out '..'")
        ),
    ),
    AfterValidator(_inside),  # behind Field: in front of it, its bounds would not reach the schema
]
