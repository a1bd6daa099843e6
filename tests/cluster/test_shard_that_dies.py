"""The only shard of a node is killed: gets go on and are right, and nothing of its earlier life is read later."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from marks import Marks
from peers import Peers, result, results
from processes import alive
from sources import Source
from waiting import insist, until

import raycache

KEYS = [f"key-{number}" for number in range(20)]


@pytest.fixture
def cache(make_cache: Callable[..., raycache.Cache]) -> raycache.Cache:
    return make_cache()


@pytest.fixture
def users(cache: raycache.Cache, source: Source) -> raycache.Group:
    return cache.group("users", source)


def kill_shard(cache: raycache.Cache) -> int:
    """Kills its process; the process id."""
    (shard,) = cache.shards()
    os.kill(shard.pid, signal.SIGKILL)
    until(lambda: not alive(shard.pid), "the shard is dead")
    return shard.pid


def restarted(cache: raycache.Cache, dead: int) -> raycache.ShardInfo | None:
    """The shard, when it serves again."""
    (shard,) = cache.shards()
    return shard if shard.reachable and shard.pid != dead else None


def get_until(group: raycache.Group, over: str, turns: Marks) -> None:
    """Gets all keys in turn until the file is there, and adds a line for each turn. All values are right."""
    while not os.path.exists(over):
        for key in KEYS:
            value = group.get(key)
            assert value == Source.value(key), value
        assert group.get_many(KEYS) == {key: Source.value(key) for key in KEYS}
        turns.add(str(os.getpid()))


def test_gets_go_on_while_a_shard_is_killed_and_restarted(
    cache: raycache.Cache, users: raycache.Group, pool: Peers, tmp_path: Path
) -> None:
    """In several processes, all values right and no exception."""
    over, turns = tmp_path / "over", Marks(tmp_path / "turns")
    calls = [peer.start(get_until, users, os.fspath(over), turns) for peer in pool(3)]
    until(lambda: len(set(turns.lines())) == 3, "all of them have gone through the keys")
    dead = kill_shard(cache)
    until(lambda: restarted(cache, dead), "the shard serves again", 60.0)
    before = Counter(turns.lines())
    until(lambda: len(Counter(turns.lines()) - before) == 3, "all of them go on", 60.0)
    assert users.get("new") == Source.value("new")
    over.touch()

    results(calls)


def test_a_killed_shard_is_restarted_on_its_node_under_its_name(
    cache: raycache.Cache, users: raycache.Group, source: Source
) -> None:
    """And it serves: what is loaded then is kept."""
    users.get_many(KEYS)
    (before,) = cache.shards()
    dead = kill_shard(cache)
    after = until(lambda: restarted(cache, dead), "the shard serves again", 60.0)
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
    dead = kill_shard(cache)
    during = peer.do(lambda: int(pictures.get("alice").max()))
    until(lambda: restarted(cache, dead), "the shard serves again", 60.0)
    after = [int(pictures.get("alice").max()), peer.do(lambda: int(pictures.get("alice").max()))]

    assert [*before, during, *after] == [7] * 5


def test_what_a_shard_had_is_in_no_books_after_its_death(cache: raycache.Cache, users: raycache.Group) -> None:
    """Entries and bytes are those of the new life."""
    users.get_many(KEYS)
    dead = kill_shard(cache)
    shard = until(lambda: restarted(cache, dead), "the shard serves again", 60.0)
    insist(lambda: users.set("alice", 1))
    listed = list(users.keys())
    stats = users.stats()

    assert stats.entries == len(listed)
    assert stats.bytes == cache.shards()[0].bytes
    assert shard.bytes <= shard.capacity_bytes
