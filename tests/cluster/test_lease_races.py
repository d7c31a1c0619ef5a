"""Whatever the network, the machines and people do: at no time may two replicas write, and afterwards one does."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.cluster.client import ApiError
from tests.cluster.lease_world import PROMPT, TIMES, Contender, Fate, World, free_lease

SECONDS = st.floats(0.0, 4.0, allow_nan=False).map(lambda value: round(value, 2))
FATES = st.one_of(
    st.just(PROMPT),
    st.builds(lambda done, more, lost: Fate(done, None if lost else done + more), SECONDS, SECONDS, st.booleans()),
    st.builds(lambda answered: Fate(None, answered), SECONDS),
    st.builds(
        lambda status: Fate(refusal=ApiError(status, "Told", "so")), st.sampled_from([401, 403, 409, 429, 500, 503])
    ),
)
CONTENDERS = st.fixed_dictionaries(
    {
        "offset": st.floats(-1e6, 1e6, allow_nan=False),
        "drift": st.floats(0.98, 1.02),
        "wall": st.timedeltas(-timedelta(days=30), timedelta(days=30)),
        "fates": st.lists(FATES, max_size=25),
    }
)
TROUBLE = st.tuples(
    st.floats(0.1, 9.0).map(lambda value: round(value, 2)),
    st.sampled_from(["nothing", "freeze", "freeze", "kill", "end", "annotate", "blank", "usurp", "delete"]),
    st.integers(0, 2),
    st.floats(0.5, 40.0).map(lambda value: round(value, 1)),
)


def strike(world: World, what: str, target: Contender, seconds: float) -> None:
    """One piece of trouble."""
    if what == "freeze":
        target.freeze(seconds)
    elif what == "kill":
        target.die()
    elif what == "end":
        if not target.lost and world.now >= target.frozen_until:
            target.ends()
    elif what == "delete":
        world.delete()
    elif world.lease is not None and "spec" in world.lease:
        if what == "annotate":
            world.annotate()
        elif what == "blank":
            world.edit(holderIdentity="")
        elif what == "usurp":
            world.edit(holderIdentity="somebody", renewTime=f"{seconds}")


@settings(max_examples=250, deadline=None)
@given(
    starts=st.lists(CONTENDERS, min_size=2, max_size=3),
    troubles=st.lists(TROUBLE, max_size=12),
    made=st.booleans(),
)
def test_at_no_time_may_two_write(
    starts: list[dict[str, object]], troubles: list[tuple[float, str, int, float]], made: bool
) -> None:
    world = World()
    if made:
        world._store(dict(free_lease()))

    def one_at_most() -> None:
        assert [contender.name for contender in world.contenders if contender.held()][1:] == []

    world.check = one_at_most
    for number, start in enumerate(starts):
        fates = start["fates"]
        assert isinstance(fates, list)
        world.contender(f"c{number}", **{**start, "fates": list(fates)})
    for pause, what, target, seconds in troubles:
        world.passes(pause)
        strike(world, what, world.contenders[target % len(starts)], seconds)

    # Processes that ended are started again, as a kubelet does; then all is well, and one of them leads.
    world.passes(60)
    late = world.contender("late")
    world.passes(60 + 4 * TIMES.duration)
    assert late.held() or any(contender.held() for contender in world.contenders)
    assert sum(contender.held() for contender in world.contenders) == 1
