"""`make sbom`: every package of the image is listed, under a licence that is known and asks nothing of the operator's own code."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.unit.package.conftest import script

STRONG_COPYLEFT = re.compile(r"(?<!L)(?<!Lesser )\bA?GPL|Affero|(?<!Lesser )General Public License", re.IGNORECASE)


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    return script("sbom")


@pytest.fixture(scope="module")
def bill(sbom: ModuleType) -> dict[str, Any]:
    found: dict[str, Any] = sbom.bill()
    return found


@pytest.fixture(scope="module")
def licences(sbom: ModuleType) -> list[dict[str, str]]:
    found: list[dict[str, str]] = sbom.licences()
    return found


def test_the_bill_lists_what_is_locked_and_nothing_else(sbom: ModuleType, bill: dict[str, Any]) -> None:
    listed = {sbom.normal(part["name"]): part["version"] for part in bill["components"]}
    assert listed == sbom.locked()
    assert all(part["purl"].startswith("pkg:pypi/") for part in bill["components"])
    assert bill["metadata"]["component"]["name"] == "tandem-operator"


def test_the_bill_says_what_needs_what(bill: dict[str, Any]) -> None:
    known = {part["bom-ref"] for part in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}
    needs = {edge["ref"]: set(edge["dependsOn"]) for edge in bill["dependencies"]}
    assert needs.keys() == known
    assert set().union(*needs.values()) <= known
    aiohttp = next(part["bom-ref"] for part in bill["components"] if part["name"] == "aiohttp")
    assert {name.split("==")[0] for name in needs[aiohttp]} >= {"yarl", "multidict"}


def test_every_licence_is_known_and_none_is_strong_copyleft(sbom: ModuleType, licences: list[dict[str, str]]) -> None:
    assert {sbom.normal(item["Name"]) for item in licences} == sbom.locked().keys()
    told = {item["Name"]: item["License"] for item in licences}
    assert not {name: text for name, text in told.items() if not text or "unknown" in text.lower()}
    assert not {name: text for name, text in told.items() if STRONG_COPYLEFT.search(text)}


@pytest.mark.parametrize(
    ("text", "strong"),
    [
        ("GPL-3.0-or-later", True),
        ("GNU Affero General Public License v3", True),
        ("GNU General Public License v2 (GPLv2)", True),
        ("AGPL-3.0", True),
        ("LGPL-2.1", False),
        ("GNU Lesser General Public License v3", False),
        ("Mozilla Public License 2.0 (MPL 2.0)", False),
        ("MIT", False),
    ],
)
def test_strong_copyleft_is_told_from_weak(text: str, strong: bool) -> None:
    assert bool(STRONG_COPYLEFT.search(text)) is strong


def test_both_files_are_written(
    sbom: ModuleType,
    bill: dict[str, Any],
    licences: list[dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(sbom, "bill", lambda: bill)
    monkeypatch.setattr(sbom, "licences", lambda: licences)
    assert sbom.main(tmp_path / "dist") == 0
    assert json.loads((tmp_path / "dist/sbom.cdx.json").read_text()) == bill
    rows = [line for line in (tmp_path / "dist/licences.md").read_text().splitlines() if line.startswith("| ")]
    assert len(rows) == 1 + len(licences)
