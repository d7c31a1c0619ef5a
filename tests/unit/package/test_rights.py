"""The rights that `tandem check` asks for are those that the chart gives."""

from pathlib import Path

import yaml

from tandem.domain.prerequisites.rights import NEEDED, Right


def test_the_table_is_the_charts_cluster_role() -> None:
    """Whoever changes the role changes the table, or a missing right is not found."""
    golden = yaml.safe_load_all((Path(__file__).parent / "golden.yaml").read_text())
    (role,) = [
        item for item in golden if item["kind"] == "ClusterRole" and item["metadata"]["name"] == "tandem-operator"
    ]
    given = {
        Right(group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert len(NEEDED) == len(set(NEEDED))
    assert set(NEEDED) == given
