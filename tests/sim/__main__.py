"""`python -m tests.sim`: what the placer makes of a trace of jobs, beside simpler strategies.

Without files it generates a trace: several makes of accelerator, many small jobs and few large gangs, heavy-tailed durations,
bursts, and with --mtbf-days outages of nodes. --write puts the trace into CSV files, which --nodes, --jobs and --outages read.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tandem.domain.timing import Timing
from tests.sim import report, tables
from tests.sim.engine import simulate
from tests.sim.fleet import Fleet
from tests.sim.generate import FLEET, generate
from tests.sim.placer import Tandem
from tests.sim.strategy import Cheapest, FirstFit, Pinned, Strategy, VendorOrder
from tests.sim.trace import Make, Trace

TANDEM = "tandem"
BASELINES: Mapping[str, type[FirstFit]] = {
    "first-fit": FirstFit,
    "vendor-order": VendorOrder,
    "cheapest": Cheapest,
    "pinned": Pinned,
}
STRATEGIES = (TANDEM, *BASELINES)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when every job ended; 1 when some fit nowhere; 2 when the files cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.sim",
        description=__doc__,
        epilog=tables.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--count", type=int, default=100_000, metavar="N", help="jobs to generate (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the generated trace (default: %(default)s)")
    parser.add_argument("--load", type=float, default=0.9, help="of all devices, on average (default: %(default)s)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="nodes of the built-in fleet, times (default: %(default)s)"
    )
    parser.add_argument(
        "--mtbf-days", type=float, metavar="DAYS", help="mean time between outages of a node (default: none)"
    )
    parser.add_argument("--nodes", type=Path, metavar="CSV", help="makes and nodes, in place of the built-in fleet")
    parser.add_argument("--jobs", type=Path, metavar="CSV", help="jobs, in place of generated ones")
    parser.add_argument("--outages", type=Path, metavar="CSV", help="outages, in place of generated ones")
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="write the trace there as CSV, and simulate nothing"
    )
    parser.add_argument(
        "--tick", type=float, default=60.0, help="seconds of events decided on in one go (default: %(default)s)"
    )
    parser.add_argument(
        "--spread", action="store_true", help="the scheduler binds pods to the emptiest nodes, not the fullest"
    )
    parser.add_argument(
        "--starvation",
        type=float,
        default=Timing.starvation,
        help="seconds after which a waiting gang holds back others with tandem (default: %(default)s)",
    )
    parser.add_argument("--only", nargs="+", choices=STRATEGIES, default=STRATEGIES, metavar="STRATEGY")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    given = parser.parse_args(arguments)
    try:
        trace = _trace(given)
    except (tables.TableError, OSError) as error:
        sys.stderr.write(f"cannot simulate: {error}\n")
        return 2
    if given.write:
        tables.write(trace, given.write)
        return 0
    return _compare(trace, given)


def _trace(given: argparse.Namespace) -> Trace:
    makes = tables.read_makes(given.nodes) if given.nodes else _scaled(given.scale)
    if given.jobs:
        trace = Trace(makes, tables.read_jobs(given.jobs, makes))
    else:
        trace = generate(given.count, given.seed, load=given.load, makes=makes, mtbf_days=given.mtbf_days)
    return replace(trace, outages=tables.read_outages(given.outages, makes)) if given.outages else trace


def _scaled(scale: float) -> tuple[Make, ...]:
    return tuple(replace(make, nodes=max(1, round(make.nodes * scale))) for make in FLEET)


def strategy(name: str, trace: Trace, fleet: Fleet, *, starvation: float) -> Strategy:
    """The strategy of this name."""
    return Tandem(trace, fleet, starvation=starvation) if name == TANDEM else BASELINES[name](trace, fleet)


def _compare(trace: Trace, given: argparse.Namespace) -> int:
    found = {}
    for name in given.only:
        begin = time.monotonic()
        fleet = Fleet(trace.makes, packed=not given.spread)
        outcome = simulate(trace, fleet, strategy(name, trace, fleet, starvation=given.starvation), tick=given.tick)
        found[name] = report.figures(outcome)
        sys.stderr.write(f"{name}: {outcome.decisions} decisions, {time.monotonic() - begin:.1f} s\n")
    if given.output == "json":
        print(json.dumps(report.as_json(found), indent=2))
    else:
        devices = sum(make.nodes * make.devices for make in trace.makes)
        nodes = sum(make.nodes for make in trace.makes)
        print(f"{len(trace.jobs)} jobs, {nodes} nodes, {devices} devices, {len(trace.outages)} outages\n")
        print(report.table(found))
    return 1 if any(item.unplaced for item in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
