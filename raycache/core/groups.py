"""The groups of one shard, and the entries of all of them: what comes from, and goes to, other shards and other lives.

Invariants: of each name only the newest group has entries; every entry in the pages is in the store of its group
(beside them there are copies of what others own, under a prefix that no group has).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from raycache.core import hot, record
from raycache.core.codec import Blob
from raycache.core.messages import PREFIX_BYTES, Future, GroupSpec, Moving, group_of
from raycache.core.pages import Pages, PagesFull
from raycache.core.shard_group import ShardGroup
from raycache.core.store import Entry, Store

_log = logging.getLogger(__name__)

#: Entries that a restarted shard looks at in one step, and by how much the time at which one was stored may be in the
#: future there: it is kept in few digits.
RECOVER_KEYS, RECOVER_S = 2000, 60.0


class Groups:
    """Groups by id, and the stores that their entries lie in."""

    def __init__(self, pages: Pages, make_room: Callable[[int], None]) -> None:
        self._pages, self._make_room = pages, make_room
        self._groups: dict[int, ShardGroup] = {}
        self._stores: dict[str, Store] = {}  # by pool; a group without one has its own, under its name
        self._newest: dict[str, int] = {}  # id of the newest group of a name
        self._replaced: set[int] = set()
        self._borrowed: dict[bytes, Future] = {}  # large values in the memory of the shard that they came from
        self.recovered = self.dropped = 0

    def __iter__(self) -> Iterator[ShardGroup]:
        return iter(self._groups.values())

    def get(self, id: int) -> ShardGroup | None:
        return self._groups.get(id)

    def of(self, key: bytes) -> ShardGroup | None:
        return self._groups.get(group_of(key))

    def spec(self, id: int) -> GroupSpec | None:
        return self._groups[id].spec if id in self._groups else None

    def has(self, key: bytes) -> bool:
        group = self.of(key)
        return group is not None and key in group.store

    @property
    def count(self) -> int:
        """Entries of all groups."""
        return sum(map(len, self._stores.values()))

    @property
    def size(self) -> int:
        """Bytes of all entries."""
        return sum(store.bytes for store in self._stores.values())

    def touch(self, keys: Iterable[bytes]) -> None:
        """These were hit where the shard did not see it."""
        for key in keys:
            if (group := self.of(key)) is not None:
                group.store.touch([key])

    def expire(self, now: float) -> None:
        """Removes what is over."""
        for store in self._stores.values():
            store.expire(now)

    # ------------------------------------------------------------------------------------------ definitions

    def replaced(self, id: int) -> bool:
        """Whether there was such a group, and another definition has taken its place."""
        return id in self._replaced

    def outdated(self, spec: GroupSpec) -> bool:
        """Whether a newer group of this name is known."""
        return self._newest.get(spec.name, 0) > spec.id

    def define(self, spec: GroupSpec, resize: bool = False) -> int:
        """Takes in a group, or a definition of a memoized function; the id of the group whose place it takes, or 0."""
        before = self._newest.get(spec.name, 0)
        if before < spec.id:
            self._drop(before)
            self._newest[spec.name] = spec.id
            self._groups[spec.id] = ShardGroup(replace(spec, definition=b""), self._store(spec))
        if resize or not spec.pool:  # a store of its own may be that of an earlier definition
            self._groups[spec.id].move(self._store(spec))
            self._store(spec).resize(spec.options.capacity_bytes, spec.options.policy)
        if spec.definition:
            self._groups[spec.id].define(spec)
        return before if before < spec.id else 0

    def _store(self, spec: GroupSpec) -> Store:
        """The store of the group's pool."""
        name = spec.pool or f"group {spec.name}"
        if name not in self._stores:
            options = spec.options
            self._stores[name] = Store(options.capacity_bytes, self._pages, options.policy, self._make_room)
        return self._stores[name]

    def _drop(self, id: int) -> None:
        self._replaced.add(id)
        if (group := self._groups.pop(id, None)) is not None:
            group.clear()
            group.store.usage.pop(id, None)

    # --------------------------------------------------------------------------------------- lives and owners

    def forget_all(self) -> None:
        """Drops every entry."""
        self._pages.drop()
        self._borrowed.clear()
        for store in self._stores.values():
            store.forget_all()

    def recover(self, now: float, owned: Callable[[bytes], bool]) -> None:
        """Takes in what an earlier process left in the pages: its values are as good as they were. What is torn or of
        no group is dropped and counted; what is over, owned by others or was a large value is dropped. Without the room
        that this takes, nothing is kept."""
        try:
            self._recover_all(now, owned)
        except PagesFull as full:
            _log.warning(
                "raycache: what an earlier process left is dropped, as there is no room to go through it: %s", full
            )
            self.recovered = 0
            self.forget_all()

    def _recover_all(self, now: float, owned: Callable[[bytes], bool]) -> None:
        for store in self._stores.values():
            store.forget_all()  # of an earlier attempt
        self.recovered, self.dropped = 0, self._pages.delete_misplaced()
        after = b""
        while items := self._pages.items(after, RECOVER_KEYS):
            self._pages.delete([key for key, stored in items if not self._recover(key, stored, now, owned)])
            after = items[-1][0]
        for store in self._stores.values():
            store.trim()

    def _recover(self, key: bytes, stored: bytes, now: float, owned: Callable[[bytes], bool]) -> bool:
        if key.startswith(hot.PREFIX):  # a copy, which is of the earlier process's slots
            return False
        group = self.of(key) if len(key) >= PREFIX_BYTES and record.sound(key, stored) else None
        if group is None:
            self.dropped += 1
            return False
        head = record.header(stored)
        if record.is_stub(stored) or not head.stored - RECOVER_S <= now < head.expires or not owned(key):
            return False
        group.store.recover(key, stored)
        self.recovered += 1
        return True

    def sound(self, entry: Moving) -> bool:
        """Whether it is what was stored under this key; counted if not."""
        if record.sound(entry.key, entry.record) and record.is_stub(entry.record) == (entry.large is not None):
            return True
        self.dropped += 1
        return False

    def take(self, entry: Moving, ahead_s: float) -> None:
        """Takes in an entry of another shard, whose clock this one is ahead of."""
        key, store = entry.key, self._groups[group_of(entry.key)].store
        new = Entry(record.shifted(entry.record, ahead_s), entry.large)
        if not store.fits(key, new) or store.put({key: new}):
            self._groups[group_of(key)].counts["unstored"] += 1
        elif entry.large is not None:
            self._borrowed[key] = entry.large

    def let_go(self, entries: Iterable[Moving]) -> None:
        """Removes entries that lie elsewhere now, unless they have changed since."""
        for entry in entries:
            if self._pages.get(entry.key) == entry.record:
                group = self.of(entry.key)
                if group is not None:
                    group.store.remove([entry.key])

    def large(self, key: bytes) -> Future | None:
        """The value that a stub stands for."""
        group = self.of(key)
        return None if group is None else group.store.large(key)

    @property
    def borrowed(self) -> list[tuple[bytes, Future]]:
        """Large values that would go with the shard that they came from."""
        return list(self._borrowed.items())

    def own(self, key: bytes, borrowed: Future, hold: Callable[[Blob], Future], blob: Blob | None) -> None:
        """Puts a value of this shard's own in the place of a borrowed one, if it is still there; None: it is lost."""
        if self._borrowed.get(key) is not borrowed:
            return
        del self._borrowed[key]
        group = self.of(key)
        if group is None or group.store.large(key) is not borrowed:
            return
        if blob is None:
            group.store.remove([key])
        else:
            group.store.own(key, hold(blob))
