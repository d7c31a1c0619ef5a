"""All strategies on like traces: the same every time, no device booked twice, every job ends, and hand-made traces whose outcome
is known."""

import pytest

from tests.sim.__main__ import STRATEGIES, strategy
from tests.sim.engine import Outcome, simulate
from tests.sim.fleet import BookedTwiceError, Fleet
from tests.sim.generate import generate
from tests.sim.report import figures
from tests.sim.trace import HOUR, Job, Make, Outage, Shape, Trace

FLEET = (
    Make("a", 6, 8, cost=4.0, speed=2.0, share=50),
    Make("b", 6, 8, legal=(1, 2, 4, 8)),
    Make("c", 3, 16, cost=0.5, speed=0.8),
)
NEVER = float("inf")


def run(trace: Trace, name: str, *, tick: float = 0.0, packed: bool = True, starvation: float = NEVER) -> Outcome:
    fleet = Fleet(trace.makes, packed=packed)
    return simulate(trace, fleet, strategy(name, trace, fleet, starvation=starvation), tick=tick)


def job(name: str, submit: float, seconds: float, *shapes: Shape, priority: int = 0) -> Job:
    return Job(name, submit, seconds, shapes, priority)


def assert_never_booked_twice(outcome: Outcome) -> None:
    """By an account of its own: the devices in use on a node, through all begins and ends."""
    capacity = {name: make.devices for make in outcome.trace.makes for name in make.node_names}
    changes = [
        change
        for stint in outcome.stints
        for node, devices in stint.nodes.items()
        for change in ((stint.begin, 1, node, devices), (stint.end, 0, node, -devices))
    ]
    used = dict.fromkeys(capacity, 0)
    for _, _, node, devices in sorted(changes):
        used[node] += devices
        assert 0 <= used[node] <= capacity[node], node
    assert not any(used.values())


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("seed", [1, 2])
def test_no_device_is_booked_twice_and_every_job_ends(name: str, packed: bool, seed: int) -> None:
    trace = generate(400, seed, load=1.2, makes=FLEET, mtbf_days=0.5)
    assert trace.outages
    outcome = run(trace, name, tick=30.0, packed=packed, starvation=900)
    assert_never_booked_twice(outcome)
    ended = [stint.job.name for stint in outcome.stints if stint.finished]
    assert sorted(ended) == sorted(job.name for job in trace.jobs), "each once, and none is left"
    for stint in outcome.stints:
        assert stint.shape in stint.job.shapes
        assert sum(stint.nodes.values()) == stint.shape.pods * stint.shape.devices
        assert stint.begin >= stint.job.submit
    assert any(not stint.finished for stint in outcome.stints), "an outage hit somebody"


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_trace_has_one_outcome(name: str) -> None:
    first, again = (run(generate(300, 7, makes=FLEET, mtbf_days=1), name) for _ in range(2))
    assert first.stints == again.stints
    assert figures(first) == figures(again)


@pytest.mark.parametrize("seed", range(3))
def test_without_the_guard_tandem_is_first_fit_in_listed_order(seed: int) -> None:
    """Two programs that share nothing come to the same answer for every job."""
    trace = generate(400, seed, load=1.3, makes=FLEET, mtbf_days=2)
    ours, theirs = (run(trace, name) for name in ("tandem", "first-fit"))
    assert [(stint.job.name, stint.shape, stint.begin) for stint in ours.stints] == [
        (stint.job.name, stint.shape, stint.begin) for stint in theirs.stints
    ]


A, B = Make("a", 1, 8, cost=4.0, speed=2.0), Make("b", 2, 8, cost=1.0)
ON_A, ON_B = Shape("a", 1, 8), Shape("b", 1, 8)


@pytest.mark.parametrize(
    ("name", "makes"),
    [("tandem", "abb"), ("first-fit", "abb"), ("vendor-order", "aba"), ("cheapest", "bba"), ("pinned", "aab")],
)
def test_where_jobs_go(name: str, makes: str) -> None:
    """The first two list a, then b, and the last, which comes when a is free again, b, then a."""
    jobs = (job("1", 0, 2000, ON_A, ON_B), job("2", 100, 2000, ON_A, ON_B), job("3", 1100, 2000, ON_B, ON_A))
    went = {stint.job.name: stint.shape.make for stint in run(Trace((A, B), jobs), name).stints}
    assert "".join(went[name] for name in "123") == makes


def test_the_figures_of_a_small_trace() -> None:
    """One node of make a, of double speed: the first job holds it for 1000 s, the gang and the last wait for nodes of b."""
    gang = Shape("b", 2, 8)
    jobs = (
        job("first", 0, 2000, ON_A),
        job("gang", 0, 600, gang),
        job("late", 100, 400, ON_A, ON_B),
    )
    found = figures(run(Trace((A, B), jobs), "tandem"))
    assert (found.wait_mean, found.wait_p99, found.gang_wait_p99) == (pytest.approx(500 / 3), 500, 0)
    assert (found.completion_mean, found.completion_p99) == (pytest.approx((1000 + 600 + 900) / 3), 1000)
    assert found.makespan == 1000
    # a: 8 devices for 1000 s; b: 16 for 600 s and 8 for 400 s.
    used = 8000, 9600 + 3200
    assert found.in_use == pytest.approx(sum(used) / 24000)
    assert found.cost == pytest.approx((used[0] * 4 + used[1]) / HOUR)
    assert (found.moves, found.restarts, found.unplaced, found.fragmentation) == (0, 0, 0, 0)


def test_free_devices_on_partly_used_nodes_are_fragments() -> None:
    outcome = run(Trace((B,), (job("small", 0, 100, Shape("b", 1, 6)),)), "tandem")
    assert figures(outcome).fragmentation == pytest.approx(2 / 10)


def test_the_shortfall_of_a_wished_share() -> None:
    """Wished are 75 % on a; it has 8 of 16 devices in use, later 8 of 8."""
    wished = Make("a", 1, 8, share=75)
    jobs = (job("1", 0, 200, ON_A), job("2", 0, 100, ON_B))
    assert figures(run(Trace((wished, B), jobs), "tandem")).shortfall == pytest.approx(0.25 / 2)


def test_a_lost_node_costs_the_work_since_the_last_checkpoint() -> None:
    """Begun on a, which goes after 2000 s: 1800 s at speed 2 are saved, 400 s of work are left, done on b at speed 1."""
    jobs = (job("1", 0, 4000, ON_A, ON_B),)
    outcome = run(Trace((A, B), jobs, (Outage("a-0000", 1900, 1000),)), "tandem")
    before, after = outcome.stints
    assert (before.end, before.finished, before.shape) == (1900, False, ON_A)
    assert (after.begin, after.end, after.finished, after.shape) == (1900, 2300, True, ON_B)
    found = figures(outcome)
    assert (found.moves, found.restarts, found.completion_mean) == (1, 1, 2300)


def test_the_higher_priority_goes_first() -> None:
    jobs = (job("1", 0, 200, ON_A), job("old", 1, 200, ON_A), job("high", 2, 200, ON_A, priority=5))
    for name in STRATEGIES:
        assert [stint.job.name for stint in run(Trace((A,), jobs), name).stints] == ["1", "high", "old"]


def test_a_job_that_fits_nowhere_is_told_and_the_rest_ends() -> None:
    jobs = (job("big", 0, 200, Shape("a", 2, 8)), job("small", 1, 200, ON_A))
    for name in STRATEGIES:
        found = figures(run(Trace((A,), jobs), name))
        assert (found.unplaced, found.makespan) == (1, 101)


def test_the_guard_lets_a_gang_through_that_small_jobs_would_keep_out() -> None:
    """Small jobs keep coming, so that both nodes are never free at once."""
    small = [job(f"s{number:03}", number * 50, 150, Shape("b", 1, 4)) for number in range(200)]
    trace = Trace((B,), tuple(sorted([*small, job("gang", 60, 100, Shape("b", 2, 8))], key=lambda job: job.submit)))
    waits = {
        starvation: next(
            s.begin - 60 for s in run(trace, "tandem", starvation=starvation).stints if s.job.name == "gang"
        )
        for starvation in (NEVER, 900)
    }
    assert waits[NEVER] > 9000
    assert 900 <= waits[900] <= 1200


def test_what_happens_within_a_tick_is_decided_at_its_end() -> None:
    jobs = (job("1", 0, 100, ON_B), job("2", 4, 100, ON_B))
    outcome = run(Trace((B,), jobs), "tandem", tick=10)
    assert [stint.begin for stint in outcome.stints] == [10, 10]
    # At 10, and at 120, when both have ended and nobody waits.
    assert outcome.decisions == 1


def test_taking_what_is_not_free_is_found_out() -> None:
    fleet = Fleet((A,))
    fleet.take("a-0000", 8)
    with pytest.raises(BookedTwiceError, match="1 devices taken on a-0000, where 0 are free"):
        fleet.take("a-0000", 1)
    with pytest.raises(BookedTwiceError, match="has 9 free devices of 8"):
        fleet.give({"a-0000": 9})


def test_spreading_takes_the_emptiest_nodes_and_packing_the_fullest() -> None:
    for packed, expected in ((True, {"b-0000": 4}), (False, {"b-0001": 4})):
        fleet = Fleet((B,), packed=packed)
        fleet.take("b-0000", 4)
        assert fleet.bind(Shape("b", 1, 4)) == expected
