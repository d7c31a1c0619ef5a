"""The operator under measurement: a process of this host, with the times of production."""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from devcluster.audit import Event
from tests.bench.machine import cpu_seconds, rss_mib
from tests.bench.stage import Stage
from tests.support.operator import HostOperator

AGENT = "tandem/"
"""User-Agent of its requests."""
FEED = "kopf/"
"""Who watches the four kinds for it."""


@dataclass(frozen=True)
class Rest:
    """What an operator does while nothing happens."""

    ready_seconds: float
    rss: float
    writes: int
    writes_per_minute: float


class Subject:
    """One life of the operator after another, on one stage."""

    def __init__(self, stage: Stage, log: Path) -> None:
        self._stage = stage
        self.operator = HostOperator(stage.kubeconfig, log, times={})

    def start(self) -> float:
        """Start it; the seconds until it says it is ready."""
        began = time.monotonic()
        self.operator.launch()
        self.operator.until_ready(300)
        return time.monotonic() - began

    def close(self) -> None:
        """End it, if it runs."""
        self.operator.stop()

    @property
    def cpu(self) -> float:
        """CPU seconds of this life."""
        return cpu_seconds(self.operator.pid)

    @property
    def rss(self) -> float:
        """Resident MiB now."""
        return rss_mib(self.operator.pid)

    @property
    def peak_rss(self) -> float:
        """Most resident MiB of this life."""
        return rss_mib(self.operator.pid, "VmHWM")

    def restart(self, seconds: float) -> Rest:
        """A new life with all objects there already, left alone for so long."""
        self.operator.stop()
        mark = self._stage.mark()
        ready = self.start()
        time.sleep(5)
        early = len(self.writes(mark))
        rest = self.rest(seconds)
        return Rest(ready, self.rss, early + rest, rest / seconds * 60)

    def rest(self, seconds: float) -> int:
        """Writes over so many seconds, its Lease apart."""
        mark = self._stage.mark()
        time.sleep(seconds)
        return len(self.writes(mark))

    def writes(self, mark: int, namespace: str | None = None) -> list[Event]:
        """Its writes since a mark; its Lease apart, and events for people too when a namespace is named."""
        return [
            event
            for event in self._stage.requests(mark)
            if event.is_write
            and AGENT in event.user_agent
            and event.resource != "leases"
            and (namespace is None or event.namespace == namespace)
        ]


def by_kind(events: list[Event]) -> Counter[str]:
    """Writes by verb and resource."""
    return Counter(
        f"{event.verb} {event.resource}{'/' * bool(event.subresource)}{event.subresource}" for event in events
    )
