"""What people see and type: explain, names, columns, and what becomes of a misspelt field."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from devcluster import kube
from devcluster.shell import DevclusterError
from tandem.api.crd import KINDS, Kind, crd
from tests.api.server import API_VERSION, WORK, Server, smallest
from tests.support.api import Object

pytestmark = pytest.mark.cluster

Create = Callable[[Object], Object]
EVERY = (*WORK, "AcceleratorProfile", "PlacementPolicy")


def kubectl(server: Server, *args: str, stdin: Object | None = None) -> str:
    """Standard output of kubectl in the tests' namespace."""
    return kube.kubectl("--namespace", server.namespace, *args, stdin=yaml.safe_dump(stdin) if stdin else None)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("trun", "A gang of pods that trains a model"),
        ("trun.spec.devicesPerPod", "Whole devices for each pod."),
        ("trun.spec.template", "Refused with the way out: hostNetwork"),
        ("trun.spec.template.spec.hostNetwork", "pods reach each other by the headless Service"),
        (
            "infsvc.spec.variants.maxReplicas",
            "Most replicas of this variant. What no variant may take counts as unplaced.",
        ),
        ("infsvc.status.placement.rejected", "The candidates of the last decision that were not taken."),
        ("accel.spec.perDevice.shm", "Size of /dev/shm per device"),
        ("ppol.spec.shares", "Wished parts of the devices in use"),
    ],
)
def test_explain_is_the_manual(server: Server, path: str, words: str) -> None:
    assert words in " ".join(kubectl(server, "explain", path).split())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_explain_shows_every_field(server: Server, kind: Kind) -> None:
    """In one call, as one reads what there is."""
    shown = kubectl(server, "explain", kind.plural, "--recursive", f"--api-version={API_VERSION}")
    written = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    named = {path.rsplit(".", 1)[1] for path, _ in descriptions(written, "")}
    assert named <= {line.split()[0] for line in shown.splitlines() if line.strip()}


def descriptions(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    """(path, description) of every field that has one."""
    if "items" in schema:
        yield from descriptions(schema["items"], path)
    for name, child in schema.get("properties", {}).items():
        if child.get("description"):
            yield f"{path}.{name}", child["description"]
        yield from descriptions(child, f"{path}.{name}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_server_publishes_the_description_of_every_field(server: Server, kind: Kind) -> None:
    published = server.api.get(f"/openapi/v3/apis/{API_VERSION}")["components"]["schemas"]
    served = published[f"dev.tandem.v1alpha1.{kind.name}"]
    written = crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    # The server words apiVersion, kind and metadata itself.
    for part in ("spec", "status"):
        if part in written["properties"]:
            expected = dict(descriptions(written["properties"][part], part))
            assert expected
            assert dict(descriptions(served["properties"][part], part)) == expected


@pytest.mark.parametrize(
    ("short", "kind"),
    [
        ("trun", "TrainingRun"),
        ("infsvc", "InferenceService"),
        ("accel", "AcceleratorProfile"),
        ("ppol", "PlacementPolicy"),
    ],
)
def test_short_names_find_their_kind(server: Server, create: Create, name: str, short: str, kind: str) -> None:
    create(smallest(kind, name))
    assert kubectl(server, "get", short, name, "--output=name").strip() == f"{kind.lower()}.tandem.dev/{name}"


def test_the_category_finds_all_kinds(server: Server, create: Create, name: str) -> None:
    for kind in EVERY:
        create(smallest(kind, name))
    found = kubectl(server, "get", "tandem", "--output=name").split()
    assert {f"{kind.lower()}.tandem.dev/{name}" for kind in EVERY} <= set(found)


COLUMNS = {
    "TrainingRun": (
        ["STATUS", "ACCELERATOR", "PODS", "ATTEMPT", "AGE"],
        ["VARIANT", "DECIDED BY", "LAST FAILURE", "MESSAGE"],
    ),
    "InferenceService": (["STATUS", "ACCELERATOR", "REPLICAS", "AGE"], ["DECIDED BY", "MODEL", "URL", "MESSAGE"]),
    "AcceleratorProfile": (
        ["STATUS", "NODES", "DEVICES", "FREE", "OURS", "OTHERS", "UNHEALTHY", "AGE"],
        ["RESOURCE", "ARCH", "STACK", "VENDOR", "MESSAGE"],
    ),
    "PlacementPolicy": (["STATUS", "PRIORITY", "MODE", "ACCELERATORS", "AGE"], ["MESSAGE"]),
}


@pytest.mark.parametrize("kind", EVERY)
def test_columns_are_those_of_the_design(server: Server, create: Create, name: str, kind: str) -> None:
    create(smallest(kind, name))
    narrow, wide = COLUMNS[kind]

    def headings(*args: str) -> list[str]:
        line = kubectl(server, "get", kind, name, *args).splitlines()[0]
        return [heading.strip() for heading in line.split("  ") if heading.strip()]

    assert headings() == ["NAME", *narrow]
    assert headings("--output=wide") == ["NAME", *narrow, *wide]


def test_a_profile_shows_the_vendor_of_its_label(server: Server, create: Create, name: str) -> None:
    profile = smallest("AcceleratorProfile", name)
    profile["metadata"]["labels"] = {"tandem.dev/stack": "some-stack", "tandem.dev/vendor": "some-vendor"}
    create(profile)
    # An operator on this cluster may have counted its nodes by now, so the row is read by its headings.
    heading, row = kubectl(server, "get", "accel", name, "--output=wide").splitlines()
    shown = {word: row[heading.index(word) :].split()[0] for word in ("NAME", "RESOURCE", "STACK", "VENDOR")}
    assert shown == {"NAME": name, "RESOURCE": "example.com/gpu", "STACK": "some-stack", "VENDOR": "some-vendor"}


@pytest.mark.parametrize("kind", EVERY)
def test_kubectl_refuses_a_misspelt_field(server: Server, name: str, kind: str) -> None:
    with pytest.raises(DevclusterError, match=r'unknown field "spec\.devicePerPod"'):
        kubectl(server, "apply", "--dry-run=server", "--filename=-", stdin=smallest(kind, name, devicePerPod=1))


@pytest.mark.parametrize("kind", EVERY)
def test_a_misspelt_field_that_comes_past_kubectl_is_pruned(server: Server, name: str, kind: str) -> None:
    stored = server.dry_run(smallest(kind, name, devicePerPod=1), validation="Ignore")
    assert stored["spec"] == server.dry_run(smallest(kind, name))["spec"]


@pytest.mark.parametrize("kind", EVERY)
def test_the_second_apply_of_kubectl_changes_nothing(server: Server, create: Create, name: str, kind: str) -> None:
    create(smallest(kind, name))
    for outcome in ("configured", "unchanged"):
        # The first one adds kubectl's annotation.
        assert outcome in kubectl(server, "apply", "--filename=-", stdin=smallest(kind, name))
