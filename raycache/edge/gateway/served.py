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
from raycache.errors import GroupConflict, InvalidOption, LoadTimeout, NotFound, UnknownGroup
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
        self._open = Shared(cache.registry.open_all)
        self._stats = Shared(cache.stats_by_group)
        self._shards = Shared(self._ask_shards)
        self._seen: tuple[float, list[ShardInfo] | None] = -math.inf, None  # when shards were last asked, and what came

    # ------------------------------------------------------------------------------------------------ groups

    def names(self) -> list[str]:
        """Of the groups that are known now, sorted."""
        return sorted(self._groups)

    async def group(self, name: str, within_s: float | None = None) -> Group:
        """A group that is served; raises UnknownGroup, and LoadTimeout if the directory does not tell it in time."""
        if name not in self._groups:
            await self.look(within_s)
        if name not in self._groups:
            raise UnknownGroup(f"no such group: {name}")
        return self._groups[name]

    async def look(self, within_s: float | None = None) -> None:
        """Asks the directory which groups there are; those who want to know at the same time ask once."""
        if not self._fixed:
            self._groups = await _in_time(self._open.answer(), within_s, "which groups there are")

    async def _with(self, name: str, use: Callable[[Group], Awaitable[T]], within_s: float | None = None) -> T:
        """Does something with a group; once more if it was replaced since it was looked up."""
        try:
            return await use(await self.group(name, within_s))
        except GroupConflict:
            if self._fixed:
                raise
        await self.look(within_s)
        return await use(await self.group(name))

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
        async def look_up(group: Group) -> tuple[Lookup, Reader]:
            look = Lookup(group.reader, keys, traced=True)
            if not look.done:
                await group.adrive(look.ask(timeout_s))
            return look, group.reader

        return await self._with(name, look_up, timeout_s)

    # ---------------------------------------------------------------------------------------------- changes

    async def set(self, group: str, key: Key, value: Any, *, ttl_s: float | None = None) -> None:
        """As `Group.set`."""
        await self._with(group, lambda group: group.aset(key, value, ttl=ttl_s))

    async def remove(self, group: str, keys: Collection[Key]) -> int:
        """Removes keys everywhere; how many were there."""
        return await self._with(group, lambda group: group.aremove_many(keys))

    # -------------------------------------------------------------------------------------------- questions

    async def stats(self, within_s: float | None = None) -> dict[str, Stats]:
        """Counters of the groups that are served, by name."""
        stats = await _in_time(self._stats.answer(), within_s, "what its groups have counted")
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


async def _in_time(answer: Awaitable[T], within_s: float | None, what: str) -> T:
    """An answer of the cluster; raises LoadTimeout, as a get does whose time is over."""
    try:
        return await asyncio.wait_for(answer, within_s)
    except asyncio.TimeoutError:
        raise LoadTimeout(f"the cluster did not say within {within_s:g} s {what}") from None


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
