"""A lookup: near cache, pages of this node, shards, in this order, with everything counted once.

What is near or on this node takes no message: making the `Lookup` answers it. For the rest it has operations that a
caller drives, in a thread or an event loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from raycache.core import keys as core_keys
from raycache.core import record
from raycache.core.client import Client, Found, NotThere, Result, Steps, found
from raycache.core.codec import decode, shareable
from raycache.core.keys import Key
from raycache.core.messages import GroupSpec, group_prefix
from raycache.core.near import Near, NearEntry, Voucher, name_of
from raycache.core.stats import Stats
from raycache.core.versions import slot_of
from raycache.errors import NotFound

#: Stands for "no default was given": a missing key raises.
RAISE: Any = type("_Raise", (), {"__repr__": lambda self: "RAISE"})()
#: Keys that were read from pages and are not told yet to their shards; more are not noted.
NOTES = 10_000


class Reader:
    """What one process has of a group: its near cache, and what it has not told the shards yet."""

    def __init__(self, spec: GroupSpec, client: Client, clock: Callable[[], float]) -> None:
        self.spec, self.client, self.clock = spec, client, clock
        self.prefix = group_prefix(spec.id)
        self.near = Near(spec.options.near_bytes)
        self._counts: Counter[str] = Counter()
        self._saved_s = 0.0
        self._touched: list[bytes] = []

    def full(self, key: Key) -> bytes:
        """The key as it stands in messages and pages."""
        return self.prefix + core_keys.encode(key)

    def count(self, tier: str, key: bytes, cost_s: float) -> None:
        """A get that was no near hit."""
        self._counts[tier] += 1
        if tier == "page_hits" or tier == "shard_hits":
            self._saved_s += cost_s
            if tier == "page_hits" and len(self._touched) < NOTES:
                self._touched.append(key)

    def report(self) -> Steps[None]:
        """Tells the shards what was counted, and which keys were hit without their knowing."""
        counts, self._counts = self._counts, Counter()
        saved_s, self._saved_s = self._saved_s, 0.0
        touched, self._touched = self._touched, []
        for entry, hits in self.near.take_hits():
            counts["near_hits"] += hits
            saved_s += hits * getattr(entry.result, "cost_s", 0.0)
            touched.append(entry.key)
        if not counts:
            return
        arrived = False
        try:
            stats = Stats(seconds_saved=saved_s, **counts)
            arrived = yield from self.client.report(self.spec, stats, dict.fromkeys(touched))
        finally:
            if not arrived:  # told with the next one
                self._counts.update(counts)
                self._saved_s += saved_s

    def mean(self, key: Key, result: Result, default: Any) -> Any:
        """What a result means to a caller: a value of its own, the default, or an exception."""
        if isinstance(result, Found):
            return decode(result.tag, result.parts)
        if isinstance(result, NotThere):
            if default is RAISE:
                raise NotFound(result.message or f"{key!r} does not exist, says the getter of {self.spec.name!r}")
            return default
        raise result


class _Decoded(NamedTuple):
    """A value that was decoded already, for this caller."""

    value: Any


class Lookup:
    """One lookup of some keys. `done` says whether the shards need not be asked."""

    __slots__ = ("_counted", "_missing", "_reader", "_results", "_vouchers", "done", "names")

    def __init__(self, reader: Reader, keys: Iterable[Key], *, counted: bool = True, local: bool = True) -> None:
        """Looks near and into the pages, if `local`; `counted`: as gets."""
        self._reader, self._counted = reader, counted
        prefix, encode = reader.prefix, core_keys.encode
        #: Full keys and the keys that the caller gave, in the order asked.
        self.names: dict[bytes, Key] = {prefix + encode(key): key for key in keys}
        self._results: dict[bytes, NearEntry | _Decoded | Result] = {}
        self._vouchers: dict[bytes, Voucher] = {}
        if local:
            self._look_near()
        self._missing = [key for key in self.names if key not in self._results]
        if self._missing:
            self._vouch(look=local)
        self.done = not self._missing

    def _look_near(self) -> None:
        entries, now = self._reader.near.entries, self._reader.clock()
        for full, key in self.names.items():
            entry = entries.get(name_of(key, full))
            if entry is not None and entry.live(now):
                if self._counted:
                    entry.hits += 1
                self._results[full] = entry

    def _vouch(self, *, look: bool) -> None:
        """Reads the version slots before any value, then the lease, then what lies in the pages of this node."""
        client, local = self._reader.client, self._reader.client.local
        lease, slots, pages, owner_at = local.lease, local.slots, local.pages, client.ring.owner_at
        here: dict[str, list[bytes]] = {}
        for key in self._missing:
            point = core_keys.digest(key)
            slot = slot_of(point)
            self._vouchers[key] = lease, slots, slot, slots[slot]
            if (owner := owner_at(point)) in pages:
                here.setdefault(owner, []).append(key)  # type: ignore[arg-type]  # None is in no pages
        now = self._reader.clock()
        if not now < lease[0]:
            self._vouchers.clear()
        elif look and here:
            for owner, keys in here.items():
                for key, stored in pages[owner].get_many(keys).items():
                    if not record.is_stub(stored) and (result := found(stored, 0.0)).expires > now:
                        self._land(key, result, "page_hits")
            self._missing = [key for key in self._missing if key not in self._results]

    def _land(self, key: bytes, result: Result, tier: str | None) -> None:
        """A result that came from outside this process."""
        if tier is not None and self._counted:
            self._reader.count(tier, key, getattr(result, "cost_s", 0.0))
        self._results[key] = result
        voucher = self._vouchers.get(key)
        if voucher is None or isinstance(result, BaseException) or result.expires <= 0:
            return
        near, size = self._reader.near, 0
        if isinstance(result, Found):
            for part in result.parts:
                size += len(part)
        if not near.fits(size):
            return
        entry = NearEntry(key, result, size, voucher)
        if isinstance(result, Found):
            value = decode(result.tag, result.parts)
            if shareable(value):
                entry.share(value)
            self._results[key] = _Decoded(value)
        near.put(name_of(self.names[key], key), entry)

    def ask(self, timeout_s: float | None = None, *, load: bool = True, fresh: bool = False) -> Steps[Lookup]:
        """Asks the shards for what is missing: to load it, only what is there, or to load it anew."""
        reader, tiers = self._reader, dict[bytes, str]()
        results: dict[bytes, Result] = {}
        try:
            results = yield from reader.client.get(
                reader.spec, self._missing, timeout_s=timeout_s, load=load, fresh=fresh, tiers=tiers
            )
        finally:
            for key in self._missing:
                if key in results:
                    self._land(key, results[key], tiers.get(key))
                elif self._counted:  # the caller's time ran out
                    reader.count(tiers.get(key, "unavailable"), key, 0.0)
        return self

    @property
    def failed(self) -> bool:
        """Whether a getter raised, or did not come to an end."""
        return any(isinstance(got, BaseException) for got in self._results.values())

    def has(self) -> bool:
        """Whether there is a value for the only key."""
        (got,) = self._results.values()
        return isinstance(got.result if isinstance(got, NearEntry) else got, (Found, _Decoded))

    def value(self, default: Any = RAISE) -> Any:
        """The value of the only key."""
        ((full, key),) = self.names.items()
        return self._one(key, self._results[full], default)

    def values(self, default: Any = RAISE) -> dict[Key, Any]:
        """The values of all keys, in the order asked."""
        return {key: self._one(key, self._results[full], default) for full, key in self.names.items()}

    def _one(self, key: Key, got: NearEntry | _Decoded | Result, default: Any) -> Any:
        if isinstance(got, _Decoded) or (isinstance(got, NearEntry) and got.shared):
            return got.value
        return self._reader.mean(key, got.result if isinstance(got, NearEntry) else got, default)
