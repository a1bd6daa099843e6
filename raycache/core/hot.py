"""Hot copies: records of keys that shards of other nodes own, kept by this node's for all of its processes.

A copy lies in the pages of the node's shard, beside its entries, under a prefix that no group has: no listing, count,
hand-over or recovery sees it. It is a near entry that a whole node shares: it has the version that the node's slot of
its key had before the owner was asked, and may be used only while the node's lease is valid and *then* the slot still
has that version. A bump ends it, as it ends near entries; what is left goes with age.

Invariants: entries and copies together take no more than the shard's capacity, copies no more than their share of it;
no copy outlives the process that has stored it, as the next one may have other slots.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping

from raycache.core import keys
from raycache.core.messages import Asked, Copied, group_prefix
from raycache.core.pages import Pages
from raycache.core.sketch import Sketch
from raycache.core.store import Entry, Store, entry_bytes
from raycache.core.versions import Versions, slot_of

#: What the names of copies start with; then comes the full key. Groups have ids from 1 on.
PREFIX = group_prefix(0)
#: How often a key must have been asked for lately, by all processes of the node together.
LEAST_TIMES = 2

#: Before the record; the checksum at its end is over both.
VERSION = struct.Struct("<Q")


def read(pages: Pages, key: bytes, version: int) -> bytes | None:
    """The record of a copy that has this version."""
    stored = pages.get(PREFIX + key)
    return None if stored is None else _of(stored, version)


def read_many(pages: Pages, versions: Mapping[bytes, int]) -> dict[bytes, bytes]:
    """The records of the copies that there are of these keys with these versions."""
    names = {PREFIX + key: key for key in versions}
    found = ((names[name], stored) for name, stored in pages.get_many(names).items())
    records = {key: _of(stored, versions[key]) for key, stored in found}
    return {key: each for key, each in records.items() if each is not None}


def _of(stored: bytes, version: int) -> bytes | None:
    return stored[VERSION.size :] if VERSION.unpack_from(stored)[0] == version else None


def _entry(copied: Copied) -> Entry:
    return Entry(VERSION.pack(copied.version) + copied.record)


class Copies:
    """The copies of one shard. Not thread-safe; the shard's lock guards it."""

    def __init__(
        self, pages: Pages, versions: Versions, capacity_bytes: int, share: float, entries: Callable[[], int]
    ) -> None:
        """
        Args:
            capacity_bytes: of the shard, entries and copies together.
            share: of these that copies may take at most, where entries leave it.
            entries: gives the bytes of all entries.
        """
        self._pages, self._slots = pages, versions.slots
        self._capacity_bytes, self._most, self._entries = capacity_bytes, int(capacity_bytes * share), entries
        self._store = Store(self._most, pages)
        self._sketch = Sketch()

    def __len__(self) -> int:
        return len(self._store)

    @property
    def size(self) -> int:
        """Bytes of all copies."""
        return self._store.bytes

    # ----------------------------------------------------------------------------------------- admission

    def wanted(self, asked: Iterable[Asked]) -> tuple[bytes, ...]:
        """Counts what a process got from other nodes' shards, or from copies; gives the keys to be copied."""
        self._fit()
        here, new = list[bytes](), dict[bytes, int]()
        for each in asked:
            self._sketch.add(each.key, each.times)
            if self._has(each.key):
                here.append(PREFIX + each.key)
            elif each.size and self._sketch.estimate(each.key) >= LEAST_TIMES:
                new[each.key] = len(PREFIX) + len(each.key) + each.size
        self._store.touch(here)
        return tuple(self._admitted(new))

    def _has(self, key: bytes) -> bool:
        """Whether there is a copy that may still be used."""
        return PREFIX + key in self._store and read(self._pages, key, self._version(key)) is not None

    def _version(self, key: bytes) -> int:
        return self._slots[slot_of(keys.digest(key))]

    def _admitted(self, new: Mapping[bytes, int]) -> Iterator[bytes]:
        """Those of some keys, with the bytes that they would take, for which there is room, or for which copies would
        go that are asked for less often than it, all together.

        Each time that any of them is asked for saves the same, a question to another node, whatever its size: so many
        small ones are not given up for a large one that is asked for more often than each. (For sized entries TinyLFU
        does best so, too: Einziger et al., "Lightweight Robust Size Aware Cache Management", 2022.)
        """
        front, given_up = _Front(self._in_order()), 0.0
        excess = self._store.bytes - self._store.capacity_bytes
        for key, size in new.items():
            worth = given_up + self._sketch.estimate(key)
            gives_up = front.asks(excess + size, worth)
            if excess + size <= 0 or gives_up < worth:
                excess, given_up = excess + size, gives_up
                yield key

    def _in_order(self) -> Iterator[tuple[int, int]]:
        """Of the copies in the order in which they go: their bytes, and how often they were asked for."""
        for name in self._store:
            stored, key = self._pages.get(name), name[len(PREFIX) :]
            assert stored is not None, "a copy of the policy is not in the pages"
            current = _of(stored, self._version(key)) is not None  # one that was bumped is of no use
            yield entry_bytes(name, stored), self._sketch.estimate(key) if current else 0

    def keep(self, copied: Iterable[Copied]) -> int:
        """Stores copies that are still current and wanted; how many."""
        self._fit()
        new = {each.key: _entry(each) for each in copied if self._keeps(each)}
        sizes = {key: entry_bytes(PREFIX + key, entry.record) for key, entry in new.items()}
        admitted = {PREFIX + key: new[key] for key in [*self._admitted(sizes)]}
        return len(admitted) - len(self._store.put(admitted))

    def _keeps(self, copied: Copied) -> bool:
        return self._version(copied.key) == copied.version and self._store.fits(PREFIX + copied.key, _entry(copied))

    # ---------------------------------------------------------------------------------------------- room

    def give_way(self, more: int) -> None:
        """Before entries take so many bytes more."""
        if len(self._store):
            self._fit(more)

    def _fit(self, more: int = 0) -> None:
        self._store.resize(max(min(self._most, self._capacity_bytes - self._entries() - more), 0))

    # ----------------------------------------------------------------------------------------------- end

    def drop(self, keys: Iterable[bytes]) -> None:
        """The copies of these keys will be bumped."""
        self._store.remove([name for key in keys if (name := PREFIX + key) in self._store])

    def drop_group(self, group: int) -> None:
        if len(self._store):
            self._store.clear(PREFIX + group_prefix(group))

    def expire(self, now: float) -> None:
        """Removes what is over."""
        self._store.expire(now)

    def forget_all(self) -> None:
        """After the pages were dropped."""
        self._store.forget_all()


class _Front:
    """The copies that go first, walked through once and only as far as is needed: `wanted` is asked for many keys,
    under the shard's lock."""

    def __init__(self, copies: Iterator[tuple[int, int]]) -> None:
        self._copies = copies
        self._bytes, self._asks = [0], [0.0]  # of the first copies, together

    def asks(self, size: int, most: float) -> float:
        """How often those were asked for that make room for so many bytes; or any number from `most` on."""
        while self._bytes[-1] < size and self._asks[-1] < most:
            copy = next(self._copies, None)
            if copy is None:
                return math.inf
            self._bytes.append(self._bytes[-1] + copy[0])
            self._asks.append(self._asks[-1] + copy[1])
        return self._asks[-1] if self._bytes[-1] < size else self._asks[bisect_left(self._bytes, size)]
