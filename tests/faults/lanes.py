"""What each process of `python -m tests.faults` does; a module of its own, since processes cannot find what `__main__` holds."""

import asyncio
from collections.abc import Sequence

from tests.faults.lane import Lane, Reference, Result
from tests.faults.plans import Plan


def learn(story: str) -> Reference:
    """What a story comes to without faults, on a lane of its own."""

    async def on_lane() -> Reference:
        async with Lane() as lane:
            return await lane.reference(story)

    return asyncio.run(on_lane())


def run_share(plans: Sequence[Plan], references: dict[str, Reference]) -> list[Result]:
    """Run plans one after the other on a lane of their own, and tell of each."""

    async def run() -> list[Result]:
        results = []
        async with Lane() as lane:
            lane.know(references)
            for plan in plans:
                results.append(await lane.run_surely(plan))
                tell(results[-1])
        return results

    return asyncio.run(run())


def tell(result: Result) -> None:
    """One line for a plan that is well, and how to see it again for one that is not."""
    state = "ok" if result.fired else "the fault did not happen"
    print(f"{state if not result.violations else 'VIOLATED'}  {result.seconds:5.1f} s  {result.plan.id}", flush=True)
    for violation in result.violations:
        print(f"    {violation}")
    if result.violations:
        print(f"    again: python -m tests.faults '{result.plan.id}'", flush=True)
