"""Structural schemas: what of a pydantic model is kept, dropped and refused."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from tandem.api.base import ATOMIC, Model, Quantity, cel, list_map, refused, rules
from tandem.api.schema import SchemaError, structural_schema

NAME = Annotated[str, Field(max_length=9, description="Its name.")]
NOTED = Field(description="Said.")


class Inner(Model):
    """What lies inside."""

    model_config = {"json_schema_extra": rules(cel("has(self.name)", "inner"))}

    name: NAME


class Strict(BaseModel):
    """No other fields."""

    model_config = ConfigDict(extra="forbid")

    name: NAME


def schema_of(annotation: Any, **more: Any) -> dict[str, Any]:
    """Schema of the only field of a model, which has this annotation."""
    model = type("Outer", (Model,), {"__annotations__": {"it": annotation}, "__doc__": "Outer.", **more})
    schema: dict[str, Any] = structural_schema(model, "Outer")["properties"]["it"]
    return schema


def test_a_field_that_may_be_none_is_just_optional() -> None:
    assert schema_of(Annotated[int | None, Field(ge=1, description="Count.")], it=None) == {
        "type": "integer",
        "minimum": 1,
        "description": "Count.",
    }


def test_a_nested_model_stands_inline_with_the_fields_own_description() -> None:
    assert schema_of(Annotated[Inner | None, NOTED], it=None) == {
        "type": "object",
        "description": "Said.",
        "required": ["name"],
        "properties": {"name": {"type": "string", "maxLength": 9, "description": "Its name."}},
        "x-kubernetes-validations": [cel("has(self.name)", "inner")],
    }


def test_a_nested_model_describes_a_field_that_says_nothing() -> None:
    assert schema_of(Inner)["description"] == "What lies inside."


def test_validations_of_a_field_and_of_its_model_both_hold() -> None:
    annotation = Annotated[Inner, Field(description="Said.", json_schema_extra=rules(cel("true", "outer")))]
    assert [rule["message"] for rule in schema_of(annotation)["x-kubernetes-validations"]] == ["inner", "outer"]


def test_a_default_is_not_written() -> None:
    assert "default" not in schema_of(Annotated[int, NOTED], it=3)


def test_an_api_server_prunes_unknown_fields_so_the_schema_does_not_forbid_them() -> None:
    assert "additionalProperties" not in schema_of(Strict)


def test_a_map_keeps_the_schema_of_its_values_and_drops_that_of_its_keys() -> None:
    keys, values = Annotated[str, Field(max_length=5)], Annotated[str, Field(max_length=7)]
    assert schema_of(Annotated[dict[keys, values], Field(max_length=2, description="Labels.")]) == {
        "type": "object",
        "description": "Labels.",
        "maxProperties": 2,
        "additionalProperties": {"type": "string", "maxLength": 7},
    }


def test_a_literal_of_one_word_is_an_enum() -> None:
    assert schema_of(Annotated[Literal["One"], NOTED])["enum"] == ["One"]


def test_items_of_a_list_stand_inline() -> None:
    schema = schema_of(
        Annotated[list[Inner], Field(max_length=3, description="All.", json_schema_extra=list_map("name"))]
    )
    assert schema["items"]["required"] == ["name"]
    assert schema["x-kubernetes-list-map-keys"] == ["name"]


def test_inside_a_template_no_descriptions_are_asked_for() -> None:
    class Pod(Model):
        """A pod."""

        quiet: bool = False

    class Owner(Model):
        """An owner."""

        template: Pod = Pod()

    assert structural_schema(Owner, "Owner")["properties"]["template"]["properties"] == {"quiet": {"type": "boolean"}}


@pytest.mark.parametrize(
    ("json_type", "items", "more"),
    [
        ("boolean", None, {}),
        ("integer", None, {}),
        ("string", None, {"maxLength": 253}),
        ("object", None, {"x-kubernetes-preserve-unknown-fields": True}),
        (
            "array",
            None,
            {
                "maxItems": 64,
                "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                "x-kubernetes-list-type": "atomic",
            },
        ),
        (
            "array",
            {"type": "string", "maxLength": 9},
            {"maxItems": 64, "items": {"type": "string", "maxLength": 9}, "x-kubernetes-list-type": "atomic"},
        ),
    ],
)
def test_a_refused_field_is_declared_with_its_real_type_and_its_message(
    json_type: str, items: dict[str, Any] | None, more: dict[str, Any]
) -> None:
    annotation = Annotated[Any, Field(json_schema_extra=refused(json_type, "false", "no: leave it out", items))]
    assert schema_of(annotation, it=None) == {
        "type": json_type,
        "description": "no: leave it out.",
        "x-kubernetes-validations": [cel("false", "no: leave it out")],
        **more,
    }


UNBOUNDED = Annotated[str, NOTED]


@pytest.mark.parametrize(
    ("annotation", "problem"),
    [
        (UNBOUNDED, "Outer.it: a string needs a bound"),
        (Annotated[list[NAME], Field(description="All.", json_schema_extra=ATOMIC)], "Outer.it: a list needs a bound"),
        (Annotated[list[NAME], Field(description="All.", max_length=2)], "Outer.it: a list needs a way to be merged"),
        (
            Annotated[list[UNBOUNDED], Field(description="All.", max_length=2, json_schema_extra=ATOMIC)],
            "Outer.it[]: a string needs a bound",
        ),
        (Annotated[dict[str, NAME], NOTED], "Outer.it: a map needs a bound"),
        (
            Annotated[dict[str, UNBOUNDED], Field(description="All.", max_length=2)],
            "Outer.it.*: a string needs a bound",
        ),
        (Annotated[dict[str, Any], Field(description="All.", max_length=2)], "Outer.it: an object without fields"),
        (Annotated[Any, NOTED], "Outer.it: a field needs a type"),
        (Annotated[float, NOTED], "Outer.it: a field needs a type"),
        (int, "Outer.it: a field needs a description"),
        (Annotated[int | bool, NOTED], "Outer.it: a union of types"),
        (Annotated[int, Field(gt=1, description="Said.")], "Outer.it: the keyword exclusiveMinimum has no place"),
        (
            Annotated[Quantity, Field(description="Said.", json_schema_extra={"maxLength": 0})],
            "Outer.it: a string needs a bound",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_field_that_would_hurt_later_is_an_error_that_names_it(annotation: Any, problem: str) -> None:
    with pytest.raises(SchemaError) as caught:
        schema_of(annotation)
    assert str(caught.value).startswith(problem)
