"""Namespaces that are meant, by their labels."""

from typing import Annotated, Literal

from pydantic import Field

from tandem.api.base import ATOMIC, LabelMap, Model, cel, rules

VALUES_OF_OPERATOR = cel(
    "self.operator in ['In', 'NotIn'] ? (has(self.values) && self.values.size() > 0) : !has(self.values)",
    "In and NotIn need values; Exists and DoesNotExist take none",
)


class LabelRequirement(Model):
    """A condition on a namespace's label."""

    key: Annotated[str, Field(min_length=1, max_length=317, description="Key of the label.")]
    operator: Annotated[
        Literal["In", "NotIn", "Exists", "DoesNotExist"],
        Field(description="In, NotIn: the value is, or is not, one of `values`; NotIn holds without the label, too."),
    ]
    values: Annotated[
        list[Annotated[str, Field(max_length=63)]] | None,
        Field(max_length=32, description="For In and NotIn. Default: none.", json_schema_extra=ATOMIC),
    ] = None

    model_config = {"json_schema_extra": rules(VALUES_OF_OPERATOR)}


class NamespaceSelector(Model):
    """Namespaces whose labels meet all that is said."""

    match_labels: Annotated[
        LabelMap | None,
        Field(description="Labels that the namespace carries; kubernetes.io/metadata.name is its name. Default: any."),
    ] = None
    match_expressions: Annotated[
        list[LabelRequirement] | None,
        Field(max_length=16, description="Conditions that all hold. Default: none.", json_schema_extra=ATOMIC),
    ] = None
