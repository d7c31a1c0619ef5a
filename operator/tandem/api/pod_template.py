"""The allow-listed part of a pod template that users may set, and the fields that are refused with the way out.

What is refused is what Pod Security `restricted` refuses, what the operator itself decides (node, restarts, names), and
what would be lost if it were pruned silently. The rest of Kubernetes's PodSpec is absent: nothing depends on it.
"""

from typing import Annotated, Any, Literal

from pydantic import Field

from tandem.api.base import (
    ATOMIC,
    NEVER,
    NOT_TRUE,
    LabelMap,
    Model,
    ObjectName,
    Refused,
    cel,
    list_map,
    refused,
    rules,
)
from tandem.api.constants import MAIN_CONTAINER
from tandem.api.containers import HelperContainer, SecuritySettings, TemplateContainer, UserId
from tandem.api.scheduling import Affinity, Spread, Toleration
from tandem.api.volumes import SecretName, Volumes

TOKEN_NEEDS_ACCOUNT = "a token needs its service account: set serviceAccountName too, or take the token out"
TOKEN_SOURCES = (
    "!has(self.volumes) || !self.volumes.exists(v, has(v.projected)"
    " && v.projected.sources.exists(s, has(s.serviceAccountToken)))"
)


def _refused(json_type: str, rule: str, message: str, **more: Any) -> Any:
    return Field(json_schema_extra=refused(json_type, rule, message, **more))


class PodSecurityContext(SecuritySettings):
    """Security settings of the pod, within Pod Security `restricted`."""

    fs_group: UserId = None
    fs_group_change_policy: Literal["OnRootMismatch", "Always"] | None = None
    supplemental_groups: Annotated[
        list[Annotated[int, Field(ge=0, le=2147483647)]] | None, Field(max_length=16, json_schema_extra=ATOMIC)
    ] = None
    supplemental_groups_policy: Literal["Merge", "Strict"] | None = None
    sysctls: Annotated[
        Refused, _refused("array", NEVER, "sysctls are refused: set them on the nodes, as their admin")
    ] = None


class TemplateSpec(Model):
    """What users may say of the pod beyond the fields of the spec."""

    model_config = {
        "json_schema_extra": rules(
            cel(f"has(self.serviceAccountName) || {TOKEN_SOURCES}", TOKEN_NEEDS_ACCOUNT),
            cel(
                "has(self.serviceAccountName) || !has(self.automountServiceAccountToken)"
                " || !self.automountServiceAccountToken",
                TOKEN_NEEDS_ACCOUNT,
            ),
        )
    }

    containers: Annotated[list[TemplateContainer] | None, Field(max_length=8, json_schema_extra=list_map("name"))] = (
        None
    )
    init_containers: Annotated[
        list[HelperContainer] | None, Field(max_length=8, json_schema_extra=list_map("name"))
    ] = None
    volumes: Volumes = None
    node_selector: LabelMap | None = None
    affinity: Affinity | None = None
    topology_spread_constraints: Spread = None
    tolerations: Annotated[list[Toleration] | None, Field(max_length=16, json_schema_extra=ATOMIC)] = None
    priority_class_name: ObjectName | None = None
    scheduler_name: ObjectName | None = None
    image_pull_secrets: Annotated[list[SecretName] | None, Field(max_length=8, json_schema_extra=list_map("name"))] = (
        None
    )
    service_account_name: ObjectName | None = None
    automount_service_account_token: bool | None = None
    termination_grace_period_seconds: Annotated[int | None, Field(ge=0, le=86400)] = None
    security_context: PodSecurityContext | None = None

    host_network: Annotated[
        Refused,
        _refused("boolean", NOT_TRUE, "hostNetwork is refused: pods reach each other by the headless Service"),
    ] = None
    host_pid: Annotated[
        Refused,
        Field(alias="hostPID", json_schema_extra=refused("boolean", NOT_TRUE, "hostPID is refused: leave it out")),
    ] = None
    host_ipc: Annotated[
        Refused,
        Field(
            alias="hostIPC",
            json_schema_extra=refused("boolean", NOT_TRUE, "hostIPC is refused: /dev/shm is mounted by the operator"),
        ),
    ] = None
    host_users: Annotated[
        Refused,
        _refused(
            "boolean", "self", "hostUsers false is refused: devices and shared claims need real ids", harmless=(True,)
        ),
    ] = None
    host_aliases: Annotated[
        Refused, _refused("array", NEVER, "hostAliases are refused: names come from the cluster's DNS")
    ] = None
    hostname: Annotated[
        Refused, _refused("string", NEVER, "hostname is refused: ranks find each other by the operator's")
    ] = None
    subdomain: Annotated[
        Refused, _refused("string", NEVER, "subdomain is refused: ranks find each other by the operator's")
    ] = None
    hostname_override: Annotated[
        Refused, _refused("string", NEVER, "hostnameOverride is refused: ranks find each other by the operator's")
    ] = None
    set_hostname_as_fqdn: Annotated[
        Refused,
        Field(
            alias="setHostnameAsFQDN",
            json_schema_extra=refused("boolean", NOT_TRUE, "setHostnameAsFQDN is refused: leave it out"),
        ),
    ] = None
    dns_policy: Annotated[
        Refused, _refused("string", NEVER, "dnsPolicy is refused: ranks are found by the cluster's DNS")
    ] = None
    dns_config: Annotated[
        Refused, _refused("object", "false", "dnsConfig is refused: ranks are found by the cluster's DNS")
    ] = None
    share_process_namespace: Annotated[
        Refused, _refused("boolean", NOT_TRUE, "shareProcessNamespace is refused: helpers do not see main's processes")
    ] = None
    node_name: Annotated[
        Refused, _refused("string", NEVER, "nodeName is refused: use nodeSelector, the scheduler binds")
    ] = None
    restart_policy: Annotated[
        Refused, _refused("string", NEVER, "restartPolicy is refused: the operator restarts the gang as a whole")
    ] = None
    active_deadline_seconds: Annotated[
        Refused,
        _refused("integer", "false", "activeDeadlineSeconds of a pod is refused: ranks must not end one by one"),
    ] = None
    ephemeral_containers: Annotated[
        Refused, _refused("array", NEVER, "ephemeralContainers are refused: use `kubectl debug` on the pod")
    ] = None
    service_account: Annotated[Refused, _refused("string", NEVER, "serviceAccount is old: use serviceAccountName")] = (
        None
    )
    priority: Annotated[Refused, _refused("integer", "false", "priority is refused: use priorityClassName")] = None
    preemption_policy: Annotated[
        Refused, _refused("string", NEVER, "preemptionPolicy is refused: it comes from the class in priorityClassName")
    ] = None
    runtime_class_name: Annotated[
        Refused, _refused("string", NEVER, "runtimeClassName is refused: it comes from the AcceleratorProfile")
    ] = None
    scheduling_gates: Annotated[
        Refused, _refused("array", NEVER, "schedulingGates are refused: use spec.suspend to hold a run")
    ] = None
    scheduling_group: Annotated[
        Refused, _refused("object", "false", "schedulingGroup is refused: the operator makes the gang")
    ] = None
    resource_claims: Annotated[
        Refused, _refused("array", NEVER, "resourceClaims are reserved for a later version: set devicesPerPod instead")
    ] = None
    resources: Annotated[
        Refused, _refused("object", "false", "resources of the whole pod are refused: set spec.resources")
    ] = None
    readiness_gates: Annotated[
        Refused, _refused("array", NEVER, "readinessGates are refused: a replica is ready when spec.startup says so")
    ] = None


class PodTemplate(Model):
    """The allow-listed part of a pod template."""

    spec: TemplateSpec | None = None
    metadata: Annotated[
        Refused,
        _refused("object", "false", "template.metadata is refused: labels and annotations of pods are the operator's"),
    ] = None


def spec_of(template: PodTemplate | None) -> TemplateSpec:
    """What the template says of the pod; nothing where there is no template."""
    return (template and template.spec) or TemplateSpec()


def main_of(template: PodTemplate | None) -> TemplateContainer:
    """What the template says of main; nothing where it does not name it."""
    mains = (container for container in spec_of(template).containers or () if container.name == MAIN_CONTAINER)
    return next(mains, TemplateContainer(name=MAIN_CONTAINER))
