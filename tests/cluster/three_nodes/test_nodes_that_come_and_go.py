"""Nodes join and are lost while gets go on: values stay right, and later changes are seen by all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_ray import ClusterRay
from peers import Peer
from sources import Source
from traffic import Traffic
from waiting import insist, until

import raycache
from raycache.core.memory import folders, sweep
from raycache.options import LEASE_S

KEYS = [f"key-{number}" for number in range(30)]


@pytest.fixture
def cache(fourth: Any, make_cache: Callable[..., raycache.Cache], cluster_ray: ClusterRay) -> Iterator[raycache.Cache]:
    """It ends before the fourth node does."""
    yield make_cache()
    # What the shard of a lost node had would have gone with the machine; here whoever connects next sweeps it.
    until(lambda: fourth in cluster_ray.others or _swept(fourth.node_id), "the lost node's pages are swept")


def _swept(node: str) -> bool:
    sweep()
    return not any(node[:12] in folder.name for folder in folders())


@pytest.fixture
def users(cache: raycache.Cache, everywhere: list[Peer], source: Source) -> raycache.Group:
    """A group of a cache with a shard on each of three nodes."""
    group = cache.group("users", source)
    for peer in everywhere:
        peer.do(group.get_many, KEYS)
    return group


def test_a_node_joins_while_gets_go_on(
    users: raycache.Group, everywhere: list[Peer], fourth: Any, tmp_path: Path
) -> None:
    """It takes its share of the keys, and its changes are seen by all, as are those of others there."""
    with Traffic(everywhere, users, KEYS, tmp_path) as traffic:
        traffic.go_on()
        newcomer = Peer(fourth.node_id)
        got = newcomer.do(users.get_many, KEYS)
        shards = newcomer.do(lambda: len(raycache.connect(_name(users)).shards()))
        traffic.go_on()
    clients = [*everywhere, newcomer]
    seen = []
    for number, changer in enumerate(clients):
        changer.do(users.set_many, dict.fromkeys(KEYS, number))
        seen.append([set(client.do(users.get_many, KEYS).values()) for client in clients])
    entries = {shard.node: shard.entries for shard in raycache.connect(_name(users)).shards()}
    newcomer.end()

    assert got == {key: Source.value(key) for key in KEYS}
    assert shards == 4
    assert seen == [[{number}] * 4 for number in range(4)]
    assert 0 < entries[fourth.node_id] < sum(entries.values()) == len(KEYS)
    users.clear()


def test_a_node_is_lost_while_gets_go_on(
    users: raycache.Group, everywhere: list[Peer], fourth: Any, cluster_ray: ClusterRay, tmp_path: Path
) -> None:
    """Nobody gets an exception or a wrong value; changes succeed again when the lost shard has been given up."""
    lost = Peer(fourth.node_id)
    lost.do(users.get_many, KEYS)
    with Traffic(everywhere, users, KEYS, tmp_path) as traffic:
        traffic.go_on()
        cluster_ray.remove(fourth, crash=True)
        traffic.go_on()
    insist(lambda: users.set_many(dict.fromkeys(KEYS, "new")))
    seen = [set(peer.do(users.get_many, KEYS).values()) for peer in everywhere]
    began = time.monotonic()
    users.remove_many(KEYS)
    seconds = time.monotonic() - began
    cache = raycache.connect(_name(users))

    assert seen == [{"new"}] * 3
    assert seconds < LEASE_S
    assert {shard.node for shard in cache.shards()} == {peer.node for peer in everywhere}
    assert [peer.do(users.get_many, KEYS) for peer in everywhere] == [{key: Source.value(key) for key in KEYS}] * 3


def test_a_lost_node_is_given_up_also_when_nobody_changes_anything(
    cache: raycache.Cache, users: raycache.Group, everywhere: list[Peer], fourth: Any, cluster_ray: ClusterRay
) -> None:
    """Who only gets and looks at the cache is told what is there, after some time."""
    lost = Peer(fourth.node_id)
    lost.do(users.get_many, KEYS)
    cluster_ray.remove(fourth)
    users.get_many(KEYS)
    entries = insist(lambda: users.stats().entries)
    listed = insist(lambda: list(users.keys()))

    assert entries == len(listed)
    assert {shard.node for shard in cache.shards()} == {peer.node for peer in everywhere}


def _name(users: raycache.Group) -> str:
    """The cache of a group."""
    name: str = users.__reduce__()[1][0]
    return name
