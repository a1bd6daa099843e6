"""The gets that a process sends to shards by actor calls: what page servers and pages answer is not among them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import raycache
from raycache.core.messages import Get


@contextmanager
def gets_by_call(group: raycache.Group) -> Iterator[list[Get]]:
    """Those that are sent while the context lasts."""
    network, calls = group.reader.members.network, list[Get]()
    called = network.ask

    def ask(shard: str, message: Any) -> Any:
        if isinstance(message, Get):
            calls.append(message)
        return called(shard, message)

    with mock.patch.object(network, "ask", ask):
        yield calls
