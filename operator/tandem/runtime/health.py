"""/healthz, /readyz and /metrics.

/healthz fails when the process cannot be trusted any more and should be restarted; /readyz while it has no complete
picture of the cluster. Both say what is wrong. A standby is ready: it can take over. Which replica leads is said after "ok".
"""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from tandem.cluster.metrics import CONTENT_TYPE

Check = Callable[[], str | None]
"""None when well, else what is wrong."""


class HealthServer:
    """A small HTTP server beside the operator; `page` renders the metrics."""

    def __init__(
        self,
        page: Callable[[], bytes],
        live: Mapping[str, Check],
        ready: Mapping[str, Check],
        role: Callable[[], str] = lambda: "",
    ) -> None:
        """`role` is said in the text of a good /readyz."""
        self._page = page
        self._live = live
        self._ready = ready
        self._role = role
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, which differs from `port` when that is 0. Raises OSError when it is taken."""
        app = web.Application()
        app.router.add_get("/healthz", self._answer(self._live, lambda: ""))
        app.router.add_get("/readyz", self._answer(self._ready, self._role))
        app.router.add_get("/metrics", self._render)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the server."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _answer(
        self, checks: Mapping[str, Check], role: Callable[[], str]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handler(_request: web.Request) -> web.Response:
            problems = [f"{name}: {problem}" for name, check in checks.items() if (problem := check()) is not None]
            if problems:
                return web.Response(status=503, text="\n".join(problems) + "\n")
            return web.Response(text=f"ok: {said}\n" if (said := role()) else "ok\n")

        return handler

    async def _render(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._page(), headers={"Content-Type": CONTENT_TYPE})
