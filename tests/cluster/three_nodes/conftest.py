"""Three nodes on this machine, each with a process of its own that the tests talk to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from caches import Caches
from cluster_ray import ClusterRay
from peers import Peer, Peers, let_go_of

import raycache


@pytest.fixture(scope="module")
def everywhere(cluster_ray: ClusterRay) -> Iterator[list[Peer]]:
    """One process on each of the three nodes; the first is on the test's own."""
    peers = [Peer(node) for node in cluster_ray.nodes(3)]
    yield peers
    for peer in peers:
        peer.end()


@pytest.fixture
def fourth(cluster_ray: ClusterRay, everywhere: list[Peer]) -> Iterator[Any]:
    """One more node."""
    node = cluster_ray.add()
    yield node
    if node in cluster_ray.others:
        cluster_ray.remove(node)


@pytest.fixture(scope="module")
def cache(request: pytest.FixtureRequest, everywhere: list[Peer], pool: Peers) -> Iterator[raycache.Cache]:
    """The cache of a module's tests, with the module's options and a shard on each node."""
    caches = Caches(pool)
    cache = caches(**getattr(request.module, "CACHE_OPTIONS", {}))
    spread(cache, everywhere)
    yield cache
    end(caches, everywhere)


@pytest.fixture
def make_cache(everywhere: list[Peer], pool: Peers) -> Iterator[Callable[..., raycache.Cache]]:
    """Makes caches for one test, with a shard on the test's own node."""
    caches = Caches(pool)
    yield caches
    end(caches, everywhere)


def spread(cache: raycache.Cache, everywhere: list[Peer]) -> None:
    name = cache.name
    for peer in everywhere:
        peer.do(lambda: raycache.connect(name).name)


def end(caches: Caches, everywhere: list[Peer]) -> None:
    with ExitStack() as ends:  # all of it, whatever fails
        ends.callback(caches.end)
        for cache in caches.made:
            ends.callback(let_go_of, cache.name, everywhere)
