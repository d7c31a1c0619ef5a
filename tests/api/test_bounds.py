"""The bounds of fields: the last value that is taken, the first that is refused, and the server's words."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.server import KINDS, WORK, Refusal, Server, smallest

pytestmark = pytest.mark.cluster

RUN, SERVICE, PROFILE = ("TrainingRun",), ("InferenceService",), ("AcceleratorProfile",)
POLICY = ("PlacementPolicy",)
EVERY = (*WORK, *PROFILE)


@dataclass(frozen=True)
class Bound:
    """`field` is a path below spec, `[0]` in it is the first item of a list; the values stand there."""

    kinds: tuple[str, ...]
    field: str
    taken: Any
    refused: Any
    message: str
    at: str = ""
    """Where below `field` the refusal points, e.g. a key."""


def changes(field: str, value: Any) -> dict[str, Any]:
    """The change to a smallest spec that puts `value` at `field`, with what stands around it."""
    head, _, rest = field.partition(".")
    name = head.removesuffix("[0]")
    inner = (NEEDED.get(name, {}) | changes(rest, value)) if rest else value
    placed = {name: [inner] if head.endswith("[0]") else inner}
    return {"accelerator": None, **placed} if name in ("variants", "acceleratorSelector") else placed


NEEDED = {
    "variants": {"name": "a", "accelerator": "x", "image": "i", "devicesPerPod": 1},
    "env": {"name": "A"},
    "containers": {"name": "main"},
    "volumeMounts": {"name": "v", "mountPath": "/v"},
    "volumes": {"name": "v"},
    "initContainers": {"name": "h", "image": "i"},
    "topologySpreadConstraints": {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"},
    "csi": {"driver": "example.com"},
    "configMap": {"name": "c"},
    "claim": {"name": "c"},
    "allocation": {"type": "ExtendedResource"},
    "forbid": {"accelerator": "x"},
    "caps": {"accelerator": "x", "devices": 1},
    "shares": {"accelerator": "x", "percent": 1},
    "matchExpressions": {"key": "k", "operator": "Exists"},
}
"""Required fields around a tested one."""


def least(bound: int) -> str:
    return f"should be greater than or equal to {bound}"


def most(bound: int) -> str:
    return f"should be less than or equal to {bound}"


def too_many(bound: int) -> str:
    return f"Too many: {bound + 1}: must have at most {bound} items"


def too_long(bound: int) -> str:
    return f"Too long: may not be more than {bound} bytes"


def mapping(size: int, value: str = "1") -> dict[str, str]:
    return {f"k{number}": value for number in range(size)}


def named(size: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": f"n{number}", **fields} for number in range(size)]


def labels(size: int) -> list[str]:
    return [f"n{number}" for number in range(size)]


def mounts(size: int) -> list[dict[str, str]]:
    return [{"name": "v", "mountPath": f"/{number}"} for number in range(size)]


VARIANT = {"accelerator": "x", "image": "i", "devicesPerPod": 1}
LABEL = r"should match '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'"
SUBDOMAIN = r"should match '^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$'"
QUANTITY = r"should match '^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$'"
SUB_PATH = r"should match '^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$'"
EMPTY: dict[str, Any] = {"emptyDir": {}}
SECOND = "[1]"
POD = "template.spec"
MAIN = "template.spec.containers[0]"
HELPER = "template.spec.initContainers[0]"
NODES = f"{POD}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
NEAR = f"{POD}.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution"
ZONE = {"topologyKey": "zone"}
SPREAD = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
TOKENS = [{"configMap": {"name": "c"}}]
CLAIM = ".volumeClaimTemplate.spec"
GROWING = {"key": "k", "operator": "Gt"}
ALIKE = {"key": "k", "operator": "Like"}
CHOICE = {"accelerator": "x"}


def pulled(policy: str) -> dict[str, str]:
    return {"reference": "i", "pullPolicy": policy}


def storage(mode: str = "ReadWriteOncePod", size: str = "1Gi") -> dict[str, Any]:
    return {"volumeClaimTemplate": {"spec": {"accessModes": [mode], "resources": {"requests": {"storage": size}}}}}


BOUNDS = [
    Bound(RUN, "pods", 1, 0, least(1)),
    Bound(RUN, "pods", 5000, 5001, most(5000)),
    Bound(RUN, "variants[0].pods", 1, 0, least(1)),
    Bound(RUN, "launcher", "Plain", "Horovod", 'Unsupported value: "Horovod": supported values: "Torchrun", "Plain"'),
    Bound(RUN, "suspend", True, "yes", 'must be of type boolean: "string"'),
    Bound(RUN, "activeDeadlineSeconds", 1, 0, least(1)),
    Bound(RUN, "activeDeadlineSeconds", 315_360_000, 315_360_001, most(315_360_000)),
    Bound(RUN, "placement", {}, "soon", 'must be of type object: "string"'),
    Bound(RUN, "placement.waitSeconds", 0, -1, least(0)),
    Bound(RUN, "placement.waitSeconds", 86_400, 86_401, most(86_400)),
    Bound(RUN, "placement.bindSeconds", 1, 0, least(1)),
    Bound(RUN, "placement.bindSeconds", 3600, 3601, most(3600)),
    Bound(RUN, "cleanup", {}, "soon", 'must be of type object: "string"'),
    Bound(RUN, "cleanup.podsAfterSeconds", 0, -1, least(0)),
    Bound(RUN, "cleanup.podsAfterSeconds", 315_360_000, 315_360_001, most(315_360_000)),
    Bound(RUN, "checkpoint", {"claim": {"name": "c"}}, {}, "Required value", ".claim"),
    Bound(RUN, "checkpoint.claim.path", "a/b", "/a", SUB_PATH),
    Bound(RUN, "checkpoint.claim.path", "a" * 256, "a" * 257, too_long(256)),
    Bound(RUN, "checkpoint.claim.name", "c-1", "C", SUBDOMAIN),
    Bound(WORK, "placement.order", "AsListed", "Random", 'Unsupported value: "Random": supported values: "Policy", "AsListed"'),
    Bound(SERVICE, "replicas", 0, -1, least(0)),
    Bound(SERVICE, "replicas", 1000, 1001, most(1000)),
    Bound(SERVICE, "port", 1, 0, least(1)),
    Bound(SERVICE, "port", 65535, 65536, most(65535)),
    Bound(SERVICE, "variants[0].minReplicas", 0, -1, least(0)),
    Bound(SERVICE, "variants[0].maxReplicas", 1000, 1001, most(1000)),
    Bound(SERVICE, "startup.timeoutSeconds", 10, 9, least(10)),
    Bound(SERVICE, "startup.timeoutSeconds", 86400, 86401, most(86400)),
    Bound(SERVICE, "startup.path", "/health", "health", "should match '^/[A-Za-z0-9_./~-]*$'"),
    Bound(SERVICE, "drain.seconds", 0, -1, least(0)),
    Bound(SERVICE, "drain.seconds", 3600, 3601, most(3600)),
    Bound(SERVICE, "model.uri", "u" * 1024, "u" * 1025, too_long(1024)),
    Bound(SERVICE, "model.uri", "Org/Name-7B.v1", "", "should be at least 1 chars long"),
    Bound(SERVICE, "model.uri", "gs://b/m", "--trust-remote-code", "should match"),
    Bound(SERVICE, "model.uri", "az://c/m", "$(SECRET)", "should match"),
    Bound(SERVICE, "variants[0].model.uri", "s3://b/m", "s3://b/m m", "should match"),
    Bound(WORK, "devicesPerPod", 1, 0, least(1)),
    Bound(WORK, "devicesPerPod", 64, 65, most(64)),
    Bound(WORK, "devicesPerPod", 1, "1", 'must be of type integer: "string"'),
    Bound(WORK, "accelerator", "a.b-1", "A", SUBDOMAIN),
    Bound(WORK, "accelerator", "a" * 253, "a" * 254, too_long(253)),
    Bound(WORK, "acceleratorSelector.matchLabels", mapping(1), {}, "should have at least 1 properties"),
    Bound(WORK, "acceleratorSelector.matchLabels", mapping(16), mapping(17), too_many(16)),
    Bound(WORK, "acceleratorSelector.matchLabels", {"a": "b" * 63}, {"a": "b" * 64}, too_long(63), ".a"),
    Bound(WORK, "image", "i", "", "should be at least 1 chars long"),
    Bound(WORK, "image", "i" * 512, "i" * 513, too_long(512)),
    Bound(WORK, "command", ["x"] * 128, ["x"] * 129, too_many(128)),
    Bound(WORK, "args", ["x"] * 128, ["x"] * 129, too_many(128)),
    Bound(WORK, "args[0]", "x" * 4096, "x" * 4097, too_long(4096)),
    Bound(WORK, "env", named(128), named(129), too_many(128)),
    Bound(WORK, "env", named(2), [*named(1), *named(1)], 'Duplicate value: {"name":"n0"}', SECOND),
    Bound(EVERY, "env[0].name", "A.b-c_1", "1A", "should match '^[A-Za-z_][A-Za-z0-9_.-]*$'"),
    Bound(EVERY, "env[0].value", "x" * 4096, "x" * 4097, too_long(4096)),
    Bound(EVERY, "env[0].valueFrom.configMapKeyRef", {"name": "c", "key": "k"}, {"name": "c"}, "Required value", ".key"),
    Bound(WORK, "resources.requests", mapping(8), mapping(9), too_many(8)),
    Bound(WORK, "resources.limits", mapping(8), mapping(9), too_many(8)),
    Bound(WORK, "resources.requests", {"cpu": 4}, {"cpu": -1}, least(0), ".cpu"),
    Bound(WORK, "resources.requests", {"cpu": "500m"}, {"cpu": "half"}, QUANTITY, ".cpu"),
    Bound(WORK, "resources.requests", {"cpu": "0.5"}, {"cpu": 0.5}, 'must be of type integer,string: "number"', ".cpu"),
    Bound(WORK, "resources.limits", {"memory": "1Gi"}, {"memory": "1GiB"}, QUANTITY, ".memory"),
    Bound(WORK, "variants", named(8, **VARIANT), named(9, **VARIANT), too_many(8)),
    Bound(WORK, "variants", named(1, **VARIANT), [], "should have at least 1 items"),
    Bound(WORK, "variants", named(2, **VARIANT), named(1, **VARIANT) * 2, 'Duplicate value: {"name":"n0"}', SECOND),
    Bound(WORK, "variants[0].name", "a-2345678901", "a-23456789012", too_long(12)),
    Bound(WORK, "variants[0].name", "gpu", "GPU", LABEL),
    Bound(WORK, "variants[0].devicesPerPod", 64, 65, most(64)),
    Bound(WORK, f"{POD}.volumes", named(32, **EMPTY), named(33, **EMPTY), too_many(32)),
    Bound(WORK, f"{POD}.volumes", [{"name": "v", **EMPTY}], [{"name": "V", **EMPTY}], LABEL, "[0].name"),
    Bound(WORK, f"{POD}.volumes[0].emptyDir.medium", "Memory", "Disk", 'Unsupported value: "Disk"'),
    Bound(WORK, f"{POD}.volumes[0].emptyDir.sizeLimit", "8Gi", "all", QUANTITY),
    Bound(WORK, f"{POD}.volumes[0].configMap.defaultMode", 511, 512, most(511)),
    Bound(WORK, f"{POD}.tolerations", [{}] * 16, [{}] * 17, too_many(16)),
    Bound(WORK, f"{POD}.tolerations[0].operator", "Exists", "Any", 'Unsupported value: "Any"'),
    Bound(WORK, f"{POD}.nodeSelector", mapping(16), mapping(17), too_many(16)),
    Bound(WORK, f"{POD}.securityContext.fsGroup", 0, -1, least(0)),
    Bound(WORK, f"{MAIN}.volumeMounts", mounts(32), mounts(33), too_many(32)),
    Bound(WORK, f"{MAIN}.volumeMounts", mounts(2), mounts(1) * 2, 'Duplicate value: {"mountPath":"/0"}', SECOND),
    Bound(WORK, f"{MAIN}.volumeMounts[0].mountPath", "/data", "data", "should match '^/[^:]*$'"),
    Bound(WORK, f"{MAIN}.securityContext.runAsUser", 0, -1, least(0)),
    Bound(WORK, f"{MAIN}.volumeMounts[0].mountPath", "/" + "d" * 511, "/" + "d" * 512, too_long(512)),
    Bound(WORK, f"{MAIN}.volumeMounts[0].mountPath", "/a;b", "/a:b", "should match '^/[^:]*$'"),
    Bound(WORK, f"{MAIN}.volumeMounts[0].subPath", "d" * 256, "d" * 257, too_long(256)),
    Bound(WORK, f"{MAIN}.env", named(128), named(129), too_many(128)),
    Bound(WORK, f"{MAIN}.args", ["x"] * 128, ["x"] * 129, too_many(128)),
    Bound(WORK, f"{MAIN}.imagePullPolicy", "Always", "Sometimes", 'Unsupported value: "Sometimes"'),
    Bound(WORK, f"{POD}.initContainers", named(8, image="i"), named(9, image="i"), too_many(8)),
    Bound(WORK, f"{POD}.initContainers", named(1, image="i"), named(1), "Required value", "[0].image"),
    Bound(WORK, f"{POD}.initContainers", named(2, image="i"), named(1, image="i") * 2, 'Duplicate value: {"name":"n0"}', SECOND),
    Bound(WORK, f"{HELPER}.name", "h", "H", LABEL),
    Bound(WORK, f"{HELPER}.resources.limits", mapping(8), mapping(9), too_many(8)),
    Bound(WORK, f"{HELPER}.securityContext.runAsUser", 0, -1, least(0)),
    Bound(WORK, "shmSize", "8Gi", "much", QUANTITY),
    Bound(WORK, "variants[0].shmSize", 1024, -1, least(0)),
    Bound(WORK, f"{POD}.terminationGracePeriodSeconds", 86400, 86401, most(86400)),
    Bound(WORK, f"{POD}.terminationGracePeriodSeconds", 0, -1, least(0)),
    Bound(WORK, f"{POD}.serviceAccountName", "trainer", "Trainer", SUBDOMAIN),
    Bound(WORK, f"{POD}.priorityClassName", "high", "High", SUBDOMAIN),
    Bound(WORK, f"{POD}.schedulerName", "volcano", "", "should be at least 1 chars long"),
    Bound(WORK, f"{POD}.imagePullSecrets", named(8), named(9), too_many(8)),
    Bound(WORK, f"{POD}.imagePullSecrets", named(2), named(1) * 2, 'Duplicate value: {"name":"n0"}', SECOND),
    Bound(WORK, f"{POD}.securityContext.fsGroupChangePolicy", "Always", "Never", 'Unsupported value: "Never"'),
    Bound(WORK, f"{POD}.securityContext.supplementalGroupsPolicy", "Strict", "None", 'Unsupported value: "None"'),
    Bound(WORK, f"{POD}.securityContext.supplementalGroups", [1] * 16, [1] * 17, too_many(16)),
    Bound(WORK, NODES, [{}] * 8, [{}] * 9, too_many(8)),
    Bound(WORK, NODES, [{}], [], "should have at least 1 items"),
    Bound(WORK, f"{NODES}[0].matchExpressions", [GROWING], [ALIKE], 'Unsupported value: "Like"', "[0].operator"),
    Bound(WORK, NEAR, [ZONE] * 8, [ZONE] * 9, too_many(8)),
    Bound(WORK, NEAR, [ZONE], [{}], "Required value", "[0].topologyKey"),
    Bound(WORK, f"{POD}.topologySpreadConstraints[0].maxSkew", 1, 0, least(1)),
    Bound(WORK, f"{POD}.topologySpreadConstraints[0].minDomains", 1, 0, least(1)),
    Bound(WORK, f"{POD}.topologySpreadConstraints", [SPREAD], [SPREAD] * 2, "Duplicate value", SECOND),
    Bound(WORK, f"{POD}.volumes[0].projected.sources", TOKENS * 8, TOKENS * 9, too_many(8)),
    Bound(WORK, f"{POD}.volumes[0].projected.sources", TOKENS, [], "should have at least 1 items"),
    Bound(WORK, f"{POD}.volumes[0].csi.driver", "example.com", "", "should be at least 1 chars long"),
    Bound(WORK, f"{POD}.volumes[0].csi.volumeAttributes", mapping(32), mapping(33), too_many(32)),
    Bound(WORK, f"{POD}.volumes[0].ephemeral", storage(), storage("Once"), 'Unsupported value: "Once"', f"{CLAIM}.accessModes[0]"),
    Bound(WORK, f"{POD}.volumes[0].ephemeral", storage(), storage(size="lots"), QUANTITY, f"{CLAIM}.resources.requests.storage"),
    Bound(WORK, f"{POD}.volumes[0].image", pulled("Never"), pulled("Maybe"), 'Unsupported value: "Maybe"', ".pullPolicy"),
    Bound(POLICY, "priority", -1000, -1001, least(-1000)),
    Bound(POLICY, "priority", 1000, 1001, most(1000)),
    Bound(POLICY, "kinds", ["TrainingRun", "InferenceService"], [], "should have at least 1 items"),
    Bound(POLICY, "kinds", ["TrainingRun"], ["TrainingRun"] * 2, 'Duplicate value: "TrainingRun"', SECOND),
    Bound(POLICY, "kinds", ["InferenceService"], ["Job"], 'Unsupported value: "Job"', "[0]"),
    Bound(POLICY, "forbid", [CHOICE] * 16, [CHOICE] * 17, too_many(16)),
    Bound(POLICY, "forbid", [CHOICE], [], "should have at least 1 items"),
    Bound(POLICY, "forbid[0].accelerator", "a-1", "A", SUBDOMAIN),
    Bound(POLICY, "caps[0].devices", 0, -1, least(0)),
    Bound(POLICY, "caps[0].devices", 1_000_000, 1_000_001, most(1_000_000)),
    Bound(POLICY, "shares[0].percent", 1, 0, least(1)),
    Bound(POLICY, "shares", [{**CHOICE, "percent": 12}] * 8, [{**CHOICE, "percent": 1}] * 9, too_many(8)),
    Bound(POLICY, "namespaceSelector.matchLabels", mapping(16), mapping(17), too_many(16)),
    Bound(POLICY, "namespaceSelector.matchExpressions[0].key", "k" * 317, "", "should be at least 1 chars long"),
    Bound(PROFILE, "voidEnv", named(32), named(33), too_many(32)),
    Bound(PROFILE, "nodeSelector", mapping(1), {}, "should have at least 1 properties"),
    Bound(PROFILE, "nodeSelector", mapping(16), mapping(17), too_many(16)),
    Bound(PROFILE, "architecture", "arm64", "s390x", 'Unsupported value: "s390x": supported values: "amd64", "arm64"'),
    Bound(PROFILE, "allocation.extendedResource.name", "example.com/gpu", "gpu", "should match"),
    Bound(PROFILE, "counts.perPod", [1, 64], [65], most(64), "[0]"),
    Bound(PROFILE, "counts.perPod", [1], [], "should have at least 1 items"),
    Bound(PROFILE, "counts.distributed", [8], [0], least(1), "[0]"),
    Bound(PROFILE, "ranksPerDevice", 16, 17, most(16)),
    Bound(PROFILE, "perDevice.memory", "64Gi", "64 Gi", QUANTITY),
    Bound(PROFILE, "perDevice.shm", 1024, -1, least(0)),
    Bound(PROFILE, "tolerations", [{}] * 16, [{}] * 17, too_many(16)),
    Bound(PROFILE, "env", named(64), named(65), too_many(64)),
    Bound(PROFILE, "forbidEnv", ["A"] * 32, ["A"] * 33, too_many(32)),
    Bound(PROFILE, "runtimeClassName", "nvidia", "NVIDIA", SUBDOMAIN),
    Bound(PROFILE, "allowedNamespaces.names", ["team"], [], "should have at least 1 items"),
    Bound(PROFILE, "allowedNamespaces.names", labels(256), labels(257), too_many(256)),
    Bound(PROFILE, "allowedNamespaces.names", ["a" * 63], ["a" * 64], too_long(63), "[0]"),
    Bound(PROFILE, "allowedNamespaces.names", ["team-1"], ["team.1"], "should match", "[0]"),
    Bound(PROFILE, "allowedNamespaces.names", ["a", "b"], ["a", "a"], "Duplicate value", SECOND),
    Bound(PROFILE, "health.nodeConditions", [{"type": "A"}] * 16, [{"type": "A"}] * 17, too_many(16)),
    Bound(PROFILE, "health.nodeConditions", [{"type": "A"}], [], "should have at least 1 items"),
    Bound(PROFILE, "health.nodeConditions", [{"type": "A" * 316}], [{"type": "A" * 317}], too_long(316), "[0].type"),
    Bound(PROFILE, "revision", "r" * 63, "r" * 64, too_long(63)),
]  # fmt: skip

each_bound = pytest.mark.parametrize(
    ("bound", "kind"),
    [
        pytest.param(bound, kind, id=f"{kind}-{bound.field}-{number}")
        for number, bound in enumerate(BOUNDS)
        for kind in bound.kinds
    ],
)


@each_bound
def test_a_value_within_the_bound_is_taken(server: Server, bound: Bound, kind: str) -> None:
    assert server.refusals(smallest(kind, **changes(bound.field, bound.taken))) == []


@each_bound
def test_a_value_beyond_the_bound_is_refused_by_name(server: Server, bound: Bound, kind: str) -> None:
    refusals = server.refusals(smallest(kind, **changes(bound.field, bound.refused)))
    # The subresource scale has a check of its own, which repeats the one on replicas.
    assert {refusal.field.lstrip(".") for refusal in refusals} == {f"spec.{bound.field}{bound.at}"}
    assert bound.message in refusals[0].message


@pytest.mark.parametrize("kind", KINDS)
def test_a_spec_is_required(server: Server, kind: str) -> None:
    item = smallest(kind)
    del item["spec"]
    assert server.refusals(item) == [Refusal("spec", "Required value")]


@pytest.mark.parametrize("field", ["nodeSelector", "allocation"])
def test_a_profile_must_say_where_devices_are_and_how_to_ask_for_them(server: Server, field: str) -> None:
    item = smallest("AcceleratorProfile", **{field: None})
    assert server.refusals(item) == [Refusal(f"spec.{field}", "Required value")]
