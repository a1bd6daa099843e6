"""The only shard of a node is killed: gets go on and are right, and nothing of its earlier life is read later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from killing import kill_shard, restarted
from peers import Peers, result
from sources import Source
from traffic import Traffic
from waiting import insist

import raycache

KEYS = [f"key-{number}" for number in range(20)]


@pytest.fixture
def cache(make_cache: Callable[..., raycache.Cache]) -> raycache.Cache:
    return make_cache()


@pytest.fixture
def users(cache: raycache.Cache, source: Source) -> raycache.Group:
    return cache.group("users", source)


def test_gets_go_on_while_a_shard_is_killed_and_restarted(
    cache: raycache.Cache, users: raycache.Group, pool: Peers, tmp_path: Path
) -> None:
    """In several processes, all values right and no exception."""
    with Traffic(pool(3), users, KEYS, tmp_path) as traffic:
        traffic.go_on()
        killed = kill_shard(cache)
        restarted(cache, killed)
        traffic.go_on()

        assert users.get("new") == Source.value("new")


def test_a_killed_shard_is_restarted_on_its_node_under_its_name(
    cache: raycache.Cache, users: raycache.Group, source: Source
) -> None:
    """And it serves: what is loaded then is kept."""
    users.get_many(KEYS)
    before = kill_shard(cache)
    after = restarted(cache, before)
    users.get_many(KEYS)
    runs = source.runs
    users.get_many(KEYS)

    assert (after.id, after.node) == (before.id, before.node)
    assert source.runs == runs
    assert len(users) == len(KEYS)


@pytest.mark.parametrize("change", ["set", "remove", "clear", "set_many"])
def test_nothing_of_a_killed_shards_earlier_life_is_read_after_a_change(
    change: str, cache: raycache.Cache, users: raycache.Group, source: Source, pool: Peers
) -> None:
    """Neither from near caches nor from the pages that processes had opened before."""
    peers = pool(2)
    for peer in peers:
        peer.do(users.get, "alice")
    peers[0].do(users.get_many, KEYS)  # the second one has them in its pages alone
    kill_shard(cache)
    source.version = "1"
    changes: dict[str, Callable[[], Any]] = {
        "set": lambda: [users.set(key, Source.value(key, "1")) for key in ("alice", KEYS[0])],
        "set_many": lambda: users.set_many({key: Source.value(key, "1") for key in ("alice", KEYS[0])}),
        "remove": lambda: users.remove_many(["alice", KEYS[0]]),
        "clear": users.clear,
    }
    insist(changes[change])
    seen = [peer.do(users.get, key) for peer in peers for key in ("alice", KEYS[0])]
    mine = [users.get(key) for key in ("alice", KEYS[0])]

    assert seen + mine == [Source.value(key, "1") for key in ("alice", KEYS[0])] * 3


def test_what_is_set_after_a_restart_is_seen_by_those_who_had_opened_the_old_pages(
    cache: raycache.Cache, users: raycache.Group, source: Source, pool: Peers
) -> None:
    """Time and again, over several lives. The source says the same, for a shard that ends once more loses the entry."""
    peers = pool(2)
    for life in range(4):
        source.version = str(life)
        insist(lambda: users.set("alice", Source.value("alice", source.version)))
        seen = [peer.do(users.get, "alice") for peer in peers] + [users.get("alice")]
        kill_shard(cache)

        assert seen == [Source.value("alice", str(life))] * 3


def test_a_load_in_flight_when_its_shard_is_killed_is_loaded_again(
    cache: raycache.Cache, users: raycache.Group, source: Source, pool: Peers
) -> None:
    """Whoever waits for it gets the value in the end."""
    source.will("wait", "alice")
    call = pool(1)[0].start(users.get, "alice")
    source.await_run("alice")
    kill_shard(cache)
    source.behave("alice")

    assert result(call) == Source.value("alice")


def test_large_values_of_a_killed_shard_are_loaded_again(cache: raycache.Cache, pool: Peers) -> None:
    """They died with the process that owned them."""
    pictures = cache.group("pictures", lambda key: np.full(1_000_000, 7, np.uint8))
    (peer,) = pool(1)
    before = [int(pictures.get("alice").max()), peer.do(lambda: int(pictures.get("alice").max()))]
    killed = kill_shard(cache)
    during = peer.do(lambda: int(pictures.get("alice").max()))
    restarted(cache, killed)
    after = [int(pictures.get("alice").max()), peer.do(lambda: int(pictures.get("alice").max()))]

    assert [*before, during, *after] == [7] * 5


def test_what_a_shard_had_is_in_no_books_after_its_death(cache: raycache.Cache, users: raycache.Group) -> None:
    """Entries and bytes are those of the new life."""
    users.get_many(KEYS)
    killed = kill_shard(cache)
    shard = restarted(cache, killed)
    insist(lambda: users.set("alice", 1))
    listed = list(users.keys())
    stats = users.stats()

    assert stats.entries == len(listed)
    assert stats.bytes == cache.shards()[0].bytes
    assert shard.bytes <= shard.capacity_bytes
