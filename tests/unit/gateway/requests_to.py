"""Requests to an ASGI application without a socket."""

from __future__ import annotations

from typing import Any

import httpx


async def requested(app: Any, method: str, path: str, **given: Any) -> httpx.Response:
    """The answer to one request, in the running event loop."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        return await client.request(method, path, **given)
