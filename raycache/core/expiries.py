"""Expiries: when entries are over, known by the second they are over in, and exactly only for the second it is now.

So an entry that has far to go takes a place in a list, where a heap of all of them would take 90 bytes more for each.
What is told of an entry that was replaced or is gone stays until its time has come: whoever asks looks at the records.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable, Mapping


class Expiries:
    """Keys by the time at which their entries are over."""

    def __init__(self) -> None:
        self._later: dict[int, list[bytes]] = {}  # by second
        self._seconds: list[int] = []  # a heap of these
        self._opened = -math.inf  # the last second that was taken out of them
        self._soon: list[tuple[float, bytes]] = []  # a heap of what is over in that second or an earlier one
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, key: bytes, expires: float) -> None:
        self._count += 1
        second = math.floor(expires)
        if second <= self._opened:
            heapq.heappush(self._soon, (expires, key))
        elif second in self._later:
            self._later[second].append(key)
        else:
            self._later[second] = [key]
            heapq.heappush(self._seconds, second)

    def due(self, now: float, times: Callable[[Iterable[bytes]], Mapping[bytes, float]]) -> list[bytes]:
        """The keys whose time has come. `times` tells when those entries of some keys are over that are there."""
        while self._seconds and self._seconds[0] <= now:
            self._opened = heapq.heappop(self._seconds)
            keys = self._later.pop(self._opened)
            self._count -= len(keys)
            for key, expires in times(keys).items():
                if expires < self._opened + 1:  # else it was replaced, and is known by its new time as well
                    self.add(key, expires)
        due = []
        while self._soon and self._soon[0][0] <= now:
            due.append(heapq.heappop(self._soon)[1])
        self._count -= len(due)
        return due
