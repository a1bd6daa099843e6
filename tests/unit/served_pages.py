"""Pages with some records, and a page server on loopback that reads them: what a shard has, without the shard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from raycache.cluster.page_client import PageClient, Reading
from raycache.cluster.page_server import PageServer
from raycache.core import record
from raycache.core.messages import Answers, InFlight, Loaded
from raycache.core.page_gets import PageGets
from raycache.core.page_reads import PageReads
from raycache.core.pages import Pages

SHARD, PATIENCE_S = "node.0", 10.0


def full(name: str) -> bytes:
    return b"\0\0\0\1s" + name.encode()


def stored(name: str, data: bytes = b"value") -> bytes:
    return record.sealed(full(name), record.pack(record.Header(record.NEVER, 0.0, 0.0, 1), data))


class ServedPages:
    """`life.leased` is the test's to change; what is not there is loaded when the test says that `load` has landed."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.life = SimpleNamespace(leased=True)
        self.pages = Pages.create(folder, 64 << 20)
        self.reads = PageReads(self.pages, self.life, lambda: 100.0)  # type: ignore[arg-type]
        self.asked: list[Any] = []
        self.load = SimpleNamespace(outcome=object(), result=lambda: {full("new"): Loaded(1, b"new", None, 0.0, 3)})
        self.gets = PageGets(self.reads, self._handle, lambda: 100.0)
        self.server = PageServer("127.0.0.1", SHARD, self.reads.read, self.gets, **options)

    def _handle(self, message: Any) -> Answers:
        """What a shard says that has begun to load the key."""
        self.asked.append(message)
        return Answers([InFlight(self.load.outcome, None, True, has_key=True, alone=True, left_s=1.0)], 100.0, 1)

    def put(self, *names: str, data: bytes = b"value") -> list[bytes]:
        """The records."""
        self.pages.write(puts := {full(name): stored(name, data) for name in names})
        return list(puts.values())

    def close(self) -> None:
        self.server.stop()
        self.pages.close()


@contextmanager
def clients(served: ServedPages) -> Iterator[PageClient]:
    client = PageClient(lambda _: served.server.endpoint)
    try:
        yield client
    finally:
        client.close()


def read(client: PageClient, *names: str) -> Reading:
    """A read, as soon as there is a connection."""
    return until(lambda: client.read(SHARD, [full(name) for name in names]))


def get(client: PageClient, name: str) -> Reading:
    """A get, as soon as there is a connection that is free for it."""
    return until(lambda: client.get(SHARD, full(name), 1, 7))


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (came := condition()):
        assert time.monotonic() < deadline, "it has not come"
        time.sleep(0.001)
    return came
