"""Variants: what each inherits, which profiles it may use, and when pods are made anew."""

from typing import Any

import pytest

from tandem.api.inference_service import InferenceService
from tandem.api.training_run import TrainingRun
from tandem.domain.serving import children
from tandem.domain.training import pods
from tandem.domain.variants import Variant, by_name, serving_variants, training_variants
from tests.unit.domain.builders import GPUS, NPUS, PROFILES, profile, run, service

SELECTOR = {"accelerator": None, "acceleratorSelector": {"matchLabels": {"tandem.dev/stack": "cuda"}}}


def variants(**spec: Any) -> list[dict[str, Any]]:
    return [{"name": "nvidia", "accelerator": "nvidia-h20", **spec}]


def only(found: tuple[Variant, ...]) -> Variant:
    (variant,) = found
    return variant


def test_an_inline_variant_is_named_main_and_has_the_documented_defaults() -> None:
    trained, served = only(training_variants(run().spec)), only(serving_variants(service().spec))
    assert (trained.name, trained.pods, trained.devices) == ("main", 1, 8)
    assert (served.name, served.pods, served.min_replicas, served.max_replicas) == ("main", 1, 0, None)
    assert (trained.command, trained.args, trained.env, trained.resources) == (None, None, (), None)


INLINE: dict[str, Any] = {
    "pods": 4,
    "devicesPerPod": 8,
    "image": "train:1",
    "command": ["torchrun"],
    "args": ["train.py"],
    "resources": {"requests": {"cpu": "8"}},
}
OWN: dict[str, Any] = {
    "pods": 2,
    "devicesPerPod": 4,
    "image": "train:cann",
    "command": [],
    "args": ["other.py"],
    "resources": {"requests": {"cpu": "2"}},
}


def test_a_variant_inherits_what_it_does_not_say() -> None:
    spec = run(accelerator=None, variants=variants(), **INLINE).spec
    variant = only(training_variants(spec))
    assert (variant.pods, variant.devices, variant.image) == (4, 8, "train:1")
    assert (variant.command, variant.args, variant.resources) == (("torchrun",), ("train.py",), spec.resources)


def test_a_variant_s_own_value_goes_before_the_spec_s() -> None:
    variant = only(training_variants(run(accelerator=None, variants=variants(**OWN), **INLINE).spec))
    assert (variant.pods, variant.devices, variant.image) == (2, 4, "train:cann")
    assert (variant.command, variant.args) == ((), ("other.py",))
    assert variant.resources is not None
    assert variant.resources.requests == {"cpu": "2"}


def test_env_is_merged_by_name_and_keeps_the_spec_s_order() -> None:
    common = [{"name": "A", "value": "spec"}, {"name": "B", "value": "spec"}]
    own = [{"name": "C", "value": "variant"}, {"name": "A", "value": "variant"}]
    variant = only(training_variants(run(accelerator=None, env=common, variants=variants(env=own)).spec))
    assert [(item.name, item.value) for item in variant.env] == [("A", "variant"), ("B", "spec"), ("C", "variant")]


def test_a_service_s_variant_has_bounds() -> None:
    spec = service(accelerator=None, variants=variants(minReplicas=1, maxReplicas=4, devicesPerPod=2)).spec
    variant = only(serving_variants(spec))
    assert (variant.min_replicas, variant.max_replicas, variant.devices) == (1, 4, 2)


def test_variants_keep_their_order_and_are_found_by_name() -> None:
    listed = [{"name": name, "accelerator": "nvidia-h20"} for name in ("zeta", "alpha")]
    found = training_variants(run(accelerator=None, variants=listed).spec)
    assert [variant.name for variant in found] == ["zeta", "alpha"]
    assert by_name(found, "alpha") is found[1]
    assert by_name(found, "none") is None


def test_a_name_matches_one_profile_or_none() -> None:
    assert only(training_variants(run().spec)).matching(PROFILES) == (GPUS,)
    assert only(training_variants(run(accelerator="h100").spec)).matching(PROFILES) == ()


def test_a_selector_matches_profiles_by_their_labels_in_order_of_name() -> None:
    other = profile("a100", labels={"tandem.dev/stack": "cuda", "tandem.dev/vendor": "nvidia"})
    variant = only(training_variants(run(**SELECTOR).spec))
    assert variant.matching({**PROFILES, "a100": other}) == (other, GPUS)
    assert variant.wants() == "tandem.dev/stack=cuda"


# Digests of inputs

FULL: dict[str, Any] = {
    **INLINE,
    "accelerator": None,
    "variants": [{"name": "ascend", "accelerator": "ascend-910b", "image": "train:cann8"}],
    "env": [
        {"name": "LR", "value": "0.1"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "t", "key": "k"}}},
    ],
    "launcher": "Plain",
    "checkpoint": {"claim": {"name": "ckpt", "path": "a/b"}},
    "template": {
        "spec": {
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
            "containers": [{"name": "main", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}],
            "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 5}],
        }
    },
}
SERVED: dict[str, Any] = {
    "port": 9000,
    "model": {"claim": {"name": "models", "path": "r2"}},
    "startup": {"timeoutSeconds": 600, "path": "/health"},
    "drain": {"seconds": 5},
}


def run_hash(obj: TrainingRun, accelerator: Any = GPUS) -> str:
    return pods.hash_of(obj, training_variants(obj.spec)[0], accelerator)


def service_hash(obj: InferenceService, accelerator: Any = GPUS) -> str:
    return children.hash_of(obj, serving_variants(obj.spec)[0], accelerator)


@pytest.mark.parametrize(
    ("digest", "golden"),
    [
        (run_hash(run()), "d84073517261da37"),
        (run_hash(run(pods=4, launcher="Torchrun")), "7fd3b204265d33fe"),
        (run_hash(run(**FULL), NPUS), "e34d99b19c34603f"),
        (run_hash(run(), profile(revision="2")), "e77f8c198a2c14ac"),
        (service_hash(service()), "a0f25922d32dc596"),
        (service_hash(service(**SERVED)), "b56dd08f82d9259e"),
    ],
    ids=["beginner's run", "gang", "all of a run", "revision", "beginner's service", "all of a service"],
)
def test_golden_digests(digest: str, golden: str) -> None:
    """A change of one of these numbers restarts every user's workload at an upgrade of the operator."""
    assert digest == golden


@pytest.mark.parametrize(
    "edit",
    [
        {"image": "train:2"},
        {"command": ["sh"]},
        {"args": ["-v"]},
        {"env": [{"name": "A", "value": "1"}]},
        {"pods": 2},
        {"devicesPerPod": 4},
        {"shmSize": "1Gi"},
        {"launcher": "Plain"},
        {"resources": {"limits": {"cpu": "1"}}},
        {"checkpoint": {"claim": {"name": "ckpt"}}},
        {"template": {"spec": {"tolerations": [{"operator": "Exists"}]}}},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_an_edit_that_shapes_pods_changes_the_digest(edit: dict[str, Any]) -> None:
    assert run_hash(run(**edit)) != run_hash(run())


@pytest.mark.parametrize(
    "edit",
    [
        {"port": 1},
        {"model": {"claim": {"name": "m"}}},
        {"model": {"uri": "org/m"}},
        {"startup": {"path": "/"}},
        {"drain": {"seconds": 0}},
    ],
    ids=lambda edit: next(iter(edit)),
)
def test_an_edit_that_shapes_replicas_changes_the_digest(edit: dict[str, Any]) -> None:
    assert service_hash(service(**edit)) != service_hash(service())


def test_another_source_of_the_model_is_another_digest() -> None:
    sources = [{"claim": {"name": "m"}}, {"claim": {"name": "m", "path": "a"}}, {"uri": "m"}, {"uri": "m/a"}]
    assert len({service_hash(service(model=source)) for source in sources}) == len(sources)


def test_a_variant_s_model_goes_before_the_spec_s() -> None:
    listed = [{"name": "a", "accelerator": "x", "model": {"uri": "org/int8"}}, {"name": "b", "accelerator": "x"}]
    for model, rest in (({"uri": "org/bf16"}, "org/bf16"), (None, None)):
        found = serving_variants(service(accelerator=None, variants=listed, model=model).spec)
        assert [item.model and item.model.uri for item in found] == ["org/int8", rest]


def test_replicas_bounds_and_suspend_shape_no_pod() -> None:
    bounded = service(replicas=5, accelerator=None, variants=variants(minReplicas=1, maxReplicas=9))
    assert service_hash(bounded) == service_hash(service(accelerator=None, variants=variants()))
    assert run_hash(run(suspend=True)) == run_hash(run())


def test_a_profile_s_edit_changes_nothing_until_its_revision_is_raised() -> None:
    edited = profile(
        nodeSelector={"other": "label"},
        env=[{"name": "NEW", "value": "1"}],
        perDevice={"cpu": "9", "memory": "1Gi", "shm": "1Gi"},
        tolerations=[{"operator": "Exists"}],
        ranksPerDevice=2,
        runtimeClassName="x",
    )
    assert run_hash(run(), edited) == run_hash(run())
    assert service_hash(service(), edited) == service_hash(service())
    assert run_hash(run(), profile(revision="1")) != run_hash(run())
    assert service_hash(service(), profile(revision="1")) != service_hash(service())


def test_another_profile_and_another_variant_have_another_digest() -> None:
    assert run_hash(run(), NPUS) != run_hash(run())
    named = run(accelerator=None, variants=variants())
    assert run_hash(named) != run_hash(run())
