"""What a shard has of one group: its definition, its part of a store, its counters; and what loads brought, stored."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from raycache.core import record
from raycache.core.codec import ABSENT
from raycache.core.messages import Absent, Future, GroupSpec, Large, Loaded, Outcome, Raised, group_prefix
from raycache.core.stats import Stats
from raycache.core.store import Entry, Store

#: Definitions of one memoized function that a shard has at hand, and bytes of their getters; the latest is always kept.
#: Who comes with another one sends it again.
MOST_DEFINITIONS, MOST_DEFINITION_BYTES = 64, 64 << 20


class ShardGroup:
    """One group in one shard."""

    def __init__(self, spec: GroupSpec, store: Store) -> None:
        self.spec, self.store = spec, store
        self.prefix = group_prefix(spec.id)
        self.reported = Stats()  # by clients
        self.inherited = Stats()  # what shards had counted that have left
        self.counts: Counter[str] = Counter()  # of the shard's own doing, by the names of Stats
        self._definitions: OrderedDict[bytes, GroupSpec] = OrderedDict()

    def define(self, spec: GroupSpec) -> None:
        """Takes in a definition of the memoized function that the group is of."""
        self._definitions[spec.definition] = spec
        self._definitions.move_to_end(spec.definition)
        size = sum(map(_size, self._definitions.values()))
        while len(self._definitions) > 1 and (
            size > MOST_DEFINITION_BYTES or len(self._definitions) > MOST_DEFINITIONS
        ):
            size -= _size(self._definitions.popitem(last=False)[1])

    def forget_definitions(self) -> None:
        """Whoever still uses one of them sends it again."""
        self._definitions.clear()

    def definition(self, name: bytes) -> GroupSpec | None:
        """The group's own spec, or one of a memoized function's; None if it is not known."""
        if not name:
            return self.spec
        if (spec := self._definitions.get(name)) is not None:
            self._definitions.move_to_end(name)
        return spec

    def stats(self, loading: int) -> Stats:
        """`loading`: keys of the group that are on their way."""
        return self.own_stats(loading) + self.inherited

    def own_stats(self, loading: int) -> Stats:
        """The same without what shards had counted that have left."""
        usage = self.store.usage[self.spec.id]
        return self._own_events() + Stats(loads_in_flight=loading, entries=usage.entries, bytes=usage.bytes)

    def events(self) -> Stats:
        """What has happened, without what is there."""
        return self._own_events() + self.inherited

    def _own_events(self) -> Stats:
        usage = self.store.usage[self.spec.id]
        here: dict[str, Any] = dict(self.counts)
        return self.reported + Stats(evictions=usage.evictions, expirations=usage.expirations, **here)

    def find(self, key: bytes, now: float) -> bytes | Large | None:
        """The record of a live entry, with its value where that lies elsewhere."""
        stored = self.store.get(key, now)
        if stored is not None and record.is_stub(stored):
            return Large(stored, self.store.large(key))
        return stored

    def clear(self) -> int:
        """Removes all entries; how many there were."""
        return self.store.clear(self.prefix)

    def move(self, store: Store) -> None:
        """The group is in another pool from now on, with all that it has."""
        if store is not self.store:
            old, self.store = self.store, store
            entries = old.take(self.prefix)
            store.usage[self.spec.id] = old.usage[self.spec.id]  # with what has gone so far
            del old.usage[self.spec.id]
            store.put({key: entry for key, entry in entries.items() if store.fits(key, entry)})

    def tally(self, outcome: Outcome) -> None:
        """Counts what getters did."""
        for result in outcome.values():
            self.counts["loads"] += isinstance(result, (Loaded, Absent, Raised))
            self.counts["loads_failed"] += isinstance(result, Raised)
            self.counts["not_found"] += isinstance(result, Absent)
            self.counts["load_seconds"] += result.cost_s  # type: ignore[assignment]  # a Counter of floats, here

    def keep(self, outcome: Outcome, large: Callable[[int], Future], now: float) -> dict[bytes, str]:
        """Stores what a load brought; what became of each key: "" for stored, or why it was not."""
        entries: dict[bytes, Entry] = {}
        fates: dict[bytes, str] = {}
        gone: list[bytes] = []  # what a refresh finds there is no more, or cannot be kept
        for key, result in outcome.items():
            if isinstance(result, Loaded):
                entry = self._entry(result, large, now)
                if entry is not None and self.store.fits(key, entry):
                    entries[key] = entry
                else:
                    self.counts["too_large"] += 1
                    fates[key] = "too large"
                    gone.append(key)
            elif isinstance(result, Absent) and result.ttl_s:
                entries[key] = Entry(record.pack(header(now, result.ttl_s, result.cost_s, ABSENT), _text(result)))
            elif isinstance(result, Absent):
                gone.append(key)
        self.counts["removals"] += self.store.remove(gone)
        unstored = self.store.put(entries)
        self.counts["unstored"] += len(unstored)
        return fates | dict.fromkeys(entries, "") | dict.fromkeys(unstored, "evicted")

    def _entry(self, result: Loaded, large: Callable[[int], Future], now: float) -> Entry | None:
        """What is put for a value; None where it cannot fit, and need not be fetched to find that out."""
        head = header(now, result.ttl_s, result.cost_s, result.tag)
        if isinstance(result.data, bytes):
            return Entry(record.pack(head, result.data))
        if result.size > self.store.capacity_bytes:
            return None
        return Entry(record.stub(head, result.size), large(result.data))

    def put(self, entries: Mapping[bytes, Entry]) -> int:
        """Stores what somebody has set; how many of them."""
        unstored = [key for key, entry in entries.items() if not self.store.fits(key, entry)]
        self.store.remove(unstored)
        unstored += self.store.put({key: entry for key, entry in entries.items() if key not in unstored})
        self.counts["sets"] += len(entries) - len(unstored)
        self.counts["unstored"] += len(unstored)
        return len(entries) - len(unstored)


def header(now: float, ttl_s: float | None, cost_s: float, tag: int) -> record.Header:
    """Of a record that is stored now."""
    return record.Header(record.NEVER if ttl_s is None else now + ttl_s, now, cost_s, tag)


def _text(absent: Absent) -> bytes:
    return absent.message.encode()


def _size(spec: GroupSpec) -> int:
    return len(spec.getter or b"") + len(spec.about)
