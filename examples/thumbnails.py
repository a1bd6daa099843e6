"""Thumbnails: `/thumbnails/{file}` on three nodes, rendered once, and served by all when the picture is gone.

    pip install 'raycache[gateway]' pillow
    python examples/thumbnails.py [--ports 8080 8081 8082] [--serve]

A picture that nobody had asked for before it was deleted is 404.
"""

from __future__ import annotations

import io
import os
import tempfile
from functools import partial
from pathlib import Path

import nodes
from journal import Journal
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import raycache
from raycache.edge.gateway.served import Served

PICTURES = {
    "mandelbrot.png": ((-2.0, -1.2, 0.8, 1.2), (700, 600)),
    "seahorses.png": ((-0.77, 0.08, -0.72, 0.13), (600, 600)),
}
SIZE = (128, 128)


def thumbnail(folder: Path, journal: Journal, file: str) -> bytes:
    """The getter: a picture that fits into 128 x 128 pixels, as PNG."""
    path = folder / file
    if path.parent != folder or not path.is_file():
        raise raycache.NotFound(f"no such picture: {file}")
    journal.note(f"getter: renders {file}")
    with Image.open(path) as picture:
        picture.thumbnail(SIZE)
        rendered = io.BytesIO()
        picture.save(rendered, "PNG")
    return rendered.getvalue()


def application(cache: raycache.Cache) -> Starlette:
    """What one node serves to clients."""
    served = Served(cache)

    async def answer(request: Request) -> Response:
        hit = await served.get("thumbnails", request.path_params["file"])
        return Response(hit.value, media_type="image/png", headers={"X-Cache": hit.tier})

    return nodes.application(Route("/thumbnails/{file}", answer))


def ask(port: int, file: str, journal: Journal) -> None:
    status, body = nodes.get(port, f"/thumbnails/{file}")
    print(f"{status} {described(body) if status == 200 else body.decode().strip()}")
    journal.show()


def described(png: bytes) -> str:
    with Image.open(io.BytesIO(png)) as picture:
        return f"{picture.format}, {picture.width} x {picture.height}, {len(png):,} bytes"


def show(ports: list[int], pictures: Path, journal: Journal) -> None:
    """One picture is asked for, then all are deleted."""
    known, unknown = PICTURES
    print(f"\n{known}, from a picture of {os.path.getsize(pictures / known):,} bytes:")
    ask(ports[0], known, journal)
    for path in pictures.iterdir():
        path.unlink()
    print("\nAll pictures are deleted. Every node still has what one has asked for:")
    for port in ports:
        ask(port, known, journal)
    print("\nand nobody has the other one:")
    ask(ports[1], unknown, journal)


def main() -> None:
    options = nodes.options(__doc__)
    with tempfile.TemporaryDirectory(prefix="thumbnails-") as folder, nodes.nodes(3) as ids:
        journal, pictures = Journal(Path(folder, "journal")), Path(folder, "pictures")
        pictures.mkdir()
        for file, (extent, size) in PICTURES.items():
            Image.effect_mandelbrot(size, extent, 100).save(pictures / file)
        with raycache.connect(f"thumbnails-{os.getpid()}", capacity="32 MiB") as cache:
            cache.group("thumbnails", partial(thumbnail, pictures, journal))
            makers = [partial(application, cache)] * len(ids)
            with nodes.http_servers(ids, makers, options.ports) as ports:
                show(ports, pictures, journal)
                nodes.serve_on(options.serve)


if __name__ == "__main__":
    main()
