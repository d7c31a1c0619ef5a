"""The archive of the first release, from which upgrades are tested."""

from pathlib import Path

import pytest
import yaml

from tests.e2e import releases


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> releases.Release:
    return releases.unpack(releases.FIRST, tmp_path_factory.mktemp("first-release"))


def test_the_archive_is_small() -> None:
    assert releases.FIRST.stat().st_size < 300_000


def test_it_is_the_first_release(first: releases.Release) -> None:
    assert yaml.safe_load((first.chart / "Chart.yaml").read_text())["version"] == "0.1.0"
    assert first.image == "tandem-dev/operator:0.1.0"


def test_its_definitions_are_where_helm_never_upgrades_them(first: releases.Release) -> None:
    """The reason why its upgrade needs a test."""
    assert len(list((first.chart / "crds").glob("*.yaml"))) == 3
    assert not [path for path in (first.chart / "templates").iterdir() if "crd" in path.name]


def test_its_image_can_be_built_from_it(first: releases.Release) -> None:
    copied = [line.split()[1] for line in (first.folder / "Dockerfile").read_text().splitlines() if "COPY " in line[:5]]
    wanted = [name for name in copied if not name.startswith("--from")]
    assert set(releases.INPUTS) == {name.rstrip("/") for name in wanted}
    assert all(Path(first.folder / name).exists() for name in wanted)
