"""What the truth about devices costs: `python -m tests.bench.ledger [NODES] [PODS]` prints a table.

Microseconds per pod event through the ledger, of a snapshot with and without a change of nodes, and bytes per pod record.
"""

import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace

from tandem.cluster import trim
from tandem.domain.observed import ForeignPod
from tandem.domain.placement.fit import room
from tandem.domain.placement.ledger import Ledger
from tests.unit.domain.builders import node, option

DEVICES = 8
WAITING = 0.05
"""Part of the pods that have no node."""


def raw_pod(index: int, nodes: int) -> dict[str, object]:
    """A pod of others as the API server sends it."""
    waits = index % round(1 / WAITING) == 0
    limits = {"nvidia.com/gpu": "1"}
    return {
        "metadata": {
            "name": f"p-{index}",
            "namespace": f"team-{index % 50}",
            "uid": f"{index:036d}",
            "resourceVersion": "1",
        },
        "spec": {
            **({} if waits else {"nodeName": f"n-{index % nodes}"}),
            "priority": index % 3,
            "containers": [{"name": "main", "resources": {"limits": limits}}],
        },
        "status": {"phase": "Pending" if waits else "Running"},
    }


def micros(work: Callable[[], object], times: int) -> float:
    """Microseconds per item of a piece of work on so many."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) / times * 1e6


def main(nodes: int = 5000, pods: int = 40_000) -> None:
    """Measure and print."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    records = [record for index in range(pods) if isinstance(record := trim.pod(raw_pod(index, nodes)), ForeignPod)]
    size = (tracemalloc.get_traced_memory()[0] - before) / len(records)
    tracemalloc.stop()
    ledger = Ledger()
    for index in range(nodes):
        ledger.node_changed(None, node(f"n-{index}", DEVICES))
    arrive = micros(lambda: [ledger.pod_changed(None, record) for record in records], len(records))
    ended = [replace(record, terminal=True, wait=None) for record in records]
    end = micros(lambda: [ledger.pod_changed(old, new) for old, new in zip(records, ended, strict=True)], len(records))
    for old, new in zip(ended, records, strict=True):
        ledger.pod_changed(old, new)
    look = micros(ledger.snapshot, 1)
    state, wanted = ledger.snapshot(), option(devices=1)
    first = micros(lambda: room(state, state.used, wanted), 1)
    again = micros(lambda: room(state, state.used, wanted), 1)
    waiting = sum(record.wait is not None for record in records)
    rows = {
        "nodes": nodes,
        "pods of others": len(records),
        "of these waiting": waiting,
        "kinds of waits": len({record.wait for record in records} - {None}),
        "bytes per record": round(size),
        "us per pod that comes": round(arrive, 2),
        "us per pod that ends": round(end, 2),
        "us per snapshot": round(look),
        "us per room, nodes changed": round(first),
        "us per room, else": round(again),
    }
    for name, value in rows.items():
        sys.stdout.write(f"{name:28} {value:>10}\n")


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3]))
