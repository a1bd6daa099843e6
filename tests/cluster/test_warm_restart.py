"""kill -9 of a shard costs what was large, and nothing else; one that hangs costs time, and no wrong value."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from killing import kill_shard, restarted, serving
from peers import Peers
from sources import Source
from waiting import until

import raycache

KEYS = [f"key-{number}" for number in range(2000)]
LEASE_S, LONGEST_STALL_S = 3.0, 5.0


@pytest.fixture
def cache(make_cache: Callable[..., raycache.Cache]) -> raycache.Cache:
    return make_cache()


@pytest.fixture
def users(cache: raycache.Cache, source: Source) -> raycache.Group:
    """A group of which this process keeps nothing."""
    return cache.group("users", source, near=0)


def kill(cache: raycache.Cache) -> raycache.ShardInfo:
    """Kills the shard and waits until another process serves in its place; that one."""
    return restarted(cache, kill_shard(cache))


def test_a_killed_shard_comes_back_with_its_small_values(
    cache: raycache.Cache, users: raycache.Group, source: Source
) -> None:
    """Time and again; none is loaded again, and the books are right."""
    users.get_many(KEYS)
    for _ in range(2):
        after = kill(cache)

        assert (after.recovered, after.dropped, after.entries) == (len(KEYS), 0, len(KEYS))
        assert users.get_many(KEYS) == {key: Source.value(key) for key in KEYS}
    assert source.runs.total() == len(KEYS)


def test_a_shard_that_found_its_pages_damaged_comes_back_from_new_ones_with_all_values(
    cache: raycache.Cache, users: raycache.Group, source: Source
) -> None:
    """The damage costs what was there then, once; the damaged folder is gone, and no other takes its place."""
    users.get_many(KEYS)
    first = kill_shard(cache)
    data = Path(first.folder) / "data.mdb"
    data.write_bytes(b"\xff" * data.stat().st_size)
    second = restarted(cache, first)
    users.get_many(KEYS)
    third = kill(cache)

    assert (second.recovered, third.recovered, third.entries) == (0, len(KEYS), len(KEYS))
    assert first.folder != second.folder == third.folder
    assert list(Path(first.folder).parent.glob(f"raycache-*-{cache.name}-*")) == [Path(third.folder)]
    assert users.get_many(KEYS) == {key: Source.value(key) for key in KEYS}
    assert source.runs.total() == 2 * len(KEYS)


def test_what_was_removed_or_is_over_does_not_come_back_with_a_killed_shard(
    cache: raycache.Cache, users: raycache.Group, source: Source
) -> None:
    users.get_many(KEYS[:10])
    users.set("brief", "value", ttl=0.5)
    users.remove(KEYS[0])
    source.version = "1"
    until(lambda: users.peek("brief") is None, "it is over")
    after = kill(cache)

    assert after.recovered == 9
    assert (users.get("brief"), users.get(KEYS[0])) == (Source.value("brief", "1"), Source.value(KEYS[0], "1"))
    assert users.get(KEYS[1]) == Source.value(KEYS[1], "0")


def test_large_values_of_a_killed_shard_are_loaded_again(cache: raycache.Cache) -> None:
    """They were in its memory; small ones of the same group stay."""
    arrays = cache.group("arrays", lambda size: np.full(size, 7.0), near=0)
    arrays.get_many([10, 200_000])
    kill(cache)

    assert [arrays.get(size).sum() for size in (10, 200_000)] == [70.0, 1_400_000.0]
    until(lambda: arrays.stats().entries == 2, "both are there")


def test_processes_of_the_node_read_on_while_a_shard_is_restarted(
    cache: raycache.Cache, users: raycache.Group, source: Source, pool: Peers
) -> None:
    """From near caches, and from the pages, under the lease of the process that was killed."""
    near = cache.group("near", source)
    near.get("alice")
    users.get("bob")
    kill_shard(cache)
    began = time.monotonic()
    values = near.get("alice"), users.get("bob")

    assert values == (Source.value("alice"), Source.value("bob"))
    assert time.monotonic() - began < LEASE_S
    assert source.runs.total() == 2


@pytest.fixture
def stopped(cache: raycache.Cache) -> Iterator[raycache.ShardInfo]:
    """The only shard, which hangs until the test continues it."""
    shard = until(lambda: serving(cache), "the shard serves")
    os.kill(shard.pid, signal.SIGSTOP)
    yield shard
    os.kill(shard.pid, signal.SIGCONT)


def test_when_the_only_shard_hangs_getters_run_here_and_service_comes_back_by_itself(
    cache: raycache.Cache,
    users: raycache.Group,
    source: Source,
    stopped: raycache.ShardInfo,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The first get stalls for a bounded time, those after it for none; one line in the log, and all are counted."""
    caplog.set_level(logging.WARNING, logger="raycache")
    stalls = []
    for number in range(20):
        began = time.monotonic()
        assert users.get(f"new-{number}") == Source.value(f"new-{number}")
        stalls.append(time.monotonic() - began)
    os.kill(stopped.pid, signal.SIGCONT)
    until(lambda: users.get("again") and users.peek("again"), "values are kept again", 30.0)
    said = [record.getMessage() for record in caplog.records if "no shard of the cache" in record.getMessage()]

    assert max(stalls) < LONGEST_STALL_S + 1.0  # the getter's own time, and that of a busy machine
    assert sum(stalls[1:]) < LONGEST_STALL_S
    assert len(said) == 1
    assert until(lambda: users.stats().unavailable >= 20, "the gets are counted")


def test_a_get_that_finds_no_shard_ends_with_the_callers_time(
    cache: raycache.Cache, users: raycache.Group, source: Source, stopped: raycache.ShardInfo
) -> None:
    """Also when the getter that runs in its place does not end."""
    source.will("hang", "slow")
    began = time.monotonic()
    with pytest.raises(raycache.LoadTimeout, match="slow"):
        users.get("slow", timeout=1.0)

    assert time.monotonic() - began < 3.0


def test_a_removal_is_done_when_the_lease_of_a_shard_that_hangs_is_over(
    cache: raycache.Cache, users: raycache.Group, source: Source, stopped: raycache.ShardInfo
) -> None:
    """The old value is not seen again, neither here nor in the pages, nor when the shard goes on."""
    os.kill(stopped.pid, signal.SIGCONT)
    users.get("alice")
    os.kill(stopped.pid, signal.SIGSTOP)
    source.version = "1"
    began = time.monotonic()
    users.remove("alice")
    took_s = time.monotonic() - began
    here = users.get("alice")
    os.kill(stopped.pid, signal.SIGCONT)
    until(lambda: serving(cache), "the shard serves again", 30.0)

    assert LEASE_S - 1.0 < took_s < 15.0
    assert here == users.get("alice") == Source.value("alice", "1")
