"""`python -m tests.bench`: all figures of the operator's speed, from one run on this machine, in one table.

Rates are compared with loops on the same API server in the same run, since an absolute one says most about the machine.
"""

import argparse
import sys
import tempfile
from contextlib import closing
from pathlib import Path

from tests.bench import phases, table
from tests.bench.bodies import PODS
from tests.bench.stage import Stage
from tests.bench.subject import Rest, Subject


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--runs", type=int, nargs="*", default=[250, 1000], help="sizes of bursts, in runs")
    parser.add_argument("--idle", type=int, default=10_000, help="idle runs among which the operator starts; 0: none")
    parser.add_argument("--nodes", type=int, default=250, help="nodes of 16 devices for the bursts")
    parser.add_argument("--rest", type=float, default=60.0, help="seconds for which a resting operator is watched")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tandem-bench-") as folder:
        log = Path(folder) / "operator.log"
        found = [
            measure(runs, options.nodes, log, options.rest, live=index == 0) for index, runs in enumerate(options.runs)
        ]
        idle = (
            (options.idle, options.idle * PODS, start_among(options.idle, log, options.rest)) if options.idle else None
        )
    print(table.render(found, idle))
    return 0


def measure(runs: int, nodes: int, log: Path, seconds: float, *, live: bool) -> table.Measured:
    """Everything that is measured with so many runs; `live`: and how runs live until they succeed."""
    with Stage(phases.RESOURCES, nodes) as stage, closing(Subject(stage, log)) as subject:
        before = phases.bare(stage, "before", phases.BEFORE, runs)
        ready = subject.start()
        burst = phases.burst(stage, subject, "burst", runs)
        writes = subject.rest(seconds)
        rest = Rest(ready, subject.rss, writes, writes / seconds * 60)
        again = subject.restart(seconds)
        life = phases.life(stage, subject, "life", runs) if live else None
        subject.close()
        same = phases.same(stage, "same", runs)
        after = phases.bare(stage, "after", phases.AFTER, runs)
    return table.Measured(runs, before, burst, rest, again, same, after, life)


def start_among(runs: int, log: Path, seconds: float) -> Rest:
    """The operator's start among idle runs."""
    with Stage((phases.RUN,), 0) as stage, closing(Subject(stage, log)) as subject:
        return phases.idle(stage, subject, runs, seconds)


if __name__ == "__main__":
    sys.exit(main())
