"""A shard: the entries of the keys it owns, and the loads of those that are missing. It answers messages.

A plain class without I/O of its own: pages, slots, clock and the loader are given. It never waits: a missing key is
answered with the future of its load. Not thread-safe; whoever runs it holds a lock around `handle` and `tick`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from raycache.core import keys, record
from raycache.core.codec import ABSENT, Blob
from raycache.core.flights import Chunk, Flights, Load
from raycache.core.getters import INLINE_BYTES, lifetime
from raycache.core.messages import (
    Absent,
    Ack,
    Answers,
    Bump,
    Count,
    Define,
    Delete,
    Describe,
    Failed,
    Future,
    Get,
    GroupSpec,
    Keys,
    Large,
    Learn,
    Loaded,
    Missing,
    Moved,
    NoSuchGroup,
    Outcome,
    Raised,
    Report,
    Set,
    ShardInfo,
    group_of,
)
from raycache.core.pages import Pages
from raycache.core.ring import Ring
from raycache.core.stats import Stats
from raycache.core.store import Entry, Store
from raycache.core.versions import FOREVER, Versions, slot_of

_log = logging.getLogger(__name__)


class Loader(Protocol):
    """What a shard asks of whoever runs getters for it."""

    def start(self, spec: GroupSpec, keys: list[bytes]) -> Load:
        """Submits one loader task, and has `Shard.tick` called when it has ended."""
        ...

    def hold(self, blob: Blob) -> Future:
        """Keeps a large value for as long as the result is kept: the future of a tuple that holds it."""
        ...


class _Group:
    """What a shard has of one group."""

    def __init__(self, spec: GroupSpec, pages: Pages) -> None:
        self.spec = spec
        self.store = Store(spec.id, spec.options.capacity_bytes, pages)
        self.reported = Stats()  # by clients
        self.counts: Counter[str] = Counter()  # of the shard's own doing, by the names of Stats

    def stats(self) -> Stats:
        store = self.store
        here: dict[str, Any] = dict(self.counts)
        here |= {"evictions": store.evictions, "expirations": store.expirations}
        return self.reported + Stats(entries=len(store), bytes=store.bytes, **here)


class Shard:
    """One shard, by its id in the ring."""

    def __init__(
        self,
        info: ShardInfo,
        *,
        pages: Pages,
        versions: Versions,
        loader: Loader,
        clock: Callable[[], float],
        max_loads: int,
    ) -> None:
        self.id, self._info = info.id, info
        self._pages, self._versions, self._loader, self._clock = pages, versions, loader, clock
        self._ring = Ring(-1, {})
        self._groups: dict[int, _Group] = {}
        self._newest: dict[str, int] = {}  # id of the newest group of a name
        self._replaced: set[int] = set()
        self._flights = Flights(loader.start, clock, max_loads)
        self._handlers: dict[type, Callable[[Any], Any]] = {
            Get: self._get,
            Set: self._set,
            Delete: self._delete,
            Bump: self._bump,
            Keys: self._keys,
            Count: self._count,
            Report: self._report,
            Define: self._define,
            Learn: self._learn_message,
            Describe: self._describe,
        }

    def handle(self, message: Any) -> Any:
        """The answer to a message from a client or the directory."""
        return self._handlers[type(message)](message)

    def begin(self, ring: Ring) -> None:
        """Starts to serve as a member of this ring. Near entries of an earlier life are ended first."""
        self._versions.lease[0] = 0.0
        self._versions.bump_all()
        self._learn(ring)
        # The place of the lease: readers check it already; renewing and losing it come with fencing.
        self._versions.lease[0] = FOREVER

    def end(self) -> None:
        """Serves no more: nobody uses its pages or near entries after this."""
        self._versions.lease[0] = 0.0

    @property
    def pressed(self) -> bool:
        """Whether keys wait for a loader task to become free."""
        return self._flights.waiting

    def tick(self) -> None:
        """Settles loads that have ended, removes what has expired. Called when a load ends and every second."""
        self._settle(list(self._flights.running))
        self._flights.forget_ended()
        now = self._clock()
        for group in self._groups.values():
            group.store.expire(now)

    # ---------------------------------------------------------------------------------------------- gets

    def _get(self, ask: Get) -> Answers | Moved | NoSuchGroup:
        group = self._groups.get(ask.group)
        if group is None:
            return NoSuchGroup(ask.group)
        if self._ring.epoch > ask.epoch and not ask.standin and not self._owns(ask.keys):
            return Moved(self._ring.epoch)
        if len(self._flights):
            # Of a full house all are looked at: some may have ended, and make room.
            full = self._flights.full
            self._settle(list(self._flights.running) if full else self._flights.chunks_of(ask.keys))
        now = self._clock()
        items: list[Any] = [None if ask.fresh else self._known(group, key, now, ask.again) for key in ask.keys]
        if ask.load and group.spec.getter is not None:
            self._load(group.spec, ask, items)
        else:
            if ask.fresh:  # a large value that was lost, and cannot be loaded
                group.store.remove(ask.keys)
            items = [Missing() if item is None else item for item in items]
        return Answers(items, now, self._ring.epoch)

    def _owns(self, asked: Iterable[bytes]) -> bool:
        return all(self._ring.owner(key) == self.id for key in asked)

    def _known(self, group: _Group, key: bytes, now: float, again: bool) -> Any:
        """The answer for a key that needs no new load, if there is one."""
        if again:  # what the asker was told to wait for comes before what lies here: it may be a refresh
            if key in self._flights:
                return None
            if (ended := self._flights.ended(key)) is not None:
                return ended
        return self._find(group, key, now)

    def _find(self, group: _Group, key: bytes, now: float) -> bytes | Large | None:
        stored = group.store.get(key, now)
        if stored is not None and record.is_stub(stored):
            return Large(stored, group.store.large(key))
        return stored

    def _load(self, spec: GroupSpec, ask: Get, items: list[Any]) -> None:
        """Puts flights in place of what was not found: new ones, or those that are there."""
        missing = [(place, ask.keys[place]) for place, item in enumerate(items) if item is None]
        started = {key: None for _, key in missing if ask.fresh or key not in self._flights}
        for key in started:
            self._flights.add(spec, key, ask.standin)
        if ask.nested:
            self._flights.hurry(spec, [key for _, key in missing], ask.standin)
        self._flights.dispatch()
        futures = self._flights.futures((key for _, key in missing), started)
        for (place, _), future in zip(missing, futures, strict=True):
            items[place] = future

    def _settle(self, chunks: list[Chunk]) -> None:
        """Stores what ended loads have brought, and gives their tasks to keys that wait."""
        for chunk, outcome in self._flights.landed(chunks):
            spec = chunk.flights[0].spec
            group = self._groups.get(spec.id)
            if isinstance(outcome, Failed):
                self._flights.fail(chunk)
                if group is not None:
                    group.counts["load_timeouts" if outcome.hung else "loader_deaths"] += 1
                continue
            landed = self._flights.finish(chunk, outcome)
            if group is not None:
                self._tally(group, outcome)
                owned = [f.key for f in landed if f.standin or self._ring.owner(f.key) == self.id]
                try:
                    self._store(group, {key: outcome[key] for key in owned}, chunk.load)
                except Exception:  # no room, or a large value is lost: those who wait get it, and it is not kept
                    _log.exception("raycache: %d loaded values of the group %r are not kept", len(owned), spec.name)
                    group.counts["unstored"] += len(owned)
        self._flights.dispatch()

    def _tally(self, group: _Group, outcome: Outcome) -> None:
        for result in outcome.values():
            group.counts["loads"] += 1
            group.counts["loads_failed"] += isinstance(result, Raised)
            group.counts["not_found"] += isinstance(result, Absent)
            group.counts["load_seconds"] += result.cost_s  # type: ignore[assignment]  # a Counter of floats, here

    def _store(self, group: _Group, outcome: Outcome, load: Load) -> None:
        now = self._clock()
        entries: dict[bytes, Entry] = {}
        gone: list[bytes] = []  # what a refresh finds there is no more, or cannot be kept
        for key, result in outcome.items():
            if isinstance(result, Loaded):
                head = self._header(now, result.ttl_s, result.cost_s, result.tag)
                if isinstance(result.data, bytes):
                    entries[key] = Entry(record.pack(head, result.data))
                elif result.size <= group.spec.options.capacity_bytes:
                    entries[key] = Entry(record.stub(head, result.size), load.large(result.data))
                else:
                    group.counts["too_large"] += 1
                    gone.append(key)
            elif isinstance(result, Absent) and result.ttl_s:
                head = self._header(now, result.ttl_s, result.cost_s, ABSENT)
                entries[key] = Entry(record.pack(head, result.message.encode()))
            elif isinstance(result, Absent):
                gone.append(key)
        for key in [key for key, entry in entries.items() if not group.store.fits(key, entry)]:
            del entries[key]
            group.counts["too_large"] += 1
            gone.append(key)
        group.counts["removals"] += group.store.remove(gone)
        group.counts["unstored"] += len(group.store.put(entries))

    def _header(self, now: float, ttl_s: float | None, cost_s: float, tag: int) -> record.Header:
        return record.Header(record.NEVER if ttl_s is None else now + ttl_s, now, cost_s, tag)

    # ------------------------------------------------------------------------------------- invalidation

    def _set(self, ask: Set) -> Ack | Moved | NoSuchGroup:
        self._learn(ask.ring)
        group = self._groups.get(ask.group)
        if group is None:
            return NoSuchGroup(ask.group)
        names = [key for key, _, _ in ask.items]
        if not self._owns(names):
            return Moved(self._ring.epoch)
        self._flights.take_out(names)
        now, options = self._clock(), group.spec.options
        entries = {}
        for key, blob, ttl_s in ask.items:
            head = self._header(now, lifetime(options.ttl_s if ttl_s is None else ttl_s, options), 0.0, blob.tag)
            if blob.size > INLINE_BYTES:
                entries[key] = Entry(record.stub(head, blob.size), self._loader.hold(blob))
            else:
                tag, data = blob.packed()
                entries[key] = Entry(record.pack(head._replace(tag=tag), data))
        unstored = [key for key, entry in entries.items() if not group.store.fits(key, entry)]
        group.store.remove(unstored)
        unstored += group.store.put({key: entry for key, entry in entries.items() if key not in unstored})
        group.counts["sets"] += len(entries) - len(unstored)
        group.counts["unstored"] += len(unstored)
        return Ack(self._ring.epoch, len(entries) - len(unstored))

    def _delete(self, ask: Delete) -> Ack | NoSuchGroup:
        self._learn(ask.ring)
        if ask.group in self._replaced:
            return NoSuchGroup(ask.group, replaced=True)
        group = self._groups.get(ask.group)
        # What was delivered already counts as having been there.
        self._settle(list(self._flights.running) if ask.keys is None else self._flights.chunks_of(ask.keys))
        if ask.keys is None:
            self._flights.take_out_group(ask.group)
        else:
            self._flights.take_out(ask.keys)
        if group is None:
            return Ack(self._ring.epoch)
        removed = group.store.clear() if ask.keys is None else group.store.remove(ask.keys)
        if ask.removal:
            group.counts["removals"] += removed
        return Ack(self._ring.epoch, removed)

    def _bump(self, ask: Bump) -> Ack:
        if ask.keys is None:
            self._versions.bump_all()
        else:
            self._versions.bump(slot_of(keys.digest(key)) for key in ask.keys)
        return Ack(self._ring.epoch)

    # -------------------------------------------------------------------------------- groups and members

    def _define(self, ask: Define) -> Ack | NoSuchGroup:
        spec = ask.spec
        newest = self._newest.get(spec.name, 0)
        if newest > spec.id:
            return NoSuchGroup(spec.id, replaced=True)
        if newest < spec.id:
            self._replaced.add(newest)
            if newest in self._groups:
                self._flights.take_out_group(newest)
                self._groups.pop(newest).store.clear()
            self._newest[spec.name] = spec.id
            self._groups[spec.id] = _Group(spec, self._pages)
        return Ack(self._ring.epoch)

    def _learn_message(self, ask: Learn) -> Ack:
        self._learn(ask.ring)
        return Ack(self._ring.epoch)

    def _learn(self, ring: Ring) -> None:
        """Takes a newer ring. What is no longer owned goes; handing it over to its new owner will come here."""
        if ring.epoch <= self._ring.epoch:
            return
        self._ring = ring
        for group in self._groups.values():
            group.store.remove([key for key in group.store.scan() if ring.owner(key) != self.id])

    # ------------------------------------------------------------------------------------------ questions

    def _keys(self, ask: Keys) -> list[bytes] | NoSuchGroup:
        group = self._groups.get(group_of(ask.prefix))
        if group is None:
            return []
        self.tick()
        return group.store.scan(ask.prefix, ask.after, ask.limit)

    def _count(self, ask: Count) -> dict[int, Stats]:
        self.tick()
        return {id: group.stats() for id, group in self._groups.items() if ask.group in (None, id)}

    def _report(self, ask: Report) -> Ack | NoSuchGroup:
        group = self._groups.get(ask.group)
        if group is None:
            return NoSuchGroup(ask.group)
        group.reported += ask.stats
        group.store.touch(ask.touched)
        return Ack(self._ring.epoch)

    def _describe(self, _: Describe) -> ShardInfo:
        self.tick()
        stores = [group.store for group in self._groups.values()]
        return ShardInfo(
            id=self.id,
            node=self._info.node,
            pid=self._info.pid,
            address=self._info.address,
            folder=self._info.folder,
            weight=self._info.weight,
            capacity_bytes=self._info.capacity_bytes,
            entries=sum(map(len, stores)),
            bytes=sum(store.bytes for store in stores),
            loads=len(self._flights.running),
            epoch=self._ring.epoch,
            lease_s=max(self._versions.lease[0] - self._clock(), 0.0),
        )
