"""Caches for tests: their books are right, and nothing is left of them."""

from __future__ import annotations

import glob
import uuid
from contextlib import ExitStack
from typing import Any

import ray
from peers import Peers
from processes import alive
from waiting import until

import raycache


class Caches:
    """Makes caches, and sees to it that nothing is left of them."""

    def __init__(self, pool: Peers) -> None:
        self._pool = pool
        self.made: list[raycache.Cache] = []

    def __call__(self, **options: Any) -> raycache.Cache:
        cache = raycache.connect(f"test-{uuid.uuid4().hex[:8]}", **({"capacity": "512 MiB", "max_loads": 2} | options))
        self.made.append(cache)
        return cache

    def end(self) -> None:
        with ExitStack() as ends:  # all of them, whatever fails
            for cache in self.made:
                if not cache.closed:
                    ends.callback(end, cache)
                    ends.callback(check_books, cache)
                ends.callback(self._pool.let_go, cache.name)


def check_books(cache: raycache.Cache) -> None:
    """Every figure that a cache gives is the sum of what its shards have, when all loads have ended."""
    until(lambda: not any(shard.loads for shard in cache.shards()), "all loads have ended")
    stats, shards = cache.stats(), cache.shards()

    assert stats.bytes == sum(shard.bytes for shard in shards)
    assert stats.entries == sum(shard.entries for shard in shards)
    assert all(shard.bytes <= shard.capacity_bytes for shard in shards)


def end(cache: raycache.Cache) -> None:
    """Destroys a cache; no actor, no process and no folder of it is left."""
    pids = [shard.pid for shard in cache.shards() if shard.reachable]
    cache.destroy()
    nothing_left(cache.name)
    until(lambda: not any(map(alive, pids)), f"the shards' processes {pids} have ended")


def nothing_left(name: str) -> None:
    """Waits until there is nothing of a cache."""
    until(lambda: not left(name), lambda: f"nothing is left of the cache {name}, but there is {left(name)}", 10.0)


def left(name: str) -> list[str]:
    """Actors and folders of a cache."""
    actors = [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]
    folders = glob.glob(f"/dev/shm/raycache-*-{name}-*") + glob.glob(f"/tmp/raycache-*-{name}-*")
    return [actor for actor in actors if actor.startswith(f"{name}.")] + folders
