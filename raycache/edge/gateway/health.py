"""gRPC's standard health service: whether any shard of the cache can be reached, looked up when somebody asks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from raycache.edge.gateway import messages
from raycache.edge.gateway.served import Served

#: How often it is looked for those who watch.
LOOK_S = 1.0
_Status = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Of the server as a whole, whose name is empty, and of the family's service."""

    NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

    def __init__(self, served: Served) -> None:
        self._served = served
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """The server is to stop: who asks now, or watches, is told that nothing is served, and nobody watches on."""
        self._stopping.set()

    async def Check(self, request: Any, context: Any) -> Any:
        status = await self._status(request.service)
        if status == _Status.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r:.200} is served here")
        return _Status(status=status)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """The status now, and whenever it changes."""
        last, stopping = None, False
        while not stopping:
            stopping = self._stopping.is_set()
            if (status := await self._status(request.service)) != last:
                yield _Status(status=status)
            last = status
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_S)

    async def _status(self, service: str) -> int:
        if service not in ("", messages.SERVICE):
            return int(_Status.SERVICE_UNKNOWN)
        serving = not self._stopping.is_set() and await self._reachable()
        return int(_Status.SERVING if serving else _Status.NOT_SERVING)

    async def _reachable(self) -> bool:
        try:
            return any(shard.reachable for shard in await self._served.health())
        except Exception:  # it is closed, or Ray has gone: whatever it is, nothing is served
            return False
