"""The keyed queue: one entry and one worker for a key, the earliest timer, four lanes, a backoff for each key."""

import asyncio

from tandem.runtime.workqueue import Lane, WorkQueue
from tests.cluster.fake_api import until
from tests.unit.runtime.builders import key

A, B, C = key("a"), key("b"), key("c")


class Clock:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def next_key(queue: WorkQueue) -> str:
    """Name of the next key; the caller has it."""
    taken, _, _ = await asyncio.wait_for(queue.get(), 3)
    return taken.name


async def test_a_key_stands_in_the_queue_once() -> None:
    queue = WorkQueue()
    for _ in range(3):
        queue.add(A)
    queue.add(B)
    assert queue.depth() == 2
    assert [await next_key(queue), await next_key(queue)] == ["a", "b"]
    assert queue.depth() == 0


async def test_a_key_never_has_two_workers() -> None:
    """What comes meanwhile is done afterwards, once."""
    queue = WorkQueue()
    queue.add(A)
    assert await next_key(queue) == "a"
    queue.add(A)
    queue.add(A)
    queue.add(B)
    assert await next_key(queue) == "b"
    assert queue.depth() == 0
    queue.done(A)
    assert await next_key(queue) == "a"
    queue.done(A)
    assert queue.depth() == 0


async def test_a_worker_waits_for_a_key() -> None:
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.add(A)
    assert (await asyncio.wait_for(waiting, 3))[0] == A


async def test_many_workers_share_the_keys() -> None:
    queue = WorkQueue()
    done: list[str] = []

    async def work() -> None:
        while True:
            taken, _, _ = await queue.get()
            done.append(taken.name)
            queue.done(taken)

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for number in range(50):
        queue.add(key(f"k{number}"))
    await until(lambda: len(done) == 50, "all keys to be done")
    for worker in workers:
        worker.cancel()
    assert sorted(done) == sorted(f"k{number}" for number in range(50))


async def test_of_several_timers_the_earliest_counts() -> None:
    """A later wish neither delays the earlier one nor has the key reconciled twice."""
    queue = WorkQueue()
    queue.add_after(A, 60)
    queue.add_after(A, 0.02)
    queue.add_after(A, 60)
    assert queue.depth() == 0
    assert await next_key(queue) == "a"


async def test_no_delay_is_now() -> None:
    queue = WorkQueue()
    queue.add_after(A, 0)
    assert queue.depth() == 1


async def test_later_statuses_stand_behind_work() -> None:
    queue = WorkQueue()
    queue.add(A, Lane.STATUS)
    queue.add(B, Lane.WORK)
    assert [await next_key(queue), await next_key(queue)] == ["b", "a"]


async def test_what_merely_gets_on_is_looked_at_last() -> None:
    """A status that stands there already is not made to wait by it: its pass looks as well."""
    queue = WorkQueue()
    for lane, who in ((Lane.LOOK, A), (Lane.STATUS, B), (Lane.WORK, C), (Lane.LOOK, B)):
        queue.add(who, lane)
    assert queue.backlog() == 1
    taken = [(await queue.get())[:2] for _ in range(3)]
    assert taken == [(C, Lane.WORK), (B, Lane.STATUS), (A, Lane.LOOK)]


async def test_work_overtakes_a_status_of_its_own_key() -> None:
    """One pass does both; the status does not remain as a second entry."""
    queue = WorkQueue()
    queue.add(A, Lane.STATUS)
    queue.add(B, Lane.WORK)
    queue.add(A, Lane.WORK)
    queue.add(A, Lane.STATUS)
    assert queue.depth() == 2
    assert [await next_key(queue), await next_key(queue)] == ["b", "a"]
    assert queue.depth() == 0


async def test_a_status_is_not_put_off_for_ever() -> None:
    """Behind endless work it waits no longer than the queue's patience."""
    clock = Clock()
    queue = WorkQueue(clock=clock, patience=2.0)
    queue.add(A, Lane.STATUS)
    queue.add(B)
    queue.add(C)
    clock.now += 1.9
    assert await next_key(queue) == "b"
    clock.now += 0.2
    assert await next_key(queue) == "a"


async def test_a_look_is_not_put_off_for_ever_either() -> None:
    clock = Clock()
    queue = WorkQueue(clock=clock, patience=2.0)
    queue.add(A, Lane.LOOK)
    clock.now += 2.1
    queue.add(B, Lane.STATUS)
    queue.add(C)
    assert [await next_key(queue) for _ in range(3)] == ["a", "c", "b"]


async def test_while_a_key_is_worked_on_the_more_urgent_lane_is_kept() -> None:
    queue = WorkQueue()
    queue.add(A)
    await queue.get()
    queue.add(A, Lane.STATUS)
    queue.add(A, Lane.WORK)
    queue.add(A, Lane.STATUS)
    queue.done(A)
    _, lane, _ = await queue.get()
    assert lane is Lane.WORK


async def test_each_failing_key_has_its_own_growing_pause() -> None:
    """Success forgets it; the server's wish for more time is honoured."""
    queue = WorkQueue(first_retry=0.2, last_retry=1.0)
    assert [queue.retry(A) for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    assert queue.retry(B) == 0.2
    assert queue.retry(B, at_least=7.0) == 7.0
    queue.succeeded(A)
    assert queue.retry(A) == 0.2
    for failed in (A, B):
        queue.forget(failed)


async def test_thousands_of_failures_do_not_overflow() -> None:
    queue = WorkQueue(last_retry=60.0)
    pauses = {queue.retry(A) for _ in range(5000)}
    assert max(pauses) == 60.0
    queue.forget(A)


async def test_a_failed_key_comes_back() -> None:
    queue = WorkQueue(first_retry=0.01)
    queue.retry(A)
    assert await next_key(queue) == "a"


async def test_a_forgotten_key_does_not_come_back() -> None:
    """The object is gone, and so is everything that was planned for it."""
    queue = WorkQueue()
    queue.add_after(A, 0.01)
    queue.add_after(A, 0.01, Lane.STATUS)
    queue.forget(A)
    queue.add_after(B, 0.05)
    assert await next_key(queue) == "b"
    assert queue.depth() == 0


async def test_a_status_that_was_written_is_not_looked_at_again() -> None:
    """What else is due for the key stays."""
    queue = WorkQueue()
    queue.add_after(A, 0.01, Lane.STATUS)
    queue.add_after(A, 0.05)
    queue.told(A)
    queue.told(B)
    assert (await asyncio.wait_for(queue.get(), 3))[:2] == (A, Lane.WORK)


async def test_the_age_of_the_oldest_key_is_known() -> None:
    """Liveness looks at it: a key that is due and gets no worker means a stuck process."""
    clock = Clock()
    queue = WorkQueue(clock=clock, patience=2.0)
    assert queue.oldest() == 0.0
    queue.add(A, Lane.STATUS)
    clock.now += 3
    queue.add(B)
    clock.now += 2
    assert queue.oldest() == 5.0
    _, _, waited = await queue.get()
    assert waited == 5.0


async def test_a_pause_the_server_asked_for_is_not_cut_short() -> None:
    """What is urgent brings a failed key back sooner than its backoff, but not sooner than it may come."""
    clock = Clock()
    queue = WorkQueue(clock=clock)
    queue.retry(A)
    queue.add(A, Lane.URGENT)
    assert await next_key(queue) == "a"
    queue.done(A)
    queue.retry(A, at_least=5)
    queue.add(A)
    assert queue.depth() == 0
    clock.now += 5
    queue.add(A)
    assert await next_key(queue) == "a"
    queue.succeeded(A)
    queue.done(A)
    queue.add(A)
    assert queue.depth() == 1


async def test_a_key_that_failed_is_left_alone_by_what_is_not_urgent_for_a_second() -> None:
    """Pods that start one by one would have a poisoned write repeated with each of them."""
    clock = Clock()
    queue = WorkQueue(clock=clock, first_retry=30.0)
    queue.retry(A)
    for lane in (Lane.WORK, Lane.STATUS):
        queue.add(A, lane)
        assert queue.depth() == 0
    clock.now += 1
    queue.add(A)
    assert await next_key(queue) == "a"


async def test_a_pass_that_put_its_status_off_is_no_success_yet() -> None:
    """Its write may fail as the one before did: the pause goes on doubling."""
    queue = WorkQueue(first_retry=0.2)
    queue.retry(A)
    queue.add_after(A, 60, Lane.STATUS)
    queue.succeeded(A)
    assert queue.retry(A) == 0.4
    queue.forget(A)
    assert queue.retry(A) == 0.2


async def test_a_closed_queue_gives_out_nothing_and_waits_for_what_it_gave() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(B)
    await next_key(queue)
    closing = asyncio.create_task(queue.close())
    taking = asyncio.create_task(queue.get())
    await asyncio.sleep(0.02)
    assert not closing.done()
    queue.add(C)
    queue.done(A)
    await asyncio.wait_for(closing, 3)
    await asyncio.sleep(0.02)
    assert not taking.done()
    assert queue.depth() == 2
    taking.cancel()


async def test_calm_is_when_nothing_waits_to_make_pods() -> None:
    queue = WorkQueue()
    await asyncio.wait_for(queue.calm(), 3)
    queue.add(B, Lane.STATUS)
    queue.add(C, Lane.LOOK)
    await asyncio.wait_for(queue.calm(), 3)
    queue.add(A)
    waiting = asyncio.create_task(queue.calm())
    await asyncio.sleep(0.02)
    assert not waiting.done()
    assert await next_key(queue) == "a"
    await asyncio.wait_for(waiting, 3)


async def test_who_waits_for_calm_has_patience_and_does_not_hold_up_an_end() -> None:
    impatient = WorkQueue(patience=0.01)
    impatient.add(A)
    await asyncio.wait_for(impatient.calm(), 3)
    closed = WorkQueue(patience=600)
    closed.add(A)
    waiting = asyncio.create_task(closed.calm())
    await closed.close()
    await asyncio.wait_for(waiting, 3)
    closed.add(B)
    await asyncio.wait_for(closed.calm(), 3)


async def test_what_is_urgent_goes_first_and_has_workers_of_its_own() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(B, Lane.STATUS)
    queue.add(C, Lane.URGENT)
    assert queue.backlog() == 2
    assert (await queue.get(urgent=True))[:2] == (C, Lane.URGENT)
    looker = asyncio.create_task(queue.get(urgent=True))
    assert [await next_key(queue), await next_key(queue)] == ["a", "b"]
    assert not looker.done()
    queue.add(key("d"), Lane.URGENT)
    assert (await asyncio.wait_for(looker, 3))[0] == key("d")


async def test_an_entry_moves_to_a_more_urgent_lane_and_never_back() -> None:
    queue = WorkQueue()
    for lane in (Lane.STATUS, Lane.WORK, Lane.URGENT, Lane.STATUS):
        queue.add(A, lane)
    assert queue.depth() == 1
    assert (await queue.get())[:2] == (A, Lane.URGENT)
