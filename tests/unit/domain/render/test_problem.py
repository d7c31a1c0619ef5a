"""What a person has to mend before pods are made: told by the same words for runs and for services."""

from typing import Any

import pytest

from tandem.api.inference_service import InferenceService
from tandem.api.reasons import Reason
from tandem.api.training_run import TrainingRun
from tandem.domain.observed import NamespaceRecord
from tandem.domain.serving import children
from tandem.domain.training import pods
from tandem.domain.variants import serving_variants, training_variants
from tests.unit.domain.builders import profile, run, service
from tests.unit.domain.render.test_pod_rules import mounting

PLUGIN = profile(forbidEnv=["VISIBLE"], voidEnv=[{"name": "VISIBLE", "value": "void"}])


TEAM = NamespaceRecord("team")


def problem_of(asked: TrainingRun | InferenceService, namespace: NamespaceRecord = TEAM) -> str | None:
    """What stands in the way of the first variant, with its reason where that is not InvalidSpec."""
    if isinstance(asked, TrainingRun):
        specimen = pods.specimen(asked, training_variants(asked.spec)[0], PLUGIN)
    else:
        specimen = children.specimen(asked, serving_variants(asked.spec)[0], PLUGIN)
    found = specimen.problem(namespace)
    if found is None:
        return None
    assert not found.ready
    assert found.stalled
    return found.message if found.reason is Reason.INVALID_SPEC else f"{found.reason}: {found.message}"


def problems(namespace: NamespaceRecord = TEAM, **spec: Any) -> list[str | None]:
    """Of a run and of a service with this spec."""
    return [problem_of(run(**spec), namespace), problem_of(service(**spec), namespace)]


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
    assert problem_of(service(podsPerReplica=2)) == (
        "spec.podsPerReplica: replicas of several pods are reserved for a later version: set podsPerReplica to 1"
    )
    assert problem_of(service(podsPerReplica=1)) is None


def test_a_volume_at_the_operators_own_path_is_told() -> None:
    claim = {"claim": {"name": "c"}}
    trained = run(template=mounting("/checkpoints/"), checkpoint=claim)
    served = service(template=mounting("/models"), model=claim)
    there = (
        "template.spec.containers[main].volumeMounts[{}]: volume mine is mounted there too: choose another mountPath"
    )
    assert problem_of(trained) == there.format("/checkpoints")
    assert problem_of(served) == there.format("/models")


NON_ROOT = {"runAsNonRoot": True}
MEND = (
    ": set runAsNonRoot to true in template.spec.securityContext, and runAsUser to another number than 0 where the image's"
    " user is root"
)


def template(pod: Any = None, main: Any = None, helper: Any = None) -> dict[str, Any]:
    """A template with these security settings."""
    helpers = [{"name": "fetch", "image": "i", "securityContext": helper}] if helper is not None else []
    containers = [{"name": "main", "securityContext": main or {}}]
    return {"spec": {"securityContext": pod or {}, "containers": containers, "initContainers": helpers}}


@pytest.mark.parametrize(
    ("settings", "root"),
    [
        (template(), "container main may run as root"),
        (template(pod={"runAsUser": 1000}), "container main may run as root"),
        (template(pod=NON_ROOT), None),
        (template(main=NON_ROOT), None),
        (template(main=NON_ROOT, helper={}), "container fetch may run as root"),
        (template(pod=NON_ROOT, helper={}), None),
        (template(pod=NON_ROOT, helper={"runAsNonRoot": False}), "container fetch may run as root"),
        (template(pod={"runAsNonRoot": False}, main=NON_ROOT), "runAsNonRoot of the pod is false"),
        (template(pod={**NON_ROOT, "runAsUser": 0}), "runAsUser of the pod is 0"),
        (template(pod=NON_ROOT, main={"runAsUser": 0}), "runAsUser of container main is 0"),
        (template(pod={**NON_ROOT, "runAsUser": 1000}), None),
    ],
    ids=str,
)
def test_a_restricted_namespace_takes_no_container_that_may_run_as_root(
    settings: dict[str, Any], root: str | None
) -> None:
    where = "PodSecurityWouldReject: namespace team enforces Pod Security restricted; "
    told = None if root is None else f"{where}{root}{MEND}"
    assert problems(NamespaceRecord("team", "restricted"), template=settings) == [told, told]


@pytest.mark.parametrize("level", ["", "privileged", "baseline"])
def test_other_levels_take_every_pod_of_ours(level: str) -> None:
    assert problems(NamespaceRecord("team", level), template=template(pod={"runAsUser": 0})) == [None, None]


def test_what_is_invalid_is_told_before_what_the_namespace_refuses() -> None:
    (told, _) = problems(NamespaceRecord("team", "restricted"), template={"spec": {"hostNetwork": True}})
    assert told is not None
    assert "hostNetwork is refused" in told
