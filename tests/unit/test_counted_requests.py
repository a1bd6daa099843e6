"""What the gateway counts of its requests, at both of its servers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest

from raycache.edge.gateway.counted_calls import CountedCalls
from raycache.edge.gateway.counted_http import CountedHTTP
from raycache.edge.metrics import Requests


def request(path: str, app: Any, requests: Requests) -> None:
    """One request of an application, whose answer nobody looks at."""

    async def ignored(*_: Any) -> dict[str, Any]:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "path": path, "root_path": ""}
    with contextlib.suppress(ConnectionError):
        asyncio.run(CountedHTTP(app, requests)(scope, ignored, ignored))


async def missing(scope: Any, receive: Any, send: Any) -> None:
    """An application without anything."""
    await send({"type": "http.response.start", "status": 404, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def hung_up(scope: Any, receive: Any, send: Any) -> None:
    """One whose client does not wait."""
    raise ConnectionError


@pytest.mark.parametrize(
    ("path", "app", "counted"),
    [
        ("/_groupcache/users/alice", missing, {("groupcache", "404"): 1}),
        ("/v1/groups", missing, {("rest", "404"): 1}),
        ("/v1/groups", hung_up, {("rest", "499"): 1}),
        ("/v1/page", missing, {}),
        ("/v1/pages", missing, {("rest", "404"): 1}),
        ("/metrics", missing, {}),
        ("/", missing, {}),
    ],
)
def test_a_request_is_counted_with_its_status(path, app, counted):
    """And those of people and probes are not."""
    requests = Requests()
    request(path, app, requests)

    assert dict(requests.counts()) == counted
    assert requests.in_flight == 0


async def answer(request: bytes, context: Any) -> bytes:
    """A method that does what it is told."""
    if request == b"abort":
        await context.abort(grpc.StatusCode.NOT_FOUND, "no")
    if request == b"raise":
        raise ValueError("no")
    if request == b"hang":
        await asyncio.Event().wait()
    return request


async def answer_one(requests: AsyncIterator[bytes], context: Any) -> bytes:
    """The same method, called before its message has come."""
    return await answer(await anext(requests), context)


METHODS = [grpc.unary_unary_rpc_method_handler(answer), grpc.stream_unary_rpc_method_handler(answer_one)]


async def calls(requests: Requests, method: Any, *asked: bytes) -> None:
    """Calls of a server on loopback, each with a deadline."""
    server = grpc.aio.server(interceptors=[CountedCalls(requests)])
    handlers = {"Get": method}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("pb.GroupCache", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        get = channel.unary_unary("/pb.GroupCache/Get")
        for each in asked:
            with contextlib.suppress(grpc.aio.AioRpcError):
                await get(each, timeout=0.2 if each == b"hang" else 20)
    await server.stop(0)


@pytest.mark.parametrize(
    ("asked", "status"), [(b"fine", "OK"), (b"abort", "NOT_FOUND"), (b"raise", "UNKNOWN"), (b"hang", "CANCELLED")]
)
@pytest.mark.parametrize("method", METHODS, ids=["unary", "stream"])
def test_a_call_is_counted_with_its_status(asked, status, method):
    """By the name that gRPC has for it, also when nobody waits any more."""
    requests = Requests()
    asyncio.run(calls(requests, method, asked))

    assert dict(requests.counts()) == {("grpc", status): 1}
    assert requests.in_flight == 0
