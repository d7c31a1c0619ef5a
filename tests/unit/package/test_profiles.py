"""The shipped profiles and the devcluster's, as data. What pods they give: test_profiles_rendered.py."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.api.accelerator_profile import AcceleratorProfileSpec
from tandem.api.base import dump
from tandem.api.constants import LABEL_FAMILY, LABEL_STACK, LABEL_VENDOR
from tests.unit.package.conftest import ROOT
from tests.unit.package.machines import MACHINES, OTHERS

SHIPPED = {path.stem: path for path in (ROOT / "profiles").glob("*.yaml")}
DEVCLUSTER = {path.stem: path for path in (ROOT / "devcluster/profiles").glob("*.yaml")}
BOTH = [*SHIPPED.values(), *DEVCLUSTER.values()]

FIGURE = re.compile(r"(nodeSelector|extendedResource|perPod|distributed|ranksPerDevice|cpu|memory|shm):|- ")
"""Lines that say something about the hardware or its software."""
STACKS = ("cuda", "cann", "rocm", "neuware", "nccl", "hccl", "rccl", "cncl", "npu", "mlu", "musa", "dcu")


class _Strict(yaml.SafeLoader):
    """YAML as `kubectl apply` takes it: a key that stands twice is an error, not the last one's win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]  # type: ignore[no-untyped-call]
        twice = {key for key in keys if keys.count(key) > 1}
        assert not twice, f"{node.start_mark}: {', '.join(map(str, twice))} stands there twice"
        return super().construct_mapping(node, deep)


def load(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(path.read_text(), Loader=_Strict)
    return found


def nodes() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((ROOT / "kind-config.yaml").read_text())["nodes"]
    return found


def matching(labels: dict[str, str]) -> list[str]:
    """Shipped profiles whose selector matches a node with these labels."""
    selectors = {name: load(path)["spec"]["nodeSelector"] for name, path in SHIPPED.items()}
    return [name for name, selector in selectors.items() if selector.items() <= labels.items()]


@pytest.mark.parametrize("path", BOTH, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_a_profile_says_nothing_that_the_model_does_not_know(path: Path) -> None:
    profile = load(path)
    assert dump(AcceleratorProfileSpec.model_validate(profile["spec"])) == profile["spec"]
    assert profile["kind"] == "AcceleratorProfile"
    assert profile["metadata"]["name"] == path.stem
    assert {LABEL_STACK, LABEL_VENDOR, LABEL_FAMILY} <= profile["metadata"]["labels"].keys()


@pytest.mark.parametrize("path", SHIPPED.values(), ids=SHIPPED.keys())
def test_every_figure_stands_below_its_source_or_is_called_a_judgement(path: Path) -> None:
    spec = path.read_text().partition("\nspec:\n")[2].splitlines()
    for before, line in zip(["", *spec], spec, strict=False):
        if FIGURE.match(line.strip()):
            assert before.strip().startswith("#"), f"{path.name}: no comment above {line.strip()!r}"


def test_the_devclusters_profiles_are_shipped_ones_for_weak_nodes() -> None:
    """The demo and the end-to-end tests use the devcluster's: what they show must hold for the shipped of that name."""
    assert DEVCLUSTER
    assert DEVCLUSTER.keys() <= SHIPPED.keys()
    for name, path in DEVCLUSTER.items():
        ours, shipped = load(path), load(SHIPPED[name])
        assert ours["metadata"] == shipped["metadata"]
        for field in ("nodeSelector", "allocation", "tolerations", "forbidEnv", "voidEnv"):
            assert ours["spec"][field] == shipped["spec"][field]
        assert set(ours["spec"]["counts"]["perPod"]) <= set(shipped["spec"]["counts"]["perPod"])


@pytest.mark.parametrize("name", sorted(DEVCLUSTER))
def test_the_devclusters_nodes_are_found_by_the_shipped_selector(name: str) -> None:
    selector = load(SHIPPED[name])["spec"]["nodeSelector"]
    assert len([node for node in nodes() if selector.items() <= node.get("labels", {}).items()]) == 2


def test_every_device_of_the_devcluster_has_one_shipped_profile_and_one_of_its_own() -> None:
    found = [matching(node.get("labels", {})) for node in nodes()]
    assert {name for names in found for name in names} == DEVCLUSTER.keys()
    assert all(len(names) <= 1 for names in found)


def test_there_is_a_machine_for_every_shipped_profile() -> None:
    assert MACHINES.keys() == SHIPPED.keys()


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_a_machine_as_its_vendors_software_labels_it_has_one_profile(name: str) -> None:
    assert matching(MACHINES[name].labels) == [name]


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_a_machine_that_no_shipped_profile_is_for_has_none(name: str) -> None:
    assert matching(OTHERS[name]) == []


@pytest.mark.parametrize("path", BOTH, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def test_powers_of_two_are_legal(path: Path) -> None:
    assert {1, 2, 4, 8} <= set(load(path)["spec"]["counts"]["perPod"])


def test_the_operator_names_no_vendor() -> None:
    """Adding one is a YAML file: code that knows a name is code that has to be changed for the next."""
    words = set(STACKS)
    for path in SHIPPED.values():
        profile = load(path)
        words |= {profile["metadata"]["labels"][key] for key in (LABEL_VENDOR, LABEL_FAMILY, LABEL_STACK)}
        words |= set(path.stem.split("-"))
        words |= {variable.partition("_")[0] for variable in profile["spec"]["forbidEnv"]}
    known = re.compile(r"(?<![a-z0-9])(" + "|".join(sorted(map(re.escape, words))) + r")(?![a-z0-9])", re.IGNORECASE)
    files = [path for path in (ROOT / "operator").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert len(files) > 50
    for path in files:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            assert not known.search(line), f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
