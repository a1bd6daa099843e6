"""gRPC's standard health service: whether any shard of the cache can be reached, looked up when somebody asks."""

from __future__ import annotations

import asyncio
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

    async def Check(self, request: Any, context: Any) -> Any:
        status = await self._status(request.service)
        if status == _Status.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r:.200} is served here")
        return _Status(status=status)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        """The status now, and whenever it changes."""
        last = None
        while True:
            if (status := await self._status(request.service)) != last:
                yield _Status(status=status)
            last = status
            await asyncio.sleep(LOOK_S)

    async def _status(self, service: str) -> int:
        if service not in ("", messages.SERVICE):
            return int(_Status.SERVICE_UNKNOWN)
        return int(_Status.SERVING if await self._reachable() else _Status.NOT_SERVING)

    async def _reachable(self) -> bool:
        try:
            return any(shard.reachable for shard in await self._served.shards())
        except Exception:  # it is closed, or Ray has gone: whatever it is, nothing is served
            return False
