"""The entries of one capacity in one shard: records in the pages, their order in a policy, exact bytes.

A group has a store of its own; memoized functions are groups that share one, their pool.

Invariants: a key is in the policy if and only if it is in the pages; `bytes` is the sum over all entries of key,
record and large value, and the sum over `usage`; it does not exceed the capacity when a call returns, whatever was put.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from raycache.core import record
from raycache.core.eviction import BY_NAME, Policy
from raycache.core.expiries import Expiries
from raycache.core.messages import Future, group_of
from raycache.core.pages import Pages, PagesFull

#: Share of the entries that go at once when shared memory is full before the capacity is reached, and how often.
_SHARE_WHEN_FULL, _TRIES_WHEN_FULL = 8, 3
#: Entries that are put in one transaction, at most: it takes a copy of every page that it touches.
_PUTS_AT_ONCE = 1000


class Entry(NamedTuple):
    """What is put: a record, and for a stub the large value that it stands for."""

    record: bytes
    large: Future | None = None


def entry_bytes(key: bytes, stored: bytes) -> int:
    """What an entry counts for."""
    return len(key) + record.value_bytes(stored)


@dataclass(slots=True)
class Usage:
    """What one group has in a store, and what it has lost there."""

    entries: int = 0
    bytes: int = 0
    evictions: int = 0
    expirations: int = 0


class Store:
    """Entries by full key. Not thread-safe; the shard's lock guards it."""

    def __init__(
        self,
        capacity_bytes: int,
        pages: Pages,
        policy: str = "lru",
        make_room: Callable[[int], None] = lambda more: None,
    ) -> None:
        """`make_room`: told how many bytes more there will be; what lies in the pages beside the entries gives way."""
        self.capacity_bytes, self.policy, self._make_room = capacity_bytes, policy, make_room
        self.bytes = 0
        self.usage: defaultdict[int, Usage] = defaultdict(Usage)  # by group
        self._pages = pages
        self._policy: Policy = BY_NAME[policy]()
        self._large: dict[bytes, Future] = {}
        self._expiries = Expiries()

    def __len__(self) -> int:
        return len(self._policy)

    def __contains__(self, key: object) -> bool:
        return key in self._policy

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._policy)

    def get(self, key: bytes, now: float) -> bytes | None:
        """The record of a live entry, which is hit."""
        if key not in self._policy:
            return None
        stored = self._pages.get(key)
        assert stored is not None, "an entry of the policy is not in the pages"
        if record.header(stored).expires <= now:
            self._expire([key])
            return None
        self._policy.touch(key)
        return stored

    def large(self, key: bytes) -> Future | None:
        """The value that a stub stands for; None for any other entry."""
        return self._large.get(key)

    def own(self, key: bytes, large: Future) -> None:
        """The value that a stub stands for lies elsewhere now."""
        self._large[key] = large

    def touch(self, keys: Iterable[bytes]) -> None:
        """These were hit where the shard did not see it; a key stands here once for each hit that counts."""
        for key in keys:
            self._policy.touch(key)

    def fits(self, key: bytes, entry: Entry) -> bool:
        return entry_bytes(key, entry.record) <= self.capacity_bytes

    def put(self, entries: Mapping[bytes, Entry]) -> list[bytes]:
        """Stores entries that each fit, evicting for them; gives the keys for which shared memory had no room."""
        unstored: list[bytes] = []
        batch: dict[bytes, Entry] = {}
        size = 0
        for key, entry in entries.items():
            one = entry_bytes(key, entry.record)
            if len(batch) == _PUTS_AT_ONCE or (batch and size + one > self.capacity_bytes):
                unstored += self._put(batch, size)
                batch, size = {}, 0
            batch[key] = entry
            size += one
        if batch:
            unstored += self._put(batch, size)
        return unstored

    def _put(self, entries: dict[bytes, Entry], size: int) -> list[bytes]:
        """One transaction: what is replaced goes, then what is evicted, then the new entries come."""
        self._make_room(min(size, self.capacity_bytes - self.bytes))
        replaced = {key: self._large.get(key) for key in entries if key in self._policy}
        hits = self._forget(replaced)
        evicted = self._evict(self.bytes + size - self.capacity_bytes)
        puts = {key: record.sealed(key, entry.record) for key, entry in entries.items()}
        try:
            self._pages.write(puts, evicted)
        except PagesFull:
            self._delete(replaced | evicted)
            if not self._put_when_full(puts):
                return list(entries)
        for key, entry in entries.items():
            self.recover(key, entry.record, hits[key] + 1 if key in hits else 0)
            if entry.large is not None:
                self._large[key] = entry.large
        self._trim_expiries()
        return []

    def recover(self, key: bytes, stored: bytes, hits: int = 0) -> None:
        """Takes an entry that the pages have into the books, with the hits that it has had if they are known."""
        size, usage = entry_bytes(key, stored), self.usage[group_of(key)]
        self.bytes += size
        usage.entries += 1
        usage.bytes += size
        head = record.header(stored)
        self._policy.add(key, size, head.cost_s, hits)
        if head.expires != record.NEVER:
            self._expiries.add(key, head.expires)

    def _put_when_full(self, puts: dict[bytes, bytes]) -> bool:
        self._make_room(sys.maxsize)
        for _ in range(_TRIES_WHEN_FULL):
            self._delete(self._evict(self.bytes // _SHARE_WHEN_FULL + 1))
            try:
                self._pages.write(puts)
                return True
            except PagesFull:
                continue
        return False

    def _delete(self, gone: Mapping[bytes, Future | None]) -> None:
        """Deletes entries that are out of the order already; if there is no room for that, they are back in it."""
        try:
            self._pages.delete(list(gone))
        except PagesFull:
            for key, stored in self._pages.get_many(gone).items():
                self.recover(key, stored)
                if (large := gone[key]) is not None:
                    self._large[key] = large
            raise

    def _evict(self, excess: int) -> dict[bytes, Future | None]:
        """Takes entries of so many bytes out of the order, with their large values; the pages still have them."""
        victims: dict[bytes, Future | None] = {}
        target = self.bytes - excess
        while self.bytes > target and len(self._policy):
            victim = self._policy.victim()
            victims[victim] = self._large.get(victim)
            self._forget([victim])
            self.usage[group_of(victim)].evictions += 1
        return victims

    def _forget(self, keys: Iterable[bytes]) -> dict[bytes, int]:
        """Takes entries out of everything but the pages; the hits that each has had."""
        return self._account_gone(self._pages.get_many(keys))

    def _account_gone(self, gone: dict[bytes, bytes]) -> dict[bytes, int]:
        hits = {}
        for key, stored in gone.items():
            if key in self._policy:
                size, usage = entry_bytes(key, stored), self.usage[group_of(key)]
                self.bytes -= size
                usage.bytes -= size
                usage.entries -= 1
                hits[key] = self._policy.discard(key)
                self._large.pop(key, None)
        return hits

    def remove(self, keys: Iterable[bytes]) -> int:
        """Removes entries; how many there were. Absent keys are fine."""
        # What is in the pages counts, not what the policy knows: a put that failed half-way may have left more there.
        present = self._pages.get_many(keys)
        try:
            self._pages.delete(list(present))  # first: what it fails for is still here and counted
        except PagesFull:
            left = self._pages.get_many(present)
            self._account_gone({key: stored for key, stored in present.items() if key not in left})
            raise
        self._account_gone(present)
        return len(present)

    def take(self, prefix: bytes) -> dict[bytes, Entry]:
        """Takes out what starts with a prefix, in the order of the policy."""
        stored = self._pages.get_many([key for key in self._policy if key.startswith(prefix)])
        taken = {key: Entry(each, self._large.get(key)) for key, each in stored.items()}
        self.remove(taken)
        return taken

    def clear(self, prefix: bytes) -> int:
        """Removes what starts with a prefix; how many entries there were."""
        return self.remove(self.scan(prefix))

    def forget_all(self) -> None:
        """After the pages were dropped: there are no entries any more."""
        self.bytes, self._policy, self._expiries = 0, BY_NAME[self.policy](), Expiries()
        self._large.clear()
        for usage in self.usage.values():
            usage.entries = usage.bytes = 0

    def trim(self) -> None:
        """Makes room until the entries fit into the capacity."""
        self._delete(self._evict(self.bytes - self.capacity_bytes))

    def resize(self, capacity_bytes: int, policy: str | None = None) -> None:
        """Another capacity, and perhaps another policy, from now on; what no longer fits goes."""
        self.capacity_bytes = capacity_bytes
        if policy not in (None, self.policy):
            self.policy, keys = policy, list(self._policy)
            self._policy = BY_NAME[policy]()
            for key, stored in self._pages.get_many(keys).items():
                self._policy.add(key, entry_bytes(key, stored), record.header(stored).cost_s)
        self.trim()

    def expire(self, now: float) -> None:
        """Removes what is over, whatever its place in the order."""
        due = self._times(self._expiries.due(now, self._times))
        self._expire([key for key, expires in due.items() if expires <= now])

    def _times(self, keys: Iterable[bytes]) -> dict[bytes, float]:
        """When the entries are over."""
        return {key: record.header(stored).expires for key, stored in self._pages.get_many(keys).items()}

    def _expire(self, over: Iterable[bytes]) -> None:
        for group, keys in groupby(sorted(over), group_of):
            self.usage[group].expirations += self.remove(list(keys))

    def _trim_expiries(self) -> None:
        """Makes the expiries anew when most of them are about entries that were replaced or are gone."""
        if len(self._expiries) > 2 * len(self._policy) + 64:
            self._expiries = Expiries()
            for key, expires in self._times(self._policy).items():
                if expires != record.NEVER:
                    self._expiries.add(key, expires)

    def scan(self, prefix: bytes, after: bytes = b"", limit: int | None = None) -> list[bytes]:
        """Keys of entries that start with a prefix, in the order of the pages, from after a key of an earlier scan on;
        all of them, by default."""
        return self._pages.scan(prefix, after, limit)
