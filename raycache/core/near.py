"""The near cache: values in the calling process, each with the version slot that vouches for it.

An entry may be used only while `live(now)`; see `versions` for why the order of its two looks matters. Bounded in
bytes; the oldest entry that was not hit since it was last passed over goes first (CLOCK, Corbató 1968).
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

#: What an entry takes beside its value, roughly.
ENTRY_BYTES = 250
#: No entry takes more than this share of the whole.
LARGEST_SHARE = 1 / 8


class Near:
    """Entries by name: the user's key where that is a str, bytes or int, else the full key."""

    __slots__ = ("_bytes", "_capacity_bytes", "_lock", "entries")

    def __init__(self, capacity_bytes: int) -> None:
        self.entries: dict[Any, NearEntry] = {}
        self._bytes, self._capacity_bytes = 0, capacity_bytes
        self._lock = threading.Lock()

    def fits(self, size: int) -> bool:
        """Whether a value of this size may be kept."""
        return size + ENTRY_BYTES <= self._capacity_bytes * LARGEST_SHARE

    def put(self, name: Any, entry: NearEntry) -> None:
        """Keeps an entry that fits."""
        with self._lock:
            self._drop(name)
            self.entries[name] = entry
            self._bytes += entry.size
            while self._bytes > self._capacity_bytes:
                oldest = next(iter(self.entries))
                passed = self.entries[oldest]
                self._drop(oldest)
                if passed.used or passed.hits:
                    passed.used = False
                    if passed is not entry:
                        self.entries[oldest] = passed
                        self._bytes += passed.size

    def _drop(self, name: Any) -> None:
        entry = self.entries.pop(name, None)
        if entry is not None:
            self._bytes -= entry.size

    def clear(self) -> None:
        with self._lock:
            self.entries.clear()
            self._bytes = 0


class NearEntry:
    """One result, with what vouches for it."""

    __slots__ = (
        "cost_s",
        "expires",
        "hits",
        "key",
        "kind",
        "lease",
        "result",
        "shared",
        "size",
        "slot",
        "slots",
        "used",
        "value",
        "version",
    )

    def __init__(
        self,
        kind: type,
        key: bytes,
        result: Any,
        value: Any,
        shared: bool,
        size: int,
        lease: Sequence[float],
        slots: Sequence[int],
        slot: int,
        version: int,
    ) -> None:
        self.kind = kind  # of the user's key: 1 and True are the same to a dict
        self.key = key  # the full key
        self.result = result  # encoded
        self.value, self.shared = value, shared  # decoded, and whether it may be handed out
        self.size = size + ENTRY_BYTES
        self.lease, self.slots, self.slot, self.version = lease, slots, slot, version
        self.expires: float = result.expires
        self.hits = 0  # since the last report
        self.used = False  # hit before the last report, and not yet passed over

    def live(self, now: float) -> bool:
        """Whether it may be used at this time. First the lease, then the slot."""
        return now < self.lease[0] and self.slots[self.slot] == self.version and now < self.expires
