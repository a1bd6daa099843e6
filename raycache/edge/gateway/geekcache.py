"""geek-cache's gRPC protocol: `pb.GroupCache`, with reflection and the standard health service beside it.

Errors are geek-cache's where it has them: status UNKNOWN with `key required`, `group not found`, `data not found`, or
the text of the getter's own exception. What it does not know of has the status that gRPC has for it. The client's
deadline goes with its get; the load goes on for others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection

from raycache.edge.gateway import messages
from raycache.edge.gateway.calls import Refused, Room, message
from raycache.edge.gateway.counted_calls import CountedCalls
from raycache.edge.gateway.health import Health
from raycache.edge.gateway.limits import Limits, TooLarge
from raycache.edge.gateway.refusals import text_of
from raycache.edge.gateway.served import Served
from raycache.edge.gateway.values import NoJson, content
from raycache.edge.metrics import Requests
from raycache.errors import CacheUnavailable, InvalidKey, LoadTimeout, NotFound, UnknownGroup

_Code = grpc.StatusCode
#: Calls at once beside those of `pb.GroupCache`, which have a bound of their own: of health, and of reflection.
OTHERS = 256
#: Of a status' text. Clients take 8 KiB of metadata, in which most bytes are three, and instead of the status of a call
#: that has more they see RESOURCE_EXHAUSTED.
TEXT_BYTES = 2000


def server(served: Served, limits: Limits, requests: Requests | None = None) -> tuple[grpc.aio.Server, Health]:
    """A server of the whole protocol, within the limits; the caller gives it ports, starts it, and stops both."""
    counted = [CountedCalls(requests)] if requests is not None else []
    token = [_Token(limits)] if limits.token is not None else []
    server = grpc.aio.server(
        interceptors=[*counted, *token],
        maximum_concurrent_rpcs=limits.concurrency + OTHERS,
        options=[
            ("grpc.max_receive_message_length", limits.body_bytes),
            ("grpc.max_allowed_incoming_connections", limits.connections),
            ("grpc.max_connection_idle_ms", round(limits.idle_s * 1000)),
            # Who is gone without a word is asked for a sign of life: else its calls are held for ever.
            ("grpc.keepalive_time_ms", round(limits.idle_s * 1000)),
            ("grpc.keepalive_timeout_ms", round(limits.body_s * 1000)),
            ("grpc.http2.ping_timeout_ms", round(limits.body_s * 1000)),
            ("grpc.server_handshake_timeout_ms", round(limits.head_s * 1000)),
            ("grpc.so_reuseport", 0),  # else two gateways share an address, and each gets some of the calls
        ],
    )
    return server, add_to(server, served, limits, requests)


def add_to(server: grpc.aio.Server, served: Served, limits: Limits, requests: Requests | None = None) -> Health:
    """Adds the services to a server that is the caller's own, which bounds calls and messages itself."""
    calls, room = _GroupCache(served, limits, requests or Requests()), Room(limits.concurrency)
    methods = {"Get": calls.get, "Delete": calls.delete}
    # As streams of one message, the same on the wire: else a call whose message does not come is held for ever.
    handlers = {
        name: grpc.stream_unary_rpc_method_handler(_answering(method, room, limits.body_s))
        for name, method in methods.items()
    }
    health = Health(served, limits.head_s)
    groups = grpc.method_handlers_generic_handler(messages.SERVICE, handlers)
    server.add_generic_rpc_handlers([groups, health.handler()])
    names = [messages.SERVICE, Health.NAME, reflection.SERVICE_NAME]
    reflection.enable_server_reflection(names, server, pool=messages.POOL)
    return health


class _GroupCache:
    """The two methods, from bytes to bytes: malformed messages have a status of ours."""

    def __init__(self, served: Served, limits: Limits, requests: Requests) -> None:
        self._served, self._limits, self._requests = served, limits, requests

    async def get(self, data: bytes, left_s: float | None) -> bytes:
        group, key, left_s = await self._asked(data, left_s)
        hit = await self._served.get(group, key, timeout_s=left_s)
        return bytes(messages.ResponseForGet(value=content(hit.value).body).SerializeToString())

    async def delete(self, data: bytes, left_s: float | None) -> bytes:
        """Whether the key was there."""
        group, key, _ = await self._asked(data, left_s)
        return bytes(messages.ResponseForDelete(value=await self._served.remove(group, [key]) > 0).SerializeToString())

    async def _asked(self, data: bytes, left_s: float | None) -> tuple[str, str, float | None]:
        """Group, key, and what is left of the time."""
        try:
            request = messages.parsed(messages.Request, data)
        except ValueError as error:
            raise Refused(_Code.INTERNAL, str(error)) from None
        if not request.key:
            raise Refused(_Code.UNKNOWN, "key required")
        left_s = await self._served.known(request.group, self._limits.deadline_s(left_s))
        self._requests.of_peers[request.group] += 1
        return request.group, self._limits.check_key(request.key), left_s


def _answering(
    method: Callable[[bytes, float | None], Awaitable[bytes]], room: Room, body_s: float
) -> Callable[[Any, Any], Awaitable[bytes]]:
    """A method for which there is room, whose message comes in time, and whose errors are statuses."""

    async def answer(_: Any, context: Any) -> bytes:
        try:
            with room:
                return await method(await message(context, body_s), context.time_remaining())
        except Exception as error:
            code, text = _status(error)
        await context.abort(code, _details(text))
        raise AssertionError("abort raises")

    return answer


def _details(text: str) -> str:
    """A text that can be sent with a status."""
    sent = text.encode("utf-8", "backslashreplace")
    return sent.decode() if len(sent) <= TEXT_BYTES else f"{sent[:TEXT_BYTES].decode('utf-8', 'ignore')}..."


def _status(error: Exception) -> tuple[grpc.StatusCode, str]:
    text = text_of(error)
    match error:
        case Refused():
            return error.code, text
        case UnknownGroup():
            return _Code.UNKNOWN, "group not found"
        case NotFound():
            return _Code.UNKNOWN, "data not found"
        case LoadTimeout():
            return _Code.DEADLINE_EXCEEDED, text
        case InvalidKey() | TooLarge():
            return _Code.INVALID_ARGUMENT, text
        case CacheUnavailable():
            return _Code.UNAVAILABLE, text
        case NoJson():
            return _Code.FAILED_PRECONDITION, text
    return _Code.UNKNOWN, text


class _Token(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Asks every call for the bearer token, but for questions about health: those who probe have none."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], call: Any) -> Any:
        given = dict(call.invocation_metadata).get("authorization")
        if call.method.startswith(f"/{Health.NAME}/") or self._limits.authorized(given):
            return await continuation(call)
        return grpc.stream_unary_rpc_method_handler(_unauthenticated)


async def _unauthenticated(_: Any, context: Any) -> None:
    await context.abort(
        _Code.UNAUTHENTICATED, "this needs the gateway's token, as metadata authorization: Bearer TOKEN"
    )
