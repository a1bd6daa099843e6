"""A shard: the entries of the keys it owns, and the loads of those that are missing. It answers messages.

A plain class without I/O of its own: pages, slots, clock and the loader are given. It never waits: a missing key is
answered with the future of its load. What it wants to say to others it gives to whoever runs it: `hello` to the
directory, `batch` to other shards. Not thread-safe; whoever runs it holds a lock around everything but `Life.renew`.
"""

from __future__ import annotations

import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from raycache.core import keys, record
from raycache.core.codec import Blob
from raycache.core.fills import Fills
from raycache.core.flights import Chunk, Flight, Flights, Load
from raycache.core.getters import INLINE_BYTES, lifetime, said
from raycache.core.groups import Groups
from raycache.core.handover import Incoming, Outgoing
from raycache.core.hot import Copies
from raycache.core.hottest import Hottest
from raycache.core.life import Life
from raycache.core.messages import (
    PREFIX_BYTES,
    Ack,
    Adopt,
    Answers,
    Bump,
    Call,
    Copy,
    Count,
    Define,
    Delete,
    Describe,
    Elsewhere,
    Endpoint,
    Explain,
    Explained,
    Failed,
    Filled,
    Future,
    Get,
    GetEndpoint,
    Grant,
    GroupSpec,
    Hello,
    HotKey,
    Keys,
    Learn,
    Leave,
    Loaded,
    Missing,
    Moved,
    Moving,
    NoLease,
    NoSuchGroup,
    Outcome,
    Raised,
    Renew,
    Repeat,
    Report,
    Set,
    ShardInfo,
    Standing,
    group_of,
)
from raycache.core.notes import Notes
from raycache.core.numbered import Numbered
from raycache.core.page_reads import PageReads
from raycache.core.pages import Pages
from raycache.core.ring import Ring
from raycache.core.shard_group import ShardGroup, header
from raycache.core.stats import Stats
from raycache.core.store import Entry
from raycache.core.unconfirmed import Begun, Unconfirmed
from raycache.core.versions import Versions, slot_of
from raycache.core.wellformed import check, unknown
from raycache.errors import InvalidKey

_log = logging.getLogger(__name__)

#: Before the directory has answered this process, and after its end, it answers these alone.
_WITHOUT_LIFE = (Bump, Count, Describe, Repeat)
#: Without a lease it answers everything but these, which read what a lease protects, or confirm what only a lease can.
_UNDER_LEASE = (Get, Set, Delete, Keys)
_NO_RING = Ring(-1, {})


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
        lease_s: float,
        hot: float,
    ) -> None:
        """`hot`: the share of its capacity that copies of what others own may take."""
        self.id, self._info = info.id, info
        self._pages, self._versions, self._loader, self._clock = pages, versions, loader, clock
        self.life = Life(info, versions, clock, lease_s)
        self.page_reads = PageReads(pages, self.life, clock)
        self.endpoint = Endpoint()  # of who makes these reads for other nodes
        self._ring = _NO_RING
        self._groups = Groups(pages, lambda more: self._copies.give_way(more))
        self._copies = Copies(pages, versions, info.capacity_bytes, hot, lambda: self._groups.size)
        self._flights = Flights(loader.start, clock, max_loads)
        self._fills = Fills(clock)
        self._numbered = Numbered()
        self._hottest = Hottest(clock)
        self._notes = Notes(self._groups.has, clock)
        self._outgoing = Outgoing(self.id, pages, clock, loading=self._flights.__contains__)
        self._incoming = Incoming(self.id, clock)
        self._unconfirmed = Unconfirmed(clock)
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
            Copy: self._copy,
            Define: self._define,
            Learn: self._learn_message,
            Adopt: self._adopt,
            Explain: self._explain,
            Repeat: self._repeat,
            Describe: self._describe,
            GetEndpoint: lambda _: self.endpoint,
        }

    def handle(self, message: Any) -> Any:
        """The answer to a message from a client, another shard or the directory.

        Raises Malformed or VersionMismatch for what is none; nothing of it was done.
        """
        check(message)
        if self.life.muted and not isinstance(message, _WITHOUT_LIFE):
            return NoLease(self.id)
        if isinstance(message, (Set, Delete)):
            self._learn(message.ring)
            self._remember(message)
        if isinstance(message, _UNDER_LEASE) and not self.life.leased:
            return NoLease(self.id)
        handler = self._handlers.get(type(message)) or unknown(message)
        return handler(message)

    # ---------------------------------------------------------------------------------------- membership

    def hello(self) -> Hello:
        """What to ask the directory: three times in a lease, soon again without one, and at once after a new ring."""
        return self.life.hello(self._ring.epoch, self.handing or bool(self._groups.borrowed))

    def granted(self, hello: Hello, grant: Grant | None) -> None:
        """The directory's answer, however late."""
        if grant is None or not self.life.answers(hello, grant):
            return
        if grant.standing is Standing.COLD:
            self._wipe()
            self.life.begin(grant.ticket)
            return
        if grant.view is not None and self.life.fresh:
            self._return(grant.view.ring, grant.groups)
        elif grant.view is not None:
            self._learn(grant.view.ring)
        self.life.fresh = False  # not before it has looked at all that it has
        self.life.renew(hello, grant)

    def _wipe(self) -> None:
        """It is no member, or no longer one: whatever it has may be out of date."""
        self.life.lose()
        self._flights.take_out_all()
        self._fills.take_out_all()
        self._outgoing.drop()
        self._incoming.drop()
        self._groups.forget_all()
        self._copies.forget_all()
        self._versions.bump_all()
        self._ring = _NO_RING

    def _return(self, ring: Ring, groups: Iterable[GroupSpec]) -> None:
        """A new process goes on with the pages of the one before it, whose life has not ended.

        Large values and the order of uses went with that process. What else is not as it was stored is dropped.
        """
        self._ring = ring
        for spec in groups:
            self._define(Define(spec))
        self._groups.recover(self._clock(), lambda key: ring.owner(key) == self.id)
        self._outgoing.begin(ring)

    def end(self) -> None:
        """Serves no more: nobody uses its pages or near entries after this."""
        self.life.end()

    def leave(self) -> Leave:
        """Ends, and what to tell the directory of it."""
        self.end()
        return Leave(self.id, self.life.ticket, {group.spec.id: group.events() for group in self._groups})

    @property
    def epoch(self) -> int:
        """Of the ring that it knows."""
        return self._ring.epoch

    @property
    def pressed(self) -> bool:
        """Whether keys wait for a loader task to become free."""
        return self._flights.waiting

    def told(self, keys: Iterable[bytes]) -> None:
        """Those who have waited for values of these keys know of them: how the loads ended is kept no longer than it
        takes to store that."""
        self._flights.told(key for key in keys if self._groups.has(key))

    def tick(self) -> None:
        """Settles loads that have ended, notes what was read, removes what has expired. Called when a load ends and
        every second."""
        self._settle(list(self._flights.running))
        self._flights.forget_ended()
        self._fills.forget_overdue()
        self._groups.touch(self.page_reads.take_touched())
        now = self._clock()
        self._groups.expire(now)
        self._copies.expire(now)

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
        items: list[Any] = [None if ask.fresh else self._known(group, key, now, ask) for key in ask.keys]
        if self._incoming.open and not ask.fresh and not ask.asked:
            self._refer(ask.keys, items)
        if ask.fill:
            self._claim(ask, items)
        elif ask.load and spec.getter is not None and not self._numbered.over(ask):
            self._load(spec, ask, items)
        else:
            if ask.fresh:  # a large value that was lost, and cannot be loaded
                group.store.remove(ask.keys)
            items = [Missing() if item is None else item for item in items]
        return Answers(items, now, self._ring.epoch, self._numbered.answered(ask, items))

    def would_settle(self, names: Iterable[bytes]) -> bool:
        """Whether a get of these keys would first store what loads have brought, which may take long."""
        flights = self._flights
        return flights.full or any(chunk.load.result() is not None for chunk in flights.chunks_of(names))

    def _refer(self, names: Iterable[bytes], items: list[Any]) -> None:
        """Puts word of who may still have it in the place of what was not found and is not being loaded."""
        for place, (key, item) in enumerate(zip(names, items, strict=True)):
            if item is None and key not in self._flights and key not in self._fills:
                holders = self._incoming.holders(key)
                items[place] = Elsewhere(holders) if holders else None

    def _owns(self, asked: Iterable[bytes]) -> bool:
        return all(self._ring.owner(key) == self.id for key in asked)

    def _known(self, group: ShardGroup, key: bytes, now: float, ask: Get) -> Any:
        """The answer for a key that needs no new load, if there is one."""
        if ask.again:  # what the asker was told to wait for comes before what lies here: it may be a refresh
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
        futures = self._flights.futures((key for _, key in missing), started, awaited=ask.number > 0)
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
        self._incoming.close([ask.key])
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
                self._keep(group, [flight for flight in landed if self._stays(flight)], outcome, chunk.load)
        self._flights.dispatch()

    def _stays(self, flight: Flight) -> bool:
        """Whether what was loaded is stored here."""
        return flight.standin or self._ring.owner(flight.key) == self.id or self._outgoing.takes(flight.key)

    def _keep(self, group: ShardGroup, landed: list[Flight], outcome: Outcome, load: Load) -> None:
        """Stores what has landed. Whatever goes wrong with that, those who wait for it get it."""
        now = self._clock()
        self._incoming.close(flight.key for flight in landed)
        try:
            fates = group.keep({flight.key: outcome[flight.key] for flight in landed}, load.large, now)
        except Exception:  # no room, or a large value is lost
            _log.exception("raycache: %d loaded values of the group %r are not kept", len(landed), group.spec.name)
            group.counts["unstored"] += len(landed)
            return
        self._outgoing.landed(flight.key for flight in landed)
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

    def _explain(self, ask: Explain) -> Explained:
        self.tick()
        group = self._groups.of(ask.key)
        stored = None if group is None else group.store.get(ask.key, self._clock())
        return self._notes.explain(ask, stored, computing=ask.key in self._flights or ask.key in self._fills)

    # ------------------------------------------------------------------------------------- invalidation

    def _set(self, ask: Set) -> Ack | Moved | NoSuchGroup:
        group = self._groups.get(ask.group)
        if group is None:
            return NoSuchGroup(ask.group)
        if self._unconfirmed.over(ask.operation):
            return Ack(self._ring.epoch)
        names = tuple(key for key, _, _ in ask.items)
        if not self._owns(names) or ask.ring.lives.get(self.id, 0) != self.life.ticket:  # it was meant for another life
            return Moved(self._ring.epoch)
        self._incoming.close(names)
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
        if self._groups.replaced(ask.group):
            return NoSuchGroup(ask.group, replaced=True)
        group = self._groups.get(ask.group)
        # What was delivered already counts as having been there.
        self._settle(list(self._flights.running) if ask.keys is None else self._flights.chunks_of(ask.keys))
        if ask.keys is None:
            self._flights.take_out_group(ask.group)
            self._fills.take_out_group(ask.group)
            self._incoming.close_group(ask.group)
            self._notes.removed_group(ask.group)
            self._copies.drop_group(ask.group)
        else:
            self._flights.take_out(ask.keys)
            self._fills.take_out(ask.keys)
            self._incoming.close(ask.keys)
            self._notes.removed(ask.keys)
            self._copies.drop(ask.keys)
        if group is None:  # it is wanted here to finish the operation, if need be
            return NoSuchGroup(ask.group)
        removed = group.clear() if ask.keys is None else group.store.remove(ask.keys)
        if ask.keys is None:
            group.forget_definitions()
        if ask.removal:
            group.counts["removals"] += removed
        return Ack(self._ring.epoch, removed)

    def _remember(self, ask: Set | Delete) -> None:
        """Notes the first round of an operation, also one that is refused here for want of a lease: perhaps nobody else
        has heard of it."""
        names = tuple(key for key, _, _ in ask.items) if isinstance(ask, Set) else ask.keys
        stored = isinstance(ask, Set) or not ask.removal
        self._unconfirmed.begin(Begun(ask.operation, ask.group, names, stored), self._turn(names))

    def _turn(self, names: tuple[bytes, ...] | None) -> int:
        """When it is this shard's turn to finish an operation on these keys, or on a whole group."""
        if names is not None and any(self._ring.owner(key) == self.id for key in names):
            return 0
        members = list(self._ring.members)
        return members.index(self.id) + (names is not None) if self.id in members else len(members)

    def overdue(self) -> list[tuple[Begun, GroupSpec]]:
        """Invalidations that nobody has finished, and that are to be finished from here; then `finished`."""
        due = self._unconfirmed.overdue()
        return [(begun, spec) for begun in due if (spec := self._groups.spec(begun.group)) is not None]

    def finished(self, begun: Begun) -> None:
        self._unconfirmed.end(begun.operation)

    def _bump(self, ask: Bump) -> Ack:
        self._unconfirmed.end(ask.operation)
        if ask.keys is None:
            self._versions.bump_all()
        else:
            self._versions.bump(slot_of(keys.digest(key)) for key in ask.keys)
        return Ack(self._ring.epoch)

    # -------------------------------------------------------------------------------- groups and members

    def _define(self, ask: Define) -> Ack | NoSuchGroup:
        if self._groups.outdated(ask.spec):
            return NoSuchGroup(ask.spec.id, replaced=True)
        if replaced := self._groups.define(ask.spec, ask.resize):  # nothing of it is left
            self._flights.take_out_group(replaced)
            self._fills.take_out_group(replaced)
            self._notes.forget_group(replaced)
            self._copies.drop_group(replaced)
        return Ack(self._ring.epoch)

    def _learn_message(self, ask: Learn) -> Ack:
        self._learn(ask.ring)
        return Ack(self._ring.epoch)

    def _learn(self, ring: Ring) -> None:
        """Takes a newer ring. What is no longer owned is to be handed over."""
        if ring.epoch > self._ring.epoch:
            self._incoming.begin(self._ring, ring)
            self._outgoing.begin(ring, self._flights)  # before a hello, which takes no lock, can tell of the new epoch
            self._ring = ring

    # --------------------------------------------------------------------------------- change of owners

    def batch(self) -> tuple[str, Any] | None:
        """The next message of the hand-over, and the shard that it is for; then `handed`. None: nothing for now.

        Only under a lease what is here is known to be up to date.
        """
        return self._outgoing.next(self._groups.large) if self.life.leased else None

    @property
    def handing(self) -> bool:
        """Whether there is, or may be, something left to hand over; nothing goes without a lease."""
        return bool(self._outgoing)

    @property
    def sends(self) -> bool:
        """Whether there may be something to send now."""
        return self.handing and self.life.leased and not self._outgoing.waits

    def handed(self, target: str, message: Any, answer: Any) -> None:
        """What came of it: entries that are there now go from here."""
        self._groups.let_go(self._outgoing.sent(target, message, answer, self._groups.spec))

    def _adopt(self, ask: Adopt) -> Ack | Moved | NoSuchGroup:
        """Takes what belongs here now, unless something newer was heard of it."""
        self._learn(ask.ring)
        if ask.ring.epoch < self._ring.epoch or ask.ring.lives.get(self.id, 0) != self.life.ticket:
            return Moved(self._ring.epoch)
        unknown = next((entry.key for entry in ask.entries if self._groups.of(entry.key) is None), None)
        if unknown is not None:
            return NoSuchGroup(group_of(unknown), replaced=self._groups.replaced(group_of(unknown)))
        taken = [entry for entry in ask.entries if self._takes(entry)] if self._incoming.open else []
        for entry in taken:
            self._groups.take(entry, self._clock() - ask.now)
        if ask.done:
            self._incoming.finished(ask.source)
        return Ack(self._ring.epoch, len(taken))

    def _takes(self, entry: Moving) -> bool:
        key, busy = entry.key, entry.key in self._flights or entry.key in self._fills
        wanted = self._ring.owner(key) == self.id and not (busy or self._groups.has(key)) and self._incoming.takes(key)
        return wanted and self._groups.sound(entry)

    def borrowed(self) -> list[tuple[bytes, Future]]:
        """Large values that would go with the shard that they came from; `own` gives them memory of this shard's."""
        return self._groups.borrowed

    def own(self, key: bytes, borrowed: Future, blob: Blob | None) -> None:
        """The value itself, if it is still wanted; None: it is lost."""
        self._groups.own(key, borrowed, self._loader.hold, blob)

    # ------------------------------------------------------------------------------------------ questions

    def _keys(self, ask: Keys) -> list[bytes] | NoSuchGroup:
        group = self._groups.of(ask.prefix)
        if group is None:
            return []
        self.tick()
        return group.store.scan(ask.prefix, ask.after, ask.limit)

    def _count(self, ask: Count) -> dict[int, Stats]:
        self.tick()
        loading = self._loading()
        counted = [group for group in self._groups if ask.group in (None, group.spec.id)]
        return {group.spec.id: group.stats(loading[group.spec.id]) for group in counted}

    def own_stats(self) -> dict[str, Stats]:
        """Counters by the name of the group, without what other shards had counted that have left."""
        loading = self._loading()
        return {group.spec.name: group.own_stats(loading[group.spec.id]) for group in self._groups}

    def _loading(self) -> Counter[int]:
        """How many keys are on their way, by group."""
        return Counter(map(group_of, (*self._flights, *self._fills)))

    def _report(self, ask: Report) -> Ack | NoSuchGroup:
        group = self._groups.get(ask.group)
        if group is None:
            return NoSuchGroup(ask.group)
        wanted = self._copies.wanted(ask.asked)  # first: where memory is full it fails, and all is told again
        if ask.inherited:
            group.inherited += ask.stats
        else:
            group.reported += ask.stats
        group.store.touch(ask.touched)
        self._hottest.add(ask.hottest)
        return Ack(self._ring.epoch, wanted=wanted)

    def _copy(self, ask: Copy) -> Ack:
        same = ask.ticket == self.life.ticket  # else the versions are of other slots
        return Ack(self._ring.epoch, self._copies.keep(ask.copies) if same else 0)

    def _repeat(self, ask: Repeat) -> Repeat:
        at_work = [chunk.load.outcome for chunk in self._flights.running if chunk.load.result() is None]
        return Repeat(tuple(future for future in ask.futures if future not in at_work))

    def _describe(self, _: Describe) -> ShardInfo:
        self.tick()
        return ShardInfo(
            id=self.id,
            node=self._info.node,
            pid=self._info.pid,
            address=self._info.address,
            folder=self._info.folder,
            weight=self._ring.members.get(self.id, self._info.weight),
            capacity_bytes=self._info.capacity_bytes,
            entries=self._groups.count,
            bytes=self._groups.size,
            copies=len(self._copies),
            copies_bytes=self._copies.size,
            loads=len(self._flights.running),
            epoch=self._ring.epoch,
            lease_s=self.life.left_s,
            handing=self.handing,
            recovered=self._groups.recovered,
            dropped=self._groups.dropped,
            served=self.page_reads.count,
            hottest=tuple(self._hot_keys()),
        )

    def _hot_keys(self) -> Iterator[HotKey]:
        """The hottest keys of the groups that are still here."""
        for key, hits_per_s in self._hottest.rates():
            if (group := self._groups.of(key)) is not None:
                with contextlib.suppress(InvalidKey):  # of no key: what was reported was nonsense
                    yield HotKey(group.spec.name, f"{keys.decode(key[PREFIX_BYTES:])!r:.200}", hits_per_s)
