"""Gets that wait at a shard's page server for the load of their key: whom to tell what, and when.

The client is told at once whether its get has started a load, and later, before it is stored, what that has brought,
as whoever waits for the load's future is. For what does not go into the pages (it was raised, is absent or large), and
for what takes long, it asks by an actor call; how the load ended is kept for that, so that no getter runs twice.

Invariants: the server's thread waits for nothing, not even for the shard's lock: where that is taken, ask by a call;
a get is told what its own load has brought, the one that the shard named under its lock, and no other load of the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from raycache.core import record
from raycache.core.flights import Load
from raycache.core.messages import Answers, Future, Get, InFlight, Loaded, Outcome, Served, group_of
from raycache.core.page_reads import PageReads
from raycache.core.shard_group import header

#: How long a load is waited for: of one that takes longer an actor call more is no part worth mentioning.
HELD_S = 0.25
#: Gets that wait at the same time.
MOST_WAITING = 1000

#: The answer of the shard to a message; None where it can't be asked now.
Handle = Callable[[Get], Any]


@dataclass(slots=True, eq=False)
class Waiting:
    """One get that waits."""

    key: bytes
    end: Callable[[Served], None]  # is told what has come
    load: Future | None = None  # the outcome of the load that has the key
    started: bool = False


class PageGets:
    """The gets that wait for one shard's loads. For the page server's thread alone, but for `wants` and `take_told`."""

    def __init__(self, reads: PageReads, handle: Handle, clock: Callable[[], float]) -> None:
        self._reads, self._handle, self._clock = reads, handle, clock
        self._waiting: dict[bytes, list[Waiting]] = {}
        self._count = 0
        self._told: list[bytes] = []

    def get(self, epoch: int, number: int, key: bytes, end: Callable[[Served], None]) -> Served | Waiting | None:
        """What is there; or the get, which waits; None without a lease."""
        served = self._reads.read([key])
        if served is None or _live(served):
            return served
        if self._count >= MOST_WAITING:
            return self._ask_by_call()
        waiting = Waiting(key, end)
        self._waiting.setdefault(key, []).append(waiting)  # before the load can end
        self._count += 1
        answers = self._handle(Get(group_of(key), (key,), epoch, number=number))
        item = answers.items[0] if isinstance(answers, Answers) else None
        if isinstance(item, InFlight):
            waiting.started, waiting.load = item.started, item.outcome if item.has_key else None
            return waiting
        self.forget(waiting)
        return Served([item], answers.now) if isinstance(item, bytes) else self._ask_by_call()

    def wants(self, keys: Iterable[bytes]) -> bool:
        """Whether any of these keys is waited for."""
        return any(key in self._waiting for key in keys)

    def landed(self, keys: Iterable[bytes], load: Load) -> None:
        """After a load of these keys: tells those who wait for it."""
        result = load.result()
        outcome: Outcome = result if isinstance(result, dict) else {}
        for key in keys:
            for waiting in list(self._waiting.get(key, ())):
                if waiting.load is load.outcome:
                    self._tell(waiting, self._brought(key, outcome.get(key)))
                elif waiting.load is None:  # it has waited for a task: this may be its load, or an earlier one
                    self._tell(waiting, self._ask_by_call())

    def take_told(self) -> list[bytes]:
        """The keys that gets here have waited for and that have values, since the last time; for any thread."""
        told, self._told = self._told, []
        return told

    def give_up(self, waiting: Waiting) -> None:
        """It has waited for long enough here."""
        self._tell(waiting, self._ask_by_call())

    def forget(self, waiting: Waiting) -> None:
        """Nobody waits for it any more. May be called again."""
        some = self._waiting.get(waiting.key, [])
        if waiting in some:
            some.remove(waiting)
            self._count -= 1
        if not some:
            self._waiting.pop(waiting.key, None)

    def _tell(self, waiting: Waiting, served: Served) -> None:
        self.forget(waiting)
        waiting.end(served)

    def _brought(self, key: bytes, result: object) -> Served:
        """A value as the pages would have it."""
        if isinstance(result, Loaded):
            self._told.append(key)
        if not isinstance(result, Loaded) or not isinstance(result.data, bytes):
            return self._ask_by_call()
        now = self._clock()
        return Served([record.pack(header(now, result.ttl_s, result.cost_s, result.tag), result.data)], now)

    def _ask_by_call(self) -> Served:
        return Served([None], self._clock())


def _live(served: Served) -> bool:
    stored = served.records[0]
    return stored is not None and not record.is_stub(stored) and served.now < record.fields(stored)[0]
