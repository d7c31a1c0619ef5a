"""The chart's values: each is in the schema, and the schema refuses what cannot be meant, before anything is installed."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.unit.package.conftest import CHART, Helm

Schema = dict[str, Any]
SCHEMA: Schema = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
OTHER_TYPE = {"string": 7, "integer": "two", "boolean": "maybe", "array": "text", "object": "text"}


def resolved(schema: Schema) -> Schema:
    found: Schema = SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def leaves(schema: Schema = SCHEMA, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Schema]]:
    """Every value that is not itself a folder of others."""
    for name, child in schema["properties"].items():
        below = resolved(child)
        if "properties" in below:
            yield from leaves(below, (*path, name))
        else:
            yield (*path, name), below


def folders(schema: Schema = SCHEMA, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, child in schema["properties"].items():
        if "properties" in resolved(child):
            yield from folders(resolved(child), (*path, name))


def refused(template: Helm, *values: tuple[tuple[str, ...], Any]) -> str:
    """What Helm says when all of these are given at once."""
    options = [word for path, value in values for word in ("--set-json", f"{'.'.join(path)}={json.dumps(value)}")]
    done = template(*options)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr
    return done.stderr


def test_every_entry_of_the_schema_is_a_value_with_a_default() -> None:
    """The reverse holds too: the schema is closed, and the defaults pass it."""
    for path, _ in leaves():
        # Helm itself puts `global` into the values.
        if path != ("global",):
            value: Any = VALUES
            for name in path:
                value = value[name]


def test_a_value_of_another_type_is_refused(template: Helm) -> None:
    wrong = [(path, schema["type"]) for path, schema in leaves()]
    told = refused(template, *((path, OTHER_TYPE[kind]) for path, kind in wrong))
    for path, kind in wrong:
        assert re.search(rf"at '/{'/'.join(path)}': got \w+, want {kind}", told), path


def test_a_name_that_does_not_exist_is_refused(template: Helm) -> None:
    paths = list(folders())
    told = refused(template, *(((*path, "typo"), 1) for path in paths))
    assert len(paths) > 5
    for path in paths:
        assert f"at '{''.join(f'/{name}' for name in path)}': additional properties 'typo' not allowed" in told


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("image.repository", "registry.example/tandem:v1"),
        ("image.tag", "v1@sha256:00"),
        ("image.digest", "sha256:abc"),
        ("image.pullPolicy", "Sometimes"),
        ("imagePullSecrets", [{"name": "x"}]),
        ("settings", {"port": 9000}),
        ("settings", {"leaseName": "other"}),
        ("replicas", 9),
        ("settings", {"kubeconfig": "/etc/passwd"}),
        ("settings", {"bind_seconds": 3}),
        ("settings", {"bindSeconds": [3]}),
        ("resources.limits", {"memory": "a lot"}),
        ("podAnnotations", {"a": 1}),
        ("nodeSelector", {"pool": True}),
        ("tolerations", ["all"]),
        ("topologySpreadConstraints", [{"topologyKey": "zone"}]),
        ("networkPolicy.from", ["monitoring"]),
        ("serviceMonitor.interval", "thirty"),
        ("serviceMonitor.labels", {"release": 1}),
        ("prometheusRule.runbooks", ""),
    ],
)
def test_values_that_make_no_sense_are_refused(template: Helm, path: str, value: Any) -> None:
    told = refused(template, (tuple(path.split(".")), value))
    assert f"at '/{path.replace('.', '/')}" in told or "invalid propertyName" in told


@pytest.mark.parametrize("repository", ["tandem", "registry.example:5000/team/tandem", "ghcr.io/x/tandem"])
def test_repositories_of_every_form_are_taken(template: Helm, repository: str) -> None:
    assert template("--set", f"image.repository={repository}").returncode == 0
