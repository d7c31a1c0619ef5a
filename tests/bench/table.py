"""The table: one row for each measure, with the aim of the design beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.bench.phases import Burst, Life, Rate
from tests.bench.subject import Rest

Row = tuple[str, str, str]
"""Measure, value, aim."""


@dataclass
class Measured:
    """All phases on one stage."""

    runs: int
    before: Rate
    burst: Burst
    rest: Rest
    """After the burst, in the same life."""
    again: Rest
    """After a restart."""
    same: Rate
    after: Rate
    life: Life | None = None


@dataclass
class Table:
    """Rows under their heads, as Markdown."""

    rows: list[Row] = field(default_factory=list)

    def head(self, text: str) -> None:
        """Begin a group of rows."""
        self.rows.append((f"**{text}**", "", ""))

    def row(self, what: str, value: str, aim: str = "") -> None:
        """Add a measure."""
        self.rows.append((what, value, aim))

    def text(self) -> str:
        """The table."""
        rows = [("measure", "value", "aim"), *self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        lines.insert(1, " | ".join("-" * width for width in widths))
        return "\n".join(f"| {line} |" for line in lines)


def burst_rows(table: Table, found: Measured) -> None:
    """A burst and the loops around it."""
    pods, burst = found.before.pods, found.burst
    bare = (found.before.per_second + found.after.per_second) / 2
    cheap = (found.before.cpu_per_pod + found.after.cpu_per_pod) / 2
    table.head(f"{found.runs} runs, {pods} pods at once")
    for name, rate in (
        ("bare loop before", found.before),
        ("operator", burst.rate),
        ("loop with the same writes", found.same),
        ("bare loop after", found.after),
    ):
        shares = f"{rate.cpu_per_pod * 1000:.1f} ms of CPU a pod in all; others had {rate.others:.0%} of the machine"
        table.row(f"{name}: pods/s", f"{rate.per_second:.1f} ({shares})")
    table.row("operator: first run created to last pod created", f"{burst.rate.seconds:.1f} s")
    table.row("operator: ... to all runs Running", f"{burst.running_seconds:.1f} s")
    table.row("rate / bare loop", f"{burst.rate.per_second / bare:.2f}", ">= 0.8")
    table.row("rate / same writes", f"{burst.rate.per_second / found.same.per_second:.2f}", ">= 0.9")
    table.row("CPU of a bare pod / CPU of an operator's pod", f"{cheap / burst.rate.cpu_per_pod:.2f}")
    table.row(
        "CPU of a pod of the same writes / of an operator's", f"{found.same.cpu_per_pod / burst.rate.cpu_per_pod:.2f}"
    )
    table.row("operator's own CPU", f"{burst.cpu:.1f} s, {burst.cpu / found.runs * 1000:.1f} ms a run")
    writes = sum(burst.writes.values()) / found.runs
    table.row("writes per run until Running", f"{writes:.2f} ({_by_kind(burst.writes, found.runs)})")
    table.row("events per run", f"{burst.events / found.runs:.2f}", "<= 3")
    table.row("RSS, peak and after", f"{burst.peak_rss:.0f} and {burst.steady_rss:.0f} MiB", "<= 150 MiB")
    table.row("lists made anew, watches that ended", f"{burst.lists}, {burst.watches}", "0 lists")
    table.row("writes a minute at rest", f"{found.rest.writes_per_minute:.1f}", "0")
    table.row("restart among them: ready", f"{found.again.ready_seconds:.1f} s")
    table.row("restart among them: writes", f"{found.again.writes}", "0")
    table.row("restart among them: RSS", f"{found.again.rss:.0f} MiB")


def life_rows(table: Table, life: Life) -> None:
    """Runs from creation to success, and wrong ones among them."""
    table.head(f"{life.runs} runs to their success, {len(life.latencies)} wrong ones among them")
    writes = sum(life.writes.values()) / life.runs
    table.row("writes per run", f"{writes:.2f} ({_by_kind(life.writes, life.runs)})", "<= pods + 5 = 9")
    table.row("events per run", f"{life.events / life.runs:.2f}", "<= 3")
    middle = life.latencies[len(life.latencies) // 2]
    table.row("wrong run -> condition, p50 / p99", f"{middle:.2f} s / {life.p99:.2f} s", "p99 <= 5 s")


def idle_rows(table: Table, runs: int, pods: int, idle: Rest) -> None:
    """A start among many objects."""
    table.head(f"start among {runs} idle runs with {pods} pods")
    table.row("ready", f"{idle.ready_seconds:.1f} s", "<= 45 s")
    table.row("writes", f"{idle.writes}", "0")
    table.row("RSS", f"{idle.rss:.0f} MiB", "<= 400 MiB")


def _by_kind(writes: dict[str, int], runs: int) -> str:
    return ", ".join(f"{what} {count / runs:.2f}" for what, count in sorted(writes.items()))


def render(found: Sequence[Measured], idle: tuple[int, int, Rest] | None) -> str:
    """The whole table."""
    table = Table()
    for one in found:
        burst_rows(table, one)
        if one.life is not None:
            life_rows(table, one.life)
    if idle is not None:
        idle_rows(table, *idle)
    return table.text()
