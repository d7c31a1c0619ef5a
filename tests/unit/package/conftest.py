"""Helm, without a cluster."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from devcluster import gobuild, versions

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts/tandem"
IMAGE = ("--set", "image.repository=registry.example/tandem,image.tag=v1")


def script(name: str) -> ModuleType:
    """A script of .ci/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f".ci/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


Helm = Callable[..., subprocess.CompletedProcess[str]]
Render = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="session")
def helm() -> Helm:
    """Run helm; the answer with its code, whatever that is."""
    program = gobuild.ensure(gobuild.HELM) / "helm"

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *args], text=True, capture_output=True, check=False, timeout=60)

    return run


@pytest.fixture(scope="session")
def template(helm: Helm) -> Helm:
    """Render the chart with an image and the given options."""

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        where = ("tandem", str(CHART), "--namespace", "tandem-system", "--kube-version", versions.KUBERNETES)
        return helm("template", *where, *options)

    return run


@pytest.fixture(scope="session")
def render(template: Helm) -> Render:
    """The chart's objects, with an image and the given options."""

    def run(*options: str) -> list[dict[str, Any]]:
        done = template(*IMAGE, *options)
        assert done.returncode == 0, done.stderr
        return [found for found in yaml.safe_load_all(done.stdout) if found]

    return run


@pytest.fixture(scope="session")
def notes(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """What Helm tells after an install with an image and the given options. Without a cluster it shows none, so they become an object."""
    chart = tmp_path_factory.mktemp("notes") / "tandem"
    shutil.copytree(CHART, chart)
    (chart / "templates/NOTES.txt").rename(chart / "notes.txt")
    (chart / "templates/notes.yaml").write_text('kind: Notes\ntext: {{ tpl (.Files.Get "notes.txt") . | quote }}\n')

    def run(*options: str) -> str:
        where = ("--namespace=ops", f"--kube-version={versions.KUBERNETES}", "--show-only=templates/notes.yaml")
        done = helm("template", "tandem", str(chart), *where, *IMAGE, *options)
        assert done.returncode == 0, done.stderr
        return str(yaml.safe_load(done.stdout)["text"])

    return run
