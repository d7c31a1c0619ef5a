"""Every metric of the operator, in one registry of its own.

The default registry is left alone: a process (or a test) can hold more than one operator, and nothing appears on
/metrics that does not stand here.
"""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_RECONCILE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The collectors, by the name of what they measure."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._reconciles()
        self._api()
        self._informers()
        self._decisions()

    def render(self) -> bytes:
        """The page of /metrics, in the text format (see CONTENT_TYPE)."""
        return generate_latest(self.registry)

    def watch_queue(self, depth: Callable[[], float], age: Callable[[], float]) -> None:
        """Read the queue when somebody asks: `depth` in keys, `age` of the oldest one due in seconds."""
        self.queue_depth.set_function(depth)
        self.queue_age.set_function(age)

    def watch_informer(self, name: str, lag: Callable[[], float], records: Callable[[], float]) -> None:
        """Read an informer when somebody asks: seconds since its last contact, records in its store."""
        self.informer_lag.labels(name).set_function(lag)
        self.informer_records.labels(name).set_function(records)

    def set_devices(self, free: Mapping[str, int], allocated: Mapping[str, int]) -> None:
        """Devices by profile; profiles that are gone leave no line behind."""
        self.devices.clear()
        for state, counts in (("free", free), ("allocated", allocated)):
            for profile, count in counts.items():
                self.devices.labels(profile, state).set(count)

    def set_shares(self, shares: Iterable[tuple[str, str, int, int]]) -> None:
        """(policy, accelerators, wished, actual) of every share, in percent; policies that are gone leave no line behind."""
        self.shares.clear()
        for policy, accelerators, wished, actual in shares:
            self.shares.labels(policy, accelerators, "wished").set(wished)
            self.shares.labels(policy, accelerators, "actual").set(actual)

    def set_objects(self, counts: Mapping[str, int]) -> None:
        """Objects of our kinds that the operator knows, by kind."""
        for kind, count in counts.items():
            self.objects.labels(kind).set(count)

    def _reconciles(self) -> None:
        self.reconciles = Counter(
            "tandem_reconciles", "Reconciles, by kind and how they ended.", ["kind", "outcome"], registry=self.registry
        )
        self.reconcile_seconds = Histogram(
            "tandem_reconcile_seconds",
            "Duration of a reconcile, its API calls included.",
            ["kind"],
            buckets=_RECONCILE_BUCKETS,
            registry=self.registry,
        )
        self.queue_depth = Gauge("tandem_queue_depth", "Keys that wait for a worker.", registry=self.registry)
        self.queue_age = Gauge(
            "tandem_queue_oldest_seconds", "How long the oldest key that is due has waited.", registry=self.registry
        )
        self.objects = Gauge(
            "tandem_objects", "Objects of the operator's kinds that it knows.", ["kind"], registry=self.registry
        )
        self.lease_held = Gauge("tandem_lease_held", "1 in the replica that acts.", registry=self.registry)

    def _api(self) -> None:
        self.api_requests = Counter(
            "tandem_api_requests",
            "Requests to the API server; code is the HTTP status, or the reason when there was no answer.",
            ["verb", "resource", "code"],
            registry=self.registry,
        )
        self.api_request_seconds = Histogram(
            "tandem_api_request_seconds",
            "Time to the whole answer of a request; watches are not in it.",
            ["verb", "resource"],
            buckets=_REQUEST_BUCKETS,
            registry=self.registry,
        )

    def _informers(self) -> None:
        self.informer_lag = Gauge(
            "tandem_informer_lag_seconds",
            "Seconds since the API server was last heard of on this watch.",
            ["informer"],
            registry=self.registry,
        )
        self.informer_records = Gauge(
            "tandem_informer_records", "Records that a store holds.", ["informer"], registry=self.registry
        )
        self.informer_lists = Counter(
            "tandem_informer_lists", "Complete lists, the first included.", ["informer"], registry=self.registry
        )
        self.informer_failures = Counter(
            "tandem_informer_failures",
            "Lists and watches that ended otherwise than by their time-out.",
            ["informer", "reason"],
            registry=self.registry,
        )

    def _decisions(self) -> None:
        self.attempts = Counter(
            "tandem_attempts",
            "Attempts of training runs that ended, by class of the ending.",
            ["class"],
            registry=self.registry,
        )
        self.placements = Counter(
            "tandem_placement_decisions",
            "Placement decisions, by reason: granted, or why a variant was rejected.",
            ["reason"],
            registry=self.registry,
        )
        self.shares = Gauge(
            "tandem_policy_share_percent",
            "Devices in use that are a share's of a PlacementPolicy, in percent: wished, and actual as its status tells.",
            ["policy", "accelerators", "value"],
            registry=self.registry,
        )
        self.devices = Gauge(
            "tandem_devices", "Devices that a profile can use, by state.", ["profile", "state"], registry=self.registry
        )
