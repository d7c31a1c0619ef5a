"""One contender or two for the Lease, in a simulated time: who may write, and from when to when."""

from datetime import timedelta

import pytest

from tandem.cluster.lease import LeaseTimes, seconds_since_boot
from tests.cluster.lease_world import LOST_REPLY, LOST_REQUEST, TIMES, Fate, World, free_lease, refused


@pytest.fixture
def world() -> World:
    """A free Lease stands there; at no time may two write."""
    made = World()
    made._store(dict(free_lease()))

    def one_at_most() -> None:
        assert sum(contender.held() for contender in made.contenders) <= 1

    made.check = one_at_most
    return made


def test_a_free_lease_is_taken_at_once(world: World) -> None:
    one = world.contender("one")
    world.passes(0.1)
    assert one.held()
    assert world.lease is not None
    assert world.lease["spec"] == {
        "holderIdentity": "one",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-11-24T12:00:00.000000Z",
        "renewTime": "2026-11-24T12:00:00.000000Z",
        "leaseTransitions": 0,
    }


def test_it_is_renewed_every_retry_period_with_a_new_time(world: World) -> None:
    """Even a wall clock that stands still must not make a renewal look like none."""
    one = world.contender("one")
    world.passes(60)
    assert one.held()
    assert 28 <= len(world.writes) <= 31
    assert world.lease is not None
    assert world.lease["spec"]["renewTime"] > world.lease["spec"]["acquireTime"]
    assert world.lease["spec"]["leaseTransitions"] == 0


def test_a_standby_only_reads(world: World) -> None:
    world.contender("one")
    world.passes(1)
    two = world.contender("two")
    world.passes(60)
    assert not two.elected
    assert {who for who, _ in world.writes} == {"one"}
    assert two.lease.leader == "one"


def test_of_two_that_race_one_gets_it(world: World) -> None:
    """Both have read it free; the second write meets another resourceVersion."""
    one, two = world.contender("one"), world.contender("two")
    world.passes(1)
    assert [one.held(), two.held()].count(True) == 1
    world.passes(30)
    assert [one.lost, two.lost] == ["", ""]


def test_a_dead_holders_lease_is_taken_when_it_has_run_out(world: World) -> None:
    """Not sooner than its time allows, and within two looks after."""
    one = world.contender("one")
    world.passes(1)
    two = world.contender("two")
    world.passes(30)
    one.die()
    world.passes(TIMES.duration - TIMES.retry - 0.5)
    assert not two.elected
    world.passes(2 * TIMES.retry + 0.6)
    assert two.held()
    assert world.lease is not None
    assert world.lease["spec"]["leaseTransitions"] == 1


def test_a_lease_that_is_given_back_is_taken_at_the_next_look(world: World) -> None:
    one = world.contender("one")
    world.passes(1)
    two = world.contender("two")
    world.passes(30)
    one.ends()
    assert not one.held()
    world.passes(TIMES.retry + 0.1)
    assert two.held()


def test_nothing_is_given_back_by_one_who_does_not_hold_it(world: World) -> None:
    world.contender("one")
    world.passes(1)
    two = world.contender("two")
    world.passes(10)
    two.ends()
    world.passes(5)
    assert world.holder == "one"
    assert {who for who, _ in world.writes} == {"one"}


@pytest.mark.parametrize("fate", [Fate(done=0.5, answered=0.6), LOST_REPLY])
def test_a_renewal_under_way_does_not_keep_it_from_being_given_back(world: World, fate: Fate) -> None:
    """It is done just before, and the version that is given back is no longer the newest."""
    one = world.contender("one")
    world.passes(1)
    one.fates = [fate, Fate(done=1.0, answered=1.1)]
    world.passes(TIMES.retry - 0.9)
    assert world.holder == "one"
    one.ends()
    world.passes(5)
    assert world.holder == ""
    assert not one.held()


def test_a_give_back_that_fails_leaves_the_lease_to_run_out(world: World) -> None:
    one = world.contender("one")
    world.passes(1)
    two = world.contender("two")
    world.passes(5)
    one.fates = [refused(500, "InternalError")]
    one.ends()
    world.passes(TIMES.duration - TIMES.retry)
    assert not two.elected
    world.passes(2 * TIMES.retry + 1)
    assert two.held()


@pytest.mark.parametrize("skew", [timedelta(days=400), -timedelta(days=400)])
def test_the_others_wall_clock_does_not_matter(world: World, skew: timedelta) -> None:
    """A renewTime of next or last year neither protects a dead holder nor robs a living one."""
    one = world.contender("one", wall=skew, offset=-7e5)
    world.passes(1)
    two = world.contender("two")
    world.passes(60)
    assert not two.elected
    assert not one.lost
    one.die()
    world.passes(TIMES.duration + 2 * TIMES.retry)
    assert two.held()


def test_a_standby_that_has_just_come_does_not_believe_an_old_time(world: World) -> None:
    """The Lease looks long expired, but this process has not watched it for its whole duration."""
    world.contender("one", wall=-timedelta(hours=1))
    world.passes(30)
    two = world.contender("two")
    world.passes(30)
    assert not two.elected


def test_without_an_answer_it_is_lost_in_time(world: World) -> None:
    """The holder stops writing before anybody else may begin, and ends."""
    one = world.contender("one")
    world.passes(1)
    one.fates = [LOST_REQUEST] * 20
    world.passes(TIMES.renew - 1.5)
    assert one.held()
    world.passes(2 * TIMES.retry)
    assert not one.held()
    assert one.lost == "the Lease tandem-system/tandem was not renewed for 10 s: Timeout (no answer): no answer in time"


def test_a_short_outage_is_survived(world: World) -> None:
    one = world.contender("one")
    world.passes(1)
    one.fates = [LOST_REQUEST, refused(500, "InternalError"), refused(429, "TooManyRequests")]
    world.passes(30)
    assert one.held()
    assert not one.lost


def test_a_renewal_whose_reply_is_lost_is_found_to_be_its_own(world: World) -> None:
    """The next one meets a conflict with itself."""
    one = world.contender("one")
    world.passes(1)
    one.fates = [LOST_REPLY]
    world.passes(60)
    assert one.held()
    assert not one.lost


def test_a_taking_whose_reply_is_lost_is_found_to_be_its_own(world: World) -> None:
    one = world.contender("one", fates=[Fate(), LOST_REPLY])
    world.passes(1)
    assert world.holder == "one"
    assert not one.held()
    world.passes(5)
    assert one.held()


def test_a_late_reply_counts_from_when_the_renewal_was_sent(world: World) -> None:
    one = world.contender("one")
    world.passes(1)
    sent = world.now + TIMES.retry - 1 + 0.02
    one.fates = [Fate(done=0.01, answered=1.9), *[LOST_REQUEST] * 20]
    world.passes(sent + TIMES.renew - 0.2 - world.now)
    assert one.held()
    world.passes(0.4)
    assert not one.held()


def test_one_that_was_frozen_too_long_may_not_write_when_it_wakes(world: World) -> None:
    """Not even before it looks: its own clock tells it. Then it ends."""
    one = world.contender("one")
    world.passes(1)
    two = world.contender("two")
    world.passes(10)
    one.freeze(40)
    world.passes(39)
    assert not one.held()
    assert two.held()
    world.passes(2)
    assert one.lost.startswith("the Lease tandem-system/tandem was not renewed for 10 s")
    assert {who for who, _ in world.writes[-5:]} == {"two"}


def test_one_that_was_frozen_with_a_renewal_under_way_does_not_count_its_reply(world: World) -> None:
    one = world.contender("one")
    world.passes(1)
    world.contender("two")
    world.passes(0.9)
    one.fates = [Fate(done=0.5, answered=0.6)]
    world.passes(0.3)
    one.freeze(40)
    world.passes(45)
    assert not one.held()
    assert one.lost


def test_another_holder_is_believed_at_once(world: World) -> None:
    """However it came about: whoever finds another's name has lost."""
    one = world.contender("one")
    world.passes(5)
    world.edit(holderIdentity="somebody")
    world.passes(TIMES.retry + 0.1)
    assert one.lost == "somebody holds the Lease tandem-system/tandem now"
    assert not one.held()


def test_a_lease_that_is_deleted_is_made_anew_by_its_holder(world: World) -> None:
    """Or by a standby, who then waits, for its holder may live."""
    one = world.contender("one")
    world.passes(1)
    two = world.contender("two")
    world.passes(10)
    world.delete()
    world.passes(60)
    assert one.held()
    assert not one.lost
    assert not two.elected
    assert world.holder == "one"


def test_a_deleted_lease_of_a_dead_holder_is_made_anew_by_a_standby(world: World) -> None:
    one = world.contender("one")
    world.passes(1)
    two = world.contender("two")
    world.passes(10)
    one.die()
    world.delete()
    world.passes(TIMES.duration + 2 * TIMES.retry)
    assert two.held()


def test_a_holder_that_finds_its_deleted_lease_made_by_another_has_lost_it(world: World) -> None:
    one = world.contender("one")
    world.passes(5)
    world.delete()
    world.carry_out("rude", "POST", {**free_lease(), "spec": {"holderIdentity": "rude"}})
    world.passes(TIMES.retry + 0.1)
    assert one.lost == "rude holds the Lease tandem-system/tandem now"


def test_the_first_of_all_makes_a_missing_lease_and_takes_it_when_nobody_claimed_it(world: World) -> None:
    """It may just have been deleted under a holder whom nobody has seen."""
    world.delete()
    one, two = world.contender("one"), world.contender("two")
    world.passes(1)
    assert world.lease is not None
    assert world.lease["spec"] == {"leaseDurationSeconds": 15}
    world.passes(TIMES.duration - 1.5)
    assert not one.elected
    assert not two.elected
    world.passes(2 * TIMES.retry)
    assert [one.held(), two.held()].count(True) == 1
    assert [method for _, method in world.writes].count("POST") == 1


def test_one_that_was_frozen_while_there_was_a_holder_does_not_think_there_was_none(world: World) -> None:
    """It finds no Lease before its sleep and none after, and has missed the holder in between."""
    world.delete()
    one, two = world.contender("one", fates=[Fate(done=3, answered=3)]), world.contender("two")
    world.passes(1)
    one.freeze(40)
    world.passes(38)
    assert two.held()
    world.at(one.frozen_until, world.delete)
    world.passes(30)
    assert [one.held(), two.held()].count(True) == 1


def test_a_lost_reply_to_making_the_lease_costs_nothing(world: World) -> None:
    world.delete()
    one = world.contender("one", fates=[Fate(), LOST_REPLY])
    world.passes(TIMES.duration + 3 * TIMES.retry)
    assert one.held()


def test_an_emptied_holder_is_no_give_back_while_a_duration_stands_there(world: World) -> None:
    """Somebody's edit: the holder, who lives, puts its name back."""
    one = world.contender("one")
    world.passes(1)
    two = world.contender("two")
    world.passes(10)
    world.edit(holderIdentity="")
    world.passes(30)
    assert one.held()
    assert not two.elected
    assert world.holder == "one"


def test_annotations_protect_no_dead_holder(world: World) -> None:
    """Only the spec is the holder's word; fields of others stay."""
    one = world.contender("one")
    world.passes(1)
    two = world.contender("two")
    world.edit(strategy="OldestEmulationVersion")
    world.passes(10)
    one.die()
    for _ in range(20):
        world.annotate()
        world.passes(1)
    assert two.held()
    assert world.lease is not None
    assert world.lease["spec"]["strategy"] == "OldestEmulationVersion"


def test_a_holder_with_longer_times_is_given_them(world: World) -> None:
    """Replicas of two configurations stand side by side while one is rolled out."""
    one = world.contender("one", times=LeaseTimes(60, 40, 5))
    world.passes(1)
    two = world.contender("two")
    world.passes(10)
    one.die()
    world.passes(50)
    assert not two.elected
    world.passes(15)
    assert two.held()


def test_a_write_has_to_be_over_before_another_may_begin(world: World) -> None:
    one = world.contender("one")
    assert one.lease.time_left() == 0
    world.passes(0.1)
    assert TIMES.renew < one.lease.time_left() < TIMES.duration
    one.freeze(100)
    world.passes(TIMES.renew)
    assert one.lease.time_left() == 0


def test_a_lease_that_cannot_be_read_is_a_problem_once_it_lasts(world: World) -> None:
    """A role that is missing would leave the cluster without a leader: that must not look well."""
    one = world.contender("one", fates=[refused(403, "Forbidden")] * 20)
    assert one.lease.problem() is None
    world.passes(1)
    problem = "the Lease tandem-system/tandem can neither be read nor taken: Forbidden (403): told so"
    assert one.lease.problem() == problem
    world.passes(60)
    assert one.held()
    assert one.lease.problem() is None
    one.fates = [refused(500, "InternalError")]
    world.passes(TIMES.retry)
    assert one.lease.problem() is None


def test_the_clock_counts_seconds() -> None:
    assert seconds_since_boot() <= seconds_since_boot()
