"""All findings together."""

from tandem.api.crd import all_crds
from tandem.domain.prerequisites import check
from tandem.domain.prerequisites.check import Seen
from tandem.domain.prerequisites.finding import Level, Unread
from tandem.domain.prerequisites.rights import Account
from tests.unit.domain.builders import GPUS, node
from tests.unit.domain.prerequisites.test_definitions import installed


def test_a_good_cluster_has_one_good_word_on_every_subject() -> None:
    seen = Seen(
        version={"major": "1", "minor": "37", "gitVersion": "v1.37.2"},
        apis={"apps/v1"},
        definitions=installed(),
        operator=Account("tandem-system", "tandem"),
        installed=True,
        denied=(),
        namespace={"pod-security.kubernetes.io/enforce": "restricted"},
        nodes=[node("gpu-0")],
        profiles={GPUS.name: GPUS},
    )
    found = check.findings(seen, all_crds())
    assert {item.level for item in found} == {Level.OK, Level.INFO}
    subjects = [item.subject for item in found]
    assert sorted(set(subjects), key=subjects.index) == [
        "kubernetes", "crds", "namespace", "rights", "profile", "gang", "kueue"
    ]  # fmt: skip


def test_a_caller_without_rights_gets_a_warning_on_every_subject_but_the_version() -> None:
    no = Unread("forbidden")
    seen = Seen(
        version={"major": "1", "minor": "37"},
        apis=no,
        definitions=no,
        operator=Account("tandem-system", "tandem"),
        installed=no,
        denied=no,
        namespace=no,
        nodes=no,
        profiles=no,
    )
    version, *others = check.findings(seen, all_crds())
    assert version.level is Level.OK
    assert {item.level for item in others} == {Level.WARN}
    assert all("forbidden" in item.message for item in others)
