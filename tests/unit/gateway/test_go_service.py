"""A real program of the family: a Go service, built from examples/go, whose groupcache has the gateway as its peer."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest
import uvicorn

import raycache
from benchmarks.peers.install import go_program
from raycache.edge.gateway.app import application

ROOT = Path(raycache.__file__).parents[1]


@pytest.fixture(scope="module")
def service(tmp_path_factory) -> str:
    if shutil.which("go") is None:
        pytest.skip("there is no Go; scripts/hosts-packages installs it")
    return go_program(ROOT / "examples" / "go", str(tmp_path_factory.mktemp("go")))


@contextlib.contextmanager
def serving(app):
    """The address at which a real server serves an application on loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
        thread = threading.Thread(target=asyncio.run, args=[server.serve([listening])])
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


class Counting:
    """An application that remembers from which connections it was asked for what."""

    def __init__(self, app) -> None:
        self._app, self.connections, self.asked = app, set(), []

    async def __call__(self, scope, receive, send):
        self.connections.add(scope["client"])
        self.asked.append((scope["method"], scope["raw_path"].decode()))
        await self._app(scope, receive, send)


def test_a_go_service_gets_its_values_from_the_gateway_over_one_connection(inline, getter, service):
    """Defects 20 to 23 with a client of the family: keys as it escapes them, errors, one connection for all."""
    getter.values = {"Tom": b"630", "a b+c/d%2F": "odd", "..": "dots", "🦆": "duck", "nobody": raycache.NotFound("no")}
    cache = inline()
    cache.group("scores/of all", getter)
    app = Counting(application(cache, escaping="query"))

    with serving(app) as gateway:
        command = [service, "-gateway", gateway, "-group", "scores/of all", *getter.values]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)

    *values, counts = done.stdout.splitlines()
    assert values == ["630", "odd", "dots", "duck", "error: the gateway has no value"]
    assert counts == "4 from the gateway, 1 failed there"
    keys = ["Tom", "a+b%2Bc%2Fd%252F", "..", "%F0%9F%A6%86", "nobody"]
    assert app.asked == [("GET", f"/_groupcache/scores%2Fof+all/{key}") for key in keys]
    assert len(app.connections) == 1
    assert getter.calls == list(getter.values)
