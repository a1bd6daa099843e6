"""What a gateway serves: the groups of a cache, as every protocol asks for them, all in one event loop.

Near and page hits are answered in the loop itself, without a thread. The directory (which groups there are, and their
counters) is asked in a thread, and never by a get of a group that is known.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from raycache.cache import Cache
from raycache.core.keys import Key
from raycache.core.lookup import Lookup, Reader
from raycache.core.messages import ShardInfo
from raycache.core.stats import Stats
from raycache.edge.gateway.shared import Shared
from raycache.errors import CacheUnavailable, GroupConflict, InvalidOption, NotFound, UnknownGroup
from raycache.group import Group

#: What stands for a group in `groups=`: its getter, or the options of `Cache.group`.
Definition = Callable[[Any], Any] | Mapping[str, Any] | None
T = TypeVar("T")

#: How long probes wait for shards that have answered not long ago, and how long ago that is at most.
PATIENCE_S, HELD_S = 0.5, 15.0
_ABSENT: Any = object()
#: Tiers by the counters of `Stats`. Everything else takes a load.
_TIERS = {"near_hits": "near", "page_hits": "page", "shard_hits": "shard"}


@dataclass(frozen=True, slots=True)
class Hit:
    """A value, and where the get was answered."""

    value: Any
    tier: str  # "near", "page", "shard" or "load"
    expires: float | None  # Unix seconds; None: never


class Served:
    """The groups of a cache for gateways. Every coroutine belongs to one event loop."""

    def __init__(self, cache: Cache, groups: Mapping[str, Definition] | None = None) -> None:
        """Registers `groups`, getters or keyword options of `Cache.group` by name, and serves these alone.

        Without it whatever groups the cache has are served, looked up when they are asked for.
        """
        self.cache = cache
        self._fixed = groups is not None
        self._groups = {name: _registered(cache, name, given) for name, given in (groups or {}).items()}
        self._open = Shared(self._open_all)
        self._stats = Shared(cache.stats_by_group)
        self._shards = Shared(self._ask_shards)
        self._seen: tuple[float, list[ShardInfo] | None] = -math.inf, None  # when shards were last asked, and what came

    # ------------------------------------------------------------------------------------------------ groups

    def names(self) -> list[str]:
        """Of the groups that are known now, sorted."""
        return sorted(self._groups)

    async def known(self, name: str, timeout_s: float | None = None) -> float | None:
        """Sees to it that a group is known, if it is served; what is left of the time.

        Raises UnknownGroup, and CacheUnavailable if the directory does not say it in time.
        """
        if name in self._groups:
            return timeout_s
        began = time.monotonic()
        await self.look(timeout_s)
        self._group(name)
        return _left_s(timeout_s, began)

    def _group(self, name: str) -> Group:
        if name not in self._groups:
            raise UnknownGroup(f"no such group: {name}")
        return self._groups[name]

    async def look(self, timeout_s: float | None = None) -> None:
        """Asks the directory which groups there are; those who want to know at the same time ask once."""
        if not self._fixed:
            await _in_time(self._open.answer(), timeout_s, "which groups there are")

    def _open_all(self) -> None:
        """What comes too late for whoever asked is there for the next."""
        self._groups = self.cache.registry.open_all()

    async def _with(
        self, name: str, use: Callable[[Group, float | None], Awaitable[T]], timeout_s: float | None = None
    ) -> T:
        """Does something with a group in the time that is left; once more if it was replaced since it was looked up."""
        began = time.monotonic()
        left_s = await self.known(name, timeout_s)
        try:
            return await use(self._group(name), left_s)
        except GroupConflict:
            if self._fixed:
                raise
        await self.look(_left_s(timeout_s, began))
        return await use(self._group(name), _left_s(timeout_s, began))

    # ------------------------------------------------------------------------------------------------- gets

    async def get(self, group: str, key: Key, *, timeout_s: float | None = None) -> Hit:
        """The value of a key, loaded if need be; raises what `Group.get` raises, and UnknownGroup."""
        look, reader = await self._look_up(group, (key,), timeout_s)
        value, (full,) = look.value(), look.fulls
        return _hit(look, full, value, reader.clock())

    async def get_many(
        self, group: str, keys: Collection[Key], *, timeout_s: float | None = None
    ) -> dict[Key, Hit | NotFound]:
        """The values of many keys, in the order asked, and NotFound for those that do not exist."""
        look, reader = await self._look_up(group, keys, timeout_s)
        now, hits = reader.clock(), dict[Key, Hit | NotFound]()
        for full, (key, value) in zip(look.fulls, look.values(_ABSENT).items(), strict=True):
            if value is _ABSENT:
                hits[key] = reader.not_found(key, look.got[full])
            else:
                hits[key] = _hit(look, full, value, now)
        return hits

    async def _look_up(self, name: str, keys: Collection[Key], timeout_s: float | None) -> tuple[Lookup, Reader]:
        async def look_up(group: Group, left_s: float | None) -> tuple[Lookup, Reader]:
            look = Lookup(group.reader, keys, traced=True)
            if not look.done:
                await group.adrive(look.ask(left_s))
            return look, group.reader

        return await self._with(name, look_up, timeout_s)

    # ---------------------------------------------------------------------------------------------- changes

    async def set(self, group: str, key: Key, value: Any, *, ttl_s: float | None = None) -> None:
        """As `Group.set`."""
        await self._with(group, lambda group, _: group.aset(key, value, ttl=ttl_s))

    async def remove(self, group: str, keys: Collection[Key]) -> int:
        """Removes keys everywhere; how many were there."""
        return await self._with(group, lambda group, _: group.aremove_many(keys))

    # -------------------------------------------------------------------------------------------- questions

    async def stats(self, timeout_s: float | None = None) -> dict[str, Stats]:
        """Counters of the groups that are served, by name."""
        stats = await _in_time(self._stats.answer(), timeout_s, "what its groups have counted")
        return {name: each for name, each in stats.items() if not self._fixed or name in self._groups}

    async def shards(self) -> list[ShardInfo]:
        """One record for each shard, also for those that do not answer."""
        return await self._shards.answer()

    async def health(self) -> list[ShardInfo]:
        """The same for probes, which give up soon: one shard that hangs holds up the answers of all for ten seconds."""
        answer = asyncio.ensure_future(self.shards())
        at, shards = self._seen
        recent = shards is not None and time.monotonic() - at < HELD_S
        await asyncio.wait([answer], timeout=PATIENCE_S if recent else None)
        if shards is None or answer.done():
            return answer.result()
        answer.cancel()
        return shards

    def _ask_shards(self) -> list[ShardInfo]:
        began, shards = time.monotonic(), None
        try:
            shards = self.cache.shards()
        finally:
            self._seen = began, shards
        return shards


def _left_s(timeout_s: float | None, began: float) -> float | None:
    return None if timeout_s is None else max(timeout_s - (time.monotonic() - began), 0.0)


async def _in_time(answer: Awaitable[T], timeout_s: float | None, what: str) -> T:
    """An answer of the cluster; raises CacheUnavailable if it does not come in time."""
    asking = asyncio.ensure_future(answer)
    try:
        await asyncio.wait([asking], timeout=timeout_s)
        if not asking.done():
            raise CacheUnavailable(f"the cluster did not say within {timeout_s:g} s {what}")
        return asking.result()
    finally:
        asking.cancel()


def _hit(look: Lookup, full: bytes, value: Any, now: float) -> Hit:
    """The value with its tier, and its end by the wall clock in place of the node's clock, which now reads `now`."""
    origin = (look.origins or {})[full]
    left_s = origin.expires - now
    return Hit(value, _TIERS.get(origin.tier, "load"), None if left_s == math.inf else time.time() + left_s)


def _registered(cache: Cache, name: str, given: Definition) -> Group:
    if given is None or callable(given):
        return cache.group(name, given)
    if not isinstance(given, Mapping):
        raise InvalidOption(
            f"groups[{name!r}]={given!r:.100} is neither a getter nor a mapping of options of cache.group, like "
            f"{{'getter': f, 'ttl': '5m'}}"
        )
    return cache.group(name, **given)
