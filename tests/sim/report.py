"""Figures of an outcome, and the table of several."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

from tests.sim.engine import Outcome, Stint
from tests.sim.trace import HOUR


@dataclass(frozen=True, slots=True)
class Figures:
    """Times in seconds, shares from 0 to 1."""

    wait_mean: float
    """From submission until the first devices."""
    wait_p99: float
    gang_wait_p99: float
    """Of jobs of several pods."""
    completion_mean: float
    """From submission to the end."""
    completion_p99: float
    makespan: float
    """End of the last job."""
    in_use: float
    """Devices in use, of those that were there."""
    fragmentation: float
    """Free devices on nodes that were partly in use, of all free devices."""
    moves: int
    """Restarts on another make."""
    restarts: int
    """After a node was lost."""
    shortfall: float
    """Devices in use that were lacking of the wished shares, of all in use."""
    cost: float
    unbound: int
    unplaced: int


def figures(outcome: Outcome) -> Figures:
    """Of one strategy."""
    by_job: dict[str, list[Stint]] = defaultdict(list)
    for stint in outcome.stints:
        by_job[stint.job.name].append(stint)
    jobs = [stints for stints in by_job.values() if stints[-1].finished]
    waits = [stints[0].begin - stints[0].job.submit for stints in jobs]
    gangs = [stints[0].begin - stints[0].job.submit for stints in jobs if stints[0].shape.pods > 1]
    ends = [stints[-1].end - stints[-1].job.submit for stints in jobs]
    means = outcome.means
    used = sum(means.used.values())
    prices = outcome.trace.by_make
    return Figures(
        wait_mean=mean(waits),
        wait_p99=percentile(waits, 99),
        gang_wait_p99=percentile(gangs, 99),
        completion_mean=mean(ends),
        completion_p99=percentile(ends, 99),
        makespan=max((stint.end for stint in outcome.stints), default=0.0),
        in_use=_part(used, used + means.idle),
        fragmentation=_part(means.split, means.idle),
        moves=sum(
            before.shape.make != after.shape.make for stints in by_job.values() for before, after in pairwise(stints)
        ),
        restarts=sum(len(stints) - 1 for stints in by_job.values()),
        shortfall=_part(sum(means.shortfall.values()), means.busy),
        cost=sum(seconds / HOUR * prices[make].cost for make, seconds in means.used.items()),
        unbound=outcome.unbound,
        unplaced=len(outcome.unplaced),
    )


def mean(values: Sequence[float]) -> float:
    """0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def percentile(values: Sequence[float], percent: float) -> float:
    """By nearest rank: a value that occurred. 0 of nothing."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)] if values else 0.0


def as_json(found: Mapping[str, Figures]) -> list[Mapping[str, object]]:
    """One object for each strategy."""
    return [{"strategy": name, **asdict(item)} for name, item in found.items()]


def table(found: Mapping[str, Figures]) -> str:
    """A line for each strategy. Columns that only matter where something went wrong are left out where nothing did."""
    columns = [column for column in COLUMNS if column.always or any(column.value(item) for item in found.values())]
    rows = [
        ("strategy", *(column.head for column in columns)),
        *((name, *(column.text(column.value(item)) for column in columns)) for name, item in found.items()),
    ]
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
    return "\n".join([*lines, "", *(f"{column.head:<10}  {column.means}" for column in columns)])


def duration(seconds: float) -> str:
    """45 -> "45s", 5000 -> "1h23m": two units at most."""
    whole = round(seconds)
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "m", 60), ("m", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size}{unit}{rest}{smaller}" if rest else f"{whole // size}{unit}"
    return f"{whole}s"


@dataclass(frozen=True, slots=True)
class Column:
    """Of the table."""

    head: str
    means: str
    value: Callable[[Figures], float]
    text: Callable[[float], str]
    always: bool = True


def _percent(part: float) -> str:
    return f"{part:.1%}"


def _whole(number: float) -> str:
    return f"{number:,.0f}"


COLUMNS = (
    Column("wait", "from submission to the first devices, mean", lambda item: item.wait_mean, duration),
    Column("wait p99", "of 100 jobs one waits longer", lambda item: item.wait_p99, duration),
    Column("gangs p99", "the same of jobs of several pods", lambda item: item.gang_wait_p99, duration),
    Column("done", "from submission to the end, mean", lambda item: item.completion_mean, duration),
    Column("done p99", "of 100 jobs one takes longer", lambda item: item.completion_p99, duration),
    Column("all done", "until the end of the last job", lambda item: item.makespan, duration),
    Column("in use", "devices in use, of those there", lambda item: item.in_use, _percent),
    Column("split", "free devices on nodes partly in use, of those free", lambda item: item.fragmentation, _percent),
    Column("shortfall", "lacking of the wished shares of devices in use", lambda item: item.shortfall, _percent),
    Column("cost", "device hours at their price", lambda item: item.cost, _whole),
    Column("restarts", "after a node was lost", lambda item: item.restarts, _whole, always=False),
    Column("moves", "restarts on another make", lambda item: item.moves, _whole, always=False),
    Column("unbound", "grants for which the scheduler had no nodes", lambda item: item.unbound, _whole, always=False),
    Column("unplaced", "jobs that fit nowhere", lambda item: item.unplaced, _whole, always=False),
)


def _part(some: float, of_all: float) -> float:
    return some / of_all if of_all else 0.0
