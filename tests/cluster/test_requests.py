"""Paths, names of requests, errors, waits and metrics: the small parts of a request."""

import pytest

from tandem.cluster import errors
from tandem.cluster.backoff import Backoff
from tandem.cluster.errors import ApiError
from tandem.cluster.metrics import Metrics
from tandem.cluster.paths import core_path, describe, group_path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (core_path("pods"), "/api/v1/pods"),
        (core_path("nodes", name="node-a"), "/api/v1/nodes/node-a"),
        (core_path("pods", "default"), "/api/v1/namespaces/default/pods"),
        (core_path("pods", "default", "a", "status"), "/api/v1/namespaces/default/pods/a/status"),
        (group_path("apps/v1", "deployments", "default", "a"), "/apis/apps/v1/namespaces/default/deployments/a"),
        (group_path("tandem.dev/v1alpha1", "acceleratorprofiles"), "/apis/tandem.dev/v1alpha1/acceleratorprofiles"),
        (core_path("pods", "default", "../secrets/x"), "/api/v1/namespaces/default/pods/..%2Fsecrets%2Fx"),
    ],
)
def test_paths(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("GET", "/api/v1/pods", {}, ("list", "pods")),
        ("GET", "/api/v1/pods", {"watch": "true"}, ("watch", "pods")),
        ("GET", "/api/v1/namespaces/ns/pods", {}, ("list", "pods")),
        ("GET", "/api/v1/namespaces/ns/pods/a", {}, ("get", "pods")),
        ("GET", "/api/v1/namespaces", {}, ("list", "namespaces")),
        ("GET", "/api/v1/namespaces/ns", {}, ("get", "namespaces")),
        ("POST", "/api/v1/namespaces/ns/pods", {}, ("create", "pods")),
        ("PUT", "/apis/coordination.k8s.io/v1/namespaces/ns/leases/a", {}, ("update", "leases")),
        (
            "PATCH",
            "/apis/tandem.dev/v1alpha1/namespaces/ns/trainingruns/a/status",
            {},
            ("patch", "trainingruns/status"),
        ),
        ("DELETE", "/api/v1/namespaces/ns/pods/a", {}, ("delete", "pods")),
        ("DELETE", "/api/v1/namespaces/ns/pods", {}, ("deletecollection", "pods")),
        ("GET", "/apis/apps/v1", {}, ("get", "discovery")),
        ("GET", "/version", {}, ("get", "version")),
        ("GET", "/", {}, ("get", "unknown")),
    ],
)
def test_requests_are_named_without_the_names_of_objects(
    method: str, path: str, query: dict[str, str], expected: tuple[str, str]
) -> None:
    assert describe(method, path, query) == expected


@pytest.mark.parametrize(
    ("status", "reason", "true"),
    [
        (0, "Timeout", {"transient", "outcome_unknown"}),
        (400, "BadRequest", {"refused"}),
        (401, "Unauthorized", {"transient"}),
        (403, "Forbidden", {"refused", "forbidden"}),
        (404, "NotFound", {"not_found"}),
        (408, "RequestTimeout", {"transient", "outcome_unknown"}),
        (409, "AlreadyExists", {"already_exists"}),
        (409, "Conflict", {"conflict"}),
        (410, "Expired", {"gone"}),
        (422, "Invalid", {"refused"}),
        (429, "TooManyRequests", {"transient"}),
        (500, "InternalError", {"transient", "outcome_unknown"}),
        (504, "Timeout", {"transient", "outcome_unknown"}),
    ],
)
def test_errors_are_told_apart(status: int, reason: str, true: set[str]) -> None:
    error = ApiError(status, reason, "")
    questions = {
        "transient", "outcome_unknown", "refused", "forbidden", "not_found", "already_exists", "conflict", "gone",
    }  # fmt: skip
    assert {question for question in questions if getattr(error, question)} == true


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3.0), ("0.5", 0.5), (None, None), ("soon", None), ("0", None), ("-1", None)]
)
def test_retry_after_is_read_in_seconds(header: str | None, seconds: float | None) -> None:
    assert errors.from_response(429, "Too Many Requests", b"", header).retry_after == seconds


def test_retry_after_may_stand_in_the_status() -> None:
    body = b'{"kind": "Status", "code": 504, "reason": "ServerTimeout", "details": {"retryAfterSeconds": 2}}'
    error = errors.from_response(504, "Gateway Timeout", body, None)
    assert (error.status, error.reason, error.message, error.retry_after) == (504, "ServerTimeout", "no message", 2.0)


def test_a_status_without_a_code_is_an_error_of_the_server() -> None:
    assert errors.from_status({"kind": "Status"}).status == 500


def test_waits_grow_to_a_cap_and_are_never_shorter_than_asked() -> None:
    backoff = Backoff(base=1.0, cap=30.0)
    assert backoff.delay(0) == 0
    for failures, longest in [(1, 1), (2, 2), (3, 4), (6, 30), (10_000, 30)]:
        delays = [backoff.delay(failures) for _ in range(50)]
        assert longest / 2 <= min(delays)
        assert max(delays) <= longest
        assert len(set(delays)) > 1
    assert backoff.delay(1, retry_after=7) == 7
    assert backoff.delay(0, retry_after=7) == 7


def test_two_operators_in_one_process_count_apart() -> None:
    one, two = Metrics(), Metrics()
    one.attempts.labels("user").inc()
    assert one.registry.get_sample_value("tandem_attempts_total", {"class": "user"}) == 1
    assert two.registry.get_sample_value("tandem_attempts_total", {"class": "user"}) is None


def test_the_page_of_metrics_reads_the_queue_when_asked() -> None:
    metrics = Metrics()
    depth = [3.0]
    metrics.watch_queue(lambda: depth[0], lambda: 1.5)
    assert b"tandem_queue_depth 3.0" in metrics.render()
    depth[0] = 4.0
    page = metrics.render()
    assert b"tandem_queue_depth 4.0" in page
    assert b"tandem_queue_oldest_seconds 1.5" in page


def test_a_profile_that_is_gone_leaves_no_devices_behind() -> None:
    metrics = Metrics()
    metrics.set_devices({"a": 8, "b": 4}, {"a": 0, "b": 4})
    metrics.set_devices({"a": 6}, {"a": 2})
    page = metrics.render().decode()
    assert 'tandem_devices{profile="a",state="free"} 6.0' in page
    assert 'tandem_devices{profile="a",state="allocated"} 2.0' in page
    assert 'profile="b"' not in page


def test_shares_are_told_by_policy_and_those_of_policies_that_are_gone_are_not() -> None:
    metrics = Metrics()
    metrics.set_shares([("gone", "a", 10, 5)])
    metrics.set_shares([("p", "a,b", 60, 33)])
    page = metrics.render().decode()
    assert 'tandem_policy_share_percent{accelerators="a,b",policy="p",value="wished"} 60.0' in page
    assert 'tandem_policy_share_percent{accelerators="a,b",policy="p",value="actual"} 33.0' in page
    assert "gone" not in page
