"""Hot copies: records of keys that shards of other nodes own, kept by this node's for all of its processes.

A copy lies in the pages of the node's shard, beside its entries, under a prefix that no group has: no listing, count,
hand-over or recovery sees it. It is a near entry that a whole node shares: it has the version that the node's slot of
its key had before the owner was asked, and may be used only while the node's lease is valid and *then* the slot still
has that version. A bump ends it, as it ends near entries; what is left goes with age.

Invariants: entries and copies together take no more than the shard's capacity, copies no more than their share of it;
no copy outlives the process that has stored it, as the next one may have other slots.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping

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
        return tuple(each.key for each in asked if self._wants(each))

    def _wants(self, asked: Asked) -> bool:
        self._sketch.add(asked.key, asked.times)
        if self._has(asked.key):
            self._store.touch([PREFIX + asked.key])
            return False
        if not asked.size or self._sketch.estimate(asked.key) < LEAST_TIMES:
            return False
        return self._admits(asked.key, self._store.bytes + len(PREFIX) + len(asked.key) + asked.size)

    def _has(self, key: bytes) -> bool:
        """Whether there is a copy that may still be used."""
        return PREFIX + key in self._store and read(self._pages, key, self._version(key)) is not None

    def _version(self, key: bytes) -> int:
        return self._slots[slot_of(keys.digest(key))]

    def _admits(self, key: bytes, bytes_then: int) -> bool:
        """Whether there is room, or the copies that would go for it are asked for less often than it, all together.

        Each time that any of them is asked for saves the same, a question to another node, whatever its size: so many
        small ones are not given up for a large one that is asked for more often than each. (For sized entries TinyLFU
        does best so, too: Einziger et al., "Lightweight Robust Size Aware Cache Management", 2022.)
        """
        excess = bytes_then - self._store.capacity_bytes
        if excess <= 0:
            return True
        left = self._sketch.estimate(key)
        for name in self._store:  # in the order in which they go
            if excess <= 0 or left <= 0:
                break
            stored, other = self._pages.get(name), name[len(PREFIX) :]
            assert stored is not None, "a copy of the policy is not in the pages"
            excess -= entry_bytes(name, stored)
            if _of(stored, self._version(other)) is not None:  # one that was bumped is of no use
                left -= self._sketch.estimate(other)
        return excess <= 0 < left

    def keep(self, copied: Iterable[Copied]) -> int:
        """Stores copies that are still current and wanted; how many."""
        self._fit()
        new = {PREFIX + each.key: _entry(each) for each in copied if self._keeps(each)}
        room = self._store.capacity_bytes - self._store.bytes
        at_once, contested = dict[bytes, Entry](), dict[bytes, Entry]()
        for name, entry in new.items():
            room -= entry_bytes(name, entry.record)
            (at_once if room >= 0 else contested)[name] = entry
        unstored = self._store.put(at_once)
        for name, entry in contested.items():
            if self._admits(name[len(PREFIX) :], self._store.bytes + entry_bytes(name, entry.record)):
                unstored += self._store.put({name: entry})
            else:
                unstored.append(name)
        return len(new) - len(unstored)

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
