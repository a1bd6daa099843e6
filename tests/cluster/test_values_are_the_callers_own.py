"""Changing a value that was set or returned does not change the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from peers import Peer, Peers

import raycache


def seen(group: raycache.Group, peer: Peer) -> list[Any]:
    """What this process and another one get, also from their near caches."""
    return [group.get("alice"), group.get("alice"), peer.do(group.get, "alice"), peer.do(group.get, "alice")]


@pytest.mark.parametrize("size", [10, 1_000_000])
@pytest.mark.parametrize("kind", ["array", "bytearray", "list of arrays"])
def test_changing_a_buffer_after_set_does_not_change_the_cache(
    kind: str, size: int, register: Callable[..., raycache.Group], peers: Peers
) -> None:
    """Small ones lie in the pages, large ones in Ray's object store."""
    users = register(None)
    buffer: Any = bytearray(size) if kind == "bytearray" else np.zeros(size, np.uint8)
    users.set("alice", [buffer] if kind == "list of arrays" else buffer)
    buffer[:] = b"\1" * size if kind == "bytearray" else 1
    values = seen(users, peers(1)[0])

    for value in values:
        inside = value[0] if kind == "list of arrays" else value
        assert bytes(inside) == bytes(size)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_changing_a_returned_value_does_not_change_the_cache(
    size: int, register: Callable[..., raycache.Group], peers: Peers
) -> None:
    """Not for this process's later gets, and not for others."""
    users = register(lambda key: {"name": key, "friends": ["bob"], "photo": bytearray(size)})
    (peer,) = peers(1)
    fresh = {"name": "alice", "friends": ["bob"], "photo": bytearray(size)}
    for _ in range(3):
        mine = users.get("alice")
        mine["friends"].append("mallory")
        mine["photo"][0] = 1
        many = users.get_many(["alice"])["alice"]
        many.clear()

    assert seen(users, peer) == [fresh] * 4


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_a_returned_array_is_read_only(size: int, register: Callable[..., raycache.Group], peers: Peers) -> None:
    """Who wants to change it copies it; so it can be shared."""
    users = register(lambda key: np.zeros(size, np.uint8))
    (peer,) = peers(1)

    assert all(not value.flags.writeable for value in [*seen(users, peer), users.refresh("alice")])
    assert peer.do(lambda: users.get("alice").flags.writeable) is False
    with pytest.raises(ValueError, match="read-only"):
        users.get("alice")[0] = 1
