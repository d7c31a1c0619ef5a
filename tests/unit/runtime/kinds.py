"""The API server as far as the operator's own kinds go: lists in pages of two, single objects, status writes."""

import asyncio
from typing import Any

from aiohttp import web

from tests.cluster.fake_api import status


class Kinds:
    """The lists and single objects of our kinds, as the API server would answer them."""

    def __init__(self) -> None:
        self.items: dict[str, list[dict[str, Any]]] = {
            "trainingruns": [],
            "inferenceservices": [],
            "acceleratorprofiles": [],
            "placementpolicies": [],
        }
        self.reads: list[str] = []
        self.kinds = ["TrainingRun", "InferenceService", "AcceleratorProfile", "PlacementPolicy", "Status"]
        self.statuses: list[Any] = []
        """Bodies of the status writes that came."""
        self.gate = asyncio.Event()
        """Status writes wait for it."""
        self.gate.set()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        if not request.path.startswith("/apis/tandem.dev/"):
            return await self._of_others(request)
        if request.method == "PATCH":
            return await self._status(request)
        parts = request.path.removeprefix("/apis/tandem.dev/v1alpha1").strip("/").split("/")
        if parts == [""]:
            return web.json_response({"resources": [{"kind": kind} for kind in self.kinds]})
        if len(parts) == 1:
            return self._page(self.items[parts[0]], request)
        plural, name = parts[-2:]
        self.reads.append(name)
        found = next((item for item in self.items[plural] if item["metadata"]["name"] == name), None)
        return web.json_response(found) if found else web.json_response(status(404, "NotFound"), status=404)

    def _page(self, items: list[dict[str, Any]], request: web.Request) -> web.Response:
        start = int(request.query.get("continue", "0"))
        end = start + 2
        shown = items[start:end]
        if "PartialObjectMetadataList" in request.headers["Accept"]:
            shown = [{"metadata": item["metadata"]} for item in shown]
        metadata = {"continue": str(end) if end < len(items) else ""}
        return web.json_response({"items": shown, "metadata": metadata})

    async def _status(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.statuses.append(body)
        await self.gate.wait()
        plural, name = request.path.split("/")[-3:-1]
        found = next(item for item in self.items[plural] if item["metadata"]["name"] == name)
        version = int(found["metadata"]["resourceVersion"])
        if body["metadata"]["resourceVersion"] != str(version):
            return web.json_response(status(409, "Conflict"), status=409)
        found["metadata"]["resourceVersion"] = str(version + 1)
        found["status"] = body["status"]
        return web.json_response(found)

    async def _of_others(self, request: web.Request) -> web.StreamResponse:
        """There is nothing else, and nothing ever happens to it; events are taken."""
        if "watch" in request.query:
            response = web.StreamResponse()
            await response.prepare(request)
            await asyncio.Event().wait()
        if request.method == "POST":
            return web.json_response(await request.json())
        return web.json_response({"metadata": {"resourceVersion": "100"}, "items": []})
