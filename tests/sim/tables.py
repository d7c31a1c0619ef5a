"""Nodes, jobs and outages as CSV files, with a line of names on top. Columns may stand in any order; those with a default may be
left out, unknown ones are an error, and so is anything else that is not as described:

nodes.csv     make,nodes,devices,cost,speed,legal,share         a line for each make
              h100,40,8,4.0,2.0,1 2 4 8,30
jobs.csv      job,submit,seconds,shapes,priority                a line for each job
              a,0,3600,h100:2x8 a100:4x8,0                      two pods of eight on h100, else four on a100
outages.csv   node,at,seconds                                   nodes are called <make>-0000, <make>-0001, ...
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tests.sim.trace import Job, Make, Outage, Shape, Trace

T = TypeVar("T")
NODES = ("make", "nodes", "devices", "cost", "speed", "legal", "share")
JOBS = ("job", "submit", "seconds", "shapes", "priority")
OUTAGES = ("node", "at", "seconds")
MOST = 10**9


class TableError(Exception):
    """A file that cannot be read, with its name, line and column."""


class _Row:
    """One line of a file."""

    def __init__(self, where: str, cells: Mapping[str, str]) -> None:
        self._where = where
        self._cells = cells

    def get(self, column: str, parse: Callable[[str], T], default: T | None = None) -> T:
        """The cell, read by `parse`, which raises ValueError with what is wrong."""
        text = self._cells.get(column, "").strip()
        if not text and default is not None:
            return default
        try:
            return parse(text)
        except ValueError as error:
            raise self.error(column, str(error)) from error

    def error(self, column: str, problem: str) -> TableError:
        """Something is wrong with the cell."""
        return TableError(f"{self._where}, column {column}: {problem}")


def read_makes(path: Path) -> tuple[Make, ...]:
    """nodes.csv. Raises TableError, OSError."""
    found: dict[str, Make] = {}
    for row in _rows(path, NODES, required=("make", "nodes", "devices")):
        make = Make(
            name=row.get("make", _name),
            nodes=row.get("nodes", _count),
            devices=row.get("devices", _count),
            cost=row.get("cost", _number, 1.0),
            speed=row.get("speed", _positive, 1.0),
            legal=row.get("legal", _counts, ()),
            share=row.get("share", _percent, 0.0),
        )
        if make.name in found:
            raise row.error("make", f"{make.name!r} stands there twice")
        found[make.name] = make
    if not found:
        raise TableError(f"{path.name} has no line but its head")
    return tuple(found.values())


def read_jobs(path: Path, makes: Iterable[Make]) -> tuple[Job, ...]:
    """jobs.csv. Raises TableError, OSError."""
    known = {make.name for make in makes}
    found: dict[str, Job] = {}
    for row in _rows(path, JOBS, required=("job", "submit", "seconds", "shapes")):
        job = Job(
            name=row.get("job", _name),
            submit=row.get("submit", _number),
            seconds=row.get("seconds", _positive),
            shapes=row.get("shapes", _shapes),
            priority=row.get("priority", _whole, 0),
        )
        strange = [shape.make for shape in job.shapes if shape.make not in known]
        if strange:
            raise row.error("shapes", f"no make {strange[0]!r} among the nodes; there are {', '.join(sorted(known))}")
        if job.name in found:
            raise row.error("job", f"{job.name!r} stands there twice")
        found[job.name] = job
    return tuple(sorted(found.values(), key=lambda job: (job.submit, job.name)))


def read_outages(path: Path, makes: Iterable[Make]) -> tuple[Outage, ...]:
    """outages.csv. Raises TableError, OSError."""
    known = {name for make in makes for name in make.node_names}
    found: list[Outage] = []
    back: dict[str, float] = {}
    for row in _rows(path, OUTAGES, required=OUTAGES):
        outage = Outage(row.get("node", _name), row.get("at", _number), row.get("seconds", _positive))
        if outage.node not in known:
            raise row.error("node", f"no node {outage.node!r}; nodes are called <make>-0000 and so on")
        if outage.at < back.get(outage.node, 0.0):
            raise row.error("at", f"{outage.node} is not back before {back[outage.node]:g}")
        back[outage.node] = outage.at + outage.seconds
        found.append(outage)
    return tuple(found)


def write(trace: Trace, folder: Path) -> None:
    """All three files, so that they can be read back or edited."""
    folder.mkdir(parents=True, exist_ok=True)
    makes = ((m.name, m.nodes, m.devices, m.cost, m.speed, " ".join(map(str, m.legal)), m.share) for m in trace.makes)
    jobs = ((j.name, j.submit, j.seconds, " ".join(map(_shape_text, j.shapes)), j.priority) for j in trace.jobs)
    outages = ((o.node, o.at, o.seconds) for o in sorted(trace.outages, key=lambda o: o.at))
    for name, columns, rows in (("nodes", NODES, makes), ("jobs", JOBS, jobs), ("outages", OUTAGES, outages)):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])


def _rows(path: Path, columns: Sequence[str], required: Iterable[str]) -> Iterator[_Row]:
    with path.open(newline="", encoding="utf-8") as file:
        lines = csv.reader(file)
        head = [name.strip() for name in next(lines, [])]
        for name in head:
            if name not in columns:
                raise TableError(f"{path.name}:1, column {name or '(empty)'}: unknown; there are {', '.join(columns)}")
        for name in required:
            if name not in head:
                raise TableError(f"{path.name}:1, column {name}: missing")
        for cells in lines:
            if not cells:
                continue
            where = f"{path.name}:{lines.line_num}"
            if len(cells) != len(head):
                raise TableError(f"{where}: {len(cells)} cells, where the head has {len(head)}")
            yield _Row(where, dict(zip(head, cells, strict=True)))


def _name(text: str) -> str:
    if not text or " " in text or ":" in text:
        raise ValueError(f"{text!r} is no name: one word without colon")
    return text


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST:
        raise ValueError(f"{text!r} is no number from 0 to {MOST:g}")
    return value


def _positive(text: str) -> float:
    value = _number(text)
    if value == 0:
        raise ValueError("must be more than 0")
    return value


def _percent(text: str) -> float:
    value = _number(text)
    if value > 100:
        raise ValueError(f"{text!r} is more than 100 percent")
    return value


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no whole number") from error


def _count(text: str) -> int:
    value = _whole(text)
    if not 1 <= value <= MOST:
        raise ValueError(f"{text!r} is no count: from 1 on")
    return value


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_count(word) for word in text.split())


def _shapes(text: str) -> tuple[Shape, ...]:
    found = tuple(_shape(word) for word in text.split())
    if not found:
        raise ValueError("is empty; write make:PODSxDEVICES, several with blanks between")
    return found


def _shape(text: str) -> Shape:
    make, colon, size = text.partition(":")
    pods, times, devices = size.partition("x")
    if not (make and colon and times):
        raise ValueError(f"{text!r} is no shape: write make:PODSxDEVICES, e.g. h100:2x8")
    return Shape(make, _count(pods), _count(devices))


def _shape_text(shape: Shape) -> str:
    return f"{shape.make}:{shape.pods}x{shape.devices}"
