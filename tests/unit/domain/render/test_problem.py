"""What a person has to mend before pods are made: told by the same words for runs and for services."""

from typing import Any

import pytest

from tandem.domain.serving import children
from tandem.domain.training import pods
from tandem.domain.variants import serving_variants, training_variants
from tests.unit.domain.builders import profile, run, service
from tests.unit.domain.render.test_pod_rules import mounting

PLUGIN = profile(forbidEnv=["VISIBLE"], voidEnv=[{"name": "VISIBLE", "value": "void"}])


def problems(**spec: Any) -> list[str | None]:
    """Of a run and of a service with this spec."""
    trained, served = run(**spec), service(**spec)
    return [
        pods.problem(trained, training_variants(trained.spec)[0], PLUGIN),
        children.problem(served, serving_variants(served.spec)[0], PLUGIN),
    ]


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"template": mounting("/data"), "env": [{"name": "A", "value": "1"}]},
        {"template": {"spec": {"hostNetwork": False, "nodeName": "", "ephemeralContainers": [], "hostUsers": True}}},
        {"template": {"spec": {"initContainers": [{"name": "a", "image": "i"}]}}},
        {"template": mounting("/dev/shm")},
        {"template": {"spec": {"containers": [{"name": "main"}]}}},
    ],
    ids=repr,
)
def test_a_good_spec_has_no_problem(spec: dict[str, Any]) -> None:
    assert problems(**spec) == [None, None]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"image": None}, "variant main has no image: set spec.image, or image in the variant"),
        ({"devicesPerPod": None}, "variant main has no devicesPerPod: set it in spec or in the variant"),
        (
            {"env": [{"name": "VISIBLE", "value": "0"}]},
            "env VISIBLE is set by the device plugin of nvidia-h20: take it out of env",
        ),
        (
            {"template": {"spec": {"initContainers": [{"name": "a", "image": "i", "env": [{"name": "VISIBLE"}]}]}}},
            "env VISIBLE is set by the device plugin of nvidia-h20: take it out of env",
        ),
        ({"env": [{"name": "PET_NNODES", "value": "9"}]}, "env PET_NNODES is set by the operator: take it out of env"),
        (
            {"template": mounting("/data", "typo")},
            "template.spec.containers[main].volumeMounts names volume 'typo', which volumes does not define",
        ),
        (
            {"template": {"spec": {"hostNetwork": True}}},
            "spec.template.spec.hostNetwork: hostNetwork is refused: pods reach each other by the headless Service",
        ),
        (
            {"template": {"metadata": {}}},
            "spec.template.metadata: template.metadata is refused: labels and annotations of pods are the operator's",
        ),
        (
            {"template": {"spec": {"initContainers": [{"name": "a", "image": "i", "envFrom": [{}]}]}}},
            "spec.template.spec.initContainers[a].envFrom: envFrom is refused, it could set reserved variables:"
            " name each in env, with valueFrom",
        ),
    ],
    ids=repr,
)
def test_a_spec_that_cannot_be_rendered_says_the_field_and_the_mend(spec: dict[str, Any], problem: str) -> None:
    assert problems(**spec) == [problem, problem]


def test_only_one_pod_per_replica_is_built_so_far() -> None:
    asked = service(podsPerReplica=2)
    (variant,) = serving_variants(asked.spec)
    assert children.problem(asked, variant, PLUGIN) == (
        "spec.podsPerReplica: replicas of several pods are reserved for a later version: set podsPerReplica to 1"
    )
    assert children.problem(service(podsPerReplica=1), variant, PLUGIN) is None


def test_a_volume_at_the_operators_own_path_is_told() -> None:
    claim = {"claim": {"name": "c"}}
    trained = run(template=mounting("/checkpoints/"), checkpoint=claim)
    served = service(template=mounting("/models"), model=claim)
    there = (
        "template.spec.containers[main].volumeMounts[{}]: volume mine is mounted there too: choose another mountPath"
    )
    assert pods.problem(trained, training_variants(trained.spec)[0], PLUGIN) == there.format("/checkpoints")
    assert children.problem(served, serving_variants(served.spec)[0], PLUGIN) == there.format("/models")
