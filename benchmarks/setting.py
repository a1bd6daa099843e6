"""What cases run in: a Ray of its own with a cache, and the peers' servers; each started when first asked for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from typing import Any, TypeVar

import raycache
from benchmarks.harness import Measurement, NotRun
from benchmarks.peers import groupcache_nodes, servers, stores

#: Room for the groups of all cases together, most of 64 MiB; the large arrays take 512.
CAPACITY = "1280 MiB"
#: Of a memoized function: without one of their own, all of them would have half of the cache.
MEMO_CAPACITY = "16 MiB"
#: Ray's object store: room for the arrays of 100 MB.
STORE_BYTES = 1 << 30

T = TypeVar("T")


class Setting:
    """A context manager; ends whatever it has started."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self._ends = ExitStack()

    def __enter__(self) -> Setting:
        return self

    def __exit__(self, *error: Any) -> None:
        self._ends.__exit__(*error)

    def rounds(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    # ------------------------------------------------------------------------------------------ raycache

    @cached_property
    def ray_address(self) -> str:
        """Of a Ray of this run alone."""
        import ray

        from raycache.cluster import local

        local.start_node(STORE_BYTES)
        self._ends.callback(ray.shutdown)
        address: str = ray.get_runtime_context().gcs_address
        return address

    @cached_property
    def cache(self) -> raycache.Cache:
        """The cache of most cases, of one shard."""
        return self._ends.enter_context(self.a_cache("bench", capacity=CAPACITY))

    @contextlib.contextmanager
    def a_cache(self, name: str, **options: Any) -> Iterator[raycache.Cache]:
        """Another one, that ends with the context."""
        assert self.ray_address
        with raycache.connect(f"{name}-{os.getpid()}", **options) as cache:
            yield cache

    @contextlib.contextmanager
    def second_node(self) -> Iterator[str]:
        """Ray's id of another node on this machine, that ends with the context."""
        from raycache.cluster import local

        assert self.ray_address
        cluster = local.more_nodes()
        node = cluster.add_node(num_cpus=2, object_store_memory=STORE_BYTES // 8)
        try:
            yield node.node_id
        finally:
            cluster.remove_node(node)

    # --------------------------------------------------------------------------------------------- peers

    def redis(self) -> stores.Redis:
        """Raises NotRun, as the following do."""
        return stores.Redis(self._there(self._redis))

    def memcached(self) -> stores.Memcached:
        return stores.Memcached(self._there(self._memcached))

    def groupcache(self) -> groupcache_nodes.Nodes:
        return self._there(self._groupcache)

    def actor(self) -> stores.Actor:
        assert self.ray_address
        return stores.Actor(self._actor)

    @cached_property
    def _redis(self) -> int | NotRun:
        return self._started(servers.redis())

    @cached_property
    def _memcached(self) -> int | NotRun:
        return self._started(servers.memcached())

    @cached_property
    def _groupcache(self) -> groupcache_nodes.Nodes | NotRun:
        return self._started(groupcache_nodes.nodes())

    @cached_property
    def _actor(self) -> Any:
        import ray

        actor = ray.remote(num_cpus=0)(stores.Dict).options(name="bench-dict").remote()
        ray.get(actor.get.remote("ready"))
        return actor

    def _started(self, server: AbstractContextManager[T]) -> T | NotRun:
        """A server, or why there is none: it is tried once."""
        try:
            return self._ends.enter_context(server)
        except NotRun as error:
            return error

    @staticmethod
    def _there(started: T | NotRun) -> T:
        if isinstance(started, NotRun):
            raise started
        return started

    def filled(
        self, done: Measurement, values: Mapping[str, Any], contender: Callable[[str], str] = str
    ) -> dict[str, stores.Address]:
        """The peers that processes share, with these values from now on, by what they are called as contenders; of
        those that are not there `done` says why."""
        found: dict[str, stores.Address] = {}
        peers: dict[str, Callable[[], stores.Address]]
        peers = {REDIS: self.redis, MEMCACHED: self.memcached, ACTOR: self.actor}
        for name, find in peers.items():
            found |= done.if_there(contender(name), find)
        for address in found.values():
            address.open().set_many(values)
        return found


REDIS, MEMCACHED, ACTOR = "Redis", "memcached", "Ray actor with a dict"
