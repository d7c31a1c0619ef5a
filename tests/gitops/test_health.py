"""What kstatus, Argo CD and Flux make of every recorded stage, by their own code and the configuration in docs/gitops."""

from pathlib import Path

import pytest
import yaml

from tandem.api.crd import KINDS
from tandem.api.reasons import Reason
from tests.gitops import recorded
from tests.gitops.conftest import Judge
from tests.gitops.stages import STAGES, STEADY, Stage
from tests.support.api import Object
from tests.support.scene import condition

pytestmark = pytest.mark.cluster

SHIPPED = Path(__file__).parents[2] / "docs/gitops"
ARGOCD = ("argocd", str(SHIPPED / "argocd-cm.yaml"))
FLUX = ("flux", str(SHIPPED / "flux-kustomization.yaml"))
FAILED = [stage for stage in STAGES.values() if stage.kstatus == "Failed"]
by_stage = pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)


def test_every_stage_is_recorded_and_nothing_else() -> None:
    assert sorted(file.stem for file in recorded.FOLDER.glob("*.yaml")) == sorted(STAGES)
    assert sorted(file.stem for file in recorded.FOLDER.glob("*.txt")) == sorted(STEADY)


@by_stage
def test_a_recording_is_of_its_stage(stage: Stage) -> None:
    found = recorded.load(stage.name)
    assert found["kind"] == stage.kind
    if stage.reason is None:
        assert found["status"] == {"observedGeneration": -1}
    else:
        assert condition(found, "Ready")["reason"] == stage.reason


@by_stage
def test_kstatus_says_what_the_design_says(health: Judge, stage: Stage) -> None:
    assert health(recorded.load(stage.name), "kstatus")["status"] == stage.kstatus


@by_stage
def test_argo_cd_says_what_it_says_of_a_job_and_a_deployment(health: Judge, stage: Stage) -> None:
    assert health(recorded.load(stage.name), *ARGOCD)["status"] == stage.argocd


@by_stage
def test_flux_waits_for_the_result_with_the_shipped_expressions(health: Judge, stage: Stage) -> None:
    assert health(recorded.load(stage.name), *FLUX)["status"] == stage.flux


@pytest.mark.parametrize("stage", FAILED, ids=[stage.name for stage in FAILED])
def test_a_failure_comes_with_the_operators_words(health: Judge, stage: Stage) -> None:
    found = recorded.load(stage.name)
    words = condition(found, "Ready")["message"]
    assert words
    assert health(found, "kstatus")["message"] == words
    assert health(found, *ARGOCD)["message"] == f"{stage.reason}: {words}"


def test_a_rollout_that_does_not_get_on_is_a_failure_as_of_a_deployment(health: Judge) -> None:
    """It takes more than twenty minutes, so the recording of a rollout is turned into it."""
    found = recorded.load("service-rolling")
    for item in found["status"]["conditions"]:
        if item["type"] == "RolloutComplete":
            item["reason"] = Reason.DEADLINE_EXCEEDED.value
    assert [health(found, *tool)["status"] for tool in (ARGOCD, FLUX)] == ["Degraded", "Failed"]


@pytest.mark.parametrize("kind", ["TrainingRun", "InferenceService"])
def test_an_object_without_any_status_is_nowhere_healthy(health: Judge, kind: str) -> None:
    """An API server whose CRDs are older than the stand-in for no status shows it so."""
    bare = {"apiVersion": "tandem.dev/v1alpha1", "kind": kind, "metadata": {"name": "x", "generation": 1}}
    assert health(bare, *ARGOCD)["status"] == "Progressing"
    assert "error" in health(bare, *FLUX)  # Flux goes on waiting


def test_a_tool_that_is_asked_about_another_kind_says_so(health: Judge) -> None:
    other: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}}
    assert "no key resource.customizations.health._Pod" in health(other, *ARGOCD)["error"]
    assert "no expressions for Pod" in health(other, *FLUX)["error"]


def test_both_tools_are_configured_for_every_kind_that_has_a_status() -> None:
    kinds = {kind.name for kind in KINDS}
    data = yaml.safe_load((SHIPPED / "argocd-cm.yaml").read_text())["data"]
    assert {key.removeprefix("resource.customizations.health.tandem.dev_") for key in data} == kinds
    checks = yaml.safe_load((SHIPPED / "flux-kustomization.yaml").read_text())["spec"]["healthCheckExprs"]
    assert {check["kind"] for check in checks} == kinds
