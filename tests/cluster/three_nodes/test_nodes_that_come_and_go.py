"""Nodes join and are lost while gets go on: values stay right, and later changes are seen by all."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_ray import ClusterRay
from peers import Peer, results
from sources import Source
from waiting import insist, until

import raycache
from raycache.core.memory import folders, sweep
from raycache.options import LEASE_S

KEYS = [f"key-{number}" for number in range(30)]
DETECTION_S = 60.0  # what Ray may take to give a node up


class Traffic:
    """Processes that get all keys in turn until they are told to end; every value must be right."""

    def __init__(self, peers: list[Peer], users: raycache.Group, folder: Path) -> None:
        self._over = folder / "traffic-is-over"
        self._peers = peers
        self._calls = [peer.start(self._run, users, os.fspath(self._over), peer.node) for peer in peers]

    @staticmethod
    def _run(users: raycache.Group, over: str, node: str) -> int:
        turns = 0
        while not os.path.exists(over):
            for key in KEYS:
                assert users.get(key) == Source.value(key)
            assert users.get_many(KEYS) == {key: Source.value(key) for key in KEYS}
            turns += 1
            Path(f"{over}-{node}").write_text(str(turns))
        return turns

    def go_on(self) -> None:
        """Returns when every process has made some more turns."""
        before = self._counts()
        until(
            lambda: all(now > then + 2 for now, then in zip(self._counts(), before, strict=True)),
            lambda: f"gets go on: {before}, {self._counts()}",
            DETECTION_S,
        )

    def _counts(self) -> list[int]:
        files = [Path(f"{self._over}-{peer.node}") for peer in self._peers]
        return [int(file.read_text() or 0) if file.exists() else 0 for file in files]

    def end(self) -> list[int]:
        self._over.touch()
        return results(self._calls)


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
    traffic = Traffic(everywhere, users, tmp_path)
    traffic.go_on()
    newcomer = Peer(fourth.node_id)
    got = newcomer.do(users.get_many, KEYS)
    shards = newcomer.do(lambda: len(raycache.connect(_name(users)).shards()))
    traffic.go_on()
    turns = traffic.end()
    clients = [*everywhere, newcomer]
    seen = []
    for number, changer in enumerate(clients):
        changer.do(users.set_many, dict.fromkeys(KEYS, number))
        seen.append([set(client.do(users.get_many, KEYS).values()) for client in clients])
    entries = {shard.node: shard.entries for shard in raycache.connect(_name(users)).shards()}
    newcomer.end()

    assert got == {key: Source.value(key) for key in KEYS}
    assert shards == 4
    assert all(count > 0 for count in turns)
    assert seen == [[{number}] * 4 for number in range(4)]
    assert 0 < entries[fourth.node_id] < sum(entries.values()) == len(KEYS)
    users.clear()


def test_a_node_is_lost_while_gets_go_on(
    users: raycache.Group, everywhere: list[Peer], fourth: Any, cluster_ray: ClusterRay, tmp_path: Path
) -> None:
    """Nobody gets an exception or a wrong value; changes succeed again when the lost shard has been given up."""
    lost = Peer(fourth.node_id)
    lost.do(users.get_many, KEYS)
    traffic = Traffic(everywhere, users, tmp_path)
    traffic.go_on()
    cluster_ray.remove(fourth, crash=True)
    traffic.go_on()
    turns = traffic.end()
    insist(lambda: users.set_many(dict.fromkeys(KEYS, "new")))
    seen = [set(peer.do(users.get_many, KEYS).values()) for peer in everywhere]
    began = time.monotonic()
    users.remove_many(KEYS)
    seconds = time.monotonic() - began
    cache = raycache.connect(_name(users))

    assert all(count > 0 for count in turns)
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
