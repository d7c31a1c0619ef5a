"""Served kinds against those of the program."""

from copy import deepcopy
from typing import Any

import pytest

from tandem.api.crd import all_crds
from tandem.domain.prerequisites.definitions import MEND, findings
from tandem.domain.prerequisites.finding import Finding, Level, Unread

WANTED = all_crds()
NAMES = [wish["metadata"]["name"] for wish in WANTED]
RUNS = "trainingruns.tandem.dev"


def installed() -> dict[str, dict[str, Any]]:
    """All kinds as this program has them, with what the API server adds."""
    found = {}
    for wish in deepcopy(WANTED):
        wish["spec"]["conversion"] = {"strategy": "None"}
        wish["status"] = {
            "conditions": [{"type": "NamesAccepted", "status": "True"}, {"type": "Established", "status": "True"}]
        }
        found[wish["metadata"]["name"]] = wish
    return found


def version(found: dict[str, dict[str, Any]], name: str = RUNS) -> dict[str, Any]:
    """The only version of a kind."""
    one: dict[str, Any] = found[name]["spec"]["versions"][0]
    return one


def spec(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Properties of a run's spec."""
    fields: dict[str, Any] = version(found)["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    return fields


def of(name: str, found: dict[str, dict[str, Any]] | Unread) -> Finding:
    """The one finding about a kind."""
    (told,) = [item for item in findings(found, WANTED) if item.message.startswith(name)]
    return told


def test_the_same_kinds_are_fine() -> None:
    assert [item.level for item in findings(installed(), WANTED)] == [Level.OK] * len(NAMES)


def test_what_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    found = installed()
    del found[RUNS]
    assert of(RUNS, found) == Finding(Level.FAIL, "crds", f"{RUNS} is not installed", MEND)
    assert len([item for item in findings(found, WANTED) if item.level is Level.OK]) == len(NAMES) - 1


def test_a_kind_that_is_not_established_is_not_served() -> None:
    found = installed()
    found[RUNS]["status"]["conditions"] = [
        {"type": "NamesAccepted", "status": "False", "message": "trun is taken"},
        {"type": "Established", "status": "False", "message": "not all names are accepted"},
    ]
    told = of(RUNS, found)
    assert told.level is Level.FAIL
    assert told.message == f"{RUNS} is not served: trun is taken; not all names are accepted"
    del found[RUNS]["status"]
    assert of(RUNS, found).message == f"{RUNS} is not served: not established yet"


@pytest.mark.parametrize("change", [{"name": "v1"}, {"served": False}])
def test_another_version_is_not_ours(change: dict[str, Any]) -> None:
    found = installed()
    version(found).update(change)
    told = of(RUNS, found)
    assert told.level is Level.FAIL
    assert "does not serve v1alpha1" in told.message


def test_an_older_schema_fails_and_names_what_it_lacks() -> None:
    """With it, the API server refuses a status that has the field."""
    found = installed()
    del spec(found)["suspend"]
    told = of(RUNS, found)
    assert told == Finding(Level.FAIL, "crds", f"{RUNS} is older than this program: it lacks spec.suspend", MEND)


def test_what_a_release_owns_is_mended_by_its_upgrade() -> None:
    found = installed()
    found[RUNS]["metadata"]["annotations"] = {"meta.helm.sh/release-name": "tandem"}
    del spec(found)["suspend"]
    assert of(RUNS, found).mend == "helm upgrade tandem, as docs/upgrade.md says"


def test_a_missing_object_is_one_thing_and_a_long_list_is_cut() -> None:
    found = installed()
    del spec(found)["checkpoint"]
    assert of(RUNS, found).message.endswith("it lacks spec.checkpoint")
    for name in ("suspend", "args", "command"):
        del spec(found)[name]
    assert "it lacks spec.args, spec.checkpoint, spec.command and 1 more" in of(RUNS, found).message


def test_a_field_inside_a_list_counts() -> None:
    found = installed()
    del spec(found)["variants"]["items"]["properties"]["image"]
    assert of(RUNS, found).message.endswith("it lacks spec.variants.image")


def test_a_newer_schema_is_only_a_warning() -> None:
    found = installed()
    spec(found)["dreams"] = {"type": "object", "additionalProperties": {"properties": {"deep": {"type": "string"}}}}
    told = of(RUNS, found)
    assert told.level is Level.WARN
    assert told.message.endswith("is newer than this program: it has spec.dreams, which this one does not know")


def test_a_schema_with_both_is_another() -> None:
    found = installed()
    spec(found)["dreams"] = spec(found).pop("suspend")
    told = of(RUNS, found)
    assert told.level is Level.FAIL
    assert "is another: it lacks spec.suspend and has spec.dreams" in told.message


@pytest.mark.parametrize(
    "path",
    [("schema", "openAPIV3Schema", "x-kubernetes-validations"), ("additionalPrinterColumns",), ("subresources",)],
)
def test_other_rules_columns_or_subresources_are_told(path: tuple[str, ...]) -> None:
    found = installed()
    place = version(found)
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    told = of(RUNS, found)
    assert told.level is Level.FAIL
    assert "other rules, defaults or columns" in told.message


def test_words_for_people_may_differ() -> None:
    found = installed()
    spec(found)["image"]["description"] = "in other words"
    assert of(RUNS, found).level is Level.OK


def test_a_field_that_is_called_description_is_a_field() -> None:
    found, wanted = installed(), deepcopy(WANTED)
    for where in (version(found), wanted[0]["spec"]["versions"][0]):
        where["schema"]["openAPIV3Schema"]["properties"]["description"] = {"type": "string"}
    assert findings(found, wanted)[0].level is Level.OK
    version(found)["schema"]["openAPIV3Schema"]["properties"]["description"]["type"] = "integer"
    assert findings(found, wanted)[0].level is Level.FAIL


def test_not_being_allowed_to_look_is_a_warning() -> None:
    (told,) = findings(Unread("forbidden to you"), WANTED)
    assert told == Finding(Level.WARN, "crds", "not checked: cannot read CustomResourceDefinitions: forbidden to you")
