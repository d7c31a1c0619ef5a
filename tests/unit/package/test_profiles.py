"""The shipped profiles and the devcluster's, as data."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.api.accelerator_profile import AcceleratorProfileSpec
from tandem.api.base import dump
from tandem.api.constants import LABEL_FAMILY, LABEL_STACK, LABEL_VENDOR
from tests.unit.package.conftest import ROOT

SHIPPED = {path.stem: path for path in (ROOT / "profiles").glob("*.yaml")}
DEVCLUSTER = {path.stem: path for path in (ROOT / "devcluster/profiles").glob("*.yaml")}
BOTH = [*SHIPPED.values(), *DEVCLUSTER.values()]


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def nodes() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "kind-config.yaml").read_text())["nodes"]
    return found


@pytest.mark.parametrize("path", BOTH, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_a_profile_says_nothing_that_the_model_does_not_know(path: Path) -> None:
    profile = load(path)
    assert dump(AcceleratorProfileSpec.model_validate(profile["spec"])) == profile["spec"]
    assert profile["kind"] == "AcceleratorProfile"
    assert profile["metadata"]["name"] == path.stem
    assert {LABEL_STACK, LABEL_VENDOR, LABEL_FAMILY} <= profile["metadata"]["labels"].keys()


def test_the_devcluster_has_every_shipped_profile_under_its_name() -> None:
    assert DEVCLUSTER.keys() == SHIPPED.keys()
    for name, path in DEVCLUSTER.items():
        ours, shipped = load(path), load(SHIPPED[name])
        assert ours["metadata"] == shipped["metadata"]
        for field in ("nodeSelector", "allocation", "tolerations", "forbidEnv"):
            assert ours["spec"][field] == shipped["spec"][field]


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_the_devclusters_nodes_are_found_by_the_shipped_selector(name: str) -> None:
    selector = load(SHIPPED[name])["spec"]["nodeSelector"]
    assert len([node for node in nodes() if selector.items() <= node.get("labels", {}).items()]) == 2


def test_no_node_has_two_profiles() -> None:
    selectors = [load(path)["spec"]["nodeSelector"] for path in SHIPPED.values()]
    for node in nodes():
        assert sum(selector.items() <= node.get("labels", {}).items() for selector in selectors) <= 1


@pytest.mark.parametrize("path", BOTH, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_whole_powers_of_two_are_legal(path: Path) -> None:
    assert {1, 2, 4, 8} <= set(load(path)["spec"]["counts"]["perPod"])
