"""Shards come, go, and get other shares of a warm cache: entries move, no getter runs again, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import ray
from peers import Peer
from ray._raylet import GcsClient
from ray.core.generated.autoscaler_pb2 import DrainNodeReason
from sources import Source
from waiting import until

import raycache
from raycache.core.client import SILENCE_S

KEYS = [f"key-{number}" for number in range(500)]
PATIENCE_S = 60.0


@pytest.fixture
def cache(make_cache: Callable[..., raycache.Cache]) -> raycache.Cache:
    """With one shard, on the tests' own node."""
    return make_cache()


@pytest.fixture
def users(cache: raycache.Cache, source: Source) -> raycache.Group:
    """A group that is warm, and which this process keeps nothing of."""
    group = cache.group("users", source, near=0)
    group.get_many(KEYS)
    return group


def settled(cache: raycache.Cache) -> bool:
    """Whether all shards know the newest ring, and hand nothing over any more."""
    shards, epoch = cache.shards(), cache._members.ring.epoch
    return all(shard.reachable and not shard.handing and shard.epoch == epoch for shard in shards)


def at_their_owners(cache: raycache.Cache, users: raycache.Group, keys: list[str] = KEYS) -> None:
    until(lambda: settled(cache), lambda: f"entries are where they belong: {cache.shards()}", PATIENCE_S)

    assert sorted(users.keys()) == sorted(keys), cache.shards()
    assert len(users) == len(keys)


def test_a_cache_that_grows_to_three_nodes_loads_nothing_again(
    cache: raycache.Cache, users: raycache.Group, source: Source
) -> None:
    """Also for gets right after the ring has changed, when entries are still on their way."""
    cache.spread()
    right_away = users.get_many(KEYS)
    at_their_owners(cache, users)

    assert right_away == users.get_many(KEYS) == {key: Source.value(key) for key in KEYS}
    assert source.runs.total() == len(KEYS)
    assert all(shard.entries for shard in cache.shards())


def test_more_shards_per_node_and_fewer_again_load_nothing_again(
    cache: raycache.Cache, users: raycache.Group, source: Source
) -> None:
    cache.spread()
    cache.scale(shards_per_node=2)
    until(lambda: len(cache.shards()) == 6, "there are two shards on each node", PATIENCE_S)
    at_their_owners(cache, users)
    cache.scale(shards_per_node=1)
    until(lambda: len(cache.shards()) == 3, "there is one shard on each node", PATIENCE_S)
    at_their_owners(cache, users)

    assert users.get_many(KEYS) == {key: Source.value(key) for key in KEYS}
    assert (source.runs.total(), users.stats().loads) == (len(KEYS), len(KEYS))


def test_a_drained_node_hands_over_what_it_has_and_gets_no_shard_again(
    cache: raycache.Cache, users: raycache.Group, source: Source, everywhere: list[Peer]
) -> None:
    """Large values, too: they lie in the memory of other shards then. A process on that node goes on."""
    arrays = cache.group("arrays", lambda key: np.full(200_000, float(key)), near=0)
    cache.spread()
    for key in range(6):
        arrays.get(key)
    left = cache.drain(everywhere[1].node)
    name = cache.name
    there = everywhere[1].do(lambda: raycache.connect(name).group("users").get(KEYS[0]))
    at_their_owners(cache, users)

    assert left == [f"{everywhere[1].node[:12]}.0"]
    assert everywhere[1].node not in {shard.node for shard in cache.shards()}
    assert there == Source.value(KEYS[0])
    assert users.get_many(KEYS) == {key: Source.value(key) for key in KEYS}
    assert [arrays.get(key)[0] for key in range(6)] == [float(key) for key in range(6)]
    assert (source.runs.total(), arrays.stats().loads, users.stats().loads) == (len(KEYS), 6, len(KEYS))


def test_a_client_goes_on_with_the_new_shard_of_a_node_that_was_drained(
    cache: raycache.Cache, users: raycache.Group, everywhere: list[Peer]
) -> None:
    """It has the old one's id, and the client knows the old one's actor: nobody waits for that, or fences for it."""
    cache.spread()
    at_their_owners(cache, users)
    cache.drain(everywhere[1].node)
    there = next(shard.id for shard in cache.spread() if shard.node == everywhere[1].node)
    lives = cache._members.ring.lives
    began = time.monotonic()
    users.set_many(dict.fromkeys(KEYS, "new"))
    users.remove(KEYS[0])
    kept = users.get_many(KEYS[1:])
    took_s = time.monotonic() - began

    assert kept == dict.fromkeys(KEYS[1:], "new")
    assert took_s < SILENCE_S
    assert not cache._members.suspected(there)
    at_their_owners(cache, users, KEYS[1:])
    assert cache._members.ring.lives == lives
    assert next(shard.entries for shard in cache.shards() if shard.id == there)


def test_a_node_that_ray_drains_hands_over_what_it_has(
    cache: raycache.Cache, users: raycache.Group, source: Source, fourth: Any
) -> None:
    """As before a spot instance goes: Ray tells when, and the shard does not wait for it."""
    cache.spread()
    at_their_owners(cache, users)
    gcs = GcsClient(address=ray.get_runtime_context().gcs_address)
    deadline_ms = int((time.time() + 60) * 1000)
    accepted, why = gcs.drain_node(
        fourth.node_id, DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION"), "the test takes it away", deadline_ms
    )
    assert accepted, why
    until(lambda: fourth.node_id not in {shard.node for shard in cache.shards()}, "its shard has left", PATIENCE_S)
    at_their_owners(cache, users)

    assert users.get_many(KEYS) == {key: Source.value(key) for key in KEYS}
    assert source.runs.total() == len(KEYS)


def test_a_shard_of_less_weight_has_fewer_keys_and_nothing_is_loaded_again(
    cache: raycache.Cache, users: raycache.Group, source: Source, everywhere: list[Peer]
) -> None:
    cache.spread()
    at_their_owners(cache, users)
    cache.scale(weights={everywhere[2].node: 0.25})
    at_their_owners(cache, users)
    by_node = {shard.node: shard.entries for shard in cache.shards()}

    assert 0 < by_node[everywhere[2].node] < 0.5 * by_node[everywhere[1].node]
    assert users.get_many(KEYS) == {key: Source.value(key) for key in KEYS}
    assert source.runs.total() == len(KEYS)


def test_what_is_removed_while_entries_move_does_not_come_back(
    cache: raycache.Cache, users: raycache.Group, source: Source, everywhere: list[Peer]
) -> None:
    """Each key is removed once, all the while the ring changes."""
    name = cache.name
    for number, key in enumerate(KEYS):
        if number == 100:
            for peer in everywhere[1:]:
                peer.start(lambda: raycache.connect(name).name)
        source.version = str(number)
        users.remove(key)
        assert users.get(key) == Source.value(key, str(number))
    at_their_owners(cache, users)

    assert users.get_many(KEYS) == {key: Source.value(key, str(number)) for number, key in enumerate(KEYS)}


@pytest.mark.parametrize("node", ["", "nobody", "10.0.0.99"])
def test_a_node_without_a_shard_cannot_be_drained(node: str, cache: raycache.Cache) -> None:
    """The message lists the shards that there are."""
    with pytest.raises(raycache.errors.InvalidOption, match=cache.shards()[0].id):
        cache.drain(node)


def test_a_cache_for_workers_keeps_nothing_on_the_head(
    make_cache: Callable[..., raycache.Cache], source: Source, everywhere: list[Peer]
) -> None:
    """The head's shard is there for the near caches of its processes."""
    cache = make_cache(placement="workers")
    users = cache.group("users", source)
    cache.spread()
    users.get_many(KEYS)
    users.get_many(KEYS)
    by_node = {shard.node: (shard.weight, shard.entries) for shard in cache.shards()}

    assert by_node[everywhere[0].node] == (0.0, 0)
    assert all(by_node[peer.node][1] > 0 for peer in everywhere[1:])
    assert (source.runs.total(), users.stats().near_hits) == (len(KEYS), len(KEYS))


def test_a_cache_for_labelled_nodes_has_no_shard_on_others(
    make_cache: Callable[..., raycache.Cache], source: Source, everywhere: list[Peer]
) -> None:
    """Where there is none, not even the head's, gets are answered by the process itself."""
    labels = next(node["Labels"] for node in ray.nodes() if node["NodeID"] == everywhere[1].node)
    cache = make_cache(placement={"ray.io/node-id": labels["ray.io/node-id"]})
    cache.group("users", source)
    cache.spread()
    name = cache.name
    values = [peer.do(lambda: raycache.connect(name).group("users").get("alice")) for peer in everywhere]

    assert values == [Source.value("alice")] * 3
    assert source.runs.total() == 1
    assert {shard.node: shard.weight for shard in cache.shards()} == {everywhere[0].node: 0.0, everywhere[1].node: 1.0}
