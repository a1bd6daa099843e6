"""A shard: the entries of the keys it owns, and the loads of those that are missing. It answers messages.

A plain class without I/O of its own: pages, slots, clock and the loader are given. It never waits: a missing key is
answered with the future of its load. Not thread-safe; whoever runs it holds a lock around `handle` and `tick`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from raycache.core import keys, record
from raycache.core.codec import Blob
from raycache.core.fills import Fills
from raycache.core.flights import Chunk, Flight, Flights, Load
from raycache.core.getters import INLINE_BYTES, lifetime, said
from raycache.core.messages import (
    Ack,
    Answers,
    Bump,
    Call,
    Count,
    Define,
    Delete,
    Describe,
    Explain,
    Explained,
    Failed,
    Filled,
    Future,
    Get,
    GroupSpec,
    Keys,
    Learn,
    Loaded,
    Missing,
    Moved,
    NoSuchGroup,
    Outcome,
    Raised,
    Renew,
    Report,
    Set,
    ShardInfo,
    group_of,
)
from raycache.core.notes import Notes
from raycache.core.pages import Pages
from raycache.core.ring import Ring
from raycache.core.shard_group import ShardGroup, header
from raycache.core.stats import Stats
from raycache.core.store import Entry, Store
from raycache.core.versions import FOREVER, Versions, slot_of

_log = logging.getLogger(__name__)


class Loader(Protocol):
    """What a shard asks of whoever runs getters for it."""

    def start(self, spec: GroupSpec, keys: list[bytes], calls: list[Call]) -> Load:
        """Submits one loader task, and has `Shard.tick` called when it has ended.

        Of a memoized function there is a call for each key; else there are none.
        """
        ...

    def hold(self, blob: Blob) -> Future:
        """Keeps a large value for as long as the result is kept: the future of a tuple that holds it."""
        ...


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
        self._groups: dict[int, ShardGroup] = {}
        self._stores: dict[str, Store] = {}  # by pool; a group without one has its own, under its name
        self._newest: dict[str, int] = {}  # id of the newest group of a name
        self._replaced: set[int] = set()
        self._flights = Flights(loader.start, clock, max_loads)
        self._fills = Fills(clock)
        self._notes = Notes(self._has, clock)
        self._handlers: dict[type, Callable[[Any], Any]] = {
            Get: self._get,
            Filled: self._filled,
            Renew: self._renew,
            Set: self._set,
            Delete: self._delete,
            Bump: self._bump,
            Keys: self._keys,
            Count: self._count,
            Report: self._report,
            Define: self._define,
            Learn: self._learn_message,
            Explain: self._explain,
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
        self._fills.forget_overdue()
        now = self._clock()
        for store in self._stores.values():
            store.expire(now)

    # ---------------------------------------------------------------------------------------------- gets

    def _get(self, ask: Get) -> Answers | Moved | NoSuchGroup:
        group = self._groups.get(ask.group)
        spec = None if group is None else group.definition(ask.definition if ask.load else b"")
        if group is None or spec is None:
            return NoSuchGroup(ask.group)
        if self._ring.epoch > ask.epoch and not ask.standin and not self._owns(ask.keys):
            return Moved(self._ring.epoch)
        if len(self._flights):
            # Of a full house all are looked at: some may have ended, and make room.
            full = self._flights.full
            self._settle(list(self._flights.running) if full else self._flights.chunks_of(ask.keys))
        now = self._clock()
        items: list[Any] = [None if ask.fresh else self._known(group, key, now, ask.again) for key in ask.keys]
        if ask.fill:
            self._claim(ask, items)
        elif ask.load and spec.getter is not None:
            self._load(spec, ask, items)
        else:
            if ask.fresh:  # a large value that was lost, and cannot be loaded
                group.store.remove(ask.keys)
            items = [Missing() if item is None else item for item in items]
        return Answers(items, now, self._ring.epoch)

    def _owns(self, asked: Iterable[bytes]) -> bool:
        return all(self._ring.owner(key) == self.id for key in asked)

    def _known(self, group: ShardGroup, key: bytes, now: float, again: bool) -> Any:
        """The answer for a key that needs no new load, if there is one."""
        if again:  # what the asker was told to wait for comes before what lies here: it may be a refresh
            if key in self._flights:
                return None
            if (ended := self._flights.ended(key) or self._fills.ended(key)) is not None:
                return ended
        return group.find(key, now)

    def _load(self, spec: GroupSpec, ask: Get, items: list[Any]) -> None:
        """Puts flights in place of what was not found: new ones, or those that are there."""
        missing = [(place, ask.keys[place]) for place, item in enumerate(items) if item is None]
        started = {key: None for _, key in missing if ask.fresh or key not in self._flights}
        calls = dict(zip(ask.keys, ask.calls, strict=True)) if ask.calls else {}
        for key in started:
            self._flights.add(spec, key, ask.standin, calls.get(key))
        if ask.nested:
            self._flights.hurry(spec, [key for _, key in missing], ask.standin)
        self._flights.dispatch()
        futures = self._flights.futures((key for _, key in missing), started)
        for (place, _), future in zip(missing, futures, strict=True):
            items[place] = future

    def _claim(self, ask: Get, items: list[Any]) -> None:
        """Puts tokens in place of what was not found, or word that somebody else computes it."""
        for place, (key, item) in enumerate(zip(ask.keys, items, strict=True)):
            if item is None and key in self._flights and not ask.fresh:
                (items[place],) = self._flights.futures([key], ())
            elif item is None:
                items[place] = self._fills.claim(key, ask.fresh)

    def _filled(self, ask: Filled) -> Ack | Moved | NoSuchGroup:
        group = self._groups.get(ask.group)
        spec = None if group is None else group.definition(ask.definition)
        if group is None or (spec is None and self._fills.current(ask.key, ask.token)):
            return NoSuchGroup(ask.group)
        current = self._fills.end(ask.key, ask.token, ask.result)
        group.tally({ask.key: ask.result})
        if spec is None or not current or not self._owns([ask.key]):
            return Ack(self._ring.epoch, 0)
        blob = ask.blob
        fates = group.keep({ask.key: ask.result}, lambda _: blob and self._loader.hold(blob), self._clock())
        self._note(spec, {ask.key: ask.note}, {ask.key: ask.result}, fates)
        return Ack(self._ring.epoch, 1)

    def _renew(self, ask: Renew) -> Ack:
        return Ack(self._ring.epoch, sum(self._fills.renew(key, number) for key, number in ask.tokens))

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
                group.tally(outcome)
                wanted = [f for f in landed if f.standin or self._ring.owner(f.key) == self.id]
                self._keep(group, wanted, outcome, chunk.load)
        self._flights.dispatch()

    def _keep(self, group: ShardGroup, landed: list[Flight], outcome: Outcome, load: Load) -> None:
        """Stores what has landed. Whatever goes wrong with that, those who wait for it get it."""
        now = self._clock()
        try:
            fates = group.keep({flight.key: outcome[flight.key] for flight in landed}, load.large, now)
        except Exception:  # no room, or a large value is lost
            _log.exception("raycache: %d loaded values of the group %r are not kept", len(landed), group.spec.name)
            group.counts["unstored"] += len(landed)
            return
        for flight in landed:
            if flight.call is not None:
                self._note(flight.spec, {flight.key: flight.call.note}, outcome, fates)

    # --------------------------------------------------------------------------------------------- notes

    def _note(
        self, spec: GroupSpec, notes: Mapping[bytes, bytes], outcome: Outcome, fates: Mapping[bytes, str]
    ) -> None:
        """Remembers calls of a memoized function that were computed."""
        now = self._clock()
        for key, note in notes.items():
            result = outcome[key]
            if isinstance(result, Loaded):
                expires = record.NEVER if result.ttl_s is None else now + result.ttl_s
                self._notes.add(key, spec.about, note, expires, result.cost_s, result.size, fates.get(key, ""))
            elif isinstance(result, Raised):
                self._notes.failed(key, spec.about, note, result.cost_s, said(result))

    def _has(self, key: bytes) -> bool:
        group = self._groups.get(group_of(key))
        return group is not None and key in group.store

    def _explain(self, ask: Explain) -> Explained:
        self.tick()
        group = self._groups.get(group_of(ask.key))
        stored = None if group is None else group.store.get(ask.key, self._clock())
        return self._notes.explain(ask, stored, computing=ask.key in self._flights or ask.key in self._fills)

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
        self._fills.take_out(names)
        now, options = self._clock(), group.spec.options
        entries = {}
        for key, blob, ttl_s in ask.items:
            head = header(now, lifetime(options.ttl_s if ttl_s is None else ttl_s, options), 0.0, blob.tag)
            if blob.size > INLINE_BYTES:
                entries[key] = Entry(record.stub(head, blob.size), self._loader.hold(blob))
            else:
                tag, data = blob.packed()
                entries[key] = Entry(record.pack(head._replace(tag=tag), data))
        return Ack(self._ring.epoch, group.put(entries))

    def _delete(self, ask: Delete) -> Ack | NoSuchGroup:
        self._learn(ask.ring)
        if ask.group in self._replaced:
            return NoSuchGroup(ask.group, replaced=True)
        group = self._groups.get(ask.group)
        # What was delivered already counts as having been there.
        self._settle(list(self._flights.running) if ask.keys is None else self._flights.chunks_of(ask.keys))
        if ask.keys is None:
            self._flights.take_out_group(ask.group)
            self._fills.take_out_group(ask.group)
            self._notes.removed_group(ask.group)
        else:
            self._flights.take_out(ask.keys)
            self._fills.take_out(ask.keys)
            self._notes.removed(ask.keys)
        if group is None:
            return Ack(self._ring.epoch)
        removed = group.clear() if ask.keys is None else group.store.remove(ask.keys)
        if ask.keys is None:
            group.forget_definitions()
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
            self._drop_group(newest)
            self._newest[spec.name] = spec.id
            self._groups[spec.id] = ShardGroup(replace(spec, definition=b""), self._store(spec))
        if ask.resize:
            self._groups[spec.id].move(self._store(spec))
            self._store(spec).resize(spec.options.capacity_bytes)
        if spec.definition:
            self._groups[spec.id].define(spec)
        return Ack(self._ring.epoch)

    def _store(self, spec: GroupSpec) -> Store:
        """The store of the group's pool."""
        name = spec.pool or f"group {spec.name}"
        if name not in self._stores:
            self._stores[name] = Store(spec.options.capacity_bytes, self._pages)
        return self._stores[name]

    def _drop_group(self, id: int) -> None:
        """A group's definition was replaced: nothing of it is left."""
        self._replaced.add(id)
        self._flights.take_out_group(id)
        self._fills.take_out_group(id)
        self._notes.forget_group(id)
        if (group := self._groups.pop(id, None)) is not None:
            group.clear()
            group.store.usage.pop(id, None)

    def _learn_message(self, ask: Learn) -> Ack:
        self._learn(ask.ring)
        return Ack(self._ring.epoch)

    def _learn(self, ring: Ring) -> None:
        """Takes a newer ring. What is no longer owned goes; handing it over to its new owner will come here."""
        if ring.epoch <= self._ring.epoch:
            return
        self._ring = ring
        for group in self._groups.values():
            group.store.remove([key for key in group.store.scan(group.prefix) if ring.owner(key) != self.id])

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
        stores = self._stores.values()
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
