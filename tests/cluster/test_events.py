"""Events are sparse, counted up, and never worth a failure."""

from datetime import UTC, datetime, timedelta

import pytest

from tandem.cluster import events
from tandem.cluster.client import Client
from tandem.cluster.events import EventRecorder
from tandem.domain.plan import Event
from tests.cluster.fake_api import FakeApi, failure, lost_reply

HELLO = {
    "kind": "TrainingRun",
    "apiVersion": "tandem.dev/v1alpha1",
    "namespace": "research",
    "name": "hello",
    "uid": "uid-1",
}
FAILED = Event("UserFailure", "exit code 1", warning=True)


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def pass_minutes(self, minutes: float) -> None:
        self.time += timedelta(minutes=minutes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(client: Client, clock: Clock) -> EventRecorder:
    return EventRecorder(client, instance="tandem-0", now=clock)


async def test_an_event_says_what_happened_to_what(api: FakeApi, recorder: EventRecorder) -> None:
    await recorder.post(HELLO, FAILED)
    [seen] = api.seen
    assert (seen.method, seen.path) == ("POST", "/api/v1/namespaces/research/events")
    name = seen.body["metadata"].pop("name")
    assert name.startswith("hello.")
    assert seen.body == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "research"},
        "involvedObject": HELLO,
        "reason": "UserFailure",
        "message": "exit code 1",
        "type": "Warning",
        "count": 1,
        "firstTimestamp": "2026-11-23T10:00:00Z",
        "lastTimestamp": "2026-11-23T10:00:00Z",
        "source": {"component": "tandem"},
        "reportingComponent": "tandem",
        "reportingInstance": "tandem-0",
    }


async def test_the_same_again_counts_up_one_event(api: FakeApi, recorder: EventRecorder, clock: Clock) -> None:
    for _ in range(3):
        await recorder.post(HELLO, FAILED)
        clock.pass_minutes(9)
    created, *counted = api.seen
    name = created.body["metadata"]["name"]
    assert [(seen.method, seen.path) for seen in counted] == [
        ("PATCH", f"/api/v1/namespaces/research/events/{name}")
    ] * 2
    assert counted[-1].body == {
        "count": 3,
        "lastTimestamp": "2026-11-23T10:18:00Z",
        "message": "exit code 1",
        "type": "Warning",
    }


async def test_after_ten_quiet_minutes_it_is_a_new_event(api: FakeApi, recorder: EventRecorder, clock: Clock) -> None:
    await recorder.post(HELLO, FAILED)
    clock.pass_minutes(11)
    await recorder.post(HELLO, FAILED)
    assert [seen.method for seen in api.seen] == ["POST", "POST"]
    assert len({seen.body["metadata"]["name"] for seen in api.seen}) == 2


async def test_another_reason_or_object_is_another_event(api: FakeApi, recorder: EventRecorder, clock: Clock) -> None:
    await recorder.post(HELLO, FAILED)
    await recorder.post(HELLO, Event("Running", "all pods are ready"))
    await recorder.post({**HELLO, "uid": "uid-2"}, FAILED)
    assert [seen.method for seen in api.seen] == ["POST"] * 3
    assert api.seen[1].body["type"] == "Normal"


async def test_an_event_that_expired_is_posted_anew(api: FakeApi, recorder: EventRecorder, clock: Clock) -> None:
    await recorder.post(HELLO, FAILED)
    api.fail_next("write", failure(404, "NotFound"))
    clock.pass_minutes(1)
    await recorder.post(HELLO, FAILED)
    assert [seen.method for seen in api.seen] == ["POST", "PATCH", "POST"]
    assert api.seen[-1].body["count"] == 1


@pytest.mark.parametrize("answer", [failure(403, "Forbidden"), failure(500, "InternalError"), lost_reply])
async def test_a_failure_is_logged_and_not_raised(
    api: FakeApi, recorder: EventRecorder, answer: object, capsys: pytest.CaptureFixture[str]
) -> None:
    api.fail_next("write", answer)  # type: ignore[arg-type]
    await recorder.post(HELLO, FAILED)
    assert "an event was not posted" in capsys.readouterr().out
    await recorder.post(HELLO, FAILED)
    assert [seen.method for seen in api.seen] == ["POST", "POST"]


async def test_events_of_cluster_scoped_objects_go_to_the_default_namespace(
    api: FakeApi, recorder: EventRecorder
) -> None:
    profile = {"kind": "AcceleratorProfile", "apiVersion": "tandem.dev/v1alpha1", "name": "h20", "uid": "uid-3"}
    await recorder.post(profile, Event("Valid", "8 devices on 1 node"))
    assert api.seen[0].path == "/api/v1/namespaces/default/events"
    assert "namespace" not in api.seen[0].body["involvedObject"]


async def test_a_long_message_is_cut_to_what_the_api_takes(api: FakeApi, recorder: EventRecorder) -> None:
    await recorder.post(HELLO, Event("UserFailure", "x" * 3000))
    assert len(api.seen[0].body["message"]) == 1024


async def test_memory_is_bounded(api: FakeApi, recorder: EventRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_REMEMBERED", 3)
    for number in range(5):
        await recorder.post({**HELLO, "uid": f"uid-{number}"}, FAILED)
    await recorder.post({**HELLO, "uid": "uid-4"}, FAILED)
    await recorder.post({**HELLO, "uid": "uid-0"}, FAILED)
    assert [seen.method for seen in api.seen] == ["POST"] * 5 + ["PATCH", "POST"]
