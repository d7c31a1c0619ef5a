"""The serial placer: nothing is given twice, and those that wait are served in order when capacity comes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tandem.cluster.metrics import Metrics
from tandem.cluster.store import Store
from tandem.domain.observed import ForeignPod, Key, NodeRecord, OwnPod
from tandem.domain.placement.place import Reservation
from tandem.domain.placement.record import replay
from tandem.domain.placement.request import Ask, Grant
from tandem.runtime.placer import Placer
from tests.cluster.fake_api import until
from tests.unit.runtime.builders import NOW, ask, foreign, key, node, own_pod

HOLD = 600.0


class World:
    """Stores, a clock and a placer over them."""

    def __init__(self, devices: int = 4, kind: type[Placer] = Placer) -> None:
        self.now = 0.0
        self.version = 0
        self.woken: list[str] = []
        self.nodes: Store[NodeRecord] = Store()
        self.pods: Store[OwnPod | ForeignPod] = Store()
        self.placer = kind(
            nodes=self.nodes,
            pods=self.pods,
            pods_known=lambda: True,
            pods_of=self._pods_of,
            wake=lambda woken: self.woken.append(woken.name),
            hold_seconds=HOLD,
            metrics=Metrics(),
            clock=lambda: self.now,
            now=lambda: NOW + timedelta(seconds=self.now),
        )
        self.set_node(node(devices=devices))

    def set_node(self, record: NodeRecord) -> None:
        self.version += 1
        self.nodes.feed(("", record.name), record, self.version)
        self.placer.capacity_changed()

    def put(self, name: str, pod: OwnPod | ForeignPod | None) -> None:
        """A pod appears, changes or goes."""
        self.version += 1
        if isinstance(pod, OwnPod):
            pod = replace(pod, resource_version=self.version)
        self.pods.feed(("team", name), pod, self.version)
        self.placer.capacity_changed()

    async def fits(self, name: str, **more: object) -> bool:
        """Whether a gang is granted its devices."""
        decision = await self.placer.decide(key(name), ask(f"{name}-uid", **more))  # type: ignore[arg-type]
        return decision.grant is not None

    async def woken_by_now(self, *names: str) -> None:
        await until(lambda: self.woken == list(names), f"{', '.join(names)} to be woken")

    def _pods_of(self, _: Key, uid: str) -> Sequence[OwnPod]:
        return [pod for pod in self.pods.by_owner(uid) if isinstance(pod, OwnPod)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A node with 4 free devices, and the placer's own task running."""
    made = World()
    task = asyncio.create_task(made.placer.run())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_devices_are_not_given_twice_before_pods_show(world: World) -> None:
    assert await world.fits("first", pods=3)
    assert not await world.fits("second", pods=2)
    assert await world.fits("third", pods=1)


async def test_many_askers_at_once_share_what_there_is(world: World) -> None:
    """Each of 10 wants 1 of 4: exactly 4 get one."""
    answers = await asyncio.gather(*(world.fits(f"run-{number}") for number in range(10)))
    assert sum(answers) == 4


async def test_a_bound_pod_counts_once(world: World) -> None:
    """When its pod shows a node the reservation is over: pod and reservation together would count twice."""
    assert await world.fits("first", pods=2)
    world.put("first-a1-0", own_pod("first-uid", rank=0, node="node-a"))
    world.put("first-a1-1", own_pod("first-uid", rank=1, node="node-a"))
    assert await world.fits("second", pods=2)
    assert not await world.fits("third")


async def test_a_half_bound_gang_keeps_the_rest_reserved(world: World) -> None:
    assert await world.fits("first", pods=3)
    world.put("first-a1-0", own_pod("first-uid", node="node-a"))
    assert not await world.fits("second", pods=2)
    assert await world.fits("third", pods=1)


async def test_a_reservation_ends_with_its_terminal_pods(world: World) -> None:
    """A pod that the kubelet refused at once never holds devices."""
    assert await world.fits("first", pods=4)
    for rank in range(4):
        world.put(f"first-a1-{rank}", own_pod("first-uid", rank=rank, phase="Failed"))
    assert await world.fits("second", pods=4)


async def test_a_reservation_ends_with_time(world: World) -> None:
    """Should everything else fail, devices are not lost for ever."""
    assert await world.fits("first", pods=4)
    world.now = HOLD - 1
    assert not await world.fits("second")
    world.now = HOLD
    assert await world.fits("second")


async def test_released_devices_go_to_the_next(world: World) -> None:
    assert await world.fits("first", pods=4)
    assert not await world.fits("second", pods=4)
    world.placer.release("first-uid")
    await world.woken_by_now("second")
    assert await world.fits("second", pods=4)


async def test_a_gang_that_asks_again_is_not_in_its_own_way(world: World) -> None:
    """Its intent was refused since the object changed meanwhile: the new answer replaces the old one."""
    assert await world.fits("first", pods=4)
    assert await world.fits("first", pods=4)
    assert not await world.fits("second")


async def test_a_gang_that_asks_for_less_gives_the_rest_back(world: World) -> None:
    assert await world.fits("first", pods=4)
    assert await world.fits("first", pods=1)
    assert await world.fits("second", pods=3)


async def test_restored_reservations_hold_and_know_bound_pods(world: World) -> None:
    """After a restart: the decision stands in status, one of its two pods is bound already."""
    granted = Grant("main", ask(pods=2).candidates[0].options[0], 2)
    world.put("hello-a1-0", own_pod(node="node-a"))
    world.placer.restore(key(), "hello-uid", 1, [granted])
    assert not await world.fits("second", pods=3)
    assert await world.fits("third", pods=2)


async def test_capacity_serves_those_that_wait_and_keeps_it_for_them(world: World) -> None:
    """Between the grant and the owner's next pass nobody else gets the devices."""
    world.put("holder", foreign("holder", 4))
    assert not await world.fits("waiting", pods=4)
    world.put("holder", None)
    await world.woken_by_now("waiting")
    assert not await world.fits("newcomer")
    assert await world.fits("waiting", pods=4)


async def test_of_two_that_wait_the_older_is_served(world: World) -> None:
    world.put("holder", foreign("holder", 4))
    assert not await world.fits("young", pods=4, age=10)
    assert not await world.fits("old", pods=4, age=20)
    world.put("holder", None)
    await world.woken_by_now("old")
    assert not await world.fits("young", pods=4, age=10)
    assert await world.fits("old", pods=4, age=20)


async def test_a_newcomer_does_not_overtake_one_whose_devices_just_came(world: World) -> None:
    """Capacity is looked at for those that wait first, even when the newcomer's pass runs before the placer's task."""
    world.put("holder", foreign("holder", 4))
    assert not await world.fits("old", pods=4, age=20)
    world.put("holder", None)
    assert not await world.fits("newcomer")
    assert await world.fits("old", pods=4, age=20)


async def test_a_grant_kept_for_another_spec_is_not_used(world: World) -> None:
    """The spec was edited between being served and asking again: the new spec is decided anew."""
    world.put("holder", foreign("holder", 4))
    assert not await world.fits("edited", pods=2)
    world.put("holder", None)
    await world.woken_by_now("edited")
    decision = await world.placer.decide(key("edited"), ask("edited-uid", pods=4))
    assert decision.grant is not None
    assert decision.grant.pods == 4
    assert not await world.fits("second")


async def test_who_withdraws_is_not_served(world: World) -> None:
    """A suspended run does not take devices when they come."""
    world.put("holder", foreign("holder", 4))
    assert not await world.fits("asleep", pods=4, age=20)
    assert not await world.fits("awake", pods=4)
    world.placer.withdraw("asleep-uid")
    world.put("holder", None)
    await world.woken_by_now("awake")
    assert await world.fits("awake", pods=4)


async def test_one_that_waits_learns_when_its_reason_changes(world: World) -> None:
    """Its status would go on telling of devices that are not the problem any more."""
    empty = replace(ask("lost-uid", pods=4), candidates=(replace(ask().candidates[0], options=()),))
    assert (await world.placer.decide(key("lost"), empty)).grant is None
    world.set_node(node(devices=5))
    world.put("holder", foreign("holder", 5))
    assert not await world.fits("full", pods=5)
    world.set_node(node("node-b", devices=5))
    await world.woken_by_now("full")


async def test_replicas_get_a_part_and_wait_for_the_rest(world: World) -> None:
    """A service takes what there is; more devices wake it, and only the new part is granted."""
    first = await world.placer.decide(key("chat"), ask("chat-uid", pods=6, replicas=6))
    assert [grant.pods for grant in first.grants] == [4]
    world.set_node(node("node-b", devices=2))
    await world.woken_by_now("chat")
    again = replace(ask("chat-uid", pods=2, replicas=2), standing=first.grants)
    second = await world.placer.decide(key("chat"), again)
    assert [grant.pods for grant in second.grants] == [2]
    assert not await world.fits("second")


# Who has waited too long


async def wait_too_long(world: World, name: str, pods: int) -> Ask:
    """A gang of so many pods that has waited for more than its 900 s."""
    starving = replace(
        ask(f"{name}-uid", pods=pods, age=5000), waits_since=NOW - timedelta(seconds=901), starves_after=900
    )
    assert (await world.placer.decide(key(name), starving)).grant is None
    return starving


async def test_who_has_waited_too_long_holds_back_those_who_come_later(world: World) -> None:
    world.put("holder", foreign("holder", 1))
    await wait_too_long(world, "old", pods=4)
    assert not await world.fits("young")
    assert await world.fits("older", age=6000)
    world.put("holder", None)
    world.placer.release("older-uid")
    await until(lambda: "old" in world.woken, "the old one to be served")
    assert await world.fits("old", pods=4)


async def test_a_gang_becomes_overdue_while_it_waits(world: World) -> None:
    world.put("holder", foreign("holder", 1))
    waiting = replace(ask("old-uid", pods=4, age=5000), waits_since=NOW, starves_after=900)
    assert (await world.placer.decide(key("old"), waiting)).grant is None
    assert await world.fits("young")
    world.now = 900
    assert not await world.fits("younger")


async def test_those_held_back_go_on_when_nobody_waits_too_long_any_more(world: World) -> None:
    world.put("holder", foreign("holder", 1))
    await wait_too_long(world, "old", pods=4)
    assert not await world.fits("young")
    world.placer.withdraw("old-uid")
    await world.woken_by_now("young")
    assert await world.fits("young")


async def test_those_held_back_go_on_when_an_edit_makes_room(world: World) -> None:
    """It asks for less, gets it, and what it kept besides is free for others."""
    world.put("holder", foreign("holder", 1))
    starving = await wait_too_long(world, "old", pods=4)
    assert not await world.fits("young", pods=2)
    smaller = replace(starving, candidates=ask("old-uid").candidates)
    assert (await world.placer.decide(key("old"), smaller)).grant is not None
    await world.woken_by_now("young")


async def test_one_that_waits_too_long_is_served_when_a_reservation_before_it_runs_out(world: World) -> None:
    """Nothing tells of that; whoever asks next comes behind it."""
    assert await world.fits("lost", pods=1, age=6000)
    await wait_too_long(world, "old", pods=4)
    world.now = HOLD
    assert not await world.fits("young")
    assert world.woken == ["old"]
    assert await world.fits("old", pods=4)


async def test_alike_ones_learn_together_that_their_reason_has_changed(world: World) -> None:
    """Whoever asks finds the reason first; the others still tell an older one."""
    world.put("holder", foreign("holder", 4))
    first = ask("first-uid")
    assert (await world.placer.decide(key("first"), first)).grant is None
    world.placer._told[first.demand] = frozenset({"HeldOff"})
    assert not await world.fits("second")
    assert world.woken == ["first"]


async def test_what_may_take_long_to_be_bound_is_reserved_as_long(world: World) -> None:
    slow = replace(ask("slow-uid", pods=4), hold=3600)
    assert (await world.placer.decide(key("slow"), slow)).grant is not None
    world.now = 3599
    assert not await world.fits("second")
    world.now = 3600
    assert await world.fits("second")


async def test_reservations_survive_the_operator_between_decision_and_creation(world: World) -> None:
    """Killed after the intent was written, before a pod was made: the next operator gives the devices to nobody else."""
    decision = await world.placer.decide(key("first"), ask("first-uid", pods=3))
    again = World()
    again.placer.restore(key("first"), "first-uid", 1, decision.grants, 120)
    assert not await again.fits("second", pods=2)
    assert await again.fits("third")
    again.put("first-a1-0", own_pod("first-uid", rank=0, node="node-a"))
    assert not await again.fits("second", pods=2)


async def test_every_decision_can_be_replayed_from_its_record(world: World) -> None:
    records: list[str] = []
    world.placer.record = records.append
    assert await world.fits("first", pods=3)
    assert not await world.fits("second", pods=2)
    world.set_node(node("node-b"))
    await world.woken_by_now("second")
    decided = [
        {uid: sum(grant.pods for grant in decision.grants) for uid, decision in replay(text).items()}
        for text in records
    ]
    assert decided == [{"first-uid": 3}, {"second-uid": 0}, {"second-uid": 2}]


class Forgetful(Placer):
    """Counts all reservations anew for every decision."""

    def _reservations(self) -> list[Reservation]:
        self._stale.update(self._held)
        return super()._reservations()


RUNS = st.sampled_from(["a", "b", "c"])
STEPS = st.lists(
    st.tuples(st.just("decide"), RUNS, st.integers(1, 3))
    | st.tuples(st.just("bind"), RUNS, st.integers(0, 2))
    | st.tuples(st.just("make"), RUNS, st.integers(0, 2))
    | st.tuples(st.just("end"), RUNS, st.integers(0, 2))
    | st.tuples(st.just("drop"), RUNS, st.integers(0, 2))
    | st.tuples(st.just("release"), RUNS, st.just(0))
    | st.tuples(st.just("restore"), RUNS, st.integers(1, 3))
    | st.tuples(st.just("later"), RUNS, st.integers(100, 700)),
    max_size=25,
)


@given(STEPS)
def test_reservations_counted_as_things_change_decide_like_those_counted_anew(
    steps: list[tuple[str, str, int]],
) -> None:
    async def story(world: World) -> list[object]:
        return [(await _step(world, *step), world.placer._reservations()) for step in steps]

    assert asyncio.run(story(World(6))) == asyncio.run(story(World(6, Forgetful)))


async def _step(world: World, what: str, name: str, number: int) -> object:
    uid = f"{name}-uid"
    if what == "decide":
        return await world.placer.decide(key(name), ask(uid, pods=number))
    pods = {
        "make": own_pod(uid, rank=number),
        "bind": own_pod(uid, rank=number, node="node-a"),
        "end": own_pod(uid, rank=number, node="node-a", phase="Succeeded"),
    }
    if what in pods or what == "drop":
        world.put(f"{name}-a1-{number}", pods.get(what))
    elif what == "release":
        world.placer.release(uid)
    elif what == "restore":
        world.placer.restore(key(name), uid, 1, [Grant("main", ask(pods=number).candidates[0].options[0], number)])
    else:
        world.now += number
    return None
