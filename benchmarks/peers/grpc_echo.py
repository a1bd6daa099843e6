"""`python -m benchmarks.peers.grpc_echo PORT BYTES`: the least that a server of grpc.aio does.

One method, without interceptors, messages or deadlines, in the quick event loop: the request's bytes, over and over, up
to BYTES.
"""

from __future__ import annotations

import sys
from typing import Any

import grpc
import uvloop

METHOD = "/echo.Echo/Get"


async def main(port: int, size: int) -> None:
    async def echo(request: bytes, context: Any) -> bytes:
        return (request * (size // len(request) + 1))[:size]

    server = grpc.aio.server()
    service, _, method = METHOD[1:].partition("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(echo)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
