"""`python -m tests.bench.placement`: what decisions cost, without a cluster: the placer over nodes and runs in memory.

Three stories, each at several lengths of the queue, so that the ratios tell how cost grows:

- asking: every run asks once, one after another, as after a start; the last third finds no devices and waits.
- freed: all wait, one device is freed again and again, and whoever is first in line gets it: the cost of one such event.
- whole: one pure decision over a queue of which every run asks for something else: nothing can be shared.
"""

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from tandem.api.accelerator_profile import AcceleratorProfile, AcceleratorProfileSpec
from tandem.cluster.metrics import Metrics
from tandem.cluster.store import Store
from tandem.domain.observed import ForeignPod, Key, NodeRecord, OwnPod
from tandem.domain.placement.place import place
from tandem.domain.placement.request import Ask, Candidate, Option
from tandem.runtime.placer import Placer

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
DEVICES = 8
RESOURCES = ("bench.example/a", "bench.example/b")
EVENTS = 50


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.placement", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000, help="nodes of 8 devices, half of each kind")
    parser.add_argument("--runs", type=int, nargs="*", default=[100, 1000, 10_000], help="lengths of the queue")
    options = parser.parse_args()
    stories: tuple[tuple[str, Callable[[int, int], tuple[int, float]]], ...] = (
        ("asking, each", asking),
        ("freed, each", freed),
        ("whole, each run", whole),
    )
    lines = [["story", "runs", "decisions", "seconds", "microseconds each", "decisions per second"]]
    for name, story in stories:
        for runs in options.runs:
            count, seconds = story(options.nodes, runs)
            each = seconds / count * 1e6
            lines.append([name, f"{runs:,}", f"{count:,}", f"{seconds:.3f}", f"{each:,.0f}", f"{count / seconds:,.0f}"])
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    print(f"{options.nodes:,} nodes")
    for line in lines:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)))
    return 0


def asking(nodes: int, runs: int) -> tuple[int, float]:
    """Runs for which a third lacks devices ask one after another."""
    share = max(1, runs * 2 // 3 * 4 // DEVICES)
    placer, _ = _world(nodes, busy=max(0, nodes - share))

    async def ask_all() -> float:
        asks = [_ask(number) for number in range(runs)]
        began = time.perf_counter()
        for ask in asks:
            await placer.decide(_key(ask), ask)
        return time.perf_counter() - began

    return runs, asyncio.run(ask_all())


def freed(nodes: int, runs: int) -> tuple[int, float]:
    """All devices are taken; one run's worth after another becomes free."""
    placer, pods = _world(nodes, busy=nodes)

    async def free() -> float:
        for ask in (_ask(number) for number in range(runs)):
            await placer.decide(_key(ask), ask)
        spent = 0.0
        for number in range(EVENTS):
            pods.feed(("others", f"pod-{number}"), None, nodes + number + 1)
            began = time.perf_counter()
            placer.capacity_changed()
            placer._serve_waiting()
            spent += time.perf_counter() - began
        return spent

    return EVENTS, asyncio.run(free())


def whole(nodes: int, runs: int) -> tuple[int, float]:
    """Everybody asks for something else, and a part of them fits."""
    placer, _ = _world(nodes, busy=nodes - nodes // 10)
    queue = [_ask(number, name=f"v{number}") for number in range(runs)]
    state = placer.snapshot()
    began = time.perf_counter()
    place(queue, state, (), NOW)
    return runs, time.perf_counter() - began


def _world(nodes: int, busy: int) -> tuple[Placer, "Store[OwnPod | ForeignPod]"]:
    """So many nodes, of which the first `busy` are full of others' pods."""
    records: Store[NodeRecord] = Store()
    pods: Store[OwnPod | ForeignPod] = Store()
    for number in range(nodes):
        kind = number % len(RESOURCES)
        offered = {RESOURCES[kind]: DEVICES}
        name = f"node-{number:05d}"
        records.feed(("", name), NodeRecord(name, {"kind": str(kind)}, (), False, True, None, offered, offered), 1)
        if number < busy:
            pods.feed(("others", f"pod-{number}"), ForeignPod(f"uid-{number}", name, offered), number + 1)
    placer = Placer(
        nodes=records,
        pods=pods,
        pods_known=lambda: True,
        pods_of=_no_pods,
        wake=lambda _: None,
        hold_seconds=600,
        metrics=Metrics(),
        now=lambda: NOW,
    )
    return placer, pods


def _no_pods(_: Key, __: str) -> Sequence[OwnPod]:
    return ()


def _ask(number: int, name: str = "main") -> Ask:
    """A run of one to four pods with one to four devices, on either kind, the better one first."""
    pods, devices = 1 + number % 4, (4, 4, 2, 1)[number % 4]
    candidates = tuple(
        Candidate(f"{name}-{kind}", profile.name, (Option(profile, pods, devices, {}, ()),))
        for kind, profile in enumerate(PROFILES)
    )
    uid = f"run-{number:06d}"
    since = NOW - timedelta(seconds=number % 3600)
    return Ask(uid, "TrainingRun", "team", uid, 1, since, candidates, waits_since=since, starves_after=900)


def _profile(kind: int) -> AcceleratorProfile:
    spec = {
        "nodeSelector": {"kind": str(kind)},
        "allocation": {"type": "ExtendedResource", "extendedResource": {"name": RESOURCES[kind]}},
    }
    return AcceleratorProfile(name=f"kind-{kind}", spec=AcceleratorProfileSpec.model_validate(spec))


PROFILES = tuple(_profile(kind) for kind in range(len(RESOURCES)))


def _key(ask: Ask) -> Key:
    return Key(ask.kind, ask.namespace, ask.name)


if __name__ == "__main__":
    raise SystemExit(main())
