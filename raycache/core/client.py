"""The client's side of the protocol: which shard to ask, what to do with its answer, what an invalidation takes.

Every operation is a generator that yields `Wait` where something must be waited for, and is sent what has come. It
decides and never blocks, so one body serves sync callers, async ones, the inline cache and a simulation; they differ
in how they wait. Clock, messages and shared memory are given.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple, Protocol, TypeVar

from raycache.core import keys as core_keys
from raycache.core import record
from raycache.core.codec import ABSENT, Blob
from raycache.core.getters import raised
from raycache.core.messages import (
    PREFIX_BYTES,
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
    GetView,
    GroupSpec,
    InFlight,
    Keys,
    Large,
    Loaded,
    Moved,
    NoSuchGroup,
    Outcome,
    Raised,
    Report,
    Set,
    ShardInfo,
    Suspect,
    View,
)
from raycache.core.pages import Pages
from raycache.core.ring import Ring
from raycache.core.stats import Stats
from raycache.core.versions import SLOTS
from raycache.errors import CacheUnavailable, GroupConflict, LoaderDied, LoadTimeout

#: A shard that has not answered a message after this time is treated like one that cannot be reached.
PATIENCE_S = 10.0
#: How long a shard that could not be reached is not asked by gets.
SUSPECT_S = 1.0
#: How long an invalidation goes on to try to reach every shard.
INVALIDATE_S = 10.0
#: Times that a get follows a ring that has moved on, before it takes the shard that it has for a stand-in.
MOST_MOVES = 5

T = TypeVar("T")


class Wait(NamedTuple):
    """Yielded by an operation: wait for these futures, for all or for at least one, at most so long.

    It is sent a list with a result for each: what came, a `Failed`, or None for what has not come yet.
    """

    futures: Sequence[Future]
    timeout_s: float | None
    all: bool = True


Steps = Generator[Wait, list[Any], T]


class Local(NamedTuple):
    """Shared memory of the shards on this node. Without any the lease has run out: nothing local may be used."""

    lease: Sequence[float] = (0.0,)
    slots: Sequence[int] = bytes(SLOTS)
    pages: Mapping[str, Pages] = {}


class Network(Protocol):
    """How messages travel. None of these waits, and none raises: a failure is what a future brings."""

    def ask(self, shard: str, message: Any) -> Future: ...

    def ask_directory(self, message: Any) -> Future: ...

    def run(self, spec: GroupSpec, keys: list[bytes]) -> Future:
        """Runs the getter for keys without any shard; brings an outcome and its payload."""
        ...

    def attach(self, view: View) -> Local:
        """The shared memory of this node's shards in the view."""
        ...


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


Result = Found | NotThere | BaseException


@dataclass(slots=True)
class _Flight:
    """A load that some keys wait for."""

    future: InFlight
    until: float
    keys: list[bytes]


class Client:
    """One process's view of the cache, and its operations. Keys are full keys, times seconds of the clock."""

    def __init__(self, network: Network, clock: Callable[[], float]) -> None:
        self.network, self.clock = network, clock
        self.ring = Ring(-1, {})
        self.local: Local = network.attach(View(self.ring, {}))
        self._suspects: dict[str, float] = {}
        self._closed = ""

    def close(self, why: str) -> None:
        """From now on every operation raises CacheUnavailable, which says why, and nothing local is used."""
        self._closed, self.local = why, Local()

    def _check_open(self) -> None:
        if self._closed:
            raise CacheUnavailable(self._closed)

    # ------------------------------------------------------------------------------------------ members

    def refresh(self) -> Steps[None]:
        """Asks the directory for the newest ring."""
        (view,) = yield Wait([self.network.ask_directory(GetView())], PATIENCE_S)
        self._see(view)

    def _see(self, view: View | Failed | None) -> None:
        if not self._closed and isinstance(view, View) and view.ring.epoch > self.ring.epoch:
            self.ring, self.local = view.ring, self.network.attach(view)

    def suspect(self, shard: str) -> None:
        self._suspects[shard] = self.clock() + SUSPECT_S

    def target(self, key: bytes) -> tuple[str | None, bool]:
        """The shard to ask for a key, and whether it is only a stand-in; None where all are suspect."""
        owner = self.ring.owner(key)
        if owner not in self._suspects:
            return owner, False
        now = self.clock()
        for rank, shard in enumerate(self.ring.owners(key)):
            if self._suspects.get(shard, 0.0) <= now:
                self._suspects.pop(shard, None)
                return shard, rank > 0
        return None, False

    # --------------------------------------------------------------------------------------------- gets

    def get(
        self,
        spec: GroupSpec,
        keys: Iterable[bytes],
        *,
        timeout_s: float | None = None,
        load: bool = True,
        fresh: bool = False,
        tiers: dict[bytes, str] | None = None,
    ) -> Steps[dict[bytes, Result]]:
        """What there is for each key, from the shards, loading what is missing.

        `tiers` is filled with the name of the counter of Stats that each key belongs to. Raises LoadTimeout when the
        timeout is over; what went wrong with single keys is among the results.
        """
        self._check_open()
        get = _Get(self, spec, timeout_s, load, {} if tiers is None else tiers)
        return (yield from get.run(list(keys), fresh))

    def define(self, spec: GroupSpec, shard: str, answer: NoSuchGroup) -> Steps[None]:
        """Teaches a shard a group that it does not know."""
        if not answer.replaced:
            (answer,) = yield Wait([self.network.ask(shard, Define(spec))], PATIENCE_S)
        if isinstance(answer, NoSuchGroup):
            raise GroupConflict(
                f"the group {spec.name!r} was registered anew (replace=True) with another definition; this handle is "
                f"of the old one. Get the new one from cache.group({spec.name!r})"
            )

    # ------------------------------------------------------------------------------------- invalidation

    def remove(self, spec: GroupSpec, keys: Sequence[bytes]) -> Steps[int]:
        """Removes keys everywhere; how many entries there were."""
        names = tuple(keys)

        def first(ring: Ring) -> dict[str, list[Any]]:
            return {shard: [Delete(spec.id, names, ring)] for shard in ring.members}

        return (yield from self._rounds(spec, first, names))

    def clear(self, spec: GroupSpec) -> Steps[int]:
        """Removes every key of the group everywhere; how many entries there were."""

        def first(ring: Ring) -> dict[str, list[Any]]:
            return {shard: [Delete(spec.id, None, ring)] for shard in ring.members}

        return (yield from self._rounds(spec, first, None))

    def set(self, spec: GroupSpec, items: Mapping[bytes, tuple[Blob, float | None]]) -> Steps[int]:
        """Replaces values at their owners and removes all other copies; how many were stored."""

        def first(ring: Ring) -> dict[str, list[Any]]:
            messages: dict[str, list[Any]] = {shard: [] for shard in ring.members}
            owned = sorted((ring.owner(key) or "", key) for key in items)
            for owner, group in groupby(owned, key=lambda pair: pair[0]):
                keys = [key for _, key in group]
                for shard in ring.members:
                    if shard == owner:
                        values = tuple((key, *items[key]) for key in keys)
                        messages[shard].append(Set(spec.id, values, ring))
                    else:
                        messages[shard].append(Delete(spec.id, tuple(keys), ring, removal=False))
            return messages

        return (yield from self._rounds(spec, first, tuple(items), counted=Set))

    def replace(self, spec: GroupSpec) -> Steps[int]:
        """Puts a group's new definition in the place of its old one in every shard, and ends what anybody has of it."""

        def first(ring: Ring) -> dict[str, list[Any]]:
            return {shard: [Define(spec)] for shard in ring.members}

        return (yield from self._rounds(spec, first, None))

    def refreshed(self, spec: GroupSpec, keys: Sequence[bytes]) -> Steps[None]:
        """After new loads of keys: ends what anybody has of the old values beside their owners."""

        def first(ring: Ring) -> dict[str, list[Any]]:
            messages: dict[str, list[Any]] = {}
            for shard in ring.members:
                others = tuple(key for key in keys if ring.owner(key) != shard)
                own = tuple(key for key in keys if ring.owner(key) == shard)
                messages[shard] = [Delete(spec.id, others, ring, removal=False)] if others else []
                if own:  # it settles the new value before it answers
                    messages[shard].append(Get(spec.id, own, ring.epoch, load=False))
            return messages

        yield from self._rounds(spec, first, tuple(keys))

    def _rounds(
        self,
        spec: GroupSpec,
        first: Callable[[Ring], dict[str, list[Any]]],
        bumped: tuple[bytes, ...] | None,
        counted: type = Delete,
    ) -> Steps[int]:
        """Two rounds to all members: entries go (or are replaced) everywhere, and only then near entries end.

        With one round somebody could see a new version slot and then read an old value from a shard that has not been
        told yet. A ring that moved on meanwhile, or a shard that does not answer, makes the round be done again.
        """
        self._check_open()
        until = self.clock() + INVALIDATE_S
        done = 0
        while True:
            ring = self.ring
            answered, acks = yield from self._round(spec, ring, first(ring), until)
            done += sum(ack.done for message, ack in acks if isinstance(message, counted))
            if answered:
                break
        while True:
            messages: dict[str, list[Any]] = {shard: [Bump(bumped, ring.epoch)] for shard in self.ring.members}
            answered, _ = yield from self._round(spec, self.ring, messages, until)
            if answered:
                return done

    def _round(
        self, spec: GroupSpec, ring: Ring, messages: dict[str, list[Any]], until: float
    ) -> Steps[tuple[bool, list[tuple[Any, Ack]]]]:
        """Sends messages to members: whether all did as they were told in this ring, and what they acknowledged."""
        sent = [(shard, each, self.network.ask(shard, each)) for shard, some in messages.items() for each in some]
        patience_s = max(min(until - self.clock(), PATIENCE_S), 0.0)
        answers = yield Wait([future for _, _, future in sent], patience_s)
        acks, silent, again = [], dict[str, str](), not messages
        for (shard, message, _), answer in zip(sent, answers, strict=True):
            if isinstance(answer, (Ack, Answers)):
                again |= answer.epoch > ring.epoch
                if isinstance(answer, Ack):
                    acks.append((message, answer))
            elif isinstance(answer, NoSuchGroup):
                yield from self.define(spec, shard, answer)
                again = True
            elif isinstance(answer, Moved):
                again = True
            else:
                silent[shard] = "no answer" if answer is None else answer.reason
        if not silent and not again:
            return True, acks
        asked = Suspect(tuple(silent)) if silent else GetView()
        (view,) = yield Wait([self.network.ask_directory(asked)], PATIENCE_S)
        self._see(view)
        if self.clock() >= until:
            who = "; ".join(f"{shard}: {why}" for shard, why in sorted(silent.items())) or "the ring has no shards"
            raise CacheUnavailable(
                f"not done everywhere within {INVALIDATE_S:g} s ({who}). What other shards had is gone; repeat it when "
                f"`raycache status` shows them again"
            )
        if self.ring.epoch == ring.epoch:
            yield Wait([], 0.05)
        return False, acks

    # ------------------------------------------------------------------------------ questions and reports

    def report(self, spec: GroupSpec, stats: Stats, touched: Iterable[bytes]) -> Steps[bool]:
        """Tells the shards what this process did without asking them; whether the counters have arrived."""
        names: dict[str, list[bytes]] = {}
        for key in touched:
            names.setdefault(self.ring.owner(key) or "", []).append(key)
        # The counters go to one shard, whichever: they are added up over all.
        home = next((id for id in self.ring.members if id in self.local.pages), next(iter(self.ring.members), None))
        if home is None:
            return False
        names.setdefault(home, [])
        todo = {
            shard: Report(spec.id, stats if shard == home else Stats(), tuple(keys)) for shard, keys in names.items()
        }
        arrived = False
        for _ in range(2):
            futures = [self.network.ask(shard, message) for shard, message in todo.items()]
            answers = dict(zip(todo, (yield Wait(futures, PATIENCE_S)), strict=True))
            arrived |= isinstance(answers.get(home), Ack)
            todo = {shard: todo[shard] for shard, answer in answers.items() if isinstance(answer, NoSuchGroup)}
            for shard in todo:
                yield from self.define(spec, shard, answers[shard])
            if not todo:
                break
        return arrived

    def scan(self, shard: str, prefix: bytes, after: bytes) -> Steps[list[bytes]]:
        """Some keys of a shard, in its order, after a key; none at the end."""
        (answers,) = yield from self._all({shard: Keys(prefix, after)})
        return answers if isinstance(answers, list) else []

    def count(self, group: int | None = None) -> Steps[dict[int, Stats]]:
        """Counters by group, added up over the shards."""
        total: dict[int, Stats] = {}
        for counts in (yield from self._all({shard: Count(group) for shard in self.ring.members})):
            for id, stats in counts.items():
                total[id] = total.get(id, Stats()) + stats
        return total

    def _all(self, messages: Mapping[str, Any]) -> Steps[list[Any]]:
        self._check_open()
        answers = yield Wait([self.network.ask(shard, each) for shard, each in messages.items()], PATIENCE_S)
        silent = [id for id, got in zip(messages, answers, strict=True) if got is None or isinstance(got, Failed)]
        if silent:
            raise CacheUnavailable(
                f"no answer from {', '.join(silent)}; `raycache status` shows which shards there are"
            )
        return answers

    def describe(self) -> Steps[list[ShardInfo]]:
        """All members; of those that do not answer only what the directory knows."""
        self._check_open()
        (view,) = yield Wait([self.network.ask_directory(GetView())], PATIENCE_S)
        if not isinstance(view, View):
            raise CacheUnavailable(f"the directory of the cache does not answer: {view}")
        self._see(view)
        ids = list(view.ring.members)
        answers = yield Wait([self.network.ask(id, Describe()) for id in ids], PATIENCE_S)
        return [
            answer if isinstance(answer, ShardInfo) else _unreachable(id, view)
            for id, answer in zip(ids, answers, strict=True)
        ]


def _unreachable(id: str, view: View) -> ShardInfo:
    place = view.places[id]
    blank: dict[str, Any] = dict.fromkeys(("pid", "entries", "bytes", "capacity_bytes", "loads", "lease_s"), 0)
    blank |= {"address": "", "weight": view.ring.members[id], "epoch": view.ring.epoch}
    return ShardInfo(id=id, node=place.node, folder=place.folder, reachable=False, **blank)


class _Get:
    """One get of some keys, as it goes on."""

    def __init__(
        self, client: Client, spec: GroupSpec, timeout_s: float | None, load: bool, tiers: dict[bytes, str]
    ) -> None:
        self._client, self._spec, self._load, self._tiers = client, spec, load, tiers
        self._network, self._clock = client.network, client.clock
        self._began = self._clock()
        self._timeout_s = timeout_s
        self._keys: list[bytes] = []
        self._results: dict[bytes, Result] = {}
        self._todo: list[bytes] = []  # to ask the shards for
        self._afresh: list[bytes] = []  # the same, but what they have will not do
        self._flights: list[_Flight] = []
        self._waited = False

    def run(self, keys: list[bytes], fresh: bool) -> Steps[dict[bytes, Result]]:
        self._keys = keys
        if fresh:
            self._afresh = keys
        else:
            self._todo = keys
        while self._todo or self._afresh or self._flights:
            if self._todo:
                asked, self._todo = self._todo, []
                yield from self._ask(asked, fresh=False)
            elif self._afresh:
                asked, self._afresh = self._afresh, []
                yield from self._ask(asked, fresh=True)
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

    def _ask(self, keys: list[bytes], fresh: bool) -> Steps[None]:
        """Asks the shards until each key has an answer; what they have becomes results, what they load flights."""
        moves, again = 0, self._waited
        while keys:
            targets: dict[tuple[str | None, bool], list[bytes]] = {}
            for key in keys:
                targets.setdefault(self._client.target(key), []).append(key)
            keys = []
            unreachable = [key for (shard, _), some in targets.items() if shard is None for key in some]
            if unreachable:
                keys += yield from self._without_shards(unreachable)
            asked = [(shard, standin, some) for (shard, standin), some in targets.items() if shard is not None]
            if not asked:
                continue
            left_s = self._left_s()
            futures = [
                self._network.ask(shard, self._message(some, fresh, standin or moves > MOST_MOVES, again))
                for shard, standin, some in asked
            ]
            answers = yield Wait(futures, PATIENCE_S if left_s is None else min(left_s, PATIENCE_S))
            for (shard, _, some), answer in zip(asked, answers, strict=True):
                if isinstance(answer, Answers):
                    yield from self._take(some, answer)
                    continue
                keys += some
                if isinstance(answer, Moved):
                    moves += 1
                    yield from self._client.refresh()
                elif isinstance(answer, NoSuchGroup):
                    yield from self._client.define(self._spec, shard, answer)
                else:
                    self._left_s()  # the caller's patience may have been the shorter one
                    self._client.suspect(shard)

    def _message(self, keys: list[bytes], fresh: bool, standin: bool, again: bool) -> Get:
        return Get(self._spec.id, tuple(keys), self._client.ring.epoch, self._load, fresh, standin, again)

    def _take(self, keys: list[bytes], answers: Answers) -> Steps[None]:
        flights: dict[int, _Flight] = {}
        now = self._clock()
        for key, item in zip(keys, answers.items, strict=True):
            if isinstance(item, bytes):
                self._tiers.setdefault(key, "shard_hits")
                self._results[key] = found(item, self._began - answers.now)
            elif isinstance(item, InFlight):
                self._tiers.setdefault(key, "loads_started" if item.started else "loads_joined")
                flight = flights.setdefault(id(item), _Flight(item, now + item.left_s, []))
                flight.keys.append(key)
            elif isinstance(item, Large):
                yield from self._take_large(key, item, answers.now)
            else:
                self._tiers.setdefault(key, "misses")
                self._results[key] = NotThere("")
        self._flights += flights.values()

    def _take_large(self, key: bytes, large: Large, now: float) -> Steps[None]:
        payload = yield from self._await(large.value)
        if isinstance(payload, Failed):
            self._afresh.append(key)  # the object store has lost it
            return
        self._tiers.setdefault(key, "shard_hits")
        head, blob = record.header(large.record), payload[0]
        self._results[key] = Found(blob.tag, blob.parts, self._began + head.expires - now, head.cost_s)

    def _await(self, future: Future) -> Steps[Any]:
        """What the future brings, within the caller's time."""
        while True:
            (result,) = yield Wait([future], self._left_s())
            if result is not None:
                return result

    def _await_flights(self) -> Steps[None]:
        """Waits until one flight ends or is overdue. Keys that it did not bring are asked for again."""
        flights, self._flights, self._waited = self._flights, [], True
        left_s = self._left_s()
        patience_s = max(min(flight.until for flight in flights) - self._clock(), 0.0)
        outcomes = yield Wait(
            [flight.future.outcome for flight in flights],
            patience_s if left_s is None else min(left_s, patience_s),
            all=False,
        )
        now = self._clock()
        for flight, outcome in zip(flights, outcomes, strict=True):
            if isinstance(outcome, dict):
                yield from self._land(flight, outcome)
            elif isinstance(outcome, Failed):
                # Looked at, too: a transport may complain of a failure that nobody looked at.
                yield Wait([flight.future.payload], 1.0)
                self._fail(flight, outcome)
            elif now >= flight.until:
                self._fail(flight, None)
            else:
                self._flights.append(flight)

    def _land(self, flight: _Flight, outcome: Outcome) -> Steps[None]:
        payload: Any = None
        for key in flight.keys:
            result = outcome.get(key)
            if isinstance(result, Loaded) and isinstance(result.data, int) and payload is None:
                payload = yield from self._await(flight.future.payload)
            if result is None or isinstance(payload, Failed):
                self._todo.append(key)
            else:
                self._results[key] = self._loaded(result, payload)

    def _fail(self, flight: _Flight, failed: Failed | None) -> None:
        """A flight without an outcome. A key that was alone in it has its answer; others are asked for again."""
        if not flight.future.alone:
            self._todo += flight.keys
            return
        for key in flight.keys:
            name = repr(core_keys.decode(key[PREFIX_BYTES:]))
            if failed is None or failed.hung:
                limit_s = self._spec.options.load_timeout_s
                self._results[key] = LoadTimeout(
                    f"the getter of the group {self._spec.name!r} took more than {limit_s:g} s for {name} and was "
                    f"ended; give the group a longer load_timeout= if that is how long it takes"
                )
            else:
                self._results[key] = LoaderDied(
                    f"the process that ran the getter of the group {self._spec.name!r} for {name} died "
                    f"({failed.reason}); the next get loads anew"
                )

    def _loaded(self, result: Loaded | Absent | Raised, payload: Any) -> Result:
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
        yield from self._client.refresh()
        if any(self._client.target(key)[0] is not None for key in keys):
            return keys
        if self._spec.getter is None or not self._load:
            for key in keys:
                self._results[key] = NotThere("no shard can be reached")
                self._tiers[key] = "unavailable"
            return []
        open_keys = list(keys)
        while open_keys:
            result = yield from self._await(self._network.run(self._spec, open_keys))
            if isinstance(result, Failed):
                raise LoaderDied(f"the getter of the group {self._spec.name!r} did not end: {result.reason}")
            outcome, payload = result
            for key, each in outcome.items():
                self._results[key] = self._loaded(each, payload)
                self._tiers[key] = "unavailable"
            open_keys = [key for key in open_keys if key not in outcome]
        return []


def found(stored: bytes, offset: float) -> Found | NotThere:
    """The result that a record stands for; `offset` takes its clock to the caller's."""
    expires, _, cost_s, tag = record.fields(stored)
    if tag == ABSENT:
        return NotThere(bytes(record.body(stored)).decode(), expires + offset)
    return Found(tag, (record.body(stored),), expires + offset, cost_s)


def drive(steps: Steps[T], wait: Callable[[Wait], list[Any]]) -> T:
    """Runs an operation, waiting in this thread."""
    try:
        want = next(steps)
        while True:
            want = steps.send(wait(want))
    except StopIteration as stop:
        result: T = stop.value
        return result


async def adrive(steps: Steps[T], wait: Callable[[Wait], Awaitable[list[Any]]]) -> T:
    """Runs an operation, waiting in this event loop."""
    try:
        want = next(steps)
        while True:
            want = steps.send(await wait(want))
    except StopIteration as stop:
        result: T = stop.value
        return result
