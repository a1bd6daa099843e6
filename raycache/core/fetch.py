"""A fetch: what the shards have for some keys, and waiting for the loads of what they have not."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from raycache.core import keys as core_keys
from raycache.core import record
from raycache.core.codec import ABSENT, STUB, Blob
from raycache.core.getters import loading, raised
from raycache.core.members import ANSWER_S, ANSWER_S_PER_KEY, LEAST_ANSWER_S, Members
from raycache.core.messages import (
    PREFIX_BYTES,
    Absent,
    Ack,
    Answers,
    Call,
    Elsewhere,
    Failed,
    Filling,
    Future,
    Get,
    GroupSpec,
    InFlight,
    Large,
    Loaded,
    Loading,
    Moved,
    NoLease,
    NoSuchGroup,
    Orphaned,
    Outcome,
    Raised,
    Repeat,
    Served,
    Suspect,
    Token,
)
from raycache.core.page_gets import HELD_S
from raycache.core.steps import Steps, Wait
from raycache.errors import LoaderDied, LoadTimeout

#: Times that a fetch follows a ring that has moved on, before it takes the shard that it has for a stand-in.
MOST_MOVES = 5
#: How often the shard whose load is waited for is asked for word of that once more, and how long its answer may take.
LOOK_S = 1.5
#: A large value that is on its way for longer is taken for lost: where its owner was stopped it would never come.
MOST_WAY_S = 600.0
#: How long a page server may take. One that takes longer is not read from for a while.
READ_S = 0.5
#: How long a shard without a lease is asked again, since it will have one soon; and the pause between.
NO_LEASE_S, PAUSE_S = 3.0, 0.05


class Found(NamedTuple):
    """A value, still encoded; decode(tag, parts)."""

    tag: int
    parts: tuple[Any, ...]
    expires: float  # on this process's clock, not later than where it lies
    cost_s: float


class NotThere(NamedTuple):
    """The key does not exist: so said the getter, now or not long ago, or there is none."""

    message: str
    expires: float = 0.0  # until when that may be remembered


class Claimed(NamedTuple):
    """The caller is the one to compute the key: a token of this shard. Without a shard nothing will be kept."""

    shard: str | None
    token: int


#: In the place of a large value: the key is to be asked for again.
_NOT_GIVEN = Failed("its shard does not give it", lost=True)

Result = Found | NotThere | Claimed | Filling | BaseException
#: Whom to ask for which keys, and whether it is only a stand-in, as of `Members.target`.
Targets = dict[tuple[str | None, bool], list[bytes]]


class Calls(NamedTuple):
    """How the keys of a memoized function are computed: by calls that loads make, or, without any, by the caller."""

    definition: bytes
    spec: Callable[[], GroupSpec]  # the definition itself, for a shard that does not know it
    calls: Mapping[bytes, Call] | None
    function: str  # its name, for people
    load_timeout_s: float


def found(stored: bytes, offset: float) -> Found | NotThere:
    """The result that a record stands for; `offset` takes its clock to the caller's."""
    expires, cost_s, tag = record.fields(stored)
    if tag == ABSENT:
        return NotThere(bytes(record.body(stored)).decode(), expires + offset)
    return Found(tag, (record.body(stored),), expires + offset, cost_s)


@dataclass(slots=True, eq=False)
class _Flight:
    """A load that some keys wait for."""

    future: InFlight
    shard: str  # that runs it
    until: float
    looked: float  # when that shard was last heard of
    keys: list[bytes]
    over: bool = False  # so said the shard then

    @property
    def due(self) -> float:
        """When to ask the shard."""
        return self.looked + LOOK_S if self.over else min(self.until, self.looked + LOOK_S)


class Fetch:
    """One fetch of some keys, as it goes on."""

    def __init__(
        self,
        members: Members,
        spec: GroupSpec,
        timeout_s: float | None,
        load: bool,
        tiers: dict[bytes, str],
        calls: Calls | None,
    ) -> None:
        self._members, self._spec, self._load, self._tiers, self._calls = members, spec, load, tiers, calls
        self._network, self._clock = members.network, members.clock
        self._began = self._clock()
        self._timeout_s = timeout_s
        self._keys: list[bytes] = []
        self._results: dict[bytes, Result] = {}
        self._todo: list[bytes] = []  # to ask the shards for
        self._afresh: list[bytes] = []  # the same, but what they have will not do
        self._flights: list[_Flight] = []
        self._elsewhere: dict[bytes, tuple[str, ...]] = {}  # who may still have what the owner has not got yet
        self._asked: dict[bytes, set[str]] = {}  # who of them has said that it has not
        self._asking = self._began  # when it began to ask what it asks now
        self._reads = self._waited = self._filling = False
        self._number = 0  # of a get by a page server that may have started a load without our knowing

    def run(self, keys: list[bytes], fresh: bool, *, filling: bool = False) -> Steps[dict[bytes, Result]]:
        """`filling`: an earlier fetch was told that somebody else computes them.

        What the caller is to compute itself does not wait for what others load: that is `Filling` then.
        """
        self._filling = filling
        self._reads = not (fresh or filling)  # page servers are asked once, before anybody else
        self._keys = keys
        if fresh:
            self._afresh = keys
        else:
            self._todo = keys
        if self._reads and len(keys) == 1 and self._loads_there:
            yield from self._get_there(keys[0])
        while self._todo or self._afresh or self._flights or self._elsewhere:
            if self._elsewhere:
                yield from self._ask_holders()
            elif self._todo:
                asked, self._todo = self._todo, []
                yield from self._ask(asked, fresh=False)
            elif self._afresh:
                asked, self._afresh = self._afresh, []
                yield from self._ask(asked, fresh=True)
            elif any(type(result) is Claimed for result in self._results.values()):
                self._results |= {key: Filling() for flight in self._flights for key in flight.keys}
                self._flights = []
            else:
                yield from self._await_flights()
        return {key: self._results[key] for key in keys}

    def _left_s(self) -> float | None:
        """Seconds until the caller's timeout; raises when they are over."""
        if self._timeout_s is None:
            return None
        left_s = self._began + self._timeout_s - self._clock()
        if left_s <= 0:
            open_keys = [key for key in self._keys if key not in self._results]
            named = ", ".join(repr(core_keys.decode(key[PREFIX_BYTES:])) for key in open_keys[:3])
            raise LoadTimeout(
                f"no value within {self._timeout_s:g} s for {named or 'the keys'}"
                f"{f' and {len(open_keys) - 3} more' if len(open_keys) > 3 else ''} of the group "
                f"{self._spec.name!r}; what is being loaded goes on for whoever asks next"
            )
        return left_s

    def _at_most(self, limit_s: float) -> float:
        """How long to wait, if it would be this long for anybody; raises when the caller's time is over."""
        left_s = self._left_s()
        return limit_s if left_s is None else min(left_s, limit_s)

    def _ask(self, keys: list[bytes], fresh: bool) -> Steps[None]:
        """Asks the shards until each key has an answer; what they have becomes results, what they load flights."""
        moves, again, self._asking = 0, self._waited, self._clock()
        while keys:
            targets = self._members.targets(keys)
            if self._reads:
                self._reads = False
                targets = yield from self._read(targets)
            keys = []
            unreachable = [key for (shard, _), some in targets.items() if shard is None for key in some]
            if unreachable:
                keys += yield from self._without_shards(unreachable)
            asked = [
                (shard, standin, part)
                for (shard, standin), some in targets.items()
                if shard is not None
                for part in self._by_asked(some)
            ]
            if not asked:
                continue
            patience_s = self._patience_s(len(some) for _, _, some in asked)
            futures = [
                self._network.ask(shard, self._message(some, fresh, standin or moves > MOST_MOVES, again))
                for shard, standin, some in asked
            ]
            answers = yield Wait(futures, patience_s)
            for (shard, _, some), answer in zip(asked, answers, strict=True):
                if isinstance(answer, Answers):
                    self._members.trust(shard)
                    yield from self._take(some, answer, shard)
                    continue
                keys += some
                if isinstance(answer, Moved):
                    moves += 1
                    yield from self._members.refresh(self._patience_s())
                elif isinstance(answer, NoSuchGroup):
                    spec = self._spec if self._calls is None else self._calls.spec()
                    told = yield from self._members.define(spec, shard, answer, self._patience_s())
                    if not isinstance(told, Ack):
                        yield from self._unanswered(shard, told)
                else:
                    yield from self._unanswered(shard, answer)

    @property
    def _loads_there(self) -> bool:
        """Whether a page server can load what is missing: it gets nothing but the key."""
        return self._load and self._calls is None and self._spec.getter is not None and not loading.get()

    def _get_there(self, key: bytes) -> Steps[None]:
        """Has the page server of the key's owner give it, and load it before, without a call. What does not come that
        way is asked for by a call, as one that was told to wait before."""
        shard, standin = self._members.target(key)
        if shard is None or standin or self._is_large_here(shard, key):
            return
        number = secrets.randbits(63) + 1
        future = self._network.get(shard, key, self._members.ring.epoch, number)
        if future is None:
            return
        self._reads = False
        (answer,) = yield Wait([future], self._at_most(READ_S))
        end = answer
        if isinstance(answer, Loading):
            self._waits(key, answer.started)
            self._waited = True
            (end,) = yield Wait([answer.end], self._at_most(HELD_S + READ_S))
        elif not isinstance(answer, Served):  # it may have started a load all the same
            self._waited, self._number = True, number
        if isinstance(end, Served):
            self._todo = self._take_served([key], end)

    def _is_large_here(self, shard: str, key: bytes) -> bool:
        """Whether the pages on this node have the stub of a large value: only a call brings the reference to it."""
        here = self._members.local.pages.get(shard)
        stored = None if here is None else here.pages.get(key)
        return stored is not None and record.is_stub(stored)

    def _read(self, targets: Mapping[tuple[str | None, bool], list[bytes]]) -> Steps[Targets]:
        """What owners on other nodes have in their pages becomes results, without a call; what the shards are to be
        asked for after that."""
        left: Targets = {}
        here, todo = self._members.local.pages, dict[str, list[bytes]]()
        for (shard, standin), some in targets.items():
            if shard is None or standin or shard in here:
                left[shard, standin] = some
            else:
                todo[shard] = some
        while todo:
            futures = {shard: self._network.read(shard, some) for shard, some in todo.items()}
            reads = {shard: future for shard, future in futures.items() if future is not None}
            came = (
                dict(zip(reads, (yield Wait([*reads.values()], self._at_most(READ_S))), strict=True)) if reads else {}
            )
            unread = dict[str, list[bytes]]()
            for shard, some in todo.items():
                missing = some
                if isinstance(served := came.get(shard), Served):
                    missing = self._take_served(some, served)
                    unread |= {shard: rest} if (rest := some[len(served.records) :]) else {}
                if missing:
                    left.setdefault((shard, False), []).extend(missing)
            todo = unread
        return left

    def _take_served(self, keys: list[bytes], served: Served) -> list[bytes]:
        """What came from a page server becomes results; the keys that it has nothing for that can be used."""
        missing, now, offset = [], served.now, self._began - served.now
        results, tiers = self._results, self._tiers
        for key, stored in zip(keys, served.records):  # noqa: B905  # the first of the keys
            if stored is None:
                missing.append(key)
                continue
            expires, cost_s, tag = record.fields(stored)
            if tag == STUB or not now < expires:
                missing.append(key)
            else:
                tiers.setdefault(key, "shard_hits")  # unless it was loaded
                results[key] = (
                    found(stored, offset)
                    if tag == ABSENT
                    else Found(tag, (record.body(stored),), expires + offset, cost_s)
                )
        return missing

    def _patience_s(self, keys: Iterable[int] = ()) -> float:
        """How long to wait for an answer about so many keys; raises when the caller's time is over."""
        patience_s = max(ANSWER_S - (self._clock() - self._asking), LEAST_ANSWER_S)
        patience_s += ANSWER_S_PER_KEY * max(keys, default=0)
        return self._at_most(patience_s)

    def _unanswered(self, shard: str, answer: Failed | NoLease | None) -> Steps[None]:
        """A shard has no answer: it is asked again if it will have one soon, else others are."""
        self._left_s()  # the caller's patience may have been the shorter one
        if isinstance(answer, NoLease) and self._clock() - self._asking < NO_LEASE_S:
            yield Wait([], self._at_most(PAUSE_S))
            return
        self._members.suspect(shard)
        self._network.ask_directory(Suspect((shard,)))  # which finds out whether it is dead

    def _by_asked(self, keys: list[bytes]) -> list[list[bytes]]:
        """The keys apart of which the former owners have been asked."""
        if not self._asked:
            return [keys]
        parts = [[key for key in keys if (key in self._asked) is asked] for asked in (False, True)]
        return [part for part in parts if part]

    def _ask_holders(self) -> Steps[None]:
        """Asks those who may still have what its owner has not got yet; for the rest the owner again."""
        targets: dict[str, list[bytes]] = {}
        for key, shards in self._elsewhere.items():
            done = self._asked.setdefault(key, set())
            left = [shard for shard in shards if shard not in done and not self._members.suspected(shard)]
            if left:
                done.add(left[0])
                targets.setdefault(left[0], []).append(key)
            else:
                self._todo.append(key)
        self._elsewhere = {key: self._elsewhere[key] for some in targets.values() for key in some}
        if not targets:
            return
        epoch = self._members.ring.epoch
        futures = [
            self._network.ask(shard, Get(self._spec.id, tuple(some), epoch, load=False, standin=True))
            for shard, some in targets.items()
        ]
        answers = yield Wait(futures, self._patience_s(map(len, targets.values())))
        for (shard, some), answer in zip(targets.items(), answers, strict=True):
            if isinstance(answer, Answers):
                yield from self._take_held(dict(zip(some, answer.items, strict=True)), answer, shard)
            elif isinstance(answer, NoSuchGroup) or (
                isinstance(answer, NoLease) and self._clock() - self._asking < NO_LEASE_S
            ):  # it has only just joined: it may know who had them before it, as soon as it knows the group
                yield from self._let_join(shard, answer)
                for key in some:
                    self._asked[key].discard(shard)
            elif answer is None:
                self._left_s()  # the caller's patience may have been the shorter one
                self._members.suspect(shard)

    def _let_join(self, shard: str, answer: NoSuchGroup | NoLease) -> Steps[None]:
        if isinstance(answer, NoSuchGroup):
            spec = self._spec if self._calls is None else self._calls.spec()
            told = yield from self._members.define(spec, shard, answer, self._patience_s())
            if not isinstance(told, Ack):
                self._members.suspect(shard)
        else:
            yield Wait([], self._at_most(PAUSE_S))

    def _take_held(self, items: Mapping[bytes, Any], answers: Answers, shard: str) -> Steps[None]:
        """What a former owner still has; it may also know of others."""
        there = {key: item for key, item in items.items() if isinstance(item, (bytes, Large))}
        for key, item in items.items():
            if isinstance(item, Elsewhere):
                self._elsewhere[key] += item.shards
            elif key in there:
                del self._elsewhere[key]
        yield from self._take(list(there), replace(answers, items=list(there.values())), shard)

    def _message(self, keys: list[bytes], fresh: bool, standin: bool, again: bool) -> Get:
        epoch, nested = self._members.ring.epoch, loading.get()
        ask = Get(self._spec.id, tuple(keys), epoch, self._load, fresh, standin, again, nested, number=self._number)
        if keys[0] in self._asked:
            ask = replace(ask, asked=True)
        if self._calls is None or not self._load:
            return ask
        definition, calls = self._calls.definition, self._calls.calls
        if calls is None:
            return replace(ask, definition=definition, fill=True, again=self._filling or again)
        return replace(ask, definition=definition, calls=tuple(calls[key] for key in keys))

    def _take(self, keys: list[bytes], answers: Answers, shard: str) -> Steps[None]:
        flights: dict[int, _Flight] = {}
        now = self._clock()
        if answers.started:  # the get of one key, when it was asked for over the page server's connection
            self._waits(keys[0], started=True)
        for key, item in zip(keys, answers.items, strict=True):
            if isinstance(item, bytes):
                self._tiers.setdefault(key, "shard_hits")
                self._results[key] = found(item, self._began - answers.now)
            elif isinstance(item, InFlight):
                self._waits(key, item.started)
                flight = flights.setdefault(id(item), _Flight(item, shard, now + item.left_s, now, []))
                flight.keys.append(key)
            elif isinstance(item, Large):
                yield from self._take_large(key, item, answers.now, shard)
            elif isinstance(item, Elsewhere):
                self._elsewhere[key] = item.shards
            elif isinstance(item, Token):
                self._waits(key, started=True)
                self._results[key] = Claimed(shard, item.number)
            elif isinstance(item, Filling):
                self._waits(key, started=False)
                self._results[key] = item
            elif isinstance(item, (Absent, Raised)):  # how the computation ended that the asker waited for
                self._results[key] = self._loaded(item, None)
            else:
                self._tiers.setdefault(key, "misses")
                self._results[key] = NotThere("")
        self._flights += flights.values()

    def _waits(self, key: bytes, started: bool) -> None:
        """Counts the get as one that has started a load, if it ever did, or as one that waits for another's."""
        if started:
            self._tiers[key] = "loads_started"
        else:
            self._tiers.setdefault(key, "loads_joined")

    def _take_large(self, key: bytes, large: Large, now: float, shard: str) -> Steps[None]:
        payload = yield from self._await_of(shard, large.value)
        if isinstance(payload, Failed):
            (self._todo if payload is _NOT_GIVEN else self._afresh).append(key)  # or it is lost
            return
        self._tiers.setdefault(key, "shard_hits")
        head, blob = record.header(large.record), payload[0]
        self._results[key] = Found(blob.tag, blob.parts, self._began + head.expires - now, head.cost_s)

    def _await_of(self, shard: str, future: Future) -> Steps[Any]:
        """What a future of a shard brings, which is a large value: Failed also where the shard hangs, or its node is
        lost."""
        until = self._clock() + MOST_WAY_S
        while self._clock() < until:
            (result,) = yield Wait([future], self._at_most(LOOK_S))
            if result is not None:
                return result
            if shard not in (yield from self._repeated({shard: [future]})):
                return _NOT_GIVEN
        return Failed(f"it did not come within {MOST_WAY_S:g} s", lost=True)

    def _repeated(self, futures: Mapping[str, list[Future]]) -> Steps[dict[str, tuple[Future, ...]]]:
        """Which of these futures their shards have sent back. A shard that does not answer is not among them; one that
        fails may do so for these futures alone, and is not suspect yet."""
        asked = [self._network.ask(shard, Repeat(tuple(some))) for shard, some in futures.items()]
        answers = yield Wait(asked, self._at_most(LOOK_S))
        self._left_s()  # the caller's patience may have been the shorter one
        repeated = {}
        for shard, answer in zip(futures, answers, strict=True):
            if isinstance(answer, Repeat):
                repeated[shard] = answer.futures
            elif answer is None:
                self._members.suspect(shard)
        return repeated

    def _await(self, future: Future, limit_s: float) -> Steps[Any]:
        """What the future brings, within the caller's time; None after this one."""
        (result,) = yield Wait([future], self._at_most(limit_s))
        if result is None:
            self._left_s()
        return result

    def _await_flights(self) -> Steps[None]:
        """Waits until one flight ends or is overdue. Keys that it did not bring are asked for again."""
        flights, self._flights, self._waited = self._flights, [], True
        limit_s = self._at_most(max(min(flight.due for flight in flights) - self._clock(), 0.0))
        outcomes = yield Wait([flight.future.outcome for flight in flights], limit_s, all=False)
        now, silent = self._clock(), list[_Flight]()
        for flight, outcome in zip(flights, outcomes, strict=True):
            if isinstance(outcome, dict):
                yield from self._land(flight, outcome)
            elif isinstance(outcome, Failed):
                # Looked at, too: a transport may complain of a failure that nobody looked at.
                yield Wait([flight.future.payload], 1.0)
                self._fail(flight, outcome)
            elif now < flight.due:
                self._flights.append(flight)
            elif flight.over or not flight.future.has_key:
                self._todo += flight.keys
            else:
                silent.append(flight)
        if silent:
            yield from self._look_at(silent)

    def _look_at(self, flights: list[_Flight]) -> Steps[None]:
        """Has their shards say what has become of them: with a shard that hangs, or whose node is lost, a load ends
        without anybody's being told, and a transport may lose its word. Keys of a shard that does not answer are asked
        for again; so will be those of a load that is over, if nothing comes of it now."""
        futures: dict[str, list[Future]] = {}
        for flight in flights:
            futures.setdefault(flight.shard, []).append(flight.future.outcome)
        repeated, now = (yield from self._repeated(futures)), self._clock()
        for flight in flights:
            flight.looked, flight.over = now, flight.future.outcome in repeated.get(flight.shard, ())
            if flight.shard not in repeated:
                self._todo += flight.keys
            elif flight.over or now < flight.until:
                self._flights.append(flight)
            else:
                self._fail(flight, None)

    def _land(self, flight: _Flight, outcome: Outcome) -> Steps[None]:
        payload: Any = None
        for key in flight.keys:
            # A load that only makes room may have an older value of the key: its flight was taken out by a removal.
            result = outcome.get(key) if flight.future.has_key else None
            if isinstance(result, Loaded) and isinstance(result.data, int) and payload is None:
                payload = yield from self._await_of(flight.shard, flight.future.payload)
            if result is None or isinstance(result, Orphaned) or isinstance(payload, Failed):
                self._todo.append(key)
            else:
                self._results[key] = self._loaded(result, payload)

    def _fail(self, flight: _Flight, failed: Failed | None) -> None:
        """A flight without an outcome. A key that was alone in it has its answer; others are asked for again."""
        if not flight.future.alone or (failed is not None and failed.lost):
            self._todo += flight.keys
            return
        calls = self._calls
        for key in flight.keys:
            name = "" if calls is not None else f" for {core_keys.decode(key[PREFIX_BYTES:])!r}"
            if failed is None or failed.hung:
                limit_s = self._spec.options.load_timeout_s if calls is None else calls.load_timeout_s
                self._results[key] = LoadTimeout(
                    f"{self._getter} took more than {limit_s:g} s{name} and was ended; give "
                    f"{'the group' if calls is None else 'it'} a longer load_timeout= if that is how long it takes"
                )
            else:
                self._results[key] = LoaderDied(
                    f"the process that ran {self._getter}{name} died ({failed.reason}); the next get loads anew"
                )

    @property
    def _getter(self) -> str:
        """What computes the values, for people."""
        return f"the getter of the group {self._spec.name!r}" if self._calls is None else self._calls.function

    def _loaded(self, result: Loaded | Absent | Raised | Orphaned, payload: Any) -> Result:
        if isinstance(result, Orphaned):
            return LoaderDied("the arguments are gone")  # they are this process's own: it ends
        if isinstance(result, Raised):
            return raised(result)
        expires = record.NEVER if result.ttl_s is None else self._began + result.ttl_s
        if isinstance(result, Absent):
            return NotThere(result.message, expires if result.ttl_s else 0.0)
        if isinstance(result.data, int):
            blob: Blob = payload[result.data]
            return Found(blob.tag, blob.parts, expires, result.cost_s)
        return Found(result.tag, (result.data,), expires, result.cost_s)

    def _without_shards(self, keys: list[bytes]) -> Steps[list[bytes]]:
        """No shard can be reached: the getter runs here, and nothing is kept. Slow, but not wrong.

        Gives the keys back if there is a shard to ask after all.
        """
        if not self._members.outage:
            yield from self._members.refresh(self._patience_s())
            if any(self._members.target(key)[0] is not None for key in keys):
                return keys
        self._members.answered_here(len(keys))
        spec = self._spec if self._calls is None else self._calls.spec()
        calls = None if self._calls is None else self._calls.calls
        by_caller = self._calls is not None and calls is None
        if not self._load or (spec.getter is None and not by_caller):
            self._results |= dict.fromkeys(keys, NotThere("no shard can be reached"))
        elif by_caller:
            self._results |= dict.fromkeys(keys, Claimed(None, 0))
        else:
            yield from self._run_here(spec, keys, calls)
        self._tiers |= dict.fromkeys(keys, "unavailable")
        return []

    def _run_here(self, spec: GroupSpec, keys: list[bytes], calls: Mapping[bytes, Call] | None) -> Steps[None]:
        open_keys = list(keys)
        while open_keys:
            # A batch is one call; what it is made of need not be told apart here.
            some = open_keys if calls is None or not spec.batch else open_keys[:1]
            work = [] if calls is None else [calls[key] for key in some]
            limit_s = spec.options.load_timeout_s if self._calls is None else self._calls.load_timeout_s
            result = yield from self._await(self._network.run(spec, some, work), limit_s)
            if result is None:
                raise LoadTimeout(f"{self._getter}, run in this process, took more than {limit_s:g} s")
            if isinstance(result, Failed):
                raise LoaderDied(f"{self._getter} did not end: {result.reason}")
            outcome, payload = result
            self._results |= {key: self._loaded(each, payload) for key, each in outcome.items()}
            open_keys = [key for key in open_keys if key not in outcome]
