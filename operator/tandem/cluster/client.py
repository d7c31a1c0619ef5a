"""HTTP client of the API server: raw JSON in and out.

It repeats what is safe to repeat and nothing else, so that a caller can tell "refused", "did not happen" and "unknown"
apart. Credentials are read again when the server no longer accepts them.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload
from yarl import URL

from tandem.cluster import credentials as credential_files
from tandem.cluster import errors
from tandem.cluster.backoff import Backoff
from tandem.cluster.credentials import Credentials, CredentialsError
from tandem.cluster.errors import ApiError
from tandem.cluster.metrics import Metrics
from tandem.cluster.paths import core_path, describe, group_path

__all__ = ["ApiError", "Client", "Credentials", "CredentialsError", "core_path", "group_path"]

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
METADATA_ONLY_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Accept header of a list of metadata alone."""
METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
"""Accept header of a watch of metadata alone."""

_CONNECT_SECONDS = 10.0
_BACKOFF = Backoff(base=0.25, cap=10.0)
_READ_TRIES = 3

Fence = Callable[[], float]
"""Seconds within which a write that begins now has to be over; 0 when none may begin."""


class Client:
    """One connection pool to one API server."""

    def __init__(
        self,
        credentials: Credentials,
        reload: Callable[[], Awaitable[Credentials]],
        *,
        request_timeout: float = 30.0,
        user_agent: str = "tandem",
        metrics: Metrics | None = None,
        backoff: Backoff = _BACKOFF,
        fence: Fence | None = None,
    ) -> None:
        """Use `connect`.

        `reload` reads the credentials again, or raises CredentialsError. `backoff` is between tries of one request; its
        cap also bounds an obeyed Retry-After. Where the `fence` is closed no write is sent: it ends as ApiError NotLeading.
        """
        self.metrics = metrics or Metrics()
        self._credentials = credentials
        self._reload = reload
        self._ssl = credentials.ssl_context()
        self._reloading = asyncio.Lock()
        self._timeout = request_timeout
        self._backoff = backoff
        self._fence = fence
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": user_agent},
        )
        # aiohttp by itself repeats a PUT or DELETE whose connection broke. The answer to the repetition (409, 404) would
        # hide that the first one was done. There is no public switch; a test watches that this one works.
        self._session._retry_connection = False

    @classmethod
    async def connect(
        cls,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        request_timeout: float = 30.0,
        replica: str = "",
        metrics: Metrics | None = None,
        backoff: Backoff = _BACKOFF,
        fence: Fence | None = None,
    ) -> "Client":
        """Client of the cluster this pod runs in, else of the kubeconfig. Makes no request. Raises CredentialsError.

        `replica` tells in the API server's logs which of the operator's processes asked.
        """
        load = partial(credential_files.load, kubeconfig, context)
        return cls(
            await load(),
            load,
            request_timeout=request_timeout,
            user_agent=f"tandem/{_version()} ({replica})" if replica else f"tandem/{_version()}",
            metrics=metrics,
            backoff=backoff,
            fence=fence,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; streams end."""
        await self._session.close()

    def credentials(self) -> Credentials:
        """The endpoint and identity in use."""
        return self._credentials

    async def refresh(self, stale: Credentials | None = None) -> Credentials:
        """Read the credentials again, unless somebody has done so since `stale` was in use. Raises CredentialsError."""
        async with self._reloading:
            if stale is None or stale is self._credentials:
                self._credentials = await self._reload()
                self._ssl = self._credentials.ssl_context()
            return self._credentials

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float | None = None,  # noqa: ASYNC109 - of one try, and aiohttp closes the connection when it is over
    ) -> dict[str, Any]:
        """Answer of the API server, decoded.

        Raises ApiError. Reads are tried up to three times. A write is tried once; only a 429 with Retry-After, which the
        server sends instead of processing, is followed by one more try. A longer Retry-After than the cap of the backoff
        is left to the caller.
        """
        tries = _READ_TRIES if method == "GET" else 2
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        for failures in range(1, tries + 1):
            try:
                return await self._once(method, path, query, data, content_type, accept, timeout)
            except ApiError as error:
                delay = self._backoff.delay(failures, error.retry_after)
                repeatable = (
                    error.transient if method == "GET" else error.status == 429 and error.retry_after is not None
                )
                if failures == tries or not repeatable or delay > self._backoff.cap:
                    raise
            await asyncio.sleep(delay)
        raise AssertionError("the last try returns or raises")

    async def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        data: bytes | None,
        content_type: str,
        accept: str,
        limit: float | None,
    ) -> dict[str, Any]:
        verb, resource = describe(method, path, query)
        headers = {"Accept": accept}
        if data is not None:
            headers["Content-Type"] = content_type
        started = time.perf_counter()
        code = "Cancelled"
        try:
            patience = self._patience(method, limit or self._timeout)
            timeout = aiohttp.ClientTimeout(total=patience, sock_connect=_CONNECT_SECONDS)
            with _network_errors():
                async with await self._send(method, path, query, data, headers, timeout) as response:
                    code = str(response.status)
                    answer = await response.read()
            return _decode(answer)
        except ApiError as error:
            code = str(error.status or error.reason)
            raise
        finally:
            self.metrics.api_requests.labels(verb, resource, code).inc()
            self.metrics.api_request_seconds.labels(verb, resource).observe(time.perf_counter() - started)

    def _patience(self, method: str, seconds: float) -> float:
        """How long a request may take. A write is over before another replica may begin one. Raises ApiError."""
        if method == "GET" or self._fence is None:
            return seconds
        left = self._fence()
        if left <= 0:
            raise errors.not_leading()
        return min(seconds, left)

    async def stream(
        self, path: str, *, query: Mapping[str, str], silence: float, accept: str = JSON
    ) -> AsyncGenerator[bytes, None]:
        """Lines of a watch, as they come, of any length, without their line end.

        Ends when the server ends the watch. Raises ApiError: as `request` does, and with reason Silent when nothing came
        for `silence` seconds. What stands behind the last line end of a cut stream is dropped: it is no whole event.
        """
        verb, resource = describe("GET", path, {**query, "watch": "true"})
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=silence)
        code = "Cancelled"
        try:
            with _network_errors(silent=f"nothing heard for {silence:g} s"):
                async with await self._send("GET", path, query, None, {"Accept": accept}, timeout) as response:
                    code = str(response.status)
                    async for line in _lines(response.content):
                        yield line
        except ApiError as error:
            code = str(error.status or error.reason)
            raise
        finally:
            self.metrics.api_requests.labels(verb, resource, code).inc()

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        data: bytes | None,
        headers: dict[str, str],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - not a number of seconds but aiohttp's settings
    ) -> aiohttp.ClientResponse:
        """The response, when its status is 2xx; the caller releases it. A 401 is tried again with fresh credentials."""
        used = self._credentials
        response = await self._open(method, path, query, data, headers, timeout)
        if response.status == 401:
            response.close()
            try:
                await self.refresh(used)
            except CredentialsError as error:
                raise ApiError(401, "Unauthorized", str(error)) from error
            response = await self._open(method, path, query, data, headers, timeout)
        if response.status < 300:
            return response
        async with response:
            answer = await response.read()
            raise errors.from_response(
                response.status, response.reason or "", answer, response.headers.get("Retry-After")
            )

    async def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        data: bytes | None,
        headers: dict[str, str],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109
    ) -> aiohttp.ClientResponse:
        credentials = self._credentials
        return await self._session.request(
            method,
            URL(credentials.server + path),
            params=query,
            data=data if data is None or self._fence is None else _FencedBody(data, self._fence),
            headers={**headers, **credentials.headers()},
            timeout=timeout,
            # Per request and not on the connector: after a rotation new connections use the new certificate.
            ssl=self._ssl if self._ssl is not None else True,
            proxy=credentials.proxy,
            server_hostname=credentials.tls_server_name,
            allow_redirects=False,
        )


class _FencedBody(BytesPayload):
    """The body of a write, which looks at the fence once more when the connection stands and the first byte is to go.

    A process can be stopped for any time while it waits for a connection. Headers go out with the first bytes of the
    body, so where the fence is closed by then the server sees nothing.
    """

    def __init__(self, data: bytes, fence: Fence) -> None:
        super().__init__(data)
        self._fence = fence

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if self._fence() <= 0:
            raise errors.not_leading()
        await super().write_with_length(writer, content_length)


@contextmanager
def _network_errors(silent: str | None = None) -> Iterator[None]:
    """What the network does, as ApiError of status 0; `silent` is the message where a read time-out is a silent watch."""
    try:
        yield
    except aiohttp.SocketTimeoutError as error:
        raise ApiError(0, "Silent" if silent else "Timeout", silent or str(error)) from error
    except TimeoutError as error:
        raise ApiError(0, "Timeout", str(error) or "no answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise ApiError(0, "Unreachable", f"{type(error).__name__}: {error}") from error


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # aiohttp's readline gives up at a fixed length; an object may be 1.5 MiB and more.
    parts: list[bytes] = []
    async for chunk in content.iter_any():
        head, *rest = chunk.split(b"\n")
        parts.append(head)
        for begun in rest:
            line = b"".join(parts)
            if line:
                yield line
            parts = [begun]


def _decode(answer: bytes) -> dict[str, Any]:
    try:
        value = json.loads(answer)
    except ValueError as error:
        raise ApiError(0, "Unreadable", f"the answer is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ApiError(0, "Unreadable", f"the answer is not an object but {type(value).__name__}")
    return value


def _version() -> str:
    try:
        return version("tandem-operator")
    except PackageNotFoundError:
        return "dev"
