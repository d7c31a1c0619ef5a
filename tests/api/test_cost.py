"""What the CRDs cost an API server: their validation rules, by its own estimate, and their size."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import gobuild
from tandem.api.crd import KINDS, Kind, crd, to_yaml

pytestmark = pytest.mark.cluster

SIZE_LIMIT = 240_000
"""Bytes of a definition: with kubectl's last-applied annotation, which may hold 262,144, it is applied client-side too."""

Cost = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def crdcost() -> Cost:
    """Runs the program that prints the API server's estimates, and fails above half of a budget."""
    program = gobuild.ensure(gobuild.CRDCOST) / "crdcost"
    return lambda *files: subprocess.run([program, *files], text=True, capture_output=True, check=False)


def rules(node: Any) -> int:
    """The number of validation rules anywhere in a schema."""
    if isinstance(node, dict):
        return len(node.get("x-kubernetes-validations", ())) + sum(map(rules, node.values()))
    return sum(map(rules, node)) if isinstance(node, list) else 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_no_rule_and_no_definition_takes_half_of_its_budget(crdcost: Cost, tmp_path: Path, kind: Kind) -> None:
    file = tmp_path / "crd.yaml"
    file.write_text(to_yaml(crd(kind)))
    done = crdcost(file)
    assert (done.returncode, done.stderr) == (0, "")
    # Every rule has its line: one that the program overlooked would be free.
    assert len(re.findall(r"#\d+$", done.stdout, re.MULTILINE)) == rules(crd(kind)) > 0


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_definition_is_small_enough_for_every_way_of_installing_it(kind: Kind) -> None:
    assert len(to_yaml(crd(kind)).encode()) < SIZE_LIMIT


def definition(tmp_path: Path, items: int, length: int, rule: str = "self.contains('x')") -> Path:
    """A definition with one rule on the strings of a list."""
    strings = {
        "type": "array",
        "maxItems": items,
        "items": {
            "type": "string",
            "maxLength": length,
            "x-kubernetes-validations": [{"rule": rule, "message": "no"}],
        },
    }
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"words": strings}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Sample", "plural": "samples"}
    file = tmp_path / "crd.yaml"
    body = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "samples.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    }
    file.write_text(yaml.safe_dump(body))
    return file


def test_a_rule_within_half_of_its_budget_is_fine(crdcost: Cost, tmp_path: Path) -> None:
    done = crdcost(definition(tmp_path, items=100, length=100))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_rule_above_half_of_its_budget_fails_before_the_server_refuses_it(crdcost: Cost, tmp_path: Path) -> None:
    done = crdcost(definition(tmp_path, items=1000, length=15_000))
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.endswith(".spec.words[]#0 may cost 6001000, 60 % of what one rule may")


def test_a_rule_that_the_server_would_refuse_fails_with_its_words_and_its_number(crdcost: Cost, tmp_path: Path) -> None:
    done = crdcost(definition(tmp_path, items=1000, length=40_000))
    assert done.returncode == 1
    refusal, own = done.stderr.splitlines()
    assert "the API server refuses it" in refusal
    assert "exceeds budget by factor of 1.6x" in refusal
    assert "may cost 16001000, 160 % of what one rule may" in own


def test_rules_that_are_too_dear_together_fail(crdcost: Cost, tmp_path: Path) -> None:
    """Each is at 4/10 of what a rule may, and 13 of them are at half of what a definition may."""
    file = definition(tmp_path, items=1000, length=10_000)
    body = yaml.safe_load(file.read_text())
    properties = body["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    for number in range(12):
        properties[f"words{number}"] = properties["words"]
    file.write_text(to_yaml(body))
    done = crdcost(file)
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert re.search(r"its rules may cost \d+ together, 5\d % of what a definition may", line), line


def test_a_rule_that_does_not_compile_fails(crdcost: Cost, tmp_path: Path) -> None:
    done = crdcost(definition(tmp_path, items=1, length=1, rule="self.nothing()"))
    assert done.returncode == 1
    assert "undeclared reference to 'nothing'" in done.stderr
