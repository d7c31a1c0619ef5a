"""Rules of rendering, one by one: environment, resources, /dev/shm, helpers and security."""

from typing import Any

import pytest

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.workload import ClaimRef
from tandem.domain.render.pod import ClaimMount, Extras, claims_of, directory, pod_spec
from tandem.domain.variants import Variant, training_variants
from tests.unit.domain.builders import GPU, GPUS, profile, run


def variant(**spec: Any) -> Variant:
    return training_variants(run(**spec).spec)[0]


def main(on: AcceleratorProfile = GPUS, extras: Extras | None = None, **spec: Any) -> dict[str, Any]:
    """The main container."""
    (container,) = pod_spec(variant(**spec), on, extras or Extras())["containers"]
    found: dict[str, Any] = container
    return found


def mounting(path: str, name: str = "mine") -> dict[str, Any]:
    return {
        "spec": {
            "volumes": [{"name": "mine", "emptyDir": {}}],
            "containers": [{"name": "main", "volumeMounts": [{"name": name, "mountPath": path}]}],
        }
    }


# Environment


def test_env_goes_profile_then_spec_then_variant_with_the_reserved_first() -> None:
    accelerator = profile(env=[{"name": "A", "value": "profile"}, {"name": "B", "value": "profile"}])
    own = [{"name": "main", "accelerator": "nvidia-h20", "env": [{"name": "C", "value": "variant"}]}]
    container = main(
        accelerator,
        Extras(env={"TANDEM_ATTEMPT": "1"}),
        accelerator=None,
        env=[{"name": "B", "value": "spec"}, {"name": "C", "value": "spec"}],
        variants=own,
    )
    assert container["env"] == [
        {"name": "TANDEM_ATTEMPT", "value": "1"},
        {"name": "A", "value": "profile"},
        {"name": "B", "value": "spec"},
        {"name": "C", "value": "variant"},
    ]


def test_what_the_template_says_of_main_stands_below_the_spec_and_the_variant() -> None:
    template = {
        "spec": {
            "containers": [
                {
                    "name": "main",
                    "command": ["template"],
                    "args": ["template"],
                    "env": [{"name": "A", "value": "template"}, {"name": "B", "value": "template"}],
                    "resources": {"limits": {"cpu": "1"}},
                    "workingDir": "/work",
                    "imagePullPolicy": "Always",
                }
            ]
        }
    }
    alone = main(template=template)
    assert (alone["command"], alone["args"], alone["resources"]["limits"]["cpu"]) == (["template"], ["template"], "1")
    assert (alone["workingDir"], alone["imagePullPolicy"]) == ("/work", "Always")
    over = main(template=template, args=["spec"], env=[{"name": "B", "value": "spec"}], resources={})
    assert over["command"] == ["template"]
    assert over["args"] == ["spec"]
    assert over["env"] == [{"name": "A", "value": "template"}, {"name": "B", "value": "spec"}]
    assert "cpu" not in over["resources"]["limits"]


# Resources

PER_DEVICE = {"cpu": "2", "memory": "4Gi"}


@pytest.mark.parametrize(
    ("users", "requests", "limits"),
    [
        (None, {"cpu": "16", "memory": "32Gi"}, {}),
        ({"requests": {"cpu": "4"}}, {"cpu": "4", "memory": "32Gi"}, {}),
        ({"limits": {"cpu": "4"}}, {"cpu": "4", "memory": "32Gi"}, {"cpu": "4"}),
        ({"limits": {"cpu": "8"}, "requests": {"cpu": "2"}}, {"cpu": "2", "memory": "32Gi"}, {"cpu": "8"}),
        ({"limits": {"ephemeral-storage": "1Gi"}}, {"cpu": "16", "memory": "32Gi"}, {"ephemeral-storage": "1Gi"}),
        ({"requests": {GPU: "99"}, "limits": {GPU: "99"}}, {"cpu": "16", "memory": "32Gi"}, {}),
    ],
    ids=repr,
)
def test_the_user_s_resources_go_before_the_profile_s_but_never_the_devices(
    users: dict[str, Any] | None, requests: dict[str, str], limits: dict[str, str]
) -> None:
    resources = main(profile(perDevice=PER_DEVICE), resources=users)["resources"]
    assert resources == {"requests": {**requests, GPU: "8"}, "limits": {**limits, GPU: "8"}}


@pytest.mark.parametrize("per_device", [None, {}])
def test_a_profile_may_ask_for_nothing_beside_the_devices(per_device: dict[str, str] | None) -> None:
    assert main(profile(perDevice=per_device))["resources"] == {"requests": {GPU: "8"}, "limits": {GPU: "8"}}


# /dev/shm


@pytest.mark.parametrize(
    ("per_device", "template", "size"),
    [
        ({"shm": "1Gi"}, None, "8Gi"),
        ({"shm": "1Gi"}, mounting("/data"), "8Gi"),
        ({"shm": "1Gi"}, mounting("/dev/shm"), None),
        ({"shm": "1Gi"}, mounting("/dev/shm/"), None),
        ({"cpu": "1"}, None, None),
        (None, None, None),
    ],
    ids=repr,
)
def test_shm_is_mounted_where_the_profile_asks_and_the_user_does_not(
    per_device: dict[str, str] | None, template: dict[str, Any] | None, size: str | None
) -> None:
    spec = pod_spec(variant(template=template), profile(perDevice=per_device), Extras())
    volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
    mounts = {mount["name"] for mount in spec["containers"][0].get("volumeMounts", ())}
    if size is None:
        assert "tandem-shm" not in volumes.keys() | mounts
    else:
        assert volumes["tandem-shm"]["emptyDir"] == {"medium": "Memory", "sizeLimit": size}
        assert "tandem-shm" in mounts


@pytest.mark.parametrize(
    ("sizes", "size"),
    [
        ({"shmSize": "1Gi"}, "1Gi"),
        ({"variant": "2Gi"}, "2Gi"),
        ({"shmSize": "1Gi", "variant": "2Gi"}, "2Gi"),
        ({"shmSize": "1Gi", "perDevice": {"shm": "4Gi"}}, "1Gi"),
        ({"variant": "2Gi", "template": mounting("/dev/shm")}, None),
    ],
    ids=repr,
)
def test_shm_size_goes_variant_then_spec_then_profile(sizes: dict[str, Any], size: str | None) -> None:
    own = {"name": "main", "accelerator": "nvidia-h20"}
    if "variant" in sizes:
        own["shmSize"] = sizes["variant"]
    asked = variant(accelerator=None, variants=[own], shmSize=sizes.get("shmSize"), template=sizes.get("template"))
    spec = pod_spec(asked, profile(perDevice=sizes.get("perDevice")), Extras())
    found = [v["emptyDir"]["sizeLimit"] for v in spec.get("volumes", ()) if v["name"] == "tandem-shm"]
    assert found == ([size] if size else [])


# Helpers

HELPER = {
    "name": "fetch",
    "image": "tools:1",
    "command": ["fetch"],
    "env": [{"name": "VISIBLE", "value": "all"}, {"name": "FROM", "value": "s3"}],
    "resources": {"limits": {"memory": "1Gi"}},
    "volumeMounts": [{"name": "mine", "mountPath": "/data"}],
    "restartPolicy": "Always",
    "securityContext": {"runAsUser": 7, "capabilities": {"drop": ["NET_RAW"]}, "privileged": False},
    "ports": [],
}


def test_a_helper_is_rendered_as_written_but_sees_no_devices_and_is_restricted() -> None:
    spec = pod_spec(
        variant(template={"spec": {"initContainers": [HELPER], "volumes": [{"name": "mine", "emptyDir": {}}]}}),
        profile(env=[{"name": "NCCL_DEBUG", "value": "INFO"}], voidEnv=[{"name": "VISIBLE", "value": "void"}]),
        Extras(env={"TANDEM_ATTEMPT": "1"}),
    )
    always = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert spec["initContainers"] == [
        {
            "name": "fetch",
            "image": "tools:1",
            "command": ["fetch"],
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "env": [{"name": "VISIBLE", "value": "void"}, {"name": "FROM", "value": "s3"}],
            "resources": {"limits": {"memory": "1Gi"}},
            "volumeMounts": [{"name": "mine", "mountPath": "/data"}],
            "restartPolicy": "Always",
            "securityContext": {**always, "runAsUser": 7},
        }
    ]
    assert [container["name"] for container in spec["containers"]] == ["main"]


def test_a_helper_without_environment_gets_none() -> None:
    spec = pod_spec(variant(template={"spec": {"initContainers": [{"name": "a", "image": "i"}]}}), GPUS, Extras())
    assert "env" not in spec["initContainers"][0]


# The rest of the pod


def test_what_the_template_says_of_the_pod_stands_in_it() -> None:
    said = {
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
        "priorityClassName": "high",
        "schedulerName": "volcano",
        "imagePullSecrets": [{"name": "registry"}],
        "serviceAccountName": "trainer",
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 120,
    }
    spec = pod_spec(variant(template={"spec": {**said, "hostNetwork": False, "nodeName": ""}}), GPUS, Extras())
    assert {name: spec[name] for name in said} == said
    assert not {"hostNetwork", "nodeName"} & spec.keys()


def test_all_capabilities_are_dropped_whatever_the_user_drops() -> None:
    template = {"spec": {"containers": [{"name": "main", "securityContext": {"capabilities": {"drop": ["NET_RAW"]}}}]}}
    assert main(template=template)["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_pod_is_restricted_unless_the_user_narrows_it_further() -> None:
    spec = pod_spec(variant(), GPUS, Extras())
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert spec["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_profile_s_nodes_and_architecture_win_over_the_user_s_labels() -> None:
    template = {"spec": {"nodeSelector": {"accel": "mine", "kubernetes.io/arch": "arm64", "pool": "a"}}}
    spec = pod_spec(variant(template=template), profile(architecture="amd64"), Extras())
    assert spec["nodeSelector"] == {"accel": "nvidia-h20", "kubernetes.io/arch": "amd64", "pool": "a"}


def test_optional_fields_are_left_out() -> None:
    spec = pod_spec(variant(), GPUS, Extras())
    assert not spec.keys() & {"volumes", "tolerations", "runtimeClassName"}
    assert not spec["containers"][0].keys() & {"command", "args", "volumeMounts"}


def test_claims_are_mounted_with_the_user_s_volumes_before() -> None:
    extras = Extras(claims=[ClaimMount("tandem-model", "models", "/models", read_only=True)])
    spec = pod_spec(variant(template=mounting("/data")), GPUS, extras)
    assert [volume["name"] for volume in spec["volumes"]] == ["mine", "tandem-model"]
    assert spec["volumes"][1]["persistentVolumeClaim"] == {"claimName": "models", "readOnly": True}
    assert spec["containers"][0]["volumeMounts"][1] == {
        "name": "tandem-model",
        "mountPath": "/models",
        "readOnly": True,
    }


def test_claims_of_the_user_s_template_are_known() -> None:
    volumes = [{"name": "a", "persistentVolumeClaim": {"claimName": "data"}}, {"name": "b", "emptyDir": {}}]
    assert claims_of(variant(template={"spec": {"volumes": volumes}})) == ("data",)
    assert claims_of(variant(template={})) == ()


@pytest.mark.parametrize(("path", "where"), [(None, "/models"), ("a/b", "/models/a/b")])
def test_a_claim_s_path_is_below_its_mount(path: str | None, where: str) -> None:
    assert directory("/models", ClaimRef(name="models", path=path)) == where
