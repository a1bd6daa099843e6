"""The gateway under Ray Serve, as the documentation has it: a Ray of its own, where nothing else is tested."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from programs import Program

import raycache

DOCUMENT = Path(raycache.__file__).parents[1] / "docs" / "gateway.md"
SERVING = """
    import sys

    import raycache
    from ray import serve
    from raycache.cluster.local import local_ray
    from raycache.edge.gateway.app import application

    documented, port = sys.argv[1:]
    with local_ray(1), raycache.connect(capacity="32 MiB") as cache:
        cache.group("users", str.upper)
        serve.start(http_options={"host": "127.0.0.1", "port": int(port)})
        exec(documented)
        print("serves", flush=True)
        input()
        serve.shutdown()
"""


@pytest.fixture
def ask() -> Iterator[Callable[..., tuple[int, bytes, str | None]]]:
    """Asks Serve's proxy: status, body and X-Cache."""
    (documented,) = re.findall(r"^```python\n(@serve.deployment.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]

    def answer(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes, str | None]:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read(), response.getheader("X-Cache")

    with Program(SERVING, documented, port) as program:
        assert program.line() == "serves"
        yield answer
        program.tell()
        program.end()


def test_the_gateway_is_served_below_a_prefix_by_a_replica_that_joins_the_cache(
    ask: Callable[..., tuple[int, bytes, str | None]],
) -> None:
    """Keys with slashes and spaces, hits, changes, and both kinds of errors are as everywhere."""
    key, peers = "/cache/v1/groups/users/keys/a%2Fb%20c", "/cache/_groupcache/users/a%2Fb%20c"

    assert ask("GET", key) == (200, b"A/B C", "load")
    assert ask("GET", key) == (200, b"A/B C", "near")
    assert ask("PUT", key, b"new") == (204, b"", None)
    assert ask("GET", key)[:2] == (200, b"new")
    assert ask("GET", peers) == (200, b"\x0a\x03new\x18\x00", None)
    assert ask("GET", "/cache/_groupcache/nobody/a") == (404, b"no such group: nobody\n", None)
    assert ask("GET", "/cache/healthz")[0] == 200
    assert ask("GET", "/cache/nothing")[0] == 404
