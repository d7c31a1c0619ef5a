"""From the first release to this one, back, and forth again, over a run and a service at work: their pods never notice."""

import os
import re
import subprocess
from collections.abc import Iterator

import pytest

from devcluster import audit, kube, load, paths
from devcluster.shell import DevclusterError
from examples import demo
from tests.e2e import releases
from tests.e2e.conftest import ACCOUNT, reason, until
from tests.e2e.test_permissions import apply, workload
from tests.support.serving import server

pytestmark = [pytest.mark.cluster, pytest.mark.serial]

SPACE = "e2e-upgrade"
HERE = f"--namespace={SPACE}"
NEW_VALUES = "--reset-then-reuse-values"
DRY = "--dry-run=server"
LARGEST_RELEASE = 500_000
"""Bytes of the Secret in which Helm keeps a release, half of what the API server takes."""


@pytest.fixture(scope="module")
def bare(operator: None) -> None:
    """A cluster in which nothing is left of this release, not even a definition."""
    demo.helm("uninstall", demo.RELEASE, "--wait", "--timeout=60s")
    kube.kubectl("delete", *definitions(), "--timeout=60s", timeout=70)


@pytest.fixture(scope="module")
def first(bare: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[releases.Release]:
    """The first release as it was installed."""
    release = releases.unpack(releases.FIRST, tmp_path_factory.mktemp("first-release"))
    release.build()
    load.load(release.image)
    repository, _, tag = release.image.rpartition(":")
    values = f"image.repository={repository},image.tag={tag}"
    demo.helm("install", demo.RELEASE, str(release.chart), "--set", values, "--wait", "--timeout=120s")
    # The devcluster's profiles may say what the first release does not know yet; it leaves that out.
    kube.kubectl("apply", "--validate=ignore", f"--filename={demo.ROOT / 'devcluster/profiles'}")
    kube.kubectl("create", "namespace", SPACE)
    apply(
        SPACE,
        workload("TrainingRun", "job", accelerator="nvidia-h20", pods=2, launcher="Plain"),
        workload("InferenceService", "web", accelerator="ascend-910b", replicas=2, command=server()),
    )
    until(all_well, "the run and the service to be at work", 90)
    yield release
    kube.kubectl("delete", "namespace", SPACE, "--timeout=90s", timeout=100)


@pytest.fixture(scope="module")
def before(first: releases.Release) -> dict[str, str]:
    """The pods that the first release made, by name, with their uids."""
    return pods()


def definitions() -> list[str]:
    found = kube.kubectl("get", "crd", "--output=name").split()
    return [name for name in found if name.endswith(".tandem.dev")]


def pods() -> dict[str, str]:
    """Name -> uid, of containers that were never restarted."""
    found = kube.items(HERE, "pods", "--selector=tandem.dev/witness!=true")
    restarted = [
        item["metadata"]["name"] for item in found for c in item["status"]["containerStatuses"] if c["restartCount"]
    ]
    assert not restarted
    return {item["metadata"]["name"]: item["metadata"]["uid"] for item in found}


def all_well() -> bool:
    return (reason("trun", "job", SPACE), reason("infsvc", "web", SPACE)) == ("Running", "Available")


def serves_new_runs(name: str) -> None:
    """Whoever runs this run has also looked at all that was there: it fills its stores before it acts."""
    apply(SPACE, workload("TrainingRun", name, accelerator="nvidia-h20", launcher="Plain"))
    until(lambda: reason("trun", name, SPACE) == "Running", f"{name} to run", 90)
    kube.kubectl(HERE, "delete", "trun", name)
    until(lambda: not kube.items(HERE, "pods", f"--selector=tandem.dev/run={name}"), "its pod to go", 60)


def image_of_the_operator() -> str:
    found = kube.get(f"--namespace={demo.NAMESPACE}", "deployment", demo.RELEASE)
    return str(found["spec"]["template"]["spec"]["containers"][0]["image"])


def upgrade(*options: str) -> str:
    repository, _, tag = demo.OPERATOR.rpartition(":")
    values = f"image.repository={repository},image.tag={tag}"
    return demo.helm("upgrade", demo.RELEASE, str(demo.ROOT / "charts/tandem"), "--set", values, *options)


def commands_of(page: str, word: str) -> str:
    """The block of shell commands in a page of docs/ that contains a word."""
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", (demo.ROOT / "docs" / page).read_text(), re.S)
    (found,) = [block for block in blocks if word in block]
    return found


def test_profiles_cannot_come_before_their_kind_is_known(bare: None) -> None:
    chart = ("install", demo.RELEASE, str(demo.ROOT / "charts/tandem"), "--set=image.repository=x", DRY)
    with pytest.raises(DevclusterError, match="does not know AcceleratorProfiles yet"):
        demo.helm(*chart, "--set=profiles.install=true")
    demo.helm(*chart)


def test_definitions_of_the_first_release_are_not_taken_over_unasked(before: dict[str, str]) -> None:
    with pytest.raises(DevclusterError, match="invalid ownership metadata"):
        upgrade(NEW_VALUES)
    assert image_of_the_operator().endswith(":0.1.0")


def test_values_of_the_first_release_alone_are_refused_with_advice(before: dict[str, str]) -> None:
    with pytest.raises(DevclusterError, match=NEW_VALUES):
        upgrade("--reuse-values", "--take-ownership", DRY)


def test_both_documented_ways_hand_the_definitions_over(before: dict[str, str]) -> None:
    upgrade(NEW_VALUES, "--take-ownership", DRY)
    ours = {"PATH": f"{paths.bin_dir()}:{os.environ['PATH']}", "KUBECONFIG": str(paths.kubeconfig())}
    script = commands_of("upgrade.md", "kubectl annotate")
    subprocess.run(["sh", "-euc", script], env={**os.environ, **ours}, check=True, capture_output=True, timeout=60)
    upgrade(NEW_VALUES, DRY)


def test_an_upgrade_restarts_no_pod_and_settles(before: dict[str, str]) -> None:
    demo.install_operator(NEW_VALUES)
    assert image_of_the_operator() == demo.OPERATOR
    for definition in definitions():
        assert kube.get(definition)["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    serves_new_runs("after-upgrade")
    assert pods() == before
    until(all_well, "the statuses to be right")
    # A field that the first release did not know; it may take a minute, for it says nothing that is urgent.
    until(lambda: kube.get(HERE, "trun", "job")["status"]["active"].get("boundTime"), "status to tell it")

    settled = audit.mark()
    # Every run and service is looked at again.
    kube.kubectl("annotate", "accel", "--all", "--overwrite", "e2e.tandem.dev/looked-at=again")
    serves_new_runs("after-look")
    writes = [
        (event.verb, event.resource, event.name)
        for event in audit.since(settled, user=ACCOUNT)
        if event.is_write and event.resource != "leases" and "after-look" not in event.uri
    ]
    assert [item for item in writes if item[1] != "events" and "after-look" not in item[2]] == []
    assert pods() == before


def test_a_release_fits_well_into_its_secret(before: dict[str, str]) -> None:
    """Definitions and chart are in it, and a release that does not fit cannot be installed at all."""
    secrets = kube.items(f"--namespace={demo.NAMESPACE}", "secrets", "--selector=owner=helm,status=deployed")
    assert [len(item["data"]["release"]) < LARGEST_RELEASE for item in secrets] == [True]


def test_a_rollback_restarts_no_pod_and_leaves_the_definitions(before: dict[str, str]) -> None:
    served = set(definitions())
    demo.helm("rollback", demo.RELEASE, "1", "--wait", "--timeout=120s")
    assert image_of_the_operator().endswith(":0.1.0")
    serves_new_runs("after-rollback")
    assert pods() == before
    assert all_well()
    assert set(definitions()) == served

    # The definitions are the release's since the first upgrade, so the second one needs no flag.
    upgrade(NEW_VALUES, "--wait", "--timeout=120s")
    serves_new_runs("after-return")
    assert pods() == before
    assert all_well()


def test_definitions_stay_when_they_are_no_longer_part_of_the_release(before: dict[str, str]) -> None:
    served = set(definitions())
    upgrade(NEW_VALUES, "--set=crds.enabled=false", "--wait", "--timeout=120s")
    assert set(definitions()) == served
    assert pods() == before
    demo.install_operator()
