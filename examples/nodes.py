"""Nodes for the examples: a Ray of several nodes on this machine, and on each of them a process with a small server.

Everything that is started here has ended when its context is left, on errors and Ctrl-C as well.
"""

from __future__ import annotations

import argparse
import http.client
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from raycache import Cache, InvalidKey, NotFound
from raycache.edge.command import quiet_ray

HOST = "127.0.0.1"
SERVERS = 3
PATIENCE_S = 60.0


def options(about: str | None) -> argparse.Namespace:
    """What all examples with servers take: `--ports` and `--serve`."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--ports", type=int, nargs=SERVERS, default=[0] * SERVERS, help="by default free ones")
    parser.add_argument("--serve", action="store_true", help="go on serving until Ctrl-C, for requests of your own")
    return parser.parse_args()


@contextmanager
def nodes(number: int) -> Iterator[list[str]]:
    """Ray's ids of so many nodes, of a Ray of this program's own.

    Where RAY_ADDRESS names a Ray that is running it is that one; if it has fewer nodes, some stand for several.
    """
    quiet_ray()
    import ray

    from raycache.cluster.local import local_ray
    from raycache.cluster.nodes import alive

    if "RAY_ADDRESS" not in os.environ:
        with local_ray(number) as ids:
            yield ids
        return
    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    try:
        there = [node.id for node in alive()]
        yield [there[place % len(there)] for place in range(number)]
    finally:
        ray.shutdown()


@contextmanager
def more_nodes() -> Iterator[Callable[[], str]]:
    """What adds a node to the Ray that this program is in, and gives its id."""
    from raycache.cluster import local

    cluster = local.more_nodes()
    try:
        yield lambda: str(cluster.add_node(object_store_memory=local.STORE_BYTES).node_id)
    finally:
        for node in list(cluster.worker_nodes):
            cluster.remove_node(node)


def owners(cache: Cache, ids: Sequence[str]) -> dict[str, str]:
    """The names of the nodes by the shards that they have. Starts those shards that are not there yet."""
    return {shard.id: name(ids, shard.node) for shard in cache.spread()}


def name(ids: Sequence[str], id: str) -> str:
    """What the examples call a node."""
    return f"node {ids.index(id) + 1}" if id in ids else "another node"


@contextmanager
def on_each(ids: Sequence[str], actors: Iterable[tuple[Any, ...]]) -> Iterator[list[Any]]:
    """Starts one actor on each node, given as its class and arguments; gives their handles."""
    import ray

    from raycache.cluster.nodes import on

    started = []
    try:
        for id, (actor, *arguments) in zip(ids, actors, strict=True):
            placed = ray.remote(actor).options(num_cpus=0, scheduling_strategy=on(id))
            started.append(placed.remote(*arguments))
        yield started
    finally:
        for each in started:
            ray.kill(each)


class HttpServer:
    """An actor that serves an ASGI application, in a thread."""

    def __init__(self, make: Callable[[], ASGIApp], port: int) -> None:
        """The application is made in the actor's process; port 0 is a free one."""
        server = uvicorn.Server(uvicorn.Config(make(), log_level="warning"))
        self._socket = socket.create_server((HOST, port))
        threading.Thread(target=server.run, args=([self._socket],), daemon=True).start()

    def port(self) -> int:
        """Where it listens; who connects too early is answered when it has started."""
        return int(self._socket.getsockname()[1])


@contextmanager
def http_servers(ids: Sequence[str], makers: Iterable[Callable[[], ASGIApp]], ports: list[int]) -> Iterator[list[int]]:
    """An HTTP server on each node; their ports."""
    import ray

    actors = [(HttpServer, make, port) for make, port in zip(makers, ports, strict=True)]
    with on_each(ids, actors) as servers:
        yield ray.get([server.port.remote() for server in servers])


def application(*routes: Route) -> Starlette:
    """An application where a missing key is 404, and what is no key is 400, each with the message and a line's end."""

    def answer(status: int) -> Callable[[Request, Exception], PlainTextResponse]:
        return lambda _, error: PlainTextResponse(f"{error}\n", status)

    return Starlette(routes=routes, exception_handlers={NotFound: answer(404), InvalidKey: answer(400)})


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of an HTTP answer; prints the request as one would type it."""
    print(f"$ curl 'http://{HOST}:{port}{path}'")
    with closing(http.client.HTTPConnection(HOST, port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def serve_on(wanted: bool) -> None:
    """Waits for Ctrl-C, if that is wanted."""
    with suppress(KeyboardInterrupt):
        if wanted:
            print("The servers go on. Ctrl-C ends them.", flush=True)
        while wanted:  # not for ever at once: a signal that comes just before the wait does not end it
            time.sleep(0.5)
