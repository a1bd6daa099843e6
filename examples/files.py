"""Files behind a cache: three nodes answer `?key=1.txt`, and whoever is asked first, the file is read once.

    pip install 'raycache[gateway]'
    python examples/files.py [--ports 9001 9002 9003] [--serve]

Each node has a client port. The journal says what happened: which node was asked, which of its peers it asked, and when
the getter read a file.
"""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path

import nodes
from journal import Journal
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import raycache
from raycache.edge.gateway.served import Served

FILES = {f"{number}.txt": f"This is file number {number}.\n" for number in (1, 2, 3)}
#: What a node did for an answer, by where the value was.
DID = {
    "load": "asked {peer}, which owns it and had the getter run",
    "shard": "asked {peer}, which has it in its cache",
    "page": "has it in its own cache, in shared memory",
    "near": "has it in the server's own process",
}


def read(folder: Path, journal: Journal, key: str) -> bytes:
    """The getter."""
    path = folder / key
    if path.parent != folder or not path.is_file():
        raise raycache.NotFound(f"no such file: {key}")
    journal.note(f"getter: reads {key}")
    return path.read_bytes()


def application(cache: raycache.Cache, node: str, owners: dict[str, str], journal: Journal) -> Starlette:
    """What one node serves to clients."""
    served, group = Served(cache), cache.group("files")

    async def answer(request: Request) -> Response:
        key = request.query_params.get("key", "")
        hit = await served.get("files", key)
        peer = owners.get(group.owner(key) or "", "another node")
        journal.note(f"{node}: {key}: {DID[hit.tier].format(peer='itself' if peer == node else peer)}")
        return Response(hit.value, media_type="text/plain")

    return nodes.application(Route("/", answer))


def show(ports: list[int], journal: Journal) -> None:
    """Asks every node for every file, each file at another node first."""
    reads = 0
    for place, key in enumerate(FILES):
        print(f"\n{key}, first at node {place + 1}:")
        for port in ports[place:] + ports[:place]:
            status, body = nodes.get(port, f"/?key={key}")
            print(f"{status} {body.decode().strip()}")
            reads += sum(line.startswith("getter:") for line in journal.show())
    print(f"\n{len(FILES) * len(ports)} requests, {reads} files read")


def main() -> None:
    options = nodes.options(__doc__)
    with tempfile.TemporaryDirectory(prefix="files-") as folder, nodes.nodes(3) as ids:
        journal, files = Journal(Path(folder, "journal")), Path(folder, "files")
        files.mkdir()
        for key, text in FILES.items():
            (files / key).write_text(text)
        with raycache.connect(f"files-{os.getpid()}", capacity="32 MiB") as cache:
            cache.group("files", partial(read, files, journal))
            owners = nodes.owners(cache, ids)
            makers = [partial(application, cache, nodes.name(ids, id), owners, journal) for id in ids]
            with nodes.http_servers(ids, makers, options.ports) as ports:
                show(ports, journal)
                nodes.serve_on(options.serve)


if __name__ == "__main__":
    main()
