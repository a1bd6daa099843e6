"""`connect` and `join`: the composition root, which gives a cache its backend, and finds it for who unpickles it."""

from __future__ import annotations

import os
import re
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from raycache.cache import Cache
from raycache.core.codec import Codec
from raycache.core.memory import usual_capacity
from raycache.core.messages import GroupSpec
from raycache.errors import CacheUnavailable, InvalidOption
from raycache.group import Group
from raycache.options import HOT, LEASE_S, CacheOptions, Duration, Placement, Size, parse_seconds, parse_size

#: Inline caches of this process, by a number that says which one was pickled.
_inline: weakref.WeakValueDictionary[int, Cache] = weakref.WeakValueDictionary()
#: Caches that this process has joined: shared memory may be opened only once in a process.
_joined: dict[tuple[str, str, str], Cache] = {}
_joining = threading.RLock()


def connect(
    name: str = "default",
    *,
    address: str | None = None,
    capacity: Size | None = None,
    shards_per_node: int | None = None,
    max_loads: int | None = None,
    lease: Duration | None = None,
    placement: Placement | None = None,
    page_server: bool | None = None,
    hot: float | None = None,
    clock: Callable[[], float] | None = None,
) -> Cache:
    """Joins the cache of this name in the Ray cluster, or makes it.

    Args:
        name: there may be several caches in one cluster.
        address: of the Ray to join, as "host:port" or "auto". Without it the Ray that this process is in, else
            RAY_ADDRESS, else a local one is started, which ends with this process. "inline": a cache of its own in
            this process, without Ray.
        capacity: bytes per shard, all groups together, like "2 GiB"; by default 1/8 of the node's shared memory.
        shards_per_node: how many shards a node has; 1 by default.
        max_loads: loader tasks that a shard has running at once; by default two per core of its node, 4 to 64.
        lease: how long a shard serves after it was last in touch with the directory, 3 seconds by default; so long a
            removal may have to wait for a shard that hangs. Renewed three times as often.
        placement: the nodes whose shards keep entries: "all", "workers" (all but the head), or labels of nodes, like
            {"cache": "yes"}. The head always has a shard, one that keeps nothing if need be, so that processes there
            have near caches; on other nodes that are not among them processes ask the shards for everything.
        page_server: whether shards listen on a port of their node for gets from other nodes (True by default); who
            connects there must have a secret that shards give by actor call alone. Without it such gets are actor
            calls, which take ten times as long.
        hot: the share of a shard's capacity, from 0 to 1, that copies may take of what other nodes' shards have and its
            own node's processes keep asking for; 1/8 by default. They give way to entries; with 0 there are none.
        clock: of an inline cache alone: what tells it the seconds, for tests of expiry.

    All but the first two and the last count for whoever makes the cache; who joins it later takes it as it is.

    Raises:
        CacheUnavailable: no Ray at the address, or the cache does not come up.
        VersionMismatch: the cache was started by another version of raycache.
        InvalidOption: an option that cannot be understood.
    """
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]{1,64}", name):
        raise InvalidOption(f"name={name!r}: a cache's name has 1 to 64 letters, digits, '_', '-' and '.'")

    def options() -> CacheOptions:
        return CacheOptions(
            capacity_bytes=usual_capacity() if capacity is None else parse_size(capacity, "capacity"),
            shards_per_node=1 if shards_per_node is None else shards_per_node,
            max_loads=max_loads,
            lease_s=LEASE_S if lease is None else parse_seconds(lease, "lease"),
            placement="all" if placement is None else placement,
            page_server=True if page_server is None else page_server,
            hot=HOT if hot is None else hot,
        )

    if address == "inline":
        from raycache.inline import InlineNetwork  # it has all of a shard, which others need not import

        clock = clock or time.monotonic
        network = InlineNetwork(name, options(), Codec(), clock)
        cache = Cache(name, network, Codec(), clock, InThisProcess(name), made=True)
        _inline[id(cache)] = cache
        return cache
    if clock is not None:
        raise InvalidOption("clock= is for address='inline' alone; processes of a cluster share the machine's clock")
    return _on_ray(name, address, options())


def _on_ray(name: str, address: str | None, options: CacheOptions | None) -> Cache:
    """The cache in a Ray cluster. Without options Ray and the cache must be up, and no shard is started for this."""
    import ray

    from raycache.cluster import deploy, loader, session
    from raycache.cluster.router import RayNetwork

    with _joining:
        started = session.join(address, start=options is not None)
        context = ray.get_runtime_context()
        key = (context.gcs_address, context.get_job_id(), name)
        if (cache := _joined.get(key)) is not None and cache.is_up():
            return cache
        directory, made = deploy.directory(name, options)
        network = RayNetwork(name, directory, hosts=options is not None, ends_ray=started)
        network.ensure()
        cache = Cache(name, network, loader.codec(), time.monotonic, ByName(name), made=made)
        _joined[key] = cache
        return cache


def join(name: str = "default", *, address: str | None = None) -> Cache:
    """Joins a cache that is up, in a Ray that is running, to look at it: starts no Ray, no cache and no shard.

    Raises CacheUnavailable where there is none.
    """
    return _on_ray(name, address, None)


class ByName:
    """How a cache in a cluster, and its groups, are pickled."""

    def __init__(self, name: str) -> None:
        self._name = name

    def cache(self, cache: Cache) -> tuple[Any, ...]:
        return connect, (self._name,)

    def group(self, spec: GroupSpec) -> tuple[Any, ...]:
        return _reopen, (self._name, spec)


class InThisProcess:
    """The same of an inline cache, which is only where it was made."""

    def __init__(self, name: str) -> None:
        self._name = name

    def cache(self, cache: Cache) -> tuple[Any, ...]:
        return _inline_again, (self._name, os.getpid(), id(cache))

    def group(self, spec: GroupSpec) -> tuple[Any, ...]:
        raise TypeError(
            f"the group {spec.name!r} is of an inline cache, which other processes cannot reach; connect to a Ray "
            f"instead of address='inline' to use it there"
        )


def _reopen(cache: str, spec: GroupSpec) -> Group:
    """A group that was pickled, in the process where it is unpickled."""
    return connect(cache).registry.register(spec)


def _inline_again(name: str, process: int, number: int) -> Cache:
    """An inline cache that was pickled, in the process that made it."""
    if process != os.getpid() or number not in _inline:
        raise CacheUnavailable(
            f"the inline cache {name!r} belongs to the process that made it; connect to a Ray instead of "
            f"address='inline' to use it elsewhere"
        )
    return _inline[number]
