"""What the client repeats, what it does not, and how it tells the difference."""

import asyncio
from typing import Any

import pytest

from tandem.cluster.client import MERGE_PATCH, ApiError, Client, core_path
from tests.cluster.fake_api import FakeApi, failure, lost_reply, no_reply, text

PODS = core_path("pods", "default")
WRITES = ["POST", "PUT", "PATCH", "DELETE"]


async def test_a_request_carries_body_content_type_query_and_user_agent(api: FakeApi, client: Client) -> None:
    answer = await client.request(
        "PATCH", PODS + "/a", query={"fieldManager": "tandem"}, body={"x": 1}, content_type=MERGE_PATCH
    )
    assert answer["body"] == {"x": 1}
    [seen] = api.seen
    assert (seen.method, seen.path, seen.query) == (
        "PATCH",
        "/api/v1/namespaces/default/pods/a",
        {"fieldManager": "tandem"},
    )
    assert seen.headers["Content-Type"] == MERGE_PATCH
    assert seen.headers["User-Agent"].startswith("tandem")


async def test_the_reason_and_message_of_a_status_are_in_the_error(api: FakeApi, client: Client) -> None:
    api.fail_next("write", failure(409, "AlreadyExists"))
    with pytest.raises(ApiError) as caught:
        await client.request("POST", PODS, body={})
    assert (caught.value.status, caught.value.reason, caught.value.message) == (409, "AlreadyExists", "told so")
    assert str(caught.value) == "AlreadyExists (409): told so"


@pytest.mark.parametrize("code", [429, 500, 503, 504])
async def test_a_read_is_tried_three_times(api: FakeApi, client: Client, code: int) -> None:
    api.fail_next("list", failure(code, "Busy"), failure(code, "Busy"))
    answer = await client.request("GET", PODS)
    assert answer["kind"] == "PodList"
    assert api.count("list") == 3


async def test_a_read_that_fails_three_times_is_given_up(api: FakeApi, client: Client) -> None:
    api.fail_next("list", *[failure(500, "InternalError")] * 4)
    with pytest.raises(ApiError, match="InternalError"):
        await client.request("GET", PODS)
    assert api.count("list") == 3


@pytest.mark.parametrize("code", [400, 403, 404, 409, 410, 422])
async def test_a_read_that_is_refused_is_not_repeated(api: FakeApi, client: Client, code: int) -> None:
    api.fail_next("list", failure(code, "No"))
    with pytest.raises(ApiError):
        await client.request("GET", PODS)
    assert api.count("list") == 1


@pytest.mark.parametrize(
    "answer", [lost_reply, text('{"kind": "PodLi'), text("[1, 2]")], ids=["lost", "cut JSON", "no object"]
)
async def test_a_read_whose_answer_is_unusable_is_repeated(api: FakeApi, client: Client, answer: Any) -> None:
    api.fail_next("list", answer)
    assert (await client.request("GET", PODS))["kind"] == "PodList"
    assert api.count("list") == 2


async def test_a_retry_after_is_honoured(api: FakeApi, client: Client) -> None:
    api.fail_next("list", failure(429, "TooManyRequests", retry_after="0.3"))
    await client.request("GET", PODS)
    first, second = api.seen
    assert second.at - first.at >= 0.3


async def test_a_retry_after_beyond_the_cap_is_left_to_the_caller(api: FakeApi, client: Client) -> None:
    api.fail_next("list", failure(503, "ServiceUnavailable", retry_after="60"))
    with pytest.raises(ApiError) as caught:
        await client.request("GET", PODS)
    assert caught.value.retry_after == 60
    assert caught.value.transient
    assert api.count("list") == 1


@pytest.mark.parametrize("method", WRITES)
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (failure(500, "InternalError"), "InternalError"),
        (failure(504, "Timeout"), "Timeout"),
        (failure(409, "Conflict"), "Conflict"),
        (failure(429, "TooManyRequests"), "TooManyRequests"),
    ],
    ids=["500", "504", "409", "429 without Retry-After"],
)
async def test_a_write_is_tried_once(api: FakeApi, client: Client, method: str, answer: Any, reason: str) -> None:
    api.fail_next("write", answer)
    with pytest.raises(ApiError) as caught:
        await client.request(method, PODS + "/a", body={})
    assert caught.value.reason == reason
    assert api.count("write") == 1


async def test_a_write_without_a_reply_is_tried_once(api: FakeApi, client: Client) -> None:
    api.fail_next("write", no_reply)
    with pytest.raises(ApiError) as caught:
        await client.request("POST", PODS, body={}, timeout=0.5)
    assert (caught.value.reason, caught.value.outcome_unknown) == ("Timeout", True)
    assert api.count("write") == 1


@pytest.mark.parametrize("method", WRITES)
async def test_a_write_that_the_server_did_not_process_is_tried_once_more(
    api: FakeApi, client: Client, method: str
) -> None:
    api.fail_next("write", failure(429, "TooManyRequests", retry_after="0.1"))
    await client.request(method, PODS + "/a", body={})
    assert api.count("write") == 2
    assert api.seen[1].at - api.seen[0].at >= 0.1


async def test_a_write_refused_twice_by_flow_control_is_given_up(api: FakeApi, client: Client) -> None:
    api.fail_next("write", *[failure(429, "TooManyRequests", retry_after="0.05")] * 3)
    with pytest.raises(ApiError) as caught:
        await client.request("POST", PODS, body={})
    assert caught.value.retry_after == 0.05
    assert api.count("write") == 2


@pytest.mark.parametrize("method", WRITES)
async def test_a_lost_reply_to_a_write_is_unknown(api: FakeApi, client: Client, method: str) -> None:
    await client.request("GET", PODS)  # so that the write goes over a connection that was used before
    api.fail_next("write", lost_reply)
    with pytest.raises(ApiError) as caught:
        await client.request(method, PODS, body={})
    assert (caught.value.status, caught.value.reason) == (0, "Unreachable")
    assert caught.value.outcome_unknown
    assert caught.value.transient
    assert api.count("write") == 1


async def test_an_unreadable_answer_to_a_write_is_unknown(api: FakeApi, client: Client) -> None:
    api.fail_next("write", text('{"kind": "Po'))
    with pytest.raises(ApiError) as caught:
        await client.request("POST", PODS, body={})
    assert caught.value.reason == "Unreadable"
    assert caught.value.outcome_unknown


async def test_nobody_listening_is_unreachable(api: FakeApi) -> None:
    async with FakeApi() as gone:
        client = gone.client()
    async with client:
        with pytest.raises(ApiError) as caught:
            await client.request("GET", PODS)
    assert (caught.value.status, caught.value.reason) == (0, "Unreachable")


async def test_a_proxys_error_page_is_cut_short(api: FakeApi, client: Client) -> None:
    api.fail_next("write", text("<html>" + "x" * 5000, 502))
    with pytest.raises(ApiError) as caught:
        await client.request("POST", PODS, body={})
    assert (caught.value.status, caught.value.reason) == (502, "BadGateway")
    assert len(caught.value.message) == 200


async def test_every_request_is_counted(api: FakeApi, client: Client) -> None:
    api.fail_next("write", failure(409, "AlreadyExists"), no_reply)
    await client.request("GET", PODS)
    for timeout in (2.0, 0.2):
        with pytest.raises(ApiError):
            await client.request("PATCH", PODS + "/a/status", body={}, timeout=timeout)
    counted = client.metrics.registry.get_sample_value
    assert counted("tandem_api_requests_total", {"verb": "list", "resource": "pods", "code": "200"}) == 1
    assert counted("tandem_api_requests_total", {"verb": "patch", "resource": "pods/status", "code": "409"}) == 1
    assert counted("tandem_api_requests_total", {"verb": "patch", "resource": "pods/status", "code": "Timeout"}) == 1
    assert counted("tandem_api_request_seconds_count", {"verb": "patch", "resource": "pods/status"}) == 2


async def test_a_stream_gives_lines_of_any_length(api: FakeApi, client: Client) -> None:
    long = b"x" * 3_000_000
    reading = asyncio.create_task(_read(client))
    watch = await api.watch_number(1)
    await watch.raw(b"one\ntw")
    await watch.raw(b"o\n\n" + long + b"\nthree\n")
    watch.end()
    lines, error = await reading
    assert [line[:5] for line in lines] == [b"one", b"two", b"xxxxx", b"three"]
    assert lines[2] == long
    assert error is None


async def test_what_stands_behind_the_last_line_end_is_dropped(api: FakeApi, client: Client) -> None:
    reading = asyncio.create_task(_read(client))
    watch = await api.watch_number(1)
    await watch.raw(b'whole\n{"type": "ADD')
    watch.end()
    assert await reading == ([b"whole"], None)


async def test_a_silent_stream_is_told_from_a_broken_one(api: FakeApi, client: Client) -> None:
    reading = asyncio.create_task(_read(client, silence=0.4))
    watch = await api.watch_number(1)
    await watch.raw(b"one\n")
    lines, error = await reading
    assert lines == [b"one"]
    assert error is not None
    assert error.reason == "Silent"

    reading = asyncio.create_task(_read(client, silence=5))
    watch = await api.watch_number(2)
    watch.cut()
    _, error = await reading
    assert error is not None
    assert error.reason == "Unreachable"


async def test_a_stream_that_is_refused_says_why(api: FakeApi, client: Client) -> None:
    api.fail_next("watch", failure(403, "Forbidden"))
    lines, error = await _read(client)
    assert lines == []
    assert error is not None
    assert error.forbidden


async def _read(client: Client, silence: float = 2.0) -> tuple[list[bytes], ApiError | None]:
    lines = []
    try:
        async for line in client.stream(PODS, query={"watch": "true", "resourceVersion": "0"}, silence=silence):
            lines.append(line)
    except ApiError as error:
        return lines, error
    return lines, None
