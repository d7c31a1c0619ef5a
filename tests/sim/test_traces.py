"""Generated traces, CSV files and the command."""

import json
from pathlib import Path

import pytest

from tests.sim import tables
from tests.sim.__main__ import main
from tests.sim.generate import FLEET, generate
from tests.sim.report import duration, percentile
from tests.sim.trace import Make, Trace

NODES = "make,nodes,devices\na,1,8\nb,2,8\n"


def test_a_seed_makes_one_trace() -> None:
    one, again, other = (generate(500, seed, mtbf_days=1) for seed in (1, 1, 2))
    assert one == again
    assert one.jobs != other.jobs


def test_a_generated_trace_looks_like_a_real_one() -> None:
    jobs = generate(20_000, 3).jobs
    assert [job.submit for job in jobs] == sorted(job.submit for job in jobs)
    assert len({job.name for job in jobs}) == 20_000
    devices = [job.shapes[0].pods * job.shapes[0].devices for job in jobs]
    assert sum(count == 1 for count in devices) > 0.4 * len(jobs), "most ask for one device"
    assert 0 < sum(count >= 64 for count in devices) < 0.03 * len(jobs), "few are large gangs"
    work = sorted((count * job.seconds for count, job in zip(devices, jobs, strict=True)), reverse=True)
    assert sum(work[: len(work) // 20]) > 0.5 * sum(work), "and a twentieth is most of the work"
    assert len({shape.make for job in jobs for shape in job.shapes}) == len(FLEET)


def test_a_fleet_of_other_names_gets_jobs_for_each_make() -> None:
    makes = (Make("x", 4, 4), Make("y", 4, 2))
    jobs = generate(300, 1, makes=makes).jobs
    assert {shape.make for job in jobs for shape in job.shapes} == {"x", "y"}
    assert max(shape.devices for job in jobs for shape in job.shapes) == 4


def test_a_trace_that_was_written_reads_back_as_it_was(tmp_path: Path) -> None:
    trace = generate(200, 5, mtbf_days=1)
    tables.write(trace, tmp_path)
    makes = tables.read_makes(tmp_path / "nodes.csv")
    jobs = tables.read_jobs(tmp_path / "jobs.csv", makes)
    outages = tables.read_outages(tmp_path / "outages.csv", makes)
    assert Trace(makes, jobs, tuple(sorted(outages, key=lambda o: o.node))) == trace


def test_columns_with_a_default_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("devices, make, nodes\n8, a, 2\n")
    assert tables.read_makes(tmp_path / "nodes.csv") == (Make("a", 2, 8),)


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("nodes", "", "nodes.csv:1, column make: missing"),
        ("nodes", "make,nodes,devices\n", "nodes.csv has no line but its head"),
        ("nodes", "make,nodes,devices,colour\n", "nodes.csv:1, column colour: unknown; there are make, nodes,"),
        ("nodes", NODES + "c,x,8\n", "nodes.csv:4, column nodes: 'x' is no whole number"),
        ("nodes", NODES + "c,0,8\n", "nodes.csv:4, column nodes: '0' is no count: from 1 on"),
        ("nodes", NODES + "c,1\n", "nodes.csv:4: 2 cells, where the head has 3"),
        ("nodes", NODES + "a,1,8\n", "nodes.csv:4, column make: 'a' stands there twice"),
        ("nodes", "make,nodes,devices,share\na,1,8,101\n", "nodes.csv:2, column share: '101' is more than 100 percent"),
        ("nodes", "make,nodes,devices,speed\na,1,8,0\n", "nodes.csv:2, column speed: must be more than 0"),
        ("jobs", "job,submit,seconds,shapes\n1,nan,5,a:1x8\n", "jobs.csv:2, column submit: 'nan' is no number from 0 to 1e+09"),
        ("jobs", "job,submit,seconds,shapes\n1,0,5,\n", "jobs.csv:2, column shapes: is empty; write make:PODSxDEVICES"),
        ("jobs", "job,submit,seconds,shapes\n1,0,5,a8\n", "jobs.csv:2, column shapes: 'a8' is no shape: write make:PODSxDEVICES"),
        ("jobs", "job,submit,seconds,shapes\n1,0,5,c:1x8\n", "jobs.csv:2, column shapes: no make 'c' among the nodes; there are a, b"),
        ("jobs", "job,submit,seconds,shapes\n1,0,5,a:1x8\n1,0,5,a:1x8\n", "jobs.csv:3, column job: '1' stands there twice"),
        ("jobs", "job,submit,seconds,shapes\na b,0,5,a:1x8\n", "jobs.csv:2, column job: 'a b' is no name: one word without colon"),
        ("outages", "node,at,seconds\na-0007,1,1\n", "outages.csv:2, column node: no node 'a-0007'"),
        ("outages", "node,at,seconds\na-0000,1,9\na-0000,5,1\n", "outages.csv:3, column at: a-0000 is not back before 10"),
    ],
)  # fmt: skip
def test_a_bad_file_is_told_with_line_and_column(
    file: str, text: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nodes.csv").write_text(NODES)
    (tmp_path / f"{file}.csv").write_text(text)
    given = dict.fromkeys(("nodes", file))
    assert main(["--count", "5", *(f"--{name}={tmp_path / f'{name}.csv'}" for name in given)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"cannot simulate: {problem}")


def test_the_command_tells_all_strategies_in_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--count", "200", "--scale", "0.2", "--write", str(tmp_path)]) == 0
    files = [f"--{name}={tmp_path / f'{name}.csv'}" for name in ("nodes", "jobs")]
    assert main(files) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "200 jobs, 40 nodes, 344 devices, 0 outages"
    assert lines[2].split()[:3] == ["strategy", "wait", "wait"]
    assert [line.split()[0] for line in lines[3:8]] == ["tandem", "first-fit", "vendor-order", "cheapest", "pinned"]
    assert len({len(line) for line in lines[2:8]}) == 1, "aligned"
    assert max(map(len, lines)) <= 120


def test_the_command_in_json_and_a_job_that_fits_nowhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nodes.csv").write_text(NODES)
    (tmp_path / "jobs.csv").write_text("job,submit,seconds,shapes\n1,0,50,a:1x8\n2,0,50,a:9x8\n")
    files = [f"--{name}={tmp_path / f'{name}.csv'}" for name in ("nodes", "jobs")]
    assert main([*files, "--only", "tandem", "--tick=0", "-o", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["strategy"], found["unplaced"], found["makespan"], found["wait_mean"]) == ("tandem", 1, 50, 0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (45.4, "45s"), (60, "1m"), (5000, "1h23m"), (86400, "1d"), (200000, "2d7h")]
)
def test_durations_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_percentile_is_a_value_that_occurred() -> None:
    assert percentile(range(1, 201), 99) == 198
    assert percentile([7], 99) == 7
    assert percentile([], 99) == 0
