"""Gets on other nodes are answered by page servers: without a call, and to nobody who lacks the secret."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

import pytest
from actor_calls import gets_by_call
from peers import Peer
from processes import alive
from sources import Source
from waiting import until

import raycache
from raycache.core.handshake import GREETING_BYTES
from raycache.core.messages import Endpoint, GetEndpoint
from raycache.core.steps import Wait

KEYS = [f"key-{number}" for number in range(60)]
CACHE_OPTIONS = {"hot": 0.0}  # else what is got several times is read from copies
EXPECTED = {key: Source.value(key) for key in KEYS}


@pytest.fixture
def users(register: Callable[..., raycache.Group], source: Source) -> raycache.Group:
    """A group that keeps nothing near."""
    return register(source, near=0)


def get_all(users: raycache.Group) -> tuple[dict[str, Any], int]:
    """All keys, and how many actor calls were made to get them."""
    with gets_by_call(users) as calls:
        return users.get_many(KEYS), len(calls)


def takes_no_call(reader: Peer, users: raycache.Group) -> None:
    """Waits until the reader has connections to all servers; its values are right all the while."""

    def without_calls() -> bool:
        values, calls = reader.do(get_all, users)
        assert values == EXPECTED
        return not calls

    until(without_calls, "all keys are read from page servers")


def test_values_of_other_nodes_take_no_call(
    cache: raycache.Cache, users: raycache.Group, everywhere: list[Peer]
) -> None:
    """They are hits of the shards that have them, which count what they have served."""
    users.get_many(KEYS)
    takes_no_call(everywhere[1], users)
    everywhere[1].do(users.report)
    before, served = users.stats(), sum(shard.served for shard in cache.shards())
    awaited = everywhere[1].do(aget_all, users)
    everywhere[1].do(users.report)
    after = users.stats()
    hits = after.shard_hits - before.shard_hits

    assert awaited == EXPECTED
    assert 0 < hits == len(KEYS) - (after.page_hits - before.page_hits)
    assert sum(shard.served for shard in cache.shards()) - served == hits


def aget_all(users: raycache.Group) -> dict[str, Any]:
    async def get_each() -> list[Any]:
        return await asyncio.gather(*(users.aget(key) for key in KEYS))

    return dict(zip(KEYS, asyncio.run(get_each()), strict=True))


def test_when_a_page_server_is_killed_values_are_right_and_then_it_serves_again(
    cache: raycache.Cache, users: raycache.Group, everywhere: list[Peer]
) -> None:
    """By another process of its shard, at another port."""
    users.get_many(KEYS)
    takes_no_call(everywhere[1], users)
    (victim,) = (shard for shard in cache.shards() if shard.node == everywhere[2].node)
    os.kill(victim.pid, signal.SIGKILL)
    until(lambda: not alive(victim.pid), "it is dead")

    takes_no_call(everywhere[1], users)


def test_who_lacks_the_secret_gets_a_greeting_and_nothing_else(
    cache: raycache.Cache, users: raycache.Group, everywhere: list[Peer]
) -> None:
    """The secret is in no folder, and nothing shows it."""
    users.get_many(KEYS)
    (shard,) = (shard for shard in cache.shards() if shard.node == everywhere[2].node)
    network = users.reader.members.network
    (endpoint,) = network.wait(Wait([network.ask(shard.id, GetEndpoint())], 10.0))
    with socket.create_connection((endpoint.address, endpoint.port), 10.0) as stranger:
        greeting = stranger.recv(GREETING_BYTES, socket.MSG_WAITALL)
        stranger.sendall(b"\0" * 1000)
        try:
            rest = stranger.recv(1)
        except ConnectionResetError:
            rest = b""

    assert len(greeting) == GREETING_BYTES
    assert rest == b""
    assert endpoint.address == shard.address
    assert repr(endpoint.secret) not in repr((endpoint, cache.shards()))


def test_a_cache_can_do_without_page_servers(make_cache: Callable[..., raycache.Cache]) -> None:
    """Nothing listens then."""
    cache = make_cache(page_server=False)
    users = cache.group("users", near=0)
    network, (shard,) = users.reader.members.network, cache.shards()
    (endpoint,) = network.wait(Wait([network.ask(shard.id, GetEndpoint())], 10.0))

    assert endpoint == Endpoint()
