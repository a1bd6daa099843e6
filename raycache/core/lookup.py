"""A lookup: near cache, pages of this node, shards, in this order, with everything counted once.

What is near or on this node takes no message: making the `Lookup` answers it. For the rest it has operations that a
caller drives, in a thread or an event loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from raycache.core import hot, hottest, record
from raycache.core import keys as core_keys
from raycache.core.client import Client
from raycache.core.codec import ABSENT, STUB, decode, decode_first
from raycache.core.entry import Voucher
from raycache.core.fetch import Calls, Claimed, Found, NotThere, Result, found
from raycache.core.keys import Key
from raycache.core.messages import Filling, GroupSpec, group_prefix
from raycache.core.near import STALE, UNSHARED, Near, NearEntry, name_of, names_of
from raycache.core.remote import Remote, asked, copies
from raycache.core.stats import Stats
from raycache.core.steps import Steps, Wait
from raycache.core.versions import slot_of, slots_of
from raycache.errors import InvalidKey, NotFound

#: Stands for "no default was given": a missing key raises.
RAISE: Any = type("_Raise", (), {"__repr__": lambda self: "RAISE"})()
#: What a look into this process and this node gives when the shards must be asked.
MISS: Any = type("_Miss", (), {"__repr__": lambda self: "MISS"})()
#: Keys that were read from pages and are not told yet to their shards; more are not noted.
NOTES = 10_000
#: Hits of one key that a shard is told at once, at most: its policies tell no more apart in a second.
MOST_TOLD = 4
#: Pauses after which a caller looks again for what another caller computes: they grow from the first to the second.
LEAST_PAUSE_S, MOST_PAUSE_S = 0.001, 0.05


class Origin(NamedTuple):
    """Where a get was answered, by the counter of `Stats` for it, and until when the answer holds."""

    tier: str
    expires: float  # on the node's clock


class Reader:
    """What one process has of a group: its near cache, and what it has not told the shards yet."""

    def __init__(self, spec: GroupSpec, client: Client, clock: Callable[[], float]) -> None:
        self.spec, self.client, self.clock = spec, client, clock
        self.members = client.members
        self.prefix = group_prefix(spec.id)
        #: A key as it stands in messages and pages.
        self.full, self.fulls = core_keys.encoder(self.prefix), core_keys.encoder_of_many(self.prefix)
        self.near = Near(spec.options.near_bytes)
        self._counts: Counter[str] = Counter()
        self._page_hits, self._hot_hits, self._saved_s, self._saved_bytes = 0, 0, 0.0, 0
        self.remote = Remote()
        self._touched: list[bytes] = []
        self._hit_there: list[bytes] = []  # in shards, which tell their policies of it themselves

    def near_or_here(self, key: Key, full: bytes, origins: dict[bytes, Origin] | None) -> Any:
        """`here` for those who have not looked near."""
        entry = self.near.entries.get(name_of(key, full))
        if entry is None or (value := entry.hit(self.clock)) is STALE:
            return self.here(key, origins)
        if origins is not None:
            origins[full] = Origin("near_hits", entry.expires)
        return self.decoded(entry.result) if value is UNSHARED else value

    def here(self, key: Key, origins: dict[bytes, Origin] | None = None) -> Any:
        """What this process or this node has without any call: a value, a NotThere, or MISS. A str was looked for near
        by the caller. `origins`: to be told where a value in the pages was."""
        full = self.full(key)
        if type(key) is not str:
            entry = self.near.entries.get(name_of(key, full))
            if entry is not None and (value := entry.hit(self.clock)) is not STALE:
                return self.decoded(entry.result) if value is UNSHARED else value
        point = core_keys.hashed(full)[0]
        slot = slot_of(point)
        lease, slots, pages, home, _ = self.members.local
        version = slots[slot]  # read before the value, and the lease after it
        if not (now := self.clock()) < lease[0]:
            return MISS
        shard = pages.get(self.members.ring.owner_at(point))  # type: ignore[arg-type]  # None is in no pages
        if shard is not None:
            stored = shard.pages.get(full) if now < shard.lease[0] else None
        else:  # as near entries are used: the lease first, then the slot
            stored = hot.read(pages[home].pages, full, version := slots[slot]) if home else None
        if stored is None:
            return MISS
        if (entry := self._entry(full, stored, now, (lease, slots, slot, version))) is None:
            return MISS
        if shard is not None:  # `_count_pages` for one, written out: 0.3 us less
            self._page_hits += 1
            self._saved_s += entry.cost_s
            self._saved_bytes += entry.size
            if len(self._touched) < NOTES:
                self._touched.append(full)
        else:
            self._count_pages([entry], copied=True)
        value = entry.value
        self.near.put(key if type(key) is str else name_of(key, full), entry)
        if origins is not None:
            origins[full] = Origin("page_hits", entry.expires)
        return value

    def here_many(
        self, keys: Mapping[bytes, Key], *, counted: bool = True, origins: dict[bytes, Origin] | None = None
    ) -> tuple[dict[bytes, Any], dict[bytes, Voucher]]:
        """What `here` gives for many keys, by their full keys, but for those that are a MISS, and what vouches for keys
        that were not near. Every step is done for all keys before the next one, so that the pages of a shard are read
        in one transaction. `origins`: to be told where each was."""
        got, missing = self._near_many(keys, counted, origins)
        points = [point for point, _ in map(core_keys.hashed, missing)]
        lease, slots, pages, home, _ = self.members.local
        read = [(lease, slots, slot, slots[slot]) for slot in slots_of(points)]
        if not (now := self.clock()) < lease[0]:
            return got, {}
        vouchers = dict(zip(missing, read, strict=True))
        for id, places in self.members.ring.owners_at(points).items():
            some = {full: vouchers[full] for full in map(missing.__getitem__, places)}
            shard = pages.get(id)  # type: ignore[arg-type]  # None is in no pages
            records: Mapping[bytes, bytes] = {}
            if shard is not None and now < shard.lease[0]:
                records = shard.pages.get_many(some)
            elif shard is None and home:  # as near entries are used: the lease first, then the slots
                some = {full: (lease, slots, slot, slots[slot]) for full, (_, _, slot, _) in some.items()}
                records = hot.read_many(pages[home].pages, {full: voucher[3] for full, voucher in some.items()})
            entries = [self._entry(full, stored, now, some[full]) for full, stored in records.items()]
            there = [entry for entry in entries if entry is not None]
            got |= self._keep_many(keys, there, counted, shard is None)
            if origins is not None:
                origins |= {entry.key: Origin("page_hits", entry.expires) for entry in there}
        return got, vouchers

    def _near_many(
        self, keys: Mapping[bytes, Key], counted: bool, origins: dict[bytes, Origin] | None
    ) -> tuple[dict[bytes, Any], list[bytes]]:
        """What is near, and the keys of what is not."""
        near, now = self.near.entries, self.clock()
        got: dict[bytes, Any] = {}
        missing: list[bytes] = []
        for full, entry in zip(keys, map(near.get, names_of(keys)), strict=True):
            if entry is not None and entry.live(now):
                entry.hits += counted
                got[full] = self.decoded(entry.result) if entry.value is UNSHARED else entry.value
                if origins is not None:
                    origins[full] = Origin("near_hits", entry.expires)
            else:
                missing.append(full)
        return got, missing

    def _entry(self, full: bytes, stored: bytes, now: float, voucher: Voucher) -> NearEntry | None:
        """A record from the pages, or from a copy there, with its value; None where the shard must be asked."""
        expires, cost_s, tag = record.fields(stored)
        if tag == STUB or not now < expires:
            return None
        value = found(stored, 0.0) if tag == ABSENT else decode_first(tag, stored, record.OVERHEAD_BYTES)
        return NearEntry(full, value, stored, expires, cost_s, len(stored), voucher)

    def _keep_many(
        self, keys: Mapping[bytes, Key], entries: list[NearEntry], counted: bool, copied: bool
    ) -> dict[bytes, Any]:
        """Counts and keeps what was read; the values, by full keys."""
        if counted:
            self._count_pages(entries, copied)
        values = {entry.key: entry.value for entry in entries}
        self.near.put_many(dict(zip(names_of({full: keys[full] for full in values}), entries, strict=True)))
        return values

    def _count_pages(self, entries: Collection[NearEntry], copied: bool) -> None:
        """Gets that were answered from the pages, or from copies there."""
        self._page_hits += len(entries)
        for entry in entries:
            self._saved_s += entry.cost_s
            self._saved_bytes += entry.size
        if len(self._touched) < NOTES:
            self._touched += [entry.key for entry in entries]
        if copied:
            self._hot_hits += len(entries)
            for entry in entries:
                self.remote.note(entry.key)

    def tier(self, key: Key) -> str | None:
        """Where a key would be found without any call: "near", "pages" or "hot"; None where it takes a shard."""
        full = self.full(key)
        now, local = self.clock(), self.members.local
        entry = self.near.entries.get(name_of(key, full))
        if entry is not None and entry.live(now):
            return "near"
        if not now < local.lease[0]:
            return None
        shard = local.pages.get(self.members.ring.owner(full) or "")
        if shard is not None:
            stored = shard.pages.get(full) if now < shard.lease[0] else None
        else:
            slot = slot_of(core_keys.digest(full))
            stored = hot.read(local.pages[local.home].pages, full, local.slots[slot]) if local.home else None
        there = stored is not None and not record.is_stub(stored) and now < record.header(stored).expires
        return ("hot" if shard is None else "pages") if there else None

    def decoded(self, result: Any) -> Any:
        """A record or a Found as a value of the caller's own; NotThere as itself."""
        if type(result) is bytes:
            tag = record.tag(result)
            return found(result, 0.0) if tag == ABSENT else decode_first(tag, result, record.OVERHEAD_BYTES)
        return decode(result.tag, result.parts) if type(result) is Found else result

    def vouchers(self, fulls: Iterable[bytes]) -> dict[bytes, Voucher]:
        """The version slots of keys, read before any value; none without a lease after that."""
        local = self.members.local
        slots = local.slots
        at = {full: slot_of(core_keys.hashed(full)[0]) for full in fulls}
        vouchers = {full: (local.lease, slots, slot, slots[slot]) for full, slot in at.items()}
        return vouchers if self.clock() < local.lease[0] else {}

    def count(self, tiers: Iterable[str]) -> None:
        """Gets that were not answered here."""
        self._counts.update(tiers)

    def saved(self, full: bytes, result: Found) -> None:
        """This was a hit in a shard."""
        if len(self._hit_there) < NOTES:
            self._hit_there.append(full)
        self._saved_s += result.cost_s
        self._saved_bytes += size_of(result)

    def report(self) -> Steps[None]:
        """Tells the shards what was counted, and which keys were hit without their knowing."""
        counts, self._counts = self._counts, Counter()
        counts["page_hits"], self._page_hits = counts["page_hits"] + self._page_hits, 0
        counts["hot_hits"], self._hot_hits = counts["hot_hits"] + self._hot_hits, 0
        saved_s, self._saved_s = self._saved_s, 0.0
        saved_bytes, self._saved_bytes = self._saved_bytes, 0
        touched, self._touched = Counter(self._touched), []
        for entry, hits in self.near.take_hits():
            counts["near_hits"] += hits
            saved_s += hits * entry.cost_s
            saved_bytes += hits * entry.size
            touched[entry.key] += hits
        told = [key for key, hits in touched.items() for _ in range(min(hits, MOST_TOLD))]
        touched.update(self._hit_there)
        self._hit_there = []
        if not any(counts.values()):
            return
        ack = None
        try:
            notes = self.remote.take(self.members)
            stats = Stats(seconds_saved=saved_s, bytes_saved=saved_bytes, **counts)
            ack = yield from self.client.report(self.spec, stats, told, asked(notes), hottest.told(touched))
        finally:
            if ack is None:  # told with the next one
                self._counts.update(counts)
                self._saved_s += saved_s
                self._saved_bytes += saved_bytes
        if ack is not None and ack.wanted:
            local = self.members.local
            yield from self.client.copy(local, copies(notes, ack.wanted, local, self.clock()))

    def meant(self, key: Key, got: Any, default: Any) -> Any:
        """What a caller gets: a value as it is, for NotThere the default, or an exception."""
        if type(got) is NotThere:
            if default is RAISE:
                raise self.not_found(key, got)
            return default
        if type(got) is _Raise:
            raise got.error
        return got

    def not_found(self, key: Key, got: NotThere) -> NotFound:
        """What is raised where a key does not exist."""
        who = f"the group {self.spec.name!r}"
        if self.spec.getter is None:
            return NotFound(f"{key!r:.200} is not in {who}, which has no getter to load it")
        return NotFound(got.message or f"{key!r:.200} does not exist, says the getter of {who}")


def size_of(found: Found) -> int:
    """Bytes of an encoded value."""
    return sum(map(len, found.parts))


class _Raise(NamedTuple):
    """In place of a value: what the getter raised, told from an exception that is a value."""

    error: BaseException


#: What is no value, and is looked at by `meant`.
_MEANT = frozenset({NotThere, _Raise})


class Lookup:
    """One lookup of some keys. `done` says whether the shards need not be asked, or not any more."""

    __slots__ = ("_counted", "_filling", "_got", "_keys", "_reader", "_vouchers", "missing", "origins")

    def __init__(
        self, reader: Reader, keys: Iterable[Key], *, counted: bool = True, local: bool = True, traced: bool = False
    ) -> None:
        """Looks near and into the pages, if `local`; `counted`: as gets; `traced`: notes where answers come from."""
        self._reader, self._counted, self._filling = reader, counted, False
        #: Full keys and the keys that the caller gave, in the order asked.
        asked = tuple(keys)
        fulls = reader.fulls(asked) if len(asked) > 1 else map(reader.full, asked)
        self._keys: dict[bytes, Key] = dict(zip(fulls, asked, strict=True))
        self._got: dict[bytes, Any] = {}
        self._vouchers: Mapping[bytes, Voucher] | None = None  # None: not read yet
        #: Of the full keys that have an answer, other than an exception; None if it is not traced.
        self.origins: dict[bytes, Origin] | None = {} if traced else None
        if local and counted and len(asked) == 1:  # as a get of a thread does it, in a third of a batch's steps
            ((full, key),) = self._keys.items()
            if (value := reader.near_or_here(key, full, self.origins)) is not MISS:
                self._got[full] = value
        elif local:
            self._got, self._vouchers = reader.here_many(self._keys, counted=counted, origins=self.origins)
        #: Full keys that the shards must be asked for.
        self.missing = [full for full in self._keys if full not in self._got] if self._got else list(self._keys)

    @property
    def done(self) -> bool:
        return not self.missing

    def ask(
        self,
        timeout_s: float | None = None,
        *,
        load: bool = True,
        fresh: bool = False,
        calls: Calls | None = None,
    ) -> Steps[Lookup]:
        """Asks the shards for what is missing: to load it, only what is there, or to load it anew.

        `calls`: how the keys of a memoized function are computed. Comes back at once with those that the caller is to
        compute, in `take_claimed`; when it has, it asks again for what others compute, until the lookup is `done`.
        """
        tiers = dict[bytes, str]()
        reader, counted, self._counted = self._reader, self._counted, False  # once, however often it asks
        vouchers = reader.vouchers(self.missing) if self._vouchers is None else self._vouchers
        try:
            results = yield from self._ask(tiers, timeout_s, load, fresh, calls)
        finally:
            if counted:  # also where the caller's time ran out
                reader.count([tiers.get(full, "unavailable") for full in self.missing])
        for full, result in results.items():
            voucher = vouchers.get(full)
            if tiers.get(full) == "shard_hits":
                if voucher is not None and isinstance(result, (Found, NotThere)):
                    reader.remote.note(full, result, voucher)
                if counted and type(result) is Found:
                    reader.saved(full, result)
            if self.origins is not None and isinstance(result, (Found, NotThere)):
                self.origins[full] = Origin(tiers.get(full, "unavailable"), result.expires)
            if type(result) is not Filling:
                self._got[full] = self._land(full, result, voucher)
        self.missing = [full for full in self.missing if full not in self._got]
        self._filling = True
        return self

    def _ask(
        self, tiers: dict[bytes, str], timeout_s: float | None, load: bool, fresh: bool, calls: Calls | None
    ) -> Steps[dict[bytes, Result]]:
        """The results, when there is something to compute, or nothing left that another caller computes."""
        reader, clock, began = self._reader, self._reader.clock, self._reader.clock()
        left_s = timeout_s
        results: dict[bytes, Result] = {}
        asked, pause_s = list(self.missing), LEAST_PAUSE_S
        while True:
            if self._filling:  # first where it costs nothing
                self._take_here(asked)
                asked = [full for full in asked if full not in self._got]
            results |= yield from reader.client.get(
                reader.spec,
                asked,
                timeout_s=left_s,
                load=load,
                fresh=fresh and not self._filling,
                tiers=tiers,
                calls=calls,
                filling=self._filling,
            )
            asked = [full for full in asked if isinstance(results[full], Filling)]
            if not asked or any(isinstance(result, Claimed) for result in results.values()):
                return {full: result for full, result in results.items() if full not in self._got}
            self._filling = True
            yield Wait([], pause_s if left_s is None else min(pause_s, left_s))
            left_s = None if timeout_s is None else max(began + timeout_s - clock(), 0.0)
            pause_s = min(2 * pause_s, MOST_PAUSE_S)

    def _take_here(self, fulls: list[bytes]) -> None:
        """Takes what is near or on this node by now."""
        keys = {full: self._keys[full] for full in fulls}
        self._got |= self._reader.here_many(keys, counted=False, origins=self.origins)[0]

    def _land(self, full: bytes, result: Result, voucher: Voucher | None) -> Any:
        """What came from a shard, for this caller; kept near if that may be."""
        if isinstance(result, BaseException):
            return _Raise(result)
        if isinstance(result, (Claimed, Filling)):
            return result
        if voucher is None or result.expires <= 0:
            return self._reader.decoded(result)
        size, cost_s = 0, 0.0
        if isinstance(result, Found):
            size, cost_s = size_of(result), result.cost_s
        value = self._reader.decoded(result)
        entry = NearEntry(full, value, result, result.expires, cost_s, size, voucher)
        self._reader.near.put(name_of(self._keys[full], full), entry)
        return value

    def take_claimed(self) -> dict[bytes, Claimed]:
        """What the caller is to compute itself. It is told once."""
        claimed = {full: got for full, got in self._got.items() if type(got) is Claimed}
        for full in claimed:
            del self._got[full]
        return claimed

    @property
    def got(self) -> dict[bytes, Any]:
        """What there is for each full key: a value, NotThere, or what `meant` raises."""
        return self._got

    @property
    def fulls(self) -> list[bytes]:
        return list(self._keys)

    @property
    def failed(self) -> bool:
        """Whether a getter raised, or did not come to an end."""
        return any(type(got) is _Raise for got in self._got.values())

    def has(self) -> bool:
        """Whether there is a value for the only key."""
        (got,) = self._got.values()
        return type(got) not in (NotThere, _Raise)

    def value(self, default: Any = RAISE) -> Any:
        """The value of the only key."""
        ((full, key),) = self._keys.items()
        return self._reader.meant(key, self._got[full], default)

    def values(self, default: Any = RAISE) -> dict[Key, Any]:
        """The values of all keys, in the order asked."""
        meant, got = self._reader.meant, self._got
        if _MEANT.isdisjoint(map(type, got.values())):  # as mostly
            values = {key: got[full] for full, key in self._keys.items()}
        else:
            values = {key: meant(key, got[full], default) for full, key in self._keys.items()}
        if len(values) < len(self._keys):
            raise InvalidKey(
                "keys that are different here but equal to Python (1, 1.0, True) cannot be told apart in the dict that "
                "is returned; ask for them in several calls"
            )
        return values
