"""What counts a gateway's calls of gRPC, refusals included."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from raycache.edge.gateway.messages import SERVICE
from raycache.edge.metrics import Requests

#: By status, and by its number, which is what some versions of grpc keep of it.
_NAMES = {key: code.name for code in grpc.StatusCode for key in (code, code.value[0])}


class CountedCalls(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc has no types
    """An interceptor, to be the first one. Questions of reflection and of probes are not counted."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], call: Any) -> Any:
        handler = await continuation(call)
        if handler is None or not call.method.startswith(f"/{SERVICE}/"):
            return handler
        streamed = handler.request_streaming
        method = handler.stream_unary if streamed else handler.unary_unary
        wrapped = grpc.stream_unary_rpc_method_handler if streamed else grpc.unary_unary_rpc_method_handler

        async def counted(request: Any, context: Any) -> Any:
            code, began = grpc.StatusCode.OK, self._requests.began()
            try:
                return await method(request, context)
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

        return wrapped(counted, handler.request_deserializer, handler.response_serializer)
