"""Roles from a database: `/role?name=...` on three nodes, and one look-up in the database for each name.

    pip install 'raycache[gateway]'
    python examples/roles.py [--ports 8080 8081 8082] [--serve]

A name that the database does not have is 404, and that, too, is looked up once: the group remembers it for a minute.
"""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import nodes
from database import Database
from journal import Journal
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import raycache
from raycache.edge.gateway.served import Served

ROLES = {"Ada": "admin", "Grace": "operator", "Jürgen Müller": "auditor", "李小龍": "guest", "🦊 & co": "partner"}
UNKNOWN = "Nobody"


def role(database: Database, name: str) -> str:
    """The getter."""
    row = database.run("SELECT role FROM roles WHERE name = ?", name)
    if row is None:
        raise raycache.NotFound(f"data not found: {name}")
    return str(row[0])


def application(cache: raycache.Cache) -> Starlette:
    """What one node serves to clients."""
    served = Served(cache)

    async def answer(request: Request) -> PlainTextResponse:
        hit = await served.get("roles", request.query_params.get("name", ""))
        return PlainTextResponse(f"{hit.value}\n", headers={"X-Cache": hit.tier})

    return nodes.application(Route("/role", answer))


def show(ports: list[int], journal: Journal) -> None:
    """Asks every node for every name."""
    look_ups = 0
    for name in [*ROLES, UNKNOWN]:
        print(f"\n{name}:")
        for port in ports:
            status, body = nodes.get(port, f"/role?{urlencode({'name': name})}")
            print(f"{status} {body.decode().strip()}")
            look_ups += len(journal.show())
    names = len(ROLES) + 1
    print(f"\n{names * len(ports)} requests for {names} names, {look_ups} look-ups in the database")


def main() -> None:
    options = nodes.options(__doc__)
    with tempfile.TemporaryDirectory(prefix="roles-") as folder, nodes.nodes(3) as ids:
        journal = Journal(Path(folder, "journal"))
        database = Database(Path(folder, "roles.db"), journal)
        database.table("roles", "name TEXT PRIMARY KEY, role TEXT", ROLES.items())
        with raycache.connect(f"roles-{os.getpid()}", capacity="32 MiB") as cache:
            cache.group("roles", partial(role, database), negative_ttl="1m")
            makers = [partial(application, cache)] * len(ids)
            with nodes.http_servers(ids, makers, options.ports) as ports:
                show(ports, journal)
                nodes.serve_on(options.serve)


if __name__ == "__main__":
    main()
