"""Scores over gRPC: three servers of geek-cache's protocol, one of which is killed with SIGKILL.

    pip install 'raycache[gateway]'
    python examples/scores.py [--ports 8001 8002 8003] [--serve]

The client knows nothing of a server but its address: it learns methods and messages by reflection, as grpcurl does.

A server is a whole node here: Ray's own process, the shard of the cache, and the gRPC server. As in geek-cache no
server keeps what another one owns (near=0, hot=0), so that every Get goes to the owner of its key.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import nodes
import ray
from database import Database
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from journal import Journal

import raycache
from raycache.edge.gateway import geekcache
from raycache.edge.gateway.limits import Limits
from raycache.edge.gateway.served import Served

SCORES = {"Tom": "630", "Tom1": "631", "Tom2": "632"}
GROUP, SERVICE, KILLED_OWNS = "scores", "pb.GroupCache", "Tom"


def score(database: Database, name: str) -> str:
    """The getter."""
    row = database.run("SELECT score FROM scores WHERE name = ?", name)
    if row is None:
        raise raycache.NotFound("data not found")
    return str(row[0])


class Server:
    """An actor that serves geek-cache's protocol."""

    def __init__(self, cache: raycache.Cache, port: int) -> None:
        self._cache, self._wanted = cache, port

    async def start(self) -> int:
        """Starts it; its port."""
        self._server, _ = geekcache.server(Served(self._cache), Limits())
        port = self._server.add_insecure_port(f"{nodes.HOST}:{self._wanted}")
        await self._server.start()
        return int(port)

    def node(self) -> list[int]:
        """All processes of its node: Ray's own, which is the first, has started the others."""
        ray = os.getppid()
        children = [path.read_text() for path in Path(f"/proc/{ray}/task").glob("*/children")]
        return [ray, *map(int, " ".join(children).split())]


class Client:
    """What grpcurl is: `pb.GroupCache/Get` of a server, with messages as JSON, in which bytes are base64."""

    def __init__(self, port: int) -> None:
        self._port, self._channel = port, grpc.insecure_channel(f"{nodes.HOST}:{port}")
        described = ProtoReflectionDescriptorDatabase(self._channel)
        service = descriptor_pool.DescriptorPool(described).FindServiceByName(SERVICE)
        method = service.FindMethodByName("Get")
        self._request = message_factory.GetMessageClass(method.input_type)
        self._call = self._channel.unary_unary(
            f"/{SERVICE}/Get",
            request_serializer=self._request.SerializeToString,
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )

    def get(self, **request: str) -> None:
        """Prints the request and the answer."""
        asked = json_format.MessageToJson(self._request(**request), indent=None)
        print(f"$ grpcurl -plaintext -d '{asked}' {nodes.HOST}:{self._port} {SERVICE}/Get")
        print(json_format.MessageToJson(self._call(self._request(**request), timeout=nodes.PATIENCE_S), indent=None))

    def close(self) -> None:
        self._channel.close()


def kill(server: Any) -> None:
    """Ends a node as a crash does: the gRPC server, the shard and Ray's own processes, all at once."""
    for pid in ray.get(server.node.remote()):
        os.kill(pid, signal.SIGKILL)


def show(cache: raycache.Cache, ids: list[str], servers: list[Any], journal: Journal, serve: bool) -> None:
    """Nine Gets; then the owner of Tom is killed, and the others are asked."""
    ports = ray.get([server.start.remote() for server in servers])
    clients, loads = [Client(port) for port in ports], 0
    for key in SCORES:
        for client in clients:
            client.get(group=GROUP, key=key)
            loads += len(journal.show())
    print(f"\n{len(SCORES) * len(clients)} Gets, {loads} loads from the database")

    owner = cache.group(GROUP).owner(KILLED_OWNS)
    (dead,) = (ids.index(shard.node) for shard in cache.shards() if shard.id == owner)
    print(f"\n{nodes.name(ids, ids[dead])} on port {ports[dead]}, which owns {KILLED_OWNS}, is killed with SIGKILL.")
    kill(servers[dead])
    clients.pop(dead).close()

    began, reloads = time.monotonic(), 0
    for client in clients:
        client.get(group=GROUP, key=KILLED_OWNS)
        reloads += len(journal.show())
    print(f"\n2 Gets in {time.monotonic() - began:.1f} s, {reloads} reload from the database")
    nodes.serve_on(serve)
    for client in clients:
        client.close()


def main() -> None:
    options = nodes.options(__doc__)
    os.environ.pop("RAY_ADDRESS", None)  # a node is killed here: one of a Ray of its own
    with tempfile.TemporaryDirectory(prefix="scores-") as folder, nodes.nodes(1), nodes.more_nodes() as add:
        journal = Journal(Path(folder, "journal"))
        database = Database(Path(folder, "scores.db"), journal)
        database.table("scores", "name TEXT PRIMARY KEY, score TEXT", SCORES.items())
        # The first node, which Ray itself cannot do without, is no server and keeps nothing.
        with raycache.connect(f"scores-{os.getpid()}", capacity="32 MiB", placement="workers", hot=0) as cache:
            cache.group(GROUP, partial(score, database), near=0)
            ids = [add() for _ in options.ports]
            cache.spread()
            with nodes.on_each(ids, [(Server, cache, port) for port in options.ports]) as servers:
                show(cache, ids, servers, journal, options.serve)


if __name__ == "__main__":
    main()
