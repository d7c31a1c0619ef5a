"""A sample of the fault plans; `make faults` runs all of them."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.faults.lane import Lane
from tests.faults.plans import LEASE_ACTIONS, WATCH_ACTIONS, WRITE_ACTIONS, enumerate_plans, shuffled
from tests.faults.stories import STORIES

PER_KIND = 1
SPARE = 2
"""Some statuses come in one run and are overtaken in another, so that a fault there does not happen."""


@pytest.fixture(scope="module")
def loop_of_lanes() -> Iterator[asyncio.Runner]:
    """The event loop on which the lanes of this module live."""
    with asyncio.Runner() as runner:
        yield runner


# Each story on a worker of its own, so that none is learnt twice.
@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in STORIES])
def story(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def lane(story: str, loop_of_lanes: asyncio.Runner) -> Iterator[Lane]:
    """A lane that knows the story."""
    opened = Lane()
    loop_of_lanes.run(opened.__aenter__())
    try:
        loop_of_lanes.run(opened.reference(story))
        yield opened
    finally:
        loop_of_lanes.run(opened.__aexit__(None, None, None))


@pytest.mark.controlplane
@pytest.mark.parametrize("action", [*WRITE_ACTIONS, *WATCH_ACTIONS])
def test_no_property_is_violated(story: str, action: str, lane: Lane, loop_of_lanes: asyncio.Runner) -> None:
    """Replay a violation with `python -m tests.faults PLAN-ID`."""
    _try(story, action, lane, loop_of_lanes)


@pytest.mark.controlplane
@pytest.mark.parametrize(
    "story", [pytest.param("contending", marks=pytest.mark.xdist_group("contending"))], indirect=True
)
@pytest.mark.parametrize("action", LEASE_ACTIONS)
def test_nobody_writes_without_the_lease(story: str, action: str, lane: Lane, loop_of_lanes: asyncio.Runner) -> None:
    """The Lease knows nothing of stories, so a sample of one does."""
    _try(story, action, lane, loop_of_lanes)


def _try(story: str, action: str, lane: Lane, loop_of_lanes: asyncio.Runner) -> None:
    """So many faults of an action, none of which may violate anything."""
    places = loop_of_lanes.run(lane.reference(story)).places
    plans = shuffled(plan for plan in enumerate_plans(story, places) if plan.action == action)
    fired = 0
    for plan in plans[: PER_KIND + SPARE]:
        result = loop_of_lanes.run(lane.run(plan))
        assert not result.violations, f"{plan.id}\n" + "\n".join([*result.violations, *result.log])
        fired += result.fired
        if fired == PER_KIND:
            return
    raise AssertionError(f"only {fired} faults of {action} happened")
