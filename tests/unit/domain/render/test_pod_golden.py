"""Whole bodies of pods and Deployments, as golden files."""

from typing import Any

from tandem.api.accelerator_profile import AcceleratorProfile
from tandem.api.inference_service import InferenceService
from tandem.api.training_run import TrainingRun
from tandem.domain.serving import children
from tandem.domain.variants import serving_variants
from tests.unit.domain.builders import GPU, NPU, decide_run, node, profile, run, run_view, service
from tests.unit.domain.golden_files import assert_golden

NVIDIA = profile(
    "nvidia-h20",
    GPU,
    nodeSelector={"nvidia.com/gpu.product": "NVIDIA-H20"},
    perDevice={"cpu": "8", "memory": "96Gi", "shm": "8Gi"},
    tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    runtimeClassName="nvidia",
    architecture="amd64",
    env=[{"name": "NCCL_DEBUG", "value": "WARN"}],
)
ASCEND = profile(
    "ascend-910c",
    NPU,
    nodeSelector={"accelerator-type": "module-910c-8"},
    perDevice={"cpu": "500m", "memory": "1.5Gi", "shm": "64Mi"},
    ranksPerDevice=2,
    env=[{"name": "HCCL_CONNECT_TIMEOUT", "value": "600"}],
)
USERS_TEMPLATE: dict[str, Any] = {
    "spec": {
        "volumes": [
            {"name": "data", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
            {"name": "scratch", "emptyDir": {"sizeLimit": "10Gi"}},
        ],
        "containers": [
            {
                "name": "main",
                "volumeMounts": [
                    {"name": "data", "mountPath": "/data", "subPath": "set"},
                    {"name": "scratch", "mountPath": "/scratch"},
                ],
                "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "readOnlyRootFilesystem": True},
            }
        ],
        "tolerations": [{"key": "maintenance", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}],
        "nodeSelector": {"pool": "research"},
        "securityContext": {"fsGroup": 1000, "supplementalGroups": [44]},
    }
}


def rendered(accelerator: AcceleratorProfile, **spec: Any) -> list[Any]:
    """Bodies of all that the first attempt of a run makes."""
    obj = run(accelerator=accelerator.name, **spec)
    labels = {**accelerator.spec.node_selector, "pool": "research", "kubernetes.io/arch": "amd64"}
    nodes = [node(f"n{i}", 8, accelerator, labels=labels) for i in range(2)]
    view = run_view(obj, nodes=nodes, profiles={accelerator.name: accelerator}, claims={"data", "ckpt"})
    return [child.body for child in decide_run(view).create]


def test_a_torchrun_gang_on_an_accelerator_with_one_rank_per_device() -> None:
    bodies = rendered(
        NVIDIA,
        pods=2,
        command=["torchrun", "train.py"],
        args=["--out", "$(TANDEM_CHECKPOINT_DIR)"],
        env=[{"name": "NCCL_DEBUG", "value": "INFO"}, {"name": "LR", "value": "0.1"}],
        checkpoint={"claim": {"name": "ckpt", "path": "r2"}},
        template=USERS_TEMPLATE,
    )
    assert_golden("gang-one-rank-per-device", bodies)


def test_a_torchrun_gang_on_an_accelerator_with_two_ranks_per_device() -> None:
    assert_golden("gang-two-ranks-per-device", rendered(ASCEND, pods=2, image="train:cann8"))


def test_a_gang_that_finds_its_peers_by_itself() -> None:
    assert_golden("gang-plain", rendered(NVIDIA, pods=2, launcher="Plain", resources={"limits": {"cpu": "4"}}))


def test_a_run_of_one_pod_needs_no_service() -> None:
    assert_golden("one-pod", rendered(profile(), devicesPerPod=1))


def served(obj: InferenceService, accelerator: AcceleratorProfile) -> list[Any]:
    (variant,) = serving_variants(obj.spec)
    made = [children.front_service(obj), children.budget(obj), children.deployment(obj, variant, accelerator, 3)]
    return [child.body for child in made]


def test_a_service_with_a_model_on_a_claim() -> None:
    obj = service(
        args=["vllm", "serve", "$(TANDEM_MODEL_PATH)"],
        model={"claim": {"name": "models", "path": "r2-w8a8"}},
        template=USERS_TEMPLATE,
    )
    assert_golden("service-with-claim", served(obj, ASCEND))


def test_a_service_with_everything_said() -> None:
    obj = service(
        port=9000,
        startup={"timeoutSeconds": 31, "path": "/ready"},
        drain={"seconds": 0},
        env=[{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "token", "key": "value"}}}],
    )
    assert_golden("service-all-said", served(obj, NVIDIA))


def test_names_and_owner_are_the_only_things_taken_from_a_parent_s_metadata() -> None:
    """GitOps tools prune what carries their labels; a model does not even read those of the parent."""
    parents = {"labels": {"argocd": "app"}, "annotations": {"argocd": "app"}}
    trained = TrainingRun.model_validate({**run(pods=2).model_dump(by_alias=True), **parents})
    asked = InferenceService.model_validate({**service().model_dump(by_alias=True), **parents})
    bodies = [*(child.body for child in decide_run(run_view(trained)).create), *served(asked, NVIDIA)]
    kinds = [body["kind"] for body in bodies]
    assert kinds == ["Service", "Pod", "Pod", "Service", "PodDisruptionBudget", "Deployment"]
    for body in bodies:
        assert "argocd" not in repr(body)
        labels = body["metadata"]["labels"]
        assert all(key.startswith("tandem.dev/") or key == "app.kubernetes.io/managed-by" for key in labels)
