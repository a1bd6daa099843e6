"""The near cache: results in the calling process, each with the version slot that vouches for it.

Bounded in bytes; the oldest entry that was not hit since it was last passed over goes first (CLOCK, Corbató 1968).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from raycache.core import record
from raycache.core.codec import ABSENT, shareable

if TYPE_CHECKING:
    from raycache.core.entry import STALE as STALE
    from raycache.core.entry import NearEntry as NearEntry
else:
    try:
        from raycache.core._entry import STALE, NearEntry
    except ModuleNotFoundError:  # installed without a compiler
        from raycache.core.entry import STALE, NearEntry  # noqa: F401  # others import it from here

#: What an entry takes beside its value, roughly.
ENTRY_BYTES = 250
#: No entry takes more than this share of the whole.
LARGEST_SHARE = 1 / 8

_OTHER = object()  # no user's key has it in it

#: In the place of a value of which every caller gets a copy of its own.
UNSHARED: Any = type("_Unshared", (), {"__repr__": lambda self: "UNSHARED"})()


def name_of(key: Any, full: bytes) -> Any:
    """An entry's name. A str is its own, so that a hit need not encode it; others go by their full keys, since to a
    dict 1 and True are the same."""
    return key if type(key) is str else (full, _OTHER)


def names_of(keys: Mapping[bytes, Any]) -> Iterable[Any]:
    """The names of entries for keys, by their full keys."""
    if {str}.issuperset(map(type, keys.values())):
        return keys.values()
    return [name_of(key, full) for full, key in keys.items()]


def has_value(entry: NearEntry) -> bool:
    """Whether it is a value, and not that there is none."""
    if type(entry.result) is bytes:
        return record.tag(entry.result) != ABSENT
    return hasattr(entry.result, "parts")


class Near:
    """Entries by name."""

    __slots__ = ("_aliases", "_bytes", "_capacity_bytes", "_gone", "_largest", "_lock", "entries")

    def __init__(self, capacity_bytes: int) -> None:
        self.entries: dict[Any, NearEntry] = {}
        #: Where else entries can be found; they are taken out of these when they go.
        self._aliases: dict[NearEntry, dict[tuple[int, Any], tuple[dict[Any, Any], Any]]] = {}
        self._gone: list[NearEntry] = []  # with hits that nobody has taken yet
        self._bytes, self._capacity_bytes = 0, capacity_bytes
        self._largest = capacity_bytes * LARGEST_SHARE - ENTRY_BYTES
        self._lock = threading.Lock()

    def put(self, name: Any, entry: NearEntry) -> None:
        """Keeps an entry that is not too large; its value only if several callers may have it."""
        if (size := entry.size) > self._largest:
            return
        if not shareable(entry.value):
            entry.value = UNSHARED
        entries = self.entries
        with self._lock:
            if name in entries:
                self._drop(name)
            entries[name] = entry
            self._bytes = kept = self._bytes + size + ENTRY_BYTES
            if kept > self._capacity_bytes:
                self._make_room()

    def put_many(self, new: Mapping[Any, NearEntry]) -> None:
        """The same for many entries, by their names."""
        new = {name: entry for name, entry in new.items() if entry.size <= self._largest}
        for entry in new.values():
            if not shareable(entry.value):
                entry.value = UNSHARED
        with self._lock:
            for name in self.entries.keys() & new.keys():
                self._drop(name)
            self.entries.update(new)
            self._bytes += sum([entry.size for entry in new.values()]) + len(new) * ENTRY_BYTES
            self._make_room()

    def _make_room(self) -> None:
        """Drops the oldest entries, but for those that were hit since they were last passed over: they get another
        round."""
        entries = self.entries
        while self._bytes > self._capacity_bytes:
            oldest, passed = next(iter(entries.items()))
            if passed.hits <= passed.seen:
                self._drop(oldest)
            else:
                passed.seen = passed.hits
                entries[oldest] = entries.pop(oldest)

    def _drop(self, name: Any) -> None:
        entry = self.entries.pop(name, None)
        if entry is not None:
            self._bytes -= entry.size + ENTRY_BYTES
            for (_, alias), (aliases, found) in self._aliases.pop(entry, {}).items():
                if aliases.get(alias) is found:  # and not what has come in its place
                    del aliases[alias]
            if entry.hits:
                self._gone.append(entry)

    def alias(self, name: Any, entry: NearEntry, aliases: dict[Any, Any], alias: Any, found: Any) -> bool:
        """Has an entry be found elsewhere, too, for as long as it is here; whether it still is. (Hits on one that is
        not would never be counted.)"""
        with self._lock:
            if self.entries.get(name) is not entry:
                return False
            aliases[alias] = found
            self._aliases.setdefault(entry, {})[id(aliases), alias] = aliases, found
            return True

    def clear(self) -> None:
        with self._lock:
            for name in list(self.entries):
                self._drop(name)

    def take_hits(self) -> list[tuple[NearEntry, int]]:
        """The entries that were hit since the last time, and how often."""
        with self._lock:
            gone, self._gone = self._gone, []
            entries = list(self.entries.values())
        taken = []
        for entry in gone + entries:
            if entry.hits:
                hits, entry.hits, entry.seen = entry.hits, 0, -1
                taken.append((entry, hits))
        return taken
