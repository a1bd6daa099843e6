"""gRPC's standard health service: whether any shard of the cache can be reached, looked up when somebody asks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from raycache.edge.gateway import messages
from raycache.edge.gateway.calls import Refused, Room, message
from raycache.edge.gateway.served import Served

#: How often it is looked for those who watch.
LOOK_S = 1.0
#: Calls of each method at once: whoever asks needs no token.
MOST = 64
_Response = health_pb2.HealthCheckResponse


class Health:
    """Of the server as a whole, whose name is empty, and of the family's service."""

    NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

    def __init__(self, served: Served, message_s: float) -> None:
        """`message_s`: within which the message of a call is to come."""
        self._served, self._message_s = served, message_s
        self._stopping = asyncio.Event()
        self._checks, self._watches = Room(MOST), Room(MOST)

    def handler(self) -> Any:
        """For a server of `grpc.aio`."""
        to_bytes = _Response.SerializeToString
        methods = {
            "Check": grpc.stream_unary_rpc_method_handler(self._check, response_serializer=to_bytes),
            "Watch": grpc.stream_stream_rpc_method_handler(self._watch, response_serializer=to_bytes),
        }
        return grpc.method_handlers_generic_handler(self.NAME, methods)

    def stop(self) -> None:
        """The server is to stop: who asks now, or watches, is told that nothing is served, and nobody watches on."""
        self._stopping.set()

    async def _check(self, _: Any, context: Any) -> Any:
        try:
            with self._checks:
                service = await self._service(context)
                if (status := await self._status(service)) != _Response.SERVICE_UNKNOWN:
                    return _Response(status=status)
                raise Refused(grpc.StatusCode.NOT_FOUND, f"no service {service!r:.200} is served here")
        except Refused as refused:
            await context.abort(refused.code, str(refused))

    async def _watch(self, _: Any, context: Any) -> AsyncIterator[Any]:
        """The status now, and whenever it changes."""
        try:
            with self._watches:
                async for status in self._statuses(await self._service(context)):
                    yield _Response(status=status)
        except Refused as refused:
            await context.abort(refused.code, str(refused))

    async def _service(self, context: Any) -> str:
        """Whose health is asked for."""
        data = await message(context, self._message_s)
        try:
            return str(messages.parsed(health_pb2.HealthCheckRequest, data).service)
        except ValueError as error:
            raise Refused(grpc.StatusCode.INTERNAL, str(error)) from None

    async def _statuses(self, service: str) -> AsyncIterator[int]:
        last, stopping = None, False
        while not stopping:
            stopping = self._stopping.is_set()
            if (status := await self._status(service)) != last:
                yield status
            last = status
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), LOOK_S)

    async def _status(self, service: str) -> int:
        if service not in ("", messages.SERVICE):
            return int(_Response.SERVICE_UNKNOWN)
        serving = not self._stopping.is_set() and await self._reachable()
        return int(_Response.SERVING if serving else _Response.NOT_SERVING)

    async def _reachable(self) -> bool:
        try:
            return any(shard.reachable for shard in await self._served.health())
        except Exception:  # it is closed, or Ray has gone: whatever it is, nothing is served
            return False
