"""Shared memory of shards that have left is given back, though clients and the node live on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import ray
from killing import serving
from peers import Peers
from processes import alive
from sources import Source
from waiting import until

import raycache
from raycache.cluster.peers import NAMESPACE, shard_name


@pytest.fixture
def cache(make_cache: Callable[..., raycache.Cache]) -> raycache.Cache:
    return make_cache()


KEYS = [f"key-{number}" for number in range(100)]


def mapped(folder: str) -> bool:
    """Whether this process has any file of the folder in memory, which a file that is removed stays in until then."""
    return folder in Path("/proc/self/maps").read_text()


def let_go(name: str, folder: str) -> bool:
    """Whether a process that uses the cache has let go of a folder, once it has heard which shards there are."""
    cache = raycache.connect(name)
    cache.group("users").get_many(KEYS)
    cache.shards()
    return not mapped(folder)


def test_clients_let_go_of_the_memory_of_a_shard_that_has_left(
    cache: raycache.Cache, source: Source, pool: Peers
) -> None:
    cache.group("users", source, near=0)
    (peer,) = pool(1)
    cache.scale(shards_per_node=2)
    until(lambda: len(cache.shards()) == 2, "there are two shards")
    name, folder = cache.name, cache.shards()[1].folder
    until(lambda: not let_go(name, folder) and not peer.do(let_go, name, folder), "both processes read there")
    cache.scale(shards_per_node=1)
    until(lambda: let_go(name, folder) and peer.do(let_go, name, folder), "both have let go of it")

    assert mapped(cache.shards()[0].folder)
    assert not Path(folder).exists()


def test_the_folder_of_a_shard_that_was_killed_for_good_goes_when_the_shard_is_started_again(
    cache: raycache.Cache,
) -> None:
    (before,) = cache.shards()
    ray.kill(ray.get_actor(shard_name(cache.name, before.id), NAMESPACE))
    until(lambda: not alive(before.pid), "the shard is dead")
    cache.spread()
    after = until(lambda: serving(cache), "it serves")

    assert (after.id, after.pid != before.pid, after.folder != before.folder) == (before.id, True, True)
    assert (Path(before.folder).exists(), Path(after.folder).exists()) == (False, True)
