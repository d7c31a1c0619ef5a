"""The examples that the README applies, against the models and the profiles; the API server's word is in the end-to-end tests."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.api.base import Model, dump
from tandem.api.inference_service import InferenceServiceSpec
from tandem.api.training_run import TrainingRunSpec
from tests.unit.package.conftest import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SPECS: dict[str, type[Model]] = {"TrainingRun": TrainingRunSpec, "InferenceService": InferenceServiceSpec}


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_nothing_that_the_model_does_not_know(path: Path) -> None:
    example = load(path)
    assert dump(SPECS[example["kind"]].model_validate(example["spec"])) == example["spec"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_names_profiles_that_are_shipped(path: Path) -> None:
    spec = load(path)["spec"]
    shipped = {p.stem: yaml.safe_load(p.read_text())["metadata"]["labels"] for p in (ROOT / "profiles").glob("*.yaml")}
    for choice in (spec, *spec.get("variants", ())):
        if name := choice.get("accelerator"):
            assert name in shipped
        if selector := choice.get("acceleratorSelector"):
            assert [name for name, labels in shipped.items() if selector["matchLabels"].items() <= labels.items()]


def test_the_service_serves_what_the_run_writes() -> None:
    written = load(ROOT / "examples/trainingrun.yaml")["spec"]["checkpoint"]["claim"]
    served = load(ROOT / "examples/inferenceservice.yaml")["spec"]["model"]["claim"]
    assert served == written
