"""Releases of the past, from their archives: the chart, and the image that their own Dockerfile builds."""

import tarfile
from dataclasses import dataclass
from pathlib import Path

from devcluster import images

FIRST = Path(__file__).parent / "first-release/tandem-0.1.0.tar.gz"
INPUTS = ("pyproject.toml", "requirements/run.txt", "operator")
"""What the Dockerfile of the first release copies."""


@dataclass(frozen=True)
class Release:
    """An unpacked release."""

    folder: Path
    image: str

    @property
    def chart(self) -> Path:
        """The folder that helm installs."""
        return self.folder / "charts/tandem"

    def build(self) -> None:
        """Have its image in this machine's engine."""
        inputs = {name: self.folder / name for name in INPUTS}
        images.build(self.image, self.folder / "Dockerfile", inputs=inputs)


def unpack(archive: Path, folder: Path) -> Release:
    """The release that `archive` holds, unpacked into a folder."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    version = archive.name.removeprefix("tandem-").removesuffix(".tar.gz")
    return Release(folder, f"tandem-dev/operator:{version}")
