"""The command that writes CRDs and reference pages."""

import runpy
import sys
from pathlib import Path

import pytest
import yaml

from tandem.api.generate import generated_files, main
from tandem.api.reasons import Reason

CRD = Path("crds/tandem.dev_trainingruns.yaml")
Files = dict[Path, str]


@pytest.fixture(scope="module")
def files() -> Files:
    """All generated texts by path."""
    return generated_files()


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A repository into which everything was just written."""
    assert main([], tmp_path) == 0
    return tmp_path


def test_this_checkout_holds_what_the_models_say(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    monkeypatch.delitem(sys.modules, "tandem.api.generate")
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("tandem.api.generate", run_name="__main__")
    assert ended.value.code == 0, capsys.readouterr().err


def test_every_file_is_written_and_then_checks_clean(written: Path) -> None:
    files = {path.relative_to(written) for path in written.rglob("*") if path.is_file()}
    assert files == set(generated_files())
    assert main(["--check"], written) == 0


def test_a_second_run_writes_nothing(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main([], written) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("path", [str(CRD), f"charts/tandem/files/{CRD}", "docs/api.md"])
def test_drift_is_found_named_and_mended(written: Path, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    (written / path).write_text("by hand", encoding="utf-8")
    assert main(["--check"], written) == 1
    complaint = f"{path} is not what the API models say: run `python -m tandem.api.generate` and commit it\n"
    assert capsys.readouterr().err == complaint
    assert main([], written) == 0
    assert main(["--check"], written) == 0


def test_a_check_misses_absent_files_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], tmp_path) == 1
    assert len(capsys.readouterr().err.splitlines()) == len(generated_files())
    assert list(tmp_path.iterdir()) == []


def test_the_chart_holds_the_same_crds(files: Files) -> None:
    assert files[Path("charts/tandem/files") / CRD] == files[CRD]
    assert yaml.safe_load(files[CRD])["kind"] == "CustomResourceDefinition"


def test_every_reason_is_documented(files: Files) -> None:
    page = files[Path("docs/reasons.md")]
    assert [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")] == [str(r) for r in Reason]


@pytest.mark.parametrize(
    "line",
    [
        "## TrainingRun",
        "Scope: namespaced. Short name: `trun`.",
        "| `spec.variants[].name` * | string (1 to 12) | Name of the variant, at most 12 characters; part of the names of"
        " children. |",
        "| `spec.suspend` | boolean | True ends the running attempt and keeps no pods; false goes on with the next one."
        " Default: false. |",
        "| `spec.counts.perPod` | list (1 to 64) of integer (1 to 64) | Legal counts in one pod. Default: any. |",
        "| `status.startTime` | time | When the first attempt was decided. |",
        "| `status.observedGeneration` | integer (from -1) | The metadata.generation that this status speaks of; -1 before the"
        " operator's first look. |",
        "| `status.lastFailure.exitCode` | integer | Exit code of the main container, where it had one. |",
        "| `spec.perDevice.cpu` | quantity | CPU request per device. Default: none. |",
        "| `spec.nodeSelector` * | map (1 to 16) to string (up to 63) | Labels of the nodes that carry the devices; also"
        " set on the pods. |",
        '| `spec.template.spec.volumes[].emptyDir.medium` | `""` or `Memory` |  |',
        "- `spec`: set exactly one of accelerator, acceleratorSelector and variants",
        "- `spec.template.spec.hostNetwork`: hostNetwork is refused: pods reach each other by the headless Service",
    ],
)
def test_the_reference_shows_type_bounds_meaning_and_refusals(files: Files, line: str) -> None:
    assert line in files[Path("docs/api.md")].splitlines()
