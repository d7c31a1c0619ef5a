"""The rights that `tandem check` asks for are those that the chart gives."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tandem.domain.prerequisites.rights import GANGS, Account, Right, needed


def rights(role: dict[str, Any]) -> Iterator[Right]:
    """Every single right that a role gives."""
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for name in rule.get("resourceNames", [""]):
                        yield Right(group, resource, verb, role["metadata"].get("namespace", ""), name)


def test_the_table_is_what_the_chart_gives_the_operator() -> None:
    """Whoever changes a role changes the table, or a missing right is not found."""
    objects = list(yaml.safe_load_all((Path(__file__).parent / "golden.yaml").read_text()))
    bound = {
        (item["roleRef"]["kind"], item["roleRef"]["name"])
        for item in objects
        if item["kind"] in ("ClusterRoleBinding", "RoleBinding")
    }
    given = [right for item in objects if (item["kind"], item["metadata"]["name"]) in bound for right in rights(item)]
    assert len(bound) == 3
    asked = (*needed(Account("tandem-system", "tandem")), *GANGS)
    assert len(asked) == len(set(asked))
    assert set(asked) == set(given)
