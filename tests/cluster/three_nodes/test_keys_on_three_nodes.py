"""Three nodes share the keys, and every node gets every value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from marks import Barrier
from peers import Peer, Peers, results
from sources import Source

import raycache

KEYS = [f"key-{number}" for number in range(300)]


def test_each_node_with_a_client_has_a_shard(make_cache: Callable[..., raycache.Cache], everywhere: list[Peer]) -> None:
    """One, however many clients come; nodes without a client have none."""
    cache = make_cache()
    name = cache.name
    seen = [{shard.node for shard in cache.shards()}]
    for peer in everywhere:
        peer.do(lambda: raycache.connect(name).name)
        seen.append({shard.node for shard in cache.shards()})
    own, second, third = (peer.node for peer in everywhere)

    assert seen == [{own}, {own}, {own, second}, {own, second, third}]
    assert len(cache.shards()) == 3


def test_a_third_of_the_keys_is_loaded_by_each_shard(
    make_cache: Callable[..., raycache.Cache], everywhere: list[Peer], source: Source
) -> None:
    """The largest share is at most a quarter above the mean."""
    cache = make_cache()
    name = cache.name
    for peer in everywhere:
        peer.do(lambda: raycache.connect(name).name)
    users = cache.group("users", source)
    users.get_many(KEYS)
    assert len(users) == len(KEYS)
    users.set_many({f"more-{number}": number for number in range(2700)})
    entries = [shard.entries for shard in cache.shards()]

    assert source.runs == dict.fromkeys(map(repr, KEYS), 1)
    assert sum(entries) == 3000
    assert max(entries) <= 1250


def test_a_key_is_loaded_once_for_all_nodes(
    users: raycache.Group, source: Source, everywhere: list[Peer], tmp_path: Path
) -> None:
    """When they ask at the same moment."""
    barrier = Barrier(tmp_path / "barrier", 3)

    def ask() -> Any:
        barrier.wait()
        return users.get_many(KEYS[:100])

    answers = results([peer.start(ask) for peer in everywhere])

    assert answers == [{key: Source.value(key) for key in KEYS[:100]}] * 3
    assert source.runs == {repr(key): 1 for key in KEYS[:100]}


def test_keys_of_other_nodes_are_shard_hits_and_then_near(users: raycache.Group, everywhere: list[Peer]) -> None:
    """Those of the own node are read from its pages."""
    everywhere[0].do(lambda: users.get_many(KEYS) and users.report())
    before = users.stats()
    everywhere[1].do(lambda: [users.get(key) for key in KEYS] and users.report())
    first = users.stats()
    everywhere[1].do(lambda: [users.get(key) for key in KEYS] and users.report())
    second = users.stats()
    pages, shards = first.page_hits - before.page_hits, first.shard_hits - before.shard_hits

    assert pages + shards == len(KEYS)
    assert 60 <= pages <= 140
    assert first.near_hits == before.near_hits
    assert second.near_hits - first.near_hits == len(KEYS)
    assert (second.page_hits, second.shard_hits) == (first.page_hits, first.shard_hits)
    assert second.gets == 3 * len(KEYS)


def test_what_a_node_asks_for_again_and_again_is_read_from_its_own_shared_memory(
    users: raycache.Group, source: Source, everywhere: list[Peer], peers: Peers
) -> None:
    """Two of its processes have asked the owners; the third need not, and sees a change at once."""
    everywhere[1].do(lambda: users.get_many(KEYS) and users.report())
    users.get_many(KEYS)
    users.report()
    everywhere[0].do(lambda: users.get_many(KEYS) and users.report())
    before, (third,) = users.stats(), peers(1)
    values = third.do(users.get_many, KEYS)
    third.do(users.report)
    after = users.stats()

    assert values == {key: Source.value(key) for key in KEYS}
    assert after.shard_hits == before.shard_hits
    assert after.page_hits - before.page_hits == len(KEYS)
    assert 140 <= after.hot_hits - before.hot_hits <= 260
    source.version = "1"
    everywhere[1].do(users.remove_many, KEYS[:50])
    assert third.do(users.get_many, KEYS[:50]) == {key: Source.value(key, "1") for key in KEYS[:50]}


def test_a_change_from_any_node_is_seen_on_all(
    users: raycache.Group, source: Source, everywhere: list[Peer], peers: Peers
) -> None:
    """By processes that had the old value near; keys of all shards."""
    keys = KEYS[:12]
    clients = [*everywhere, *peers(1)]
    for number, changer in enumerate(clients):
        for client in clients:
            client.do(users.get_many, keys)
        new = {key: f"{key} by {number}" for key in keys}
        changer.do(users.set_many, new)

        assert [client.do(users.get_many, keys) for client in clients] == [new] * len(clients)
    source.version = "1"
    loaded = {key: Source.value(key, "1") for key in keys}
    removed = clients[1].do(users.remove_many, keys)

    assert removed == len(keys)
    assert [client.do(users.get_many, keys) for client in clients] == [loaded] * len(clients)
    assert source.runs == {repr(key): 2 for key in keys}


def test_clear_and_refresh_reach_all_nodes(users: raycache.Group, source: Source, everywhere: list[Peer]) -> None:
    """Whichever shard has the key."""
    keys = KEYS[:12]
    for peer in everywhere:
        peer.do(users.get_many, keys)
    source.version = "1"
    for key in keys:
        everywhere[1].do(users.refresh, key)
    refreshed = [peer.do(users.get_many, keys) for peer in everywhere]
    source.version = "2"
    cleared = everywhere[2].do(users.clear)
    loaded = [peer.do(users.get_many, keys) for peer in everywhere]

    assert refreshed == [{key: Source.value(key, "1") for key in keys}] * 3
    assert cleared == len(keys)
    assert loaded == [{key: Source.value(key, "2") for key in keys}] * 3


def test_keys_lists_those_of_all_nodes_once(users: raycache.Group, everywhere: list[Peer]) -> None:
    """From wherever it is asked."""
    users.get_many(KEYS)

    assert [sorted(peer.do(lambda: list(users.keys()))) for peer in everywhere] == [sorted(KEYS)] * 3
    assert [peer.do(lambda: len(users)) for peer in everywhere] == [len(KEYS)] * 3


def test_large_values_travel_between_nodes(register: Callable[..., raycache.Group], everywhere: list[Peer]) -> None:
    """Whichever node loads them, and whichever asks."""
    pictures = register(lambda key: np.full(1_000_000, key, np.uint8), capacity="32 MiB")
    digits = [peer.do(lambda: [int(pictures.get(key).max()) for key in range(6)]) for peer in everywhere]

    assert digits == [list(range(6))] * 3
    assert pictures.stats().loads == 6
