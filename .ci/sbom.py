"""What the operator is made of: `make sbom` writes a CycloneDX bill of materials and a list of licences into dist/.

Of the environment this runs in, the packages that requirements/run.txt locks: those that the Dockerfile installs. The Debian
packages of an image are listed in the image itself, in /var/lib/dpkg/status.d, where scanners look for them.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from devcluster.shell import run, say

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements/run.txt"
TOOLS = Path(sys.executable).parent


def locked() -> dict[str, str]:
    """Package -> version."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK.read_text(), re.MULTILINE))


def bill() -> dict[str, Any]:
    """The bill of materials, without what this environment holds for tests alone."""
    options = ("--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "--output-file=-")
    whole: dict[str, Any] = json.loads(run(TOOLS / "cyclonedx-py", "environment", *options, sys.executable))
    versions = locked()
    parts = [part for part in whole["components"] if versions.get(normal(part["name"])) == part["version"]]
    kept = {part["bom-ref"] for part in parts} | {whole["metadata"]["component"]["bom-ref"]}
    edges = [
        {**edge, "dependsOn": [name for name in edge.get("dependsOn", ()) if name in kept]}
        for edge in whole["dependencies"]
        if edge["ref"] in kept
    ]
    return {**whole, "components": parts, "dependencies": edges}


def normal(name: str) -> str:
    """A package's name as the lock writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licences() -> list[dict[str, str]]:
    """Name, Version, License and URL of each locked package."""
    words = ("--from=mixed", "--with-urls", "--format=json", f"--python={sys.executable}", "--packages", *locked())
    found: list[dict[str, str]] = json.loads(run(TOOLS / "pip-licenses", *words))
    return found


def page(found: list[dict[str, str]]) -> str:
    """The licences for people."""
    columns = ("Name", "Version", "License", "URL")
    rows = [" | ".join(item[column].replace("\n", " ") for column in columns) for item in found]
    head = ["# Licences", "", "Of the Python packages in the operator's image.", "", f"| {' | '.join(columns)} |"]
    return "\n".join([*head, f"|{'---|' * len(columns)}", *(f"| {row} |" for row in rows), ""])


def main(folder: Path = ROOT / "dist") -> int:
    """Write both."""
    folder.mkdir(exist_ok=True)
    (folder / "sbom.cdx.json").write_text(json.dumps(bill(), indent=2, sort_keys=True) + "\n")
    (folder / "licences.md").write_text(page(licences()))
    say(f"wrote {folder / 'sbom.cdx.json'} and {folder / 'licences.md'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
