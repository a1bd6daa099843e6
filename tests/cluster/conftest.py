"""Tests on a real Ray: one for the whole run, and caches whose books are checked and which leave nothing behind."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from caches import Caches, check_books
from cluster_ray import ClusterRay
from commands import Command
from peers import Peer, Peers
from sources import Source
from waiting import until

import raycache


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of three nodes come last, in whatever order: adding nodes and removing them takes seconds."""
    items.sort(key=lambda item: "three_nodes" in item.path.parts)


@pytest.fixture(scope="session")
def cluster_ray() -> Iterator[ClusterRay]:
    """The Ray of the run."""
    running = ClusterRay()
    yield running
    running.end()


@pytest.fixture(scope="session")
def pool(cluster_ray: ClusterRay) -> Iterator[Peers]:
    """Peers that live as long as the run."""
    running = Peers()
    yield running
    running.end()


@pytest.fixture
def peers(pool: Peers, cache: raycache.Cache) -> Peers:
    """`peers(3)`: other processes on this node. What they have of the module's cache they keep between tests."""
    return pool


@pytest.fixture
def mortal(cluster_ray: ClusterRay) -> Iterator[Callable[[], Peer]]:
    """Makes peers for one test, which may kill them."""
    made: list[Peer] = []

    def make() -> Peer:
        made.append(Peer())
        return made[-1]

    yield make
    for peer in made:
        peer.end()


@pytest.fixture
def make_cache(cluster_ray: ClusterRay, pool: Peers) -> Iterator[Callable[..., raycache.Cache]]:
    """Makes caches on one node for one test."""
    cluster_ray.nodes(1)
    caches = Caches(pool)
    yield caches
    caches.end()


@pytest.fixture(scope="module")
def cache(cluster_ray: ClusterRay, pool: Peers) -> Iterator[raycache.Cache]:
    """The cache of a module's tests, on one node; each test has groups of its own in it."""
    cluster_ray.nodes(1)
    caches = Caches(pool)
    yield caches()
    caches.end()


@pytest.fixture
def command() -> Iterator[Command]:
    """The command `raycache`; when it has ended, so have all processes that it began."""
    command = Command()
    yield command

    until(lambda: not command.processes(), lambda: f"no process is left of it, but {command.processes()}", 5.0)


_numbers = itertools.count()


@pytest.fixture
def register(cache: raycache.Cache) -> Iterator[Callable[..., raycache.Group]]:
    """Makes groups of the module's cache; the books of the cache are right when the test is over."""

    def make(getter: Any = None, **options: Any) -> raycache.Group:
        return cache.group(f"group-{next(_numbers)}", getter, **({"capacity": "4 MiB"} | options))

    yield make
    check_books(cache)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    made = Source(tmp_path / "source")
    yield made
    made.end()


@pytest.fixture
def users(register: Callable[..., raycache.Group], source: Source) -> raycache.Group:
    """A group that has its values from the source."""
    return register(source)
