"""The checker: what clients of one cache did and saw, and whether any of it breaks what the cache promises.

The promise: once a set, remove or clear has returned, no get that begins later, in any process, returns an older
value. Every write puts a new version into the source of truth and then changes the cache, and every value says its key
and its version, so that a history needs no model of the cache to be judged:

* Versions of a key grow in the order in which the source got them. A version that `remove` or `clear` wrote reaches
  the cache by loads alone, and a load has read it before the source got the next one. So it is too old as soon as any
  write of a greater version has returned.
* `set` also puts its version into the cache itself, at some moment before it returns, or at any later one if nobody
  knows how it ended. So a version that was set is too old only if a write of a greater one has returned that was
  *called* after that set had returned: two that overlap may have reached the cache in either order.
* A write that failed, or whose client was killed, may have taken effect or not, so it makes nothing too old.

Times are of the machine's monotonic clock, which all processes share.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import Literal, NamedTuple

WRITES = ("set", "remove", "clear")
#: What a get may raise while getters fail and loaders are killed.
EXPECTED = ("SourceBroken", "LoaderDied")
#: What a write may raise; nobody knows then what it has done.
UNKNOWN = ("CacheUnavailable",)


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One call of one client."""

    client: str
    kind: str  # "get", or one of WRITES
    versions: Mapping[str, int]  # by key: of a get what it returned, of a write what it put into the source
    began: float  # before the source was written
    called: float = inf  # when the cache was called
    ended: float = inf
    error: str = ""  # the exception that it raised
    wrong: Mapping[str, str] = field(default_factory=dict)  # by key: what a get returned that is no value of the key

    @property
    def is_write(self) -> bool:
        return self.kind in WRITES

    @property
    def returned(self) -> float:
        """When it had done what it should; never, if it raised or its client ended before."""
        return inf if self.error else self.ended


class Pause(NamedTuple):
    """A time during which a client was stopped, or, without a client, getters were slow or stopped."""

    client: str
    began: float
    ended: float


class Violation(NamedTuple):
    """What is wrong with an operation; `write` is what a stale get should have seen at least."""

    kind: Literal["stale", "wrong", "stall", "raised"]
    operation: Operation
    key: str
    why: str
    write: Operation | None = None


@dataclass(frozen=True)
class Verdict:
    """What the checker has found in a history."""

    violations: tuple[Violation, ...]
    gets: int  # that returned; get_many counts once
    writes: int  # that returned
    unknown: int  # writes that failed or were cut off
    longest_s: float  # the longest that a get took, pauses taken off

    def count(self, kind: str) -> int:
        return sum(violation.kind == kind for violation in self.violations)


def check(
    operations: Sequence[Operation],
    *,
    most_s: float = inf,
    pauses: Sequence[Pause] = (),
    killed: Iterable[str] = (),
    until: float = inf,
) -> Verdict:
    """Judges a history.

    Args:
        operations: in any order. A version 0 of every key is there from the beginning.
        most_s: a get that takes longer is a violation.
        pauses: do not count as time that a get took.
        killed: clients that were killed; nobody waits any more for what they had begun.
        until: when the history ends, for gets that have not ended.
    """
    operations, killed = list(operations), set(killed)
    keys = {key for operation in operations for key in (*operation.versions, *operation.wrong)}
    of_keys = {key: _Writes(key, operations) for key in keys}
    gets = [operation for operation in operations if not operation.is_write]
    writes = [operation for operation in operations if operation.is_write]
    took = [(get, _took(get, pauses, until)) for get in gets if get.ended < inf or get.client not in killed]
    found = [violation for get in gets for violation in _judged(get, of_keys)]
    found += [violation for operation in operations for violation in _raised(operation)]
    found += [
        Violation("stall", get, ", ".join(get.versions), f"took {seconds:.2f} s, and {most_s:g} s at most are right")
        for get, seconds in took
        if seconds > most_s
    ]
    return Verdict(
        violations=tuple(sorted(found, key=lambda violation: violation.operation.began)),
        gets=sum(get.returned < inf for get in gets),
        writes=sum(write.returned < inf for write in writes),
        unknown=sum(write.returned == inf for write in writes),
        longest_s=max((seconds for _, seconds in took), default=0.0),
    )


class _Writes:
    """The writes of one key, ready to be asked which of them a get should have seen."""

    def __init__(self, key: str, operations: Iterable[Operation]) -> None:
        there = Operation(client="", kind="remove", versions={key: 0}, began=-inf, called=-inf, ended=-inf)
        of_key = [there, *(each for each in operations if each.is_write and key in each.versions)]
        self.by_version = {write.versions[key]: write for write in of_key}
        returned = sorted((write.returned, write.versions[key]) for write in of_key if write.returned < inf)
        self._times = [time for time, _ in returned]
        self._newest = list(accumulate((version for _, version in returned), max))

    def newest(self, before: float) -> int:
        """The greatest version whose write had returned."""
        return self._newest[bisect_left(self._times, before) - 1]

    def overdue(self, version: int, get: Operation) -> Operation | None:
        """A write that had returned when the get began, and after which this version is too old."""
        newest = self.newest(get.began)
        if newest <= version:
            return None
        saw = self.by_version[version]
        if saw.kind != "set":
            return self.by_version[newest]
        later = (
            write
            for each, write in self.by_version.items()
            if each > version and write.returned < get.began and write.called > saw.returned
        )
        return max(later, key=lambda write: write.returned, default=None)


def _judged(get: Operation, writes: Mapping[str, _Writes]) -> Iterator[Violation]:
    """What is wrong with what a get returned."""
    for key, got in get.wrong.items():
        yield Violation("wrong", get, key, f"returned {got}, which is no value of {key}")
    if get.returned == inf:
        return
    for key, version in get.versions.items():
        write = writes[key].by_version.get(version)
        if write is None or write.began > get.ended:
            yield Violation("wrong", get, key, f"returned version {version}, which nobody had written")
        elif (newer := writes[key].overdue(version, get)) is not None:
            why = f"returned version {version}; {newer.kind} by {newer.client} had returned with version "
            yield Violation("stale", get, key, f"{why}{newer.versions[key]}", newer)


def _raised(operation: Operation) -> Iterator[Violation]:
    name = operation.error.partition(":")[0]
    if name and name not in (UNKNOWN if operation.is_write else EXPECTED):
        yield Violation("raised", operation, ", ".join(operation.versions), f"raised {operation.error}")


def _took(get: Operation, pauses: Sequence[Pause], until: float) -> float:
    """How long a get took, without the pauses that it could do nothing about."""
    ended = min(get.ended, until)
    spans = sorted(
        (max(pause.began, get.began), min(pause.ended, ended)) for pause in pauses if pause.client in ("", get.client)
    )
    seconds, at = ended - get.began, get.began
    for began, over in spans:
        if over > max(began, at):
            seconds -= over - max(began, at)
            at = over
    return seconds


def around(violation: Violation, operations: Iterable[Operation], most: int = 60) -> list[Operation]:
    """The operations on the violation's key that tell how it came to it, in order; the last ones, if there are many."""
    since = violation.operation.began if violation.write is None else violation.write.began
    saw = violation.operation.versions.get(violation.key)
    keys = set(violation.key.split(", "))
    told = [
        each
        for each in operations
        if keys & each.versions.keys()
        and each.began <= violation.operation.ended
        and (each.ended >= since or (each.is_write and each.versions.get(violation.key) == saw))
        and (each.is_write or each.versions.get(violation.key) == saw or each.returned == inf)
    ]
    return sorted(told, key=lambda each: each.began)[-most:]
