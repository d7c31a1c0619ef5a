"""Command line of the fault plans.

python -m tests.faults                    all plans of all stories, on two lanes, and a table at the end (`make faults`)
python -m tests.faults --list             the ids of all plans
python -m tests.faults --sample 2         two plans of each kind
python -m tests.faults PLAN-ID...         these, with everything that passed through the proxy
"""

import argparse
import asyncio
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor

from tests.faults import lanes
from tests.faults.lane import Lane, Result
from tests.faults.orphans import die_with_parent
from tests.faults.plans import Plan, enumerate_plans, parse, sample
from tests.faults.stories import STORIES

LANES = 2
"""Plans mostly wait, but three control planes are too much for two cores."""
SHARES = 8
"""Plans are dealt out in this many shares per lane, so that no lane is idle for long at the end."""


MANY = 20
"""Where more than one of so many faults did not happen, the plans are not what they say."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when no property was violated, and faults happened as planned."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Fault plans.")
    parser.add_argument("plans", nargs="*", metavar="PLAN-ID", help="STORY/ACTION/PLACE; as printed beside violations")
    parser.add_argument("--list", action="store_true", help="print the ids of all plans")
    parser.add_argument("--sample", type=int, metavar="N", help="only N plans of each kind")
    parser.add_argument("--story", choices=sorted(STORIES), help="only this story")
    parser.add_argument("--match", metavar="TEXT", default="", help="only plans whose id holds this, e.g. /429/")
    parser.add_argument("--lanes", type=int, default=LANES, help=f"control planes side by side; {LANES} unless said")
    given = parser.parse_args(arguments)
    if given.plans:
        return asyncio.run(_replay([parse(text) for text in given.plans]))
    begin = time.monotonic()
    stories = [given.story] if given.story else list(STORIES)
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.lanes, mp_context=spawn, initializer=die_with_parent) as pool:
        references = dict(zip(stories, pool.map(lanes.learn, stories), strict=True))
        plans = [plan for story in stories for plan in enumerate_plans(story, references[story].places)]
        plans = [plan for plan in plans if given.match in plan.id]
        if given.sample:
            plans = sample(plans, given.sample)
        if given.list:
            print("\n".join(plan.id for plan in plans))
            return 0
        # Those of one environment stand side by side: a lane starts its operator anew between two.
        plans.sort(key=lambda plan: sorted(plan.environment.items()))
        count = min(len(plans), given.lanes * SHARES)
        shares = [plans[len(plans) * n // count : len(plans) * (n + 1) // count] for n in range(count)]
        futures = [pool.submit(lanes.run_share, share, references) for share in shares]
        results = [result for future in futures for result in future.result()]
    return _report(results, time.monotonic() - begin)


async def _replay(plans: Sequence[Plan]) -> int:
    """Run plans one after the other and show all."""
    bad = 0
    async with Lane() as lane:
        for plan in plans:
            result = await lane.run(plan)
            print("\n".join(result.log))
            print(result.operator_log)
            lanes.tell(result)
            bad += bool(result.violations) or not result.fired
    return min(bad, 1)


def _report(results: Sequence[Result], seconds: float) -> int:
    """The table of all plans, and all violations once more."""
    for result in results:
        if result.violations:
            lanes.tell(result)
    print(f"\n{'story':10} {'action':14} {'plans':>6} {'violated':>9} {'missed':>7} {'mean s':>7}")
    for story, action in sorted({result.plan.kind for result in results}):
        group = [result for result in results if result.plan.kind == (story, action)]
        violated = sum(bool(result.violations) for result in group)
        missed = sum(not result.fired for result in group)
        mean = sum(result.seconds for result in group) / len(group)
        print(f"{story:10} {action:14} {len(group):6} {violated:9} {missed:7} {mean:7.1f}")
    bad = [result for result in results if result.violations]
    absent = [result.plan.id for result in results if not result.fired]
    print(f"{len(results)} plans, {len(bad)} violated, {len(absent)} missed, {seconds:.0f} s")
    for plan in absent:
        print(f"    missed: {plan}")
    return 1 if bad or len(absent) > len(results) / MANY else 0


if __name__ == "__main__":
    sys.exit(main())
