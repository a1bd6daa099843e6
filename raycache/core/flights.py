"""Flights: the loads of one shard, at most one per key, in a bounded number of loader tasks.

A key that must be loaded becomes a flight. Flights wait until a task is free, and then go in chunks; a task may bring
back only a part of its chunk, the rest waits again. Whoever asks gets the future of the task that has the key, or,
while the key still waits, of the task that is the next to make room.

Invariants: a key has at most one flight in the table; every flight in the table waits or is in exactly one chunk of
`running`; there are at most `limit` chunks, beside those that getters at work have asked for. A flight that was taken
out of the table (its key was removed) goes on, but what it brings is not stored.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from raycache.core.getters import BUDGET_S
from raycache.core.messages import Call, Failed, Future, GroupSpec, InFlight, Loaded, Orphaned, Outcome, group_of

#: Flights that may go in one chunk: the group, the definition of a memoized function, what a batch of it shares.
Lane = tuple[int, bytes, bytes]

#: Keys in one chunk of a getter that takes one key, at most.
CHUNK_KEYS = 1000
#: Keys that are known to be quick are loaded together, at least so many seconds' worth in one task: starting a task
#: takes longer than that, and a process for it much longer.
CHUNK_S = 0.02
#: Who wants a key that still waits asks again after this time, as the task it was told to wait for may be a slow one.
ASK_AGAIN_S = 2 * BUDGET_S
#: How long the end of such a load is kept for those who will ask again: a value, which lies in the store as well, and
#: what is not stored, so that a NotFound or an exception costs one run of the getter, too. That is kept for longer than
#: a busy machine keeps one of them from asking.
KEPT_S, UNSTORED_KEPT_S = 2.0, 10.0
#: Of how many groups and definitions it is known what a key took lately.
MOST_COSTS = 1000


class Load(Protocol):
    """One running loader task. What its futures are, the transport knows."""

    outcome: Future
    payload: Future

    def result(self) -> Outcome | Failed | None:
        """What it brought; None while it runs. Never waits."""
        ...

    def large(self, place: int) -> Future:
        """A tuple that starts with this large value of its payload, and keeps no other alive."""
        ...

    def cancel(self) -> None:
        """Ends it, with its process if need be."""
        ...


@dataclass(slots=True, eq=False)
class Flight:
    """One key on its way."""

    key: bytes
    spec: GroupSpec
    standin: bool
    call: Call | None = None  # of a memoized function
    alone: bool = False  # goes in a chunk of its own: its chunk failed, and perhaps because of it
    awaited: bool = False  # somebody who has not the chunk's future waits for it, and will ask again for this key
    chunk: Chunk | None = None  # None: it waits

    @property
    def lane(self) -> Lane:
        return self.spec.id, self.spec.definition, b"" if self.call is None else self.call.frame


@dataclass(slots=True, eq=False)
class Chunk:
    """The flights of one loader task."""

    flights: list[Flight]
    load: Load
    deadline: float


class Flights:
    """The table, the queue and the running chunks. `start` submits the loader task for some keys of a group."""

    def __init__(
        self, start: Callable[[GroupSpec, list[bytes], list[Call]], Load], clock: Callable[[], float], limit: int
    ) -> None:
        self._start, self._clock, self._limit = start, clock, limit
        self._table: dict[bytes, Flight] = {}
        self._waiting: OrderedDict[Lane, OrderedDict[bytes, Flight]] = OrderedDict()  # the lanes in turn
        self._cost_s: OrderedDict[tuple[int, bytes], float] = OrderedDict()  # what a key took lately
        self._ended: dict[bytes, tuple[float, InFlight]] = {}  # how awaited flights ended, for those who ask again
        self.running: list[Chunk] = []

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, key: object) -> bool:
        return key in self._table

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._table)

    @property
    def full(self) -> bool:
        """Whether as many loader tasks run as may."""
        return len(self.running) >= self._limit

    @property
    def waiting(self) -> bool:
        """Whether there are flights that no task has taken yet."""
        return any(self._waiting.values())

    def add(self, spec: GroupSpec, key: bytes, standin: bool, call: Call | None = None) -> None:
        """A new flight for the key, in place of one that is there; `dispatch` sends it off."""
        awaited = key in self._ended  # who has not asked again yet waits for this one then
        self.take_out([key])
        self._table[key] = flight = Flight(key, spec, standin, call, awaited=awaited)
        self._wait(flight)

    def _wait(self, flight: Flight) -> None:
        flight.chunk = None
        queue = self._waiting.setdefault(flight.lane, OrderedDict())
        queue.pop(flight.key, None)
        queue[flight.key] = flight

    def take_out(self, keys: Iterable[bytes]) -> None:
        """Their results will be delivered to those who wait, and not be stored; a later get starts anew."""
        for key in keys:
            self._ended.pop(key, None)
            flight = self._table.pop(key, None)
            if flight is not None and flight.chunk is None:
                self._waiting[flight.lane].pop(key)

    def take_out_group(self, group: int) -> None:
        keys = [key for key, flight in self._table.items() if flight.spec.id == group]
        self.take_out([*keys, *(key for key in self._ended if group_of(key) == group)])

    def take_out_all(self) -> None:
        self.take_out([*self._table, *self._ended])

    def dispatch(self) -> None:
        """Starts loader tasks while there are flights that wait and tasks are free."""
        while not self.full and (flights := self._next()):
            self._launch(flights)

    def _launch(self, flights: list[Flight]) -> None:
        spec = flights[0].spec
        try:
            calls = [flight.call for flight in flights if flight.call is not None]
            load = self._start(spec, [flight.key for flight in flights], calls)
        except BaseException:
            for flight in flights:  # whoever asks next tries again
                self._table.pop(flight.key, None)
            raise
        chunk = Chunk(flights, load, self._clock() + BUDGET_S + spec.options.load_timeout_s)
        for flight in flights:
            flight.chunk = chunk
        self.running.append(chunk)

    def hurry(self, spec: GroupSpec, keys: Iterable[bytes], standin: bool) -> None:
        """Starts tasks at once for these keys, unless they have one of their own. A getter at work asks for them.

        It holds a task meanwhile: if what it asks for had to wait for a task to be free, or lay behind it in its own
        chunk, everybody would wait for ever. So these tasks come on top of the limit, at most as many again for one
        question; and a key of another chunk, which may be the asker's own, gets a new flight.
        """
        there = (self._table[key] for key in dict.fromkeys(keys))
        old = sorted((f for f in there if f.chunk is None or len(f.chunk.flights) > 1), key=lambda flight: flight.lane)
        for _, group in groupby(old, key=lambda flight: flight.lane):
            flights = [Flight(flight.key, spec, standin, flight.call) for flight in group]
            size = spec.options.batch_size if spec.batch else -(-len(flights) // self._limit)
            for at in range(0, len(flights), size):
                some = flights[at : at + size]
                self.take_out([flight.key for flight in some])
                self._table.update((flight.key, flight) for flight in some)
                self._launch(some)

    def _next(self) -> list[Flight]:
        """The flights of the next chunk: a fair share of what waits in the lane whose turn it is."""
        while self._waiting:
            lane, queue = self._waiting.popitem(last=False)
            if not queue:
                continue
            first = next(iter(queue.values()))
            if first.alone:
                chosen = [first]
            else:
                size = self._chunk_size(first.spec, len(queue))
                chosen = [flight for flight, _ in zip(queue.values(), range(size), strict=False) if not flight.alone]
            for flight in chosen:
                del queue[flight.key]
            if queue:
                self._waiting[lane] = queue
            return chosen
        return []

    def _chunk_size(self, spec: GroupSpec, waiting: int) -> int:
        """A fair share for every free task, or more where that share is done in no time; but no more than a task can
        reach, so that nothing waits for it while another task is free."""
        if spec.batch:
            return spec.options.batch_size  # as few calls as it allows
        share = -(-waiting // (self._limit - len(self.running)))
        cost_s = self._cost_s.get((spec.id, spec.definition))
        if cost_s is None:
            return min(share, CHUNK_KEYS)
        quick = round(CHUNK_S / max(cost_s, CHUNK_S / CHUNK_KEYS))
        reached = max(round(BUDGET_S / max(cost_s, BUDGET_S / CHUNK_KEYS)), 1)
        return min(max(share, quick), reached, CHUNK_KEYS)

    def futures(self, keys: Iterable[bytes], started: Container[bytes], awaited: bool = False) -> list[InFlight]:
        """What to wait for to get these keys, all of which have flights. `awaited`: who asks may not hear of it, and
        will ask again."""
        now, shared = self._clock(), dict[tuple[int, bool], InFlight]()
        futures = []
        for key in keys:
            flight = self._table[key]
            new, chunk = key in started, flight.chunk
            flight.awaited |= chunk is None or awaited
            # One object for all keys of a chunk: a message about a thousand keys then holds each future once.
            if (id(chunk), new) not in shared:
                shared[id(chunk), new] = self._future(chunk, new, now)
            futures.append(shared[id(chunk), new])
        return futures

    def _future(self, chunk: Chunk | None, started: bool, now: float) -> InFlight:
        if chunk is None:
            load = self.running[0].load
            return InFlight(load.outcome, load.payload, started, has_key=False, alone=False, left_s=ASK_AGAIN_S)
        left_s = max(chunk.deadline - now, 0.0)
        return InFlight(chunk.load.outcome, chunk.load.payload, started, True, len(chunk.flights) == 1, left_s)

    def chunks_of(self, keys: Iterable[bytes]) -> list[Chunk]:
        """The running chunks that these keys are in."""
        flights = (self._table.get(key) for key in keys)
        return list({id(f.chunk): f.chunk for f in flights if f is not None and f.chunk is not None}.values())

    def landed(self, chunks: list[Chunk]) -> Iterator[tuple[Chunk, Outcome | Failed]]:
        """Takes out those of these chunks that have ended, the overdue ones after ending them."""
        now = self._clock()
        for chunk in chunks:
            result = chunk.load.result()
            if result is None and now >= chunk.deadline:
                chunk.load.cancel()
                result = Failed(f"it took longer than {chunk.flights[0].spec.options.load_timeout_s:g} s", hung=True)
            if result is not None:
                self.running.remove(chunk)
                yield chunk, result

    def finish(self, chunk: Chunk, outcome: Outcome) -> list[Flight]:
        """After a chunk that brought something: the flights of its keys that are still wanted. Others wait again."""
        done = set(outcome)
        self._learn_cost(chunk.flights[0].spec, outcome)
        wanted = [flight for flight in chunk.flights if self._table.get(flight.key) is flight]
        for flight in reversed(wanted):
            if flight.key in done:
                self._end(flight, outcome[flight.key])
            else:  # it has waited longer than those that wait now
                self._wait(flight)
                self._waiting[flight.lane].move_to_end(flight.key, last=False)
        self._let_go(chunk)
        return [flight for flight in wanted if flight.key in done]

    def _learn_cost(self, spec: GroupSpec, outcome: Outcome) -> None:
        cost_s = sum(result.cost_s for result in outcome.values()) / max(len(outcome), 1)
        name = spec.id, spec.definition
        self._cost_s[name] = (cost_s + self._cost_s.pop(name, cost_s)) / 2
        if len(self._cost_s) > MOST_COSTS:
            self._cost_s.popitem(last=False)

    def _let_go(self, chunk: Chunk) -> None:
        """A chunk that is over and its flights know each other no more: its large values must not wait for the
        garbage collector to find that out."""
        for flight in chunk.flights:
            flight.chunk = None

    def _end(self, flight: Flight, result: object = None) -> None:
        """Without a result its chunk failed."""
        del self._table[flight.key]
        if flight.awaited and not isinstance(result, Orphaned):  # who asks again for one brings its arguments anew
            now = self._clock()
            kept_s = KEPT_S if isinstance(result, Loaded) else UNSTORED_KEPT_S
            self._ended[flight.key] = now + kept_s, self._future(flight.chunk, False, now)

    def ended(self, key: bytes) -> InFlight | None:
        """How a flight ended that somebody was told to wait for: its outcome, be it a value, NotFound or a failure."""
        kept = self._ended.get(key)
        return None if kept is None else kept[1]

    def told(self, keys: Iterable[bytes]) -> None:
        """Nobody will ask how these ended."""
        for key in keys:
            self._ended.pop(key, None)

    def forget_ended(self) -> None:
        """Lets go of what nobody has asked for in time."""
        now = self._clock()
        self._ended = {key: kept for key, kept in self._ended.items() if kept[0] > now}

    def fail(self, chunk: Chunk) -> None:
        """After a chunk that brought nothing: a single key is free again, several are tried one by one."""
        for flight in chunk.flights:
            if self._table.get(flight.key) is flight:
                if len(chunk.flights) == 1:
                    self._end(flight)
                else:
                    flight.alone = True
                    self._wait(flight)
        self._let_go(chunk)
