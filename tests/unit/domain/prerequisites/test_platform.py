"""Kubernetes itself, and what runs beside Tandem."""

import pytest

from tandem.domain.prerequisites import platform
from tandem.domain.prerequisites.finding import Level, Unread
from tandem.domain.prerequisites.rights import Account, Right, findings


@pytest.mark.parametrize(
    ("major", "minor", "level"),
    [
        ("1", "33", Level.OK),
        ("1", "37", Level.OK),
        ("1", "33+", Level.OK),
        ("2", "0", Level.OK),
        ("1", "32", Level.FAIL),
        ("1", "9+", Level.FAIL),
        ("", "", Level.FAIL),
    ],
)
def test_versions(major: str, minor: str, level: Level) -> None:
    told = platform.version({"major": major, "minor": minor, "gitVersion": f"v{major}.{minor}.1"})
    assert told.level is level
    assert f"v{major}.{minor}.1" in told.message
    assert bool(told.mend) is (level is Level.FAIL)


def test_a_server_that_tells_no_version_is_too_old() -> None:
    assert platform.version({}).message == "unknown is older than 1.33"


@pytest.mark.parametrize(
    ("apis", "gang", "kueue"),
    [
        (set(), "is not served", "not installed"),
        ({"scheduling.k8s.io/v1", "kueue.x-k8s.io/v1beta2"}, "is not served", "installed"),
        ({"scheduling.k8s.io/v1beta1", "visibility.kueue.x-k8s.io/v1"}, "is served", "not installed"),
    ],
)
def test_what_is_served_beside_is_told(apis: set[str], gang: str, kueue: str) -> None:
    told = platform.gang_scheduling(apis, []), platform.kueue(apis)
    assert [item.level for item in told] == [Level.INFO, Level.INFO]
    assert f"scheduling.k8s.io/v1beta1 {gang}" in told[0].message
    assert told[1].message == kueue


@pytest.mark.parametrize(
    ("labels", "level"),
    [
        ({"pod-security.kubernetes.io/enforce": "restricted"}, Level.OK),
        ({"pod-security.kubernetes.io/enforce": "baseline"}, Level.INFO),
        ({}, Level.INFO),
        ({"pod-security.kubernetes.io/enforce": "privileged"}, Level.WARN),
        (None, Level.WARN),
    ],
)
def test_the_operators_namespace(labels: dict[str, str] | None, level: Level) -> None:
    told = platform.namespace("ours", labels)
    assert told.level is level
    assert told.message.startswith("ours ")
    assert bool(told.mend) is (level is not Level.OK)


def test_what_cannot_be_read_is_a_warning() -> None:
    unread = Unread("forbidden")
    for told in (platform.gang_scheduling(unread, []), platform.kueue(unread), platform.namespace("ours", unread)):
        assert told.level is Level.WARN
        assert told.message.endswith(": forbidden")


def test_podgroups_that_the_operator_may_not_make_are_a_warning() -> None:
    """It does without them, but whoever turned them on expects them to be used."""
    served = {"scheduling.k8s.io/v1beta1"}
    denied = [Right("scheduling.k8s.io", "podgroups", "create")]
    told = platform.gang_scheduling(served, denied)
    assert told.level is Level.WARN
    assert told.mend == "helm upgrade --set gangScheduling.enabled=true"
    assert platform.gang_scheduling(set(), denied).level is Level.INFO
    assert platform.gang_scheduling(served, Unread("no")).level is Level.INFO
    assert findings(Account("a", "b"), installed=True, denied=denied)[0].level is Level.OK
