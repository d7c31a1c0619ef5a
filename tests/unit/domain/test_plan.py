"""A plan's writes to children, of whatever kind."""

from dataclasses import fields

import pytest

from tandem.domain.plan import WRITES, Child, Delete, Plan, Replace, Resource, Scale


def pod(name: str) -> Child:
    return Child(Resource.POD, {"metadata": {"name": name}})


EVERY = Plan(
    create=(pod("a"), pod("b")),
    replace=(Replace(pod("a"), "uid", 1), Replace(pod("b"), "uid", 1)),
    apply=(Replace(pod("a"), "uid", 1), Replace(pod("b"), "uid", 1)),
    scale=(Scale("a", "uid", 1, 2), Scale("b", "uid", 1, 2)),
    delete=(Delete(Resource.POD, "a", "uid"), Delete(Resource.POD, "b", "uid")),
    requeue_after=7.0,
)


@pytest.mark.parametrize("kind", WRITES)
def test_what_is_left_alone_is_left_alone_by_every_kind_of_write(kind: str) -> None:
    """Also by repairs: a server that asked for quiet about a Deployment is not asked to put it right."""
    left = EVERY.without({"a"})
    assert [item.name for item in getattr(left, kind)] == ["b"]
    assert left.requeue_after == 7.0


@pytest.mark.parametrize("kind", WRITES)
def test_a_plan_acts_with_any_kind_of_write(kind: str) -> None:
    assert Plan(**{kind: getattr(EVERY, kind)}).acts
    assert not Plan(requeue_after=7.0).acts


def test_without_names_a_plan_is_as_it_was() -> None:
    assert EVERY.without(set()) is EVERY


def test_every_kind_of_write_is_known() -> None:
    tuples = {field.name for field in fields(Plan) if field.default == ()}
    assert tuples - {"events"} == {*WRITES}, "a new kind of write belongs into WRITES"
