"""The chain of rules: what excludes an option, and in which order it is told."""

from dataclasses import replace

import pytest

from tandem.api.reasons import Reason
from tandem.domain.placement import rejection, rules
from tandem.domain.placement.fit import Snapshot, snapshot
from tandem.domain.placement.holders import Held
from tandem.domain.placement.request import Ask, Candidate, Option, Rejection
from tests.unit.domain.builders import CREATED, candidate, node, option, profile
from tests.unit.domain.placement.policies import book

STATE = snapshot([node("a", 8)], [])


def gang(wanted: Candidate) -> Ask:
    return Ask(uid="a", kind="TrainingRun", namespace="team", name="a", attempt=1, since=CREATED, candidates=(wanted,))


def test_what_nothing_excludes_is_allowed() -> None:
    wanted = candidate("main", option())
    assert rules.allowed(gang(wanted), wanted, STATE) == ([option()], [])


def test_each_option_is_judged_by_itself() -> None:
    legal, illegal = option(profile(counts={"perPod": [8]})), option(profile(counts={"perPod": [4]}))
    wanted = candidate("main", illegal, legal)
    options, rejected = rules.allowed(gang(wanted), wanted, STATE)
    assert options == [legal]
    assert [item.reason for item in rejected] == [Reason.ILLEGAL_COUNT]


def test_whose_namespace_may_not_use_a_profile_is_told_that_first() -> None:
    """A legal count would not help."""
    closed = option(profile(allowedNamespaces={"names": ["other"]}, counts={"perPod": [4]}))
    wanted = candidate("main", closed, option())
    options, rejected = rules.allowed(gang(wanted), wanted, STATE)
    assert options == [option()]
    assert [item.reason for item in rejected] == [Reason.NAMESPACE_NOT_ALLOWED]


def test_a_namespace_is_let_in_by_its_labels_as_they_are_known() -> None:
    wanted = candidate("main", option(profile(allowedNamespaces={"selector": {"matchLabels": {"team": "research"}}})))
    state = replace(STATE, held=Held(book()))
    assert rules.allowed(gang(wanted), wanted, state)[1] == []
    [found] = rules.allowed(replace(gang(wanted), namespace="guests"), wanted, state)[1]
    assert found.reason == Reason.NAMESPACE_NOT_ALLOWED


def test_the_first_rule_that_answers_is_the_one_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(ask: Ask, candidate: Candidate, _option: Option, _state: Snapshot) -> Rejection:
        return rejection.held_off(candidate, f"{ask.name} may not")

    wanted = candidate("main", option(profile(counts={"perPod": [4]})))
    monkeypatch.setattr(rules, "RULES", (refuses, *rules.RULES))
    assert [item.message for item in rules.allowed(gang(wanted), wanted, STATE)[1]] == ["a may not"]
