"""Lists of any length, page by page."""

from collections.abc import AsyncIterator
from typing import Any

from tandem.cluster.client import JSON, Client

PAGE = 500


async def pages(client: Client, path: str, accept: str = JSON) -> AsyncIterator[dict[str, Any]]:
    """Every object of a collection. Raises ApiError, also in the midst of it."""
    query = {"limit": str(PAGE)}
    while True:
        page = await client.request("GET", path, query=query, accept=accept)
        for item in page.get("items") or ():
            yield item
        token = page.get("metadata", {}).get("continue")
        if not token:
            return
        query = {"limit": str(PAGE), "continue": token}
