"""What counts a gateway's requests, refusals included: around the ASGI application, and before the calls of gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raycache.edge.metrics import Requests

#: Which protocol a path is of, by how it begins; what is of none is asked by people and probes, and not counted.
PROTOCOLS = {"/_groupcache/": "groupcache", "/v1/": "rest"}
#: Of a request whose client went away before there was an answer.
GONE = "499"
#: By status, and by its number, which is what some versions of grpc keep of it.
_NAMES = {key: code.name for code in grpc.StatusCode for key in (code, code.value[0])}


class CountedHTTP:
    """An ASGI application around another."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self._app, self._requests = app, requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        protocol = _protocol(scope) if scope["type"] == "http" else None
        if protocol is None:
            await self._app(scope, receive, send)
            return
        status, began = GONE, self._requests.began()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, sending)
        finally:
            self._requests.ended(began, protocol, status)


def _protocol(scope: Scope) -> str | None:
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return next((protocol for start, protocol in PROTOCOLS.items() if path.startswith(start)), None)


class CountedCalls(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """An interceptor, to be the first one. Streams are not counted: those are questions of reflection and health."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], call: Any) -> Any:
        handler = await continuation(call)
        if handler is None or handler.unary_unary is None:
            return handler

        async def counted(request: Any, context: Any) -> Any:
            code, began = grpc.StatusCode.OK, self._requests.began()
            try:
                return await handler.unary_unary(request, context)
            except asyncio.CancelledError:
                code = grpc.StatusCode.CANCELLED
                raise
            except grpc.aio.AbortError:
                code = context.code()
                raise
            except Exception:
                code = grpc.StatusCode.UNKNOWN
                raise
            finally:
                self._requests.ended(began, "grpc", _NAMES[code])

        return grpc.unary_unary_rpc_method_handler(counted, handler.request_deserializer, handler.response_serializer)
