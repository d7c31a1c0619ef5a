"""What the operator's account lacks."""

from tandem.domain.prerequisites.finding import Level, Unread
from tandem.domain.prerequisites.rights import Account, Right, findings, needed

OURS = Account("tandem-system", "tandem")


def test_an_account_is_the_user_and_the_groups_that_rbac_sees() -> None:
    assert OURS.user == "system:serviceaccount:tandem-system:tandem"
    assert OURS.groups == ("system:serviceaccounts", "system:serviceaccounts:tandem-system", "system:authenticated")
    assert str(OURS) == "tandem-system/tandem"


def test_nothing_denied_is_fine() -> None:
    (told,) = findings(OURS, installed=True, denied=[])
    assert (told.level, told.message) == (Level.OK, "tandem-system/tandem may do all that the operator does")


def test_what_is_denied_is_told_by_resource() -> None:
    denied = [
        Right("", "pods", "create"),
        Right("", "pods", "delete"),
        Right("tandem.dev", "trainingruns/status", "patch"),
    ]
    told = findings(OURS, installed=True, denied=denied)
    assert {item.level for item in told} == {Level.FAIL}
    assert [item.message for item in told] == [
        "tandem-system/tandem may not create, delete pods",
        "tandem-system/tandem may not patch trainingruns/status.tandem.dev",
    ]
    assert all("chart" in item.mend for item in told)


def test_an_account_that_is_not_there_is_not_looked_at() -> None:
    (told,) = findings(OURS, installed=False, denied=needed(OURS))
    assert told.level is Level.WARN
    assert "--operator NAMESPACE/NAME" in told.mend


def test_whoever_may_not_ask_is_told_so() -> None:
    (told,) = findings(OURS, installed=Unread("x"), denied=Unread("you may not create subjectaccessreviews"))
    assert told.level is Level.WARN
    assert told.message.endswith("what tandem-system/tandem is allowed: you may not create subjectaccessreviews")


def test_an_account_that_cannot_be_looked_up_is_still_judged() -> None:
    (told,) = findings(OURS, installed=Unread("x"), denied=[Right("", "nodes", "list")])
    assert told.level is Level.FAIL
