"""`Group`: what users hold. One lookup and one set of operations, each with a face for threads and one for `await`."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from raycache.core import keys as core_keys
from raycache.core import record
from raycache.core.client import Client
from raycache.core.codec import Codec
from raycache.core.keys import Key
from raycache.core.lookup import MISS, RAISE, Lookup, Reader
from raycache.core.messages import PREFIX_BYTES, GroupSpec
from raycache.core.near import STALE, UNSHARED
from raycache.core.stats import Stats
from raycache.core.steps import Steps, Wait, adrive, drive
from raycache.core.store import entry_bytes
from raycache.errors import InvalidOption, ValueTooLarge
from raycache.glance import Glance
from raycache.options import Duration, parse_seconds
from raycache.report import group_panel

T = TypeVar("T")


class Waiter(Protocol):
    """How a process waits for futures, in a thread and in an event loop."""

    def wait(self, want: Wait) -> list[Any]: ...

    def await_(self, want: Wait) -> Awaitable[list[Any]]: ...


class Group:
    """A named group of keys with one getter and its own capacity. From `Cache.group`; may be pickled into tasks.

    Keys are `str`, `bytes`, `int`, `float`, `bool`, or tuples of them; `1`, `1.0`, `True` and `"1"` differ. Every
    method that takes keys raises `InvalidKey` for what is none. A value that is returned is the caller's own: immutable
    values and read-only arrays are shared between callers, others are decoded anew for each.

    Methods that start with `a` are the same for `await`.
    """

    def __init__(
        self,
        spec: GroupSpec,
        client: Client,
        waiter: Waiter,
        codec: Codec,
        clock: Callable[[], float],
        elsewhere: Callable[[GroupSpec], tuple[Any, ...]],
    ) -> None:
        self._spec, self.client, self._waiter, self._codec, self._clock = spec, client, waiter, codec, clock
        self._elsewhere = elsewhere  # how another process gets this group
        self._members = client.members
        self.reader = Reader(spec, client, clock)
        self._near = self.reader.near.entries
        self._reporting = threading.Lock()
        self._glance = Glance(self.stats)

    @property
    def name(self) -> str:
        return self._spec.name

    def redefine(self, spec: GroupSpec) -> None:
        """Its pool, or the capacity of that, has changed."""
        self._spec = self.reader.spec = spec

    def __repr__(self) -> str:
        options = self._spec.options
        getter = f"getter={self._spec.getter_name}" if self._spec.getter is not None else "no getter"
        ttl = f", ttl={options.ttl_s:g}s" if options.ttl_s is not None else ""
        return f"<raycache.Group {self.name!r} {getter} capacity={options.capacity_bytes:,}{ttl}>"

    def _repr_html_(self) -> str:
        return group_panel(self._spec, self._glance.look()).html()

    def __reduce__(self) -> tuple[Any, ...]:
        return self._elsewhere(self._spec)

    # --------------------------------------------------------------------------------------------- gets

    def get(self, key: Key, default: Any = RAISE, timeout: Duration | None = None) -> Any:
        """The value of a key, loaded if need be.

        Args:
            key: see the class.
            default: returned where the key does not exist; without it NotFound is raised.
            timeout: how long to wait, as seconds, a timedelta or "500ms". The load itself goes on for others.

        Raises:
            NotFound: the getter raised it, or the group has no getter and no value.
            LoadTimeout: `timeout` ran out, or the group's `load_timeout`.
            LoaderDied: the process that ran the getter died.
            Exception: whatever else the getter raised, with its traceback as a note.
        """
        # The fast path of the whole cache, written out: a hit of a str key makes two calls, both in C.
        try:
            entry = self._near.get(key)
        except TypeError:  # unhashable, and refused below
            entry = None
        if entry is not None and (value := entry.hit(self._clock)) is not STALE:
            if value is not UNSHARED:
                return value
            return self.reader.meant(key, self.reader.decoded(entry.result), default)
        got = self.reader.here(key)
        if got is not MISS:
            return self.reader.meant(key, got, default)
        return self.drive(Lookup(self.reader, (key,), local=False).ask(_seconds(timeout))).value(default)

    async def aget(self, key: Key, default: Any = RAISE, timeout: Duration | None = None) -> Any:
        """`get` for an event loop."""
        look = Lookup(self.reader, (key,))
        return look.value(default) if look.done else (await self.adrive(look.ask(_seconds(timeout)))).value(default)

    def get_many(self, keys: Iterable[Key], default: Any = RAISE, timeout: Duration | None = None) -> dict[Key, Any]:
        """The values of many keys, in the order asked: one request per shard, missing keys loaded in chunks.

        Raises what `get` raises, for the first key in order with an error, when all others have been loaded.
        """
        look = Lookup(self.reader, keys)
        return (look if look.done else self.drive(look.ask(_seconds(timeout)))).values(default)

    async def aget_many(
        self, keys: Iterable[Key], default: Any = RAISE, timeout: Duration | None = None
    ) -> dict[Key, Any]:
        """`get_many` for an event loop."""
        look = Lookup(self.reader, keys)
        return (look if look.done else await self.adrive(look.ask(_seconds(timeout)))).values(default)

    def peek(self, key: Key, default: Any = None) -> Any:
        """The value if it is in the cache, else the default. Never loads."""
        look = Lookup(self.reader, (key,), counted=False)
        return (look if look.done else self.drive(look.ask(load=False))).value(default)

    async def apeek(self, key: Key, default: Any = None) -> Any:
        """`peek` for an event loop."""
        look = Lookup(self.reader, (key,), counted=False)
        return (look if look.done else await self.adrive(look.ask(load=False))).value(default)

    def __contains__(self, key: Key) -> bool:
        """Whether a value is in the cache. Never loads; a remembered NotFound is no value."""
        look = Lookup(self.reader, (key,), counted=False)
        return (look if look.done else self.drive(look.ask(load=False))).has()

    async def acontains(self, key: Key) -> bool:
        """`key in group` for an event loop."""
        look = Lookup(self.reader, (key,), counted=False)
        return (look if look.done else await self.adrive(look.ask(load=False))).has()

    # ------------------------------------------------------------------------------------------- changes

    def set(self, key: Key, value: Any, *, ttl: Duration | None = None) -> None:
        """Puts a value into the cache, not into the source: when it is gone, get returns what the getter returns.

        When it returns, no get in any process returns an older value.

        Raises:
            UncacheableValue: it cannot be pickled, or holds ObjectRefs.
            ValueTooLarge: it is larger than the group's capacity.
            CacheUnavailable: a shard did not answer; the message names it.
        """
        self.drive(self._set({key: value}, ttl))

    async def aset(self, key: Key, value: Any, *, ttl: Duration | None = None) -> None:
        """`set` for an event loop."""
        await self.adrive(self._set({key: value}, ttl))

    def set_many(self, items: Mapping[Key, Any], *, ttl: Duration | None = None) -> None:
        """`set` for many keys; if one value is refused, none is set."""
        self.drive(self._set(items, ttl))

    async def aset_many(self, items: Mapping[Key, Any], *, ttl: Duration | None = None) -> None:
        """`set_many` for an event loop."""
        await self.adrive(self._set(items, ttl))

    def remove(self, key: Key) -> bool:
        """Removes a key everywhere; whether it was there. When it returns, no get returns the old value.

        Raises CacheUnavailable, with their names, when shards did not answer.
        """
        return self.drive(self._remove([key])) > 0

    async def aremove(self, key: Key) -> bool:
        """`remove` for an event loop."""
        return await self.adrive(self._remove([key])) > 0

    def remove_many(self, keys: Iterable[Key]) -> int:
        """Removes many keys; how many were there."""
        return self.drive(self._remove(keys))

    async def aremove_many(self, keys: Iterable[Key]) -> int:
        """`remove_many` for an event loop."""
        return await self.adrive(self._remove(keys))

    def clear(self) -> int:
        """Removes all keys of the group; how many there were."""
        return self.drive(self._clear())

    async def aclear(self) -> int:
        """`clear` for an event loop."""
        return await self.adrive(self._clear())

    def refresh(self, key: Key, *, timeout: Duration | None = None) -> Any:
        """Loads a key now, whether it is there or not; others get the old value meanwhile. Returns the new value.

        Raises what `get` raises; the old value stays, but for NotFound, which removes it.
        """
        return self.drive(self._refresh(key, timeout)).value()

    async def arefresh(self, key: Key, *, timeout: Duration | None = None) -> Any:
        """`refresh` for an event loop."""
        return (await self.adrive(self._refresh(key, timeout))).value()

    def _set(self, items: Mapping[Key, Any], ttl: Duration | None) -> Steps[None]:
        ttl_s = None if ttl is None else parse_seconds(ttl, "ttl")
        blobs = {self.reader.full(key): (self._codec.encode(value), ttl_s) for key, value in items.items()}
        capacity = self._spec.options.capacity_bytes
        for key, (full, (blob, _)) in zip(items, blobs.items(), strict=True):
            size = blob.size + entry_bytes(full, bytes(record.OVERHEAD_BYTES))
            if size > capacity:
                raise ValueTooLarge(
                    f"the value for {key!r:.100} takes {size:,} bytes, and the whole group {self.name!r} has "
                    f"{capacity:,} per shard; give the group a larger capacity="
                )
        if blobs:
            yield from self.client.set(self._spec, blobs)

    def _remove(self, keys: Iterable[Key]) -> Steps[int]:
        full = [self.reader.full(key) for key in keys]
        return (yield from self.client.remove(self._spec, full)) if full else 0

    def _clear(self) -> Steps[int]:
        removed = yield from self.client.clear(self._spec)
        self.forget()
        return removed

    def _refresh(self, key: Key, timeout: Duration | None) -> Steps[Lookup]:
        if self._spec.getter is None:
            raise InvalidOption(
                f"the group {self.name!r} has no getter, so that nothing can be refreshed; set it instead"
            )
        look = Lookup(self.reader, (key,), counted=False, local=False)
        yield from look.ask(_seconds(timeout), fresh=True)
        if not look.failed:  # otherwise the old value stays
            yield from self.client.refreshed(self._spec, look.fulls)
        return look

    # ----------------------------------------------------------------------------------------- questions

    def keys(self, prefix: Key | None = None) -> Iterator[Key]:
        """The keys that are in the cache now, fetched in batches: all, or those that start with a str or bytes prefix,
        or tuples that start with the items of a tuple. In no particular order; raises CacheUnavailable."""
        start = self.reader.prefix + core_keys.encode_prefix(prefix)
        self.drive(self._members.refresh())
        for shard in self._members.ring.members:
            after = b""
            while batch := self.drive(self.client.scan(shard, start, after)):
                yield from self._owned(shard, batch)
                after = batch[-1]

    async def akeys(self, prefix: Key | None = None) -> AsyncIterator[Key]:
        """`keys` for an event loop: `async for key in group.akeys()`."""
        start = self.reader.prefix + core_keys.encode_prefix(prefix)
        await self.adrive(self._members.refresh())
        for shard in self._members.ring.members:
            after = b""
            while batch := await self.adrive(self.client.scan(shard, start, after)):
                for key in self._owned(shard, batch):
                    yield key
                after = batch[-1]

    def _owned(self, shard: str, batch: list[bytes]) -> Iterator[Key]:
        """The user's keys of those that the shard owns; another may have been its stand-in for a while."""
        owner = self._members.ring.owner
        return (core_keys.decode(key[PREFIX_BYTES:]) for key in batch if owner(key) == shard)

    def __len__(self) -> int:
        """Entries in the cache now, over all shards; remembered NotFounds count."""
        return self.drive(self._stats()).entries

    def __bool__(self) -> bool:
        """A group is true, also an empty one: `if group` asks whether there is a group."""
        return True

    async def alen(self) -> int:
        """`len(group)` for an event loop."""
        return (await self.adrive(self._stats())).entries

    def stats(self) -> Stats:
        """Counters over all shards and client processes; of other processes as they were up to a second ago."""
        self.report()
        return self.drive(self._stats())

    async def astats(self) -> Stats:
        """`stats` for an event loop."""
        await self.adrive(self.reader.report())
        return await self.adrive(self._stats())

    def _stats(self) -> Steps[Stats]:
        yield from self._members.refresh()
        return (yield from self.client.count(self._spec.id)).get(self._spec.id, Stats())

    def report(self) -> None:
        """Tells the shards what this process did; done by itself every second and on `Cache.close`."""
        with self._reporting:  # what another thread is telling has arrived when this returns
            self.drive(self.reader.report())

    def owner(self, key: Key) -> str | None:
        """The id of the shard that owns a key, by the ring that this process knows; `cache.shards()` tells its node.

        None while there is no shard.
        """
        return self._members.ring.owner(self.reader.full(key))

    def forget(self) -> None:
        """Empties this process's near cache; the group itself is unchanged."""
        self.reader.near.clear()

    # ------------------------------------------------------------------------------------------- waiting

    def drive(self, steps: Steps[T]) -> T:
        """Runs an operation, waiting in this thread."""
        return drive(steps, self._waiter.wait)

    async def adrive(self, steps: Steps[T]) -> T:
        """Runs an operation, waiting in this event loop."""
        return await adrive(steps, self._waiter.await_)


def _seconds(timeout: Duration | None) -> float | None:
    return None if timeout is None else parse_seconds(timeout, "timeout")
