"""The API reference: every field in one table, every group with an example that shows it, every link with its target."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.api.crd import KINDS, Kind, crd
from tandem.api.generate import EXAMPLES, REPOSITORY, generated_files
from tandem.api.groups import GROUPS, Group, grouped

FILES = {file.name: yaml.safe_load(file.read_text()) for file in (REPOSITORY / EXAMPLES).glob("*.yaml")}
ALL = [(kind, group) for kind, groups in GROUPS.items() for group in groups]
by_group = pytest.mark.parametrize(("kind", "group"), ALL, ids=[f"{kind}: {group.title}" for kind, group in ALL])


@pytest.fixture(scope="module")
def page() -> str:
    """docs/api.md."""
    return generated_files()[Path("docs/api.md")]


def spec_of(kind: Kind) -> dict[str, Any]:
    """Schema of a kind's spec."""
    schema: dict[str, Any] = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return schema


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_stands_in_one_table(page: str, kind: Kind) -> None:
    section = page.split(f"\n## {kind.name}\n")[1].split("\n## ", maxsplit=1)[0]
    rows = Counter(re.findall(r"^\| `spec\.(\w+)`", section, re.MULTILINE))
    assert rows == Counter(list(spec_of(kind)["properties"]))


@by_group
def test_the_fields_of_a_group_exist(kind: str, group: Group) -> None:
    [found] = [item for item in KINDS if item.name == kind]
    assert set(group.fields) <= set(spec_of(found)["properties"])


@by_group
def test_the_example_of_a_group_shows_it(kind: str, group: Group) -> None:
    assert group.example is not None
    example = FILES[group.example]
    assert example["kind"] == kind
    assert set(group.fields) & set(example["spec"])


def test_every_example_belongs_to_a_group() -> None:
    assert sorted(FILES) == sorted(str(group.example) for _, group in ALL)


def test_every_example_is_on_the_page(page: str) -> None:
    shown = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    assert sorted(FILES.values(), key=str) == sorted(shown, key=str)


def test_every_link_has_its_heading(page: str) -> None:
    links = re.findall(r"\]\(#([^)]+)\)", page)
    headings = [title.lower() for title in re.findall(r"^##+ (.+)$", page, re.MULTILINE)]
    assert links == [re.sub(r"[^a-z0-9 -]", "", title).replace(" ", "-") for title in headings]


def test_a_field_that_no_group_names_comes_before_the_reserved_ones() -> None:
    titles = [group.title for group in grouped("TrainingRun", ["managedBy", "pods", "novel"])]
    assert titles[-2:] == ["Further fields", "Reserved"]


def test_a_kind_without_groups_has_one_table() -> None:
    assert grouped("Novel", ["a", "b"]) == [Group("Fields", ("a", "b"), None)]
