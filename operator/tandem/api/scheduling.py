"""Where pods may run, in Kubernetes's own words. The placer does not model affinity: the scheduler has the last word."""

from typing import Annotated, Literal

from pydantic import Field

from tandem.api.base import ATOMIC, LabelMap, Model, Refused, list_map, refused

LabelKey = Annotated[str, Field(min_length=1, max_length=317)]
Values = Annotated[list[Annotated[str, Field(max_length=63)]] | None, Field(max_length=32, json_schema_extra=ATOMIC)]
Weight = Annotated[int, Field(ge=1, le=100)]
OWN_NAMESPACE = "affinity looks at pods of the run's or service's own namespace only: leave namespaces out"


class Toleration(Model):
    """A taint that the pods accept."""

    key: Annotated[str | None, Field(max_length=317, description="Key of the taint. Default: every key.")] = None
    operator: Annotated[
        Literal["Exists", "Equal"] | None,
        Field(description="Exists accepts every value, Equal the one in `value`. Default: Equal."),
    ] = None
    value: Annotated[str | None, Field(max_length=63, description="Value of the taint. Default: empty.")] = None
    effect: Annotated[
        Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None,
        Field(description="Effect of the taint. Default: every effect."),
    ] = None
    toleration_seconds: Annotated[
        int | None,
        Field(ge=0, le=2147483647, description="Seconds a NoExecute taint is borne. Default: for ever."),
    ] = None


class NodeRequirement(Model):
    """A condition on a node's label or field."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: Values = None


Requirements = Annotated[list[NodeRequirement] | None, Field(max_length=16, json_schema_extra=ATOMIC)]


class NodeTerm(Model):
    """Conditions that must all hold; an empty term selects no node."""

    match_expressions: Requirements = None
    match_fields: Requirements = None


class NodeTerms(Model):
    """Terms of which one must hold."""

    node_selector_terms: Annotated[list[NodeTerm], Field(min_length=1, max_length=8, json_schema_extra=ATOMIC)]


class PreferredNodes(Model):
    """Nodes that are taken rather than others."""

    weight: Weight
    preference: NodeTerm


class NodeAffinity(Model):
    """Nodes that pods need or prefer."""

    required: Annotated[NodeTerms | None, Field(alias="requiredDuringSchedulingIgnoredDuringExecution")] = None
    preferred: Annotated[
        list[PreferredNodes] | None,
        Field(alias="preferredDuringSchedulingIgnoredDuringExecution", max_length=16, json_schema_extra=ATOMIC),
    ] = None


class LabelRequirement(Model):
    """A condition on a pod's label."""

    key: LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Values = None


class PodSelector(Model):
    """Pods by their labels."""

    match_labels: LabelMap | None = None
    match_expressions: Annotated[list[LabelRequirement] | None, Field(max_length=16, json_schema_extra=ATOMIC)] = None


LabelKeys = Annotated[list[LabelKey] | None, Field(max_length=8, json_schema_extra=ATOMIC)]


class PodTerm(Model):
    """Pods to be near to, or far from."""

    label_selector: PodSelector | None = None
    topology_key: LabelKey
    match_label_keys: LabelKeys = None
    mismatch_label_keys: LabelKeys = None
    namespaces: Annotated[
        Refused,
        Field(
            json_schema_extra=refused(
                "array", "self.size() == 0", OWN_NAMESPACE, items={"type": "string", "maxLength": 63}
            )
        ),
    ] = None
    namespace_selector: Annotated[Refused, Field(json_schema_extra=refused("object", "false", OWN_NAMESPACE))] = None


class PreferredPods(Model):
    """Pods that are rather near to, or far from."""

    weight: Weight
    pod_affinity_term: PodTerm


class PodAffinity(Model):
    """Pods that must or should be near; in podAntiAffinity, far."""

    required: Annotated[
        list[PodTerm] | None,
        Field(alias="requiredDuringSchedulingIgnoredDuringExecution", max_length=8, json_schema_extra=ATOMIC),
    ] = None
    preferred: Annotated[
        list[PreferredPods] | None,
        Field(alias="preferredDuringSchedulingIgnoredDuringExecution", max_length=8, json_schema_extra=ATOMIC),
    ] = None


class Affinity(Model):
    """Nodes and pods to be near to, or far from."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None


class SpreadConstraint(Model):
    """How evenly pods are spread over a topology."""

    max_skew: Annotated[int, Field(ge=1, le=5000)]
    topology_key: LabelKey
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    label_selector: PodSelector | None = None
    match_label_keys: LabelKeys = None
    min_domains: Annotated[int | None, Field(ge=1, le=5000)] = None
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    node_taints_policy: Literal["Honor", "Ignore"] | None = None


Spread = Annotated[
    list[SpreadConstraint] | None,
    Field(max_length=8, json_schema_extra=list_map("topologyKey", "whenUnsatisfiable")),
]
