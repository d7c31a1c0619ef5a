"""Every manifest that we show is taken by the real API server, with unknown fields refused."""

from pathlib import Path

import pytest
import yaml

from tests.api.server import API_VERSION, Server
from tests.support.api import Object

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[2]
FILES = sorted(
    file
    for folder in ("docs/examples", "examples", "profiles", "charts/tandem/policies")
    for file in (ROOT / folder).glob("*.yaml")
)


def ours(text: str) -> list[Object]:
    """The objects of our kinds in a manifest; what else an example brings is Kubernetes's own."""
    return [item for item in yaml.safe_load_all(text) if item and item["apiVersion"] == API_VERSION]


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_shown_manifest_is_taken_as_it_stands(server: Server, file: Path) -> None:
    items = ours(file.read_text(encoding="utf-8"))
    assert items
    for item in items:
        # Names of shipped profiles may be taken on the cluster.
        item["metadata"]["name"] = f"shown-{item['metadata']['name']}"[:40].rstrip("-")
        item["metadata"].pop("namespace", None)
        stored = server.dry_run(item)
        assert stored["spec"].items() >= item["spec"].items()


@pytest.mark.parametrize("page", ["README.md", "docs/policy.md"])
def test_the_manifests_of_a_page_are_taken(server: Server, page: str) -> None:
    blocks = (ROOT / page).read_text(encoding="utf-8").split("```yaml\n")[1:]
    items = [item for block in blocks for item in ours(block.split("```")[0])]
    assert items
    for item in items:
        server.dry_run(item)
