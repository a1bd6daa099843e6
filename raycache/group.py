"""`Group`: what users hold. A near cache and the pages of this node first, then one lookup with two faces."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from raycache.core import keys as core_keys
from raycache.core import record
from raycache.core.client import Client, Found, NotThere, Result, Steps, Wait, adrive, drive, found
from raycache.core.codec import Codec, decode, shareable
from raycache.core.keys import Key
from raycache.core.messages import PREFIX_BYTES, GroupSpec, group_prefix
from raycache.core.near import Near, NearEntry
from raycache.core.stats import Stats
from raycache.core.store import entry_bytes
from raycache.core.versions import slot_of
from raycache.errors import NotFound, ValueTooLarge
from raycache.options import Duration, optional_seconds

T = TypeVar("T")

#: Stands for "no default was given": a missing key raises.
RAISE: Any = type("_Raise", (), {"__repr__": lambda self: "RAISE"})()
#: Keys that were hit here are told to their shards when there are so many, or when the reporter comes round.
NOTES = 256

_PLAIN = (str, bytes, int)  # keys that are their own names in the near cache


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
        notice: Callable[[], None],
        elsewhere: Callable[[GroupSpec], tuple[Any, ...]],
    ) -> None:
        self._spec, self._client, self._waiter, self._codec, self._clock = spec, client, waiter, codec, clock
        self._notice = notice  # asks the reporter to come round
        self._elsewhere = elsewhere  # how another process gets this group
        self._prefix = group_prefix(spec.id)
        self._near = Near(spec.options.near_bytes)
        self._entries = self._near.entries
        self._counts: Counter[str] = Counter()
        self._saved_s = 0.0
        self._hit: list[NearEntry] = []  # near entries with hits since the last report
        self._touched: list[bytes] = []  # keys that were read from pages since then
        self._report_lock = threading.Lock()

    @property
    def name(self) -> str:
        return self._spec.name

    def __repr__(self) -> str:
        options = self._spec.options
        getter = f"getter={self._spec.getter_name}" if self._spec.getter is not None else "no getter"
        ttl = f", ttl={options.ttl_s:g}s" if options.ttl_s is not None else ""
        return f"<raycache.Group {self.name!r} {getter} capacity={options.capacity_bytes:,}{ttl}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return self._elsewhere(self._spec)

    # --------------------------------------------------------------------------------------------- gets

    def get(self, key: Key, default: Any = RAISE, *, timeout: Duration | None = None) -> Any:
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
        # The fast path of the whole cache, in a row: a hit costs no call but the clock's.
        try:
            entry = self._entries[key]
        except (KeyError, TypeError):  # not here; an unhashable key is refused below
            pass
        else:
            if (
                type(key) is entry.kind
                and (now := self._clock()) < entry.lease[0]
                and entry.slots[entry.slot] == entry.version
                and now < entry.expires
            ):
                hits = entry.hits
                entry.hits = hits + 1
                if not hits:
                    self._note(entry)
                if entry.shared:
                    return entry.value
                return self._value(key, entry.result, default)
        look = _Look(self, (key,))
        return look.value(key, default) if look.done else self._drive(look.get(timeout)).value(key, default)

    async def aget(self, key: Key, default: Any = RAISE, *, timeout: Duration | None = None) -> Any:
        """`get` for an event loop."""
        look = _Look(self, (key,))
        return look.value(key, default) if look.done else (await self._adrive(look.get(timeout))).value(key, default)

    def get_many(self, keys: Iterable[Key], default: Any = RAISE, *, timeout: Duration | None = None) -> dict[Key, Any]:
        """The values of many keys, in the order asked: one request per shard, missing keys loaded in chunks.

        Raises what `get` raises, for the first key in order with an error, when all others have been loaded.
        """
        look = _Look(self, keys)
        return (look if look.done else self._drive(look.get(timeout))).values(default)

    async def aget_many(
        self, keys: Iterable[Key], default: Any = RAISE, *, timeout: Duration | None = None
    ) -> dict[Key, Any]:
        """`get_many` for an event loop."""
        look = _Look(self, keys)
        return (look if look.done else await self._adrive(look.get(timeout))).values(default)

    def peek(self, key: Key, default: Any = None) -> Any:
        """The value if it is in the cache, else the default. Never loads."""
        look = _Look(self, (key,), counted=False)
        return (look if look.done else self._drive(look.peek())).value(key, default)

    async def apeek(self, key: Key, default: Any = None) -> Any:
        """`peek` for an event loop."""
        look = _Look(self, (key,), counted=False)
        return (look if look.done else await self._adrive(look.peek())).value(key, default)

    def __contains__(self, key: Key) -> bool:
        """Whether a value is in the cache. Never loads; a remembered NotFound is no value."""
        look = _Look(self, (key,), counted=False)
        return (look if look.done else self._drive(look.peek())).has(key)

    async def acontains(self, key: Key) -> bool:
        """`key in group` for an event loop."""
        look = _Look(self, (key,), counted=False)
        return (look if look.done else await self._adrive(look.peek())).has(key)

    # ------------------------------------------------------------------------------------------- changes

    def set(self, key: Key, value: Any, *, ttl: Duration | None = None) -> None:
        """Puts a value into the cache, not into the source: when it is gone, get returns what the getter returns.

        When it returns, no get in any process returns an older value.

        Raises:
            UncacheableValue: it cannot be pickled, or holds ObjectRefs.
            ValueTooLarge: it is larger than the group's capacity.
            CacheUnavailable: a shard did not answer; the message names it.
        """
        self._drive(self._set({key: value}, ttl))

    async def aset(self, key: Key, value: Any, *, ttl: Duration | None = None) -> None:
        """`set` for an event loop."""
        await self._adrive(self._set({key: value}, ttl))

    def set_many(self, items: Mapping[Key, Any], *, ttl: Duration | None = None) -> None:
        """`set` for many keys; if one value is refused, none is set."""
        self._drive(self._set(items, ttl))

    async def aset_many(self, items: Mapping[Key, Any], *, ttl: Duration | None = None) -> None:
        """`set_many` for an event loop."""
        await self._adrive(self._set(items, ttl))

    def remove(self, key: Key) -> bool:
        """Removes a key everywhere; whether it was there. When it returns, no get returns the old value.

        Raises CacheUnavailable, with their names, when shards did not answer.
        """
        return self._drive(self._remove([key])) > 0

    async def aremove(self, key: Key) -> bool:
        """`remove` for an event loop."""
        return await self._adrive(self._remove([key])) > 0

    def remove_many(self, keys: Iterable[Key]) -> int:
        """Removes many keys; how many were there."""
        return self._drive(self._remove(keys))

    async def aremove_many(self, keys: Iterable[Key]) -> int:
        """`remove_many` for an event loop."""
        return await self._adrive(self._remove(keys))

    def clear(self) -> int:
        """Removes all keys of the group; how many there were."""
        return self._drive(self._clear())

    async def aclear(self) -> int:
        """`clear` for an event loop."""
        return await self._adrive(self._clear())

    def refresh(self, key: Key, *, timeout: Duration | None = None) -> Any:
        """Loads a key now, whether it is there or not; others get the old value meanwhile. Returns the new value.

        Raises what `get` raises; the old value stays, but for NotFound, which removes it.
        """
        return self._drive(self._refresh(key, timeout)).value(key, RAISE)

    async def arefresh(self, key: Key, *, timeout: Duration | None = None) -> Any:
        """`refresh` for an event loop."""
        return (await self._adrive(self._refresh(key, timeout))).value(key, RAISE)

    def _full(self, key: Key) -> bytes:
        return self._prefix + core_keys.encode(key)

    def _set(self, items: Mapping[Key, Any], ttl: Duration | None) -> Steps[None]:
        ttl_s = optional_seconds(ttl, "ttl")
        blobs = {self._full(key): (self._codec.encode(value), ttl_s) for key, value in items.items()}
        capacity = self._spec.options.capacity_bytes
        for key, (full, (blob, _)) in zip(items, blobs.items(), strict=True):
            size = blob.size + entry_bytes(full, bytes(record.HEADER_BYTES))
            if size > capacity:
                raise ValueTooLarge(
                    f"the value for {key!r:.100} takes {size:,} bytes, and the whole group {self.name!r} has "
                    f"{capacity:,} per shard; give the group a larger capacity="
                )
        if blobs:
            yield from self._client.set(self._spec, blobs)

    def _remove(self, keys: Iterable[Key]) -> Steps[int]:
        full = [self._full(key) for key in keys]
        return (yield from self._client.remove(self._spec, full)) if full else 0

    def _clear(self) -> Steps[int]:
        removed = yield from self._client.clear(self._spec)
        self._near.clear()
        return removed

    def _refresh(self, key: Key, timeout: Duration | None) -> Steps[_Look]:
        look = _Look(self, (key,), counted=False, local=False)
        yield from look.refresh(timeout)
        if not look.failed:  # otherwise the old value stays
            yield from self._client.refreshed(self._spec, list(look.names))
        return look

    # ----------------------------------------------------------------------------------------- questions

    def keys(self, prefix: Key | None = None) -> Iterator[Key]:
        """The keys that are in the cache now, fetched in batches: all, or those that start with a str or bytes prefix,
        or tuples that start with the items of a tuple. In no particular order; raises CacheUnavailable."""
        start = self._prefix + core_keys.encode_prefix(prefix)
        self._drive(self._client.refresh())
        for shard in self._client.ring.members:
            after = b""
            while batch := self._drive(self._client.scan(shard, start, after)):
                yield from self._owned(shard, batch)
                after = batch[-1]

    async def akeys(self, prefix: Key | None = None) -> AsyncIterator[Key]:
        """`keys` for an event loop: `async for key in group.akeys()`."""
        start = self._prefix + core_keys.encode_prefix(prefix)
        await self._adrive(self._client.refresh())
        for shard in self._client.ring.members:
            after = b""
            while batch := await self._adrive(self._client.scan(shard, start, after)):
                for key in self._owned(shard, batch):
                    yield key
                after = batch[-1]

    def _owned(self, shard: str, batch: list[bytes]) -> Iterator[Key]:
        """The user's keys of those that the shard owns; another may have been its stand-in for a while."""
        owner = self._client.ring.owner
        return (core_keys.decode(key[PREFIX_BYTES:]) for key in batch if owner(key) == shard)

    def __len__(self) -> int:
        """Entries in the cache now, over all shards; remembered NotFounds count."""
        return self._drive(self._stats()).entries

    def __bool__(self) -> bool:
        """A group is true, also an empty one: `if group` asks whether there is a group."""
        return True

    async def alen(self) -> int:
        """`len(group)` for an event loop."""
        return (await self._adrive(self._stats())).entries

    def stats(self) -> Stats:
        """Counters over all shards and client processes; of other processes as they were up to a second ago."""
        return self._drive(self._stats())

    async def astats(self) -> Stats:
        """`stats` for an event loop."""
        return await self._adrive(self._stats())

    def _stats(self) -> Steps[Stats]:
        yield from self._report()
        yield from self._client.refresh()
        return (yield from self._client.count(self._spec.id)).get(self._spec.id, Stats())

    # ------------------------------------------------------------------------------------------ counting

    def _note(self, entry: NearEntry) -> None:
        """The first hit of a near entry since the last report."""
        self._hit.append(entry)
        if len(self._hit) == NOTES:
            self._notice()

    def _count(self, tier: str, key: bytes, cost_s: float) -> None:
        """A get that was no near hit."""
        self._counts[tier] += 1
        if tier == "page_hits":
            self._touched.append(key)
            if len(self._touched) == NOTES:
                self._notice()
        if tier in ("page_hits", "shard_hits"):
            self._saved_s += cost_s

    def _report(self) -> Steps[None]:
        """Tells the shards what this process did since the last report."""
        with self._report_lock:
            entries, self._hit = self._hit, []
            touched, self._touched = self._touched, []
            counts, self._counts = self._counts, Counter()
            saved_s, self._saved_s = self._saved_s, 0.0
        for entry in entries:
            hits, entry.hits = entry.hits, 0
            entry.used = True
            counts["near_hits"] += hits
            saved_s += hits * getattr(entry.result, "cost_s", 0.0)
            touched.append(entry.key)
        if not counts:
            return
        stats = Stats(seconds_saved=saved_s, **counts)
        if not (yield from self._client.report(self._spec, stats, dict.fromkeys(touched))):
            with self._report_lock:  # told with the next one
                self._counts.update(counts)
                self._saved_s += saved_s

    def report(self) -> None:
        """Tells the shards what this process did; done by itself every second and on `Cache.close`."""
        self._drive(self._report())

    # ------------------------------------------------------------------------------------------- waiting

    def _drive(self, steps: Steps[T]) -> T:
        return drive(steps, self._waiter.wait)

    async def _adrive(self, steps: Steps[T]) -> T:
        return await adrive(steps, self._waiter.await_)

    def _value(self, key: Key, result: Result, default: Any) -> Any:
        """What a result means to the caller: a value of its own, or an exception."""
        if isinstance(result, Found):
            return decode(result.tag, result.parts)
        if isinstance(result, NotThere):
            if default is RAISE:
                raise NotFound(result.message or f"{key!r} does not exist, says the getter of the group {self.name!r}")
            return default
        raise result


class _Decoded(NamedTuple):
    """A value that was decoded already, for this caller."""

    value: Any


class _Look:
    """One lookup of some keys: first what this process and this node have, then what the shards have."""

    __slots__ = ("_counted", "_group", "_missing", "_results", "_vouchers", "done", "names")

    def __init__(self, group: Group, keys: Iterable[Key], *, counted: bool = True, local: bool = True) -> None:
        self._group, self._counted = group, counted
        prefix, encode = group._prefix, core_keys.encode
        #: Full keys and the names that the user gave, in the order asked.
        self.names: dict[bytes, Key] = {prefix + encode(key): key for key in keys}
        self._results: dict[bytes, NearEntry | _Decoded | Result] = {}
        self._vouchers: dict[bytes, tuple[Any, Any, int, int]] = {}
        self._missing = list(self.names)
        if local:
            self._look_near()
            if self._missing:
                self._look_into_pages()
        else:
            self._vouch(self._missing)
        self.done = not self._missing

    def _look_near(self) -> None:
        group, now, missing = self._group, self._group._clock(), []
        for full, key in self.names.items():
            entry = group._entries.get(key if type(key) in _PLAIN else full)
            if entry is not None and type(key) is entry.kind and entry.live(now):
                if self._counted:
                    entry.hits += 1
                    if entry.hits == 1:
                        group._note(entry)
                self._results[full] = entry
            else:
                missing.append(full)
        self._missing = missing

    def _vouch(self, keys: list[bytes]) -> dict[str | None, list[bytes]]:
        """Reads the version slots, before any value, and the lease after them. The keys by owner."""
        client = self._group._client
        local, owned = client.local, dict[str | None, list[bytes]]()
        lease, slots = local.lease, local.slots
        for key in keys:
            point = core_keys.digest(key)
            slot = slot_of(point)
            self._vouchers[key] = lease, slots, slot, slots[slot]
            owned.setdefault(client.ring.owner_at(point), []).append(key)
        if not self._group._clock() < lease[0]:
            self._vouchers.clear()
            return {}
        return owned

    def _look_into_pages(self) -> None:
        group = self._group
        pages = group._client.local.pages
        missing = []
        for owner, keys in self._vouch(self._missing).items():
            if owner is not None and owner in pages:
                now = group._clock()
                for key, stored in pages[owner].get_many(keys).items():
                    if not record.is_stub(stored) and (result := found(stored, 0.0)).expires > now:  # type: ignore[union-attr]
                        self._land(key, result, "page_hits")
        missing = [key for key in self._missing if key not in self._results]
        self._missing = missing

    def _land(self, key: bytes, result: Result, tier: str | None) -> None:
        """A result that came from outside this process."""
        group = self._group
        if tier is not None and self._counted:
            group._count(tier, key, getattr(result, "cost_s", 0.0))
        self._results[key] = result
        voucher = self._vouchers.get(key)
        if voucher is None or isinstance(result, BaseException) or result.expires <= 0:
            return
        name: Any = self.names[key]
        shared, value, size = False, None, 0
        if isinstance(result, Found):
            size = sum(map(len, result.parts))
            if not group._near.fits(size):
                return
            value = decode(result.tag, result.parts)
            shared = shareable(value)
            self._results[key] = _Decoded(value)
        kind = type(name)
        entry = NearEntry(kind, key, result, value if shared else None, shared, size, *voucher)
        group._near.put(name if kind in _PLAIN else key, entry)

    def get(self, timeout: Duration | None) -> Steps[_Look]:
        """Asks the shards for what is missing, loading it."""
        yield from self._ask(timeout, load=True, fresh=False)
        return self

    def peek(self) -> Steps[_Look]:
        """Asks the shards for what is missing, without loading it."""
        yield from self._ask(None, load=False, fresh=False)
        return self

    def refresh(self, timeout: Duration | None) -> Steps[_Look]:
        """Has the shards load anew."""
        yield from self._ask(timeout, load=True, fresh=True)
        return self

    def _ask(self, timeout: Duration | None, load: bool, fresh: bool) -> Steps[None]:
        group, tiers = self._group, dict[bytes, str]()
        timeout_s = optional_seconds(timeout, "timeout")
        asking = group._client.get(group._spec, self._missing, timeout_s=timeout_s, load=load, fresh=fresh, tiers=tiers)
        results: dict[bytes, Result] = {}
        try:
            results = yield from asking
        finally:
            for key in self._missing:
                if key in results:
                    self._land(key, results[key], tiers.get(key))
                elif self._counted:  # the caller's time ran out
                    group._count(tiers.get(key, "unavailable"), key, 0.0)

    @property
    def failed(self) -> bool:
        return any(isinstance(got, BaseException) for got in self._results.values())

    def has(self, key: Key) -> bool:
        (got,) = self._results.values()
        return isinstance(got.result if isinstance(got, NearEntry) else got, (Found, _Decoded))

    def value(self, key: Key, default: Any) -> Any:
        """The value of the only key."""
        (got,) = self._results.values()
        return self._one(key, got, default)

    def values(self, default: Any) -> dict[Key, Any]:
        """The values of all keys, in the order asked."""
        return {key: self._one(key, self._results[full], default) for full, key in self.names.items()}

    def _one(self, key: Key, got: NearEntry | _Decoded | Result, default: Any) -> Any:
        if isinstance(got, _Decoded) or (isinstance(got, NearEntry) and got.shared):
            return got.value
        result: Result = got.result if isinstance(got, NearEntry) else got
        return self._group._value(key, result, default)
