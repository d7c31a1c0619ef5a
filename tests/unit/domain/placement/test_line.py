"""Those that wait: what the line says of them is what looking at all of them would say."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tandem.domain.placement.line import Line
from tandem.domain.placement.request import Ask
from tests.unit.domain.builders import NPUS, candidate, later, option

KINDS = [candidate("main", option()), candidate("main", option(devices=4)), candidate("main", option(NPUS))]


def ask(uid: str, kind: int = 0, age: int = 0, priority: int = 0, waited: int | None = None) -> Ask:
    return Ask(
        uid=uid,
        kind="TrainingRun",
        namespace="team",
        name=uid,
        attempt=1,
        since=later(-age),
        candidates=(KINDS[kind],),
        priority=priority,
        waits_since=None if waited is None else later(-waited),
        starves_after=10,
    )


ASKS = st.builds(
    ask,
    st.sampled_from("abcdef"),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 1),
    st.none() | st.integers(0, 20),
)
STEPS = st.lists(
    st.tuples(st.just("put"), ASKS) | st.tuples(st.just("drop"), ASKS) | st.tuples(st.just("look"), st.integers(0, 30)),
    max_size=25,
)


@given(STEPS)
def test_it_is_its_asks_by_kind_and_in_order(steps: list[tuple[str, Ask | int]]) -> None:
    line, asks, now = Line(), dict[str, Ask](), 0
    for what, value in steps:
        if isinstance(value, int):
            now += value
        elif what == "put":
            line.put(value)
            asks[value.uid] = value
        else:
            assert line.drop(value.uid) is asks.pop(value.uid, None)
        kinds: dict[object, list[Ask]] = {}
        for item in sorted(asks.values(), key=lambda item: item.order):
            kinds.setdefault(item.demand, []).append(item)
        assert {items[0].demand: list(items) for items in line.kinds()} == kinds
        late = {demand: [item for item in items if item.overdue(later(now))] for demand, items in kinds.items()}
        firsts = {items[0].uid for items in late.values() if items}
        assert {item.uid for item in line.holding(later(now))} == firsts
        assert (len(line), {item.uid for item in line}) == (len(asks), set(asks))
        assert all(line.get(uid) is item and item in line.alike(item.demand) for uid, item in asks.items())


def test_who_waits_too_long_is_looked_for_once_a_second() -> None:
    line = Line([ask("a", waited=0)])
    assert list(line.holding(later(9.5))) == []
    assert list(line.holding(later(10.4))) == []
    assert [item.uid for item in line.holding(later(10.5))] == ["a"]


def test_an_empty_line_has_nothing() -> None:
    line = Line()
    assert line.drop("a") is None
    assert line.get("a") is None
    assert line.alike(ask("a").demand) == ()


def test_a_demand_is_all_that_decides_whether_something_is_given() -> None:
    one = ask("a", age=1, priority=1, waited=3)
    assert one.demand == ask("b", age=2, waited=5).demand
    assert one.demand != replace(one, namespace="other").demand
    assert one.demand != replace(one, candidates=(replace(KINDS[0], held_off="until noon"),)).demand
    patient = replace(one, patience=600)
    assert patient.demand != replace(patient, waits_since=later(-4)).demand


def test_of_alike_ones_that_waited_too_long_the_first_in_line_holds_whoever_came_last() -> None:
    line = Line([ask("a", age=3, waited=20)])
    assert [item.uid for item in line.holding(later(0))] == ["a"]
    line.put(ask("b", age=2, waited=20))
    assert [item.uid for item in line.holding(later(0))] == ["a"]
    line.put(ask("c", age=4, waited=20))
    assert [item.uid for item in line.holding(later(0))] == ["c"]
