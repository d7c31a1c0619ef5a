"""Writes what is made from the API models: `python -m tandem.api.generate`; with `--check` it only compares."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tandem.api.crd import all_crds, to_yaml
from tandem.api.reference import COMMAND, MARK, api_page, reasons_page

REPOSITORY = Path(__file__).parents[3]
CHART = Path("charts/tandem")
EXAMPLES = Path("docs/examples")


def generated_files() -> dict[Path, str]:
    """Text of every generated file, by its path in the repository."""
    examples = {file.name: file.read_text(encoding="utf-8") for file in (REPOSITORY / EXAMPLES).glob("*.yaml")}
    files = {Path("docs/reasons.md"): reasons_page(), Path("docs/api.md"): api_page(examples)}
    for definition in all_crds():
        names = definition["spec"]["names"]
        name = f"{definition['spec']['group']}_{names['plural']}.yaml"
        # Helm installs only what lies in the chart, so the chart holds copies; not in its folder `crds`, which Helm never upgrades.
        files[Path("crds") / name] = files[CHART / "files/crds" / name] = f"# {MARK}\n{to_yaml(definition)}"
    return files


def main(arguments: Sequence[str] | None = None, repository: Path = REPOSITORY) -> int:
    """Exit code: 0 when all files are as they should be or were written, 1 when `--check` found a difference."""
    parser = argparse.ArgumentParser(prog="python -m tandem.api.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file differs")
    check = parser.parse_args(arguments).check
    drifted = {path: text for path, text in generated_files().items() if not _holds(repository / path, text)}
    for path, text in drifted.items():
        if check:
            sys.stderr.write(f"{path} is not what the API models say: run `{COMMAND}` and commit it\n")
            continue
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")
    return 1 if check and drifted else 0


def _holds(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
