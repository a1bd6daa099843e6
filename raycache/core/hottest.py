"""The hottest keys of one shard: what those who report to it have hit most often in the last ten seconds or so.

Processes count their hits by key anyhow, whatever answered them, and tell of the most frequent ones with the report of
each second; so a get does nothing more for it. Counts are of two windows, this one and the one before it, so that what
is no longer asked for is gone after twenty seconds. Invariant: at most `2 * MOST` keys are counted in a window.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter

from raycache.core.messages import Hits

#: Keys of each group that a process tells of in a report, and that a shard names when it is asked.
TOLD, SHOWN = 20, 20
#: Keys of a window that are kept when there are twice as many.
MOST = 1000
WINDOW_S = 10.0


def told(hits: Mapping[bytes, int]) -> tuple[Hits, ...]:
    """What a process tells of its hits."""
    return tuple(Hits(key, times) for key, times in heapq.nlargest(TOLD, hits.items(), key=itemgetter(1)))


class Hottest:
    """Counts keys. Not thread-safe; the shard's lock guards it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = self._since = clock()  # of this window, and of the first one that counts
        self._now, self._before = Counter[bytes](), Counter[bytes]()

    def add(self, hits: Iterable[Hits]) -> None:
        """A process has hit these so often since its last report."""
        self._turn()
        for key, times in hits:
            self._now[key] += times
        if len(self._now) > 2 * MOST:
            self._now = Counter(dict(self._now.most_common(MOST)))

    def rates(self) -> list[tuple[bytes, float]]:
        """The hottest keys, each with its hits per second, the hottest first."""
        self._turn()
        seconds = max(self._clock() - self._since, 1.0)  # what a report tells is of a second
        return [(key, times / seconds) for key, times in (self._now + self._before).most_common(SHOWN)]

    def _turn(self) -> None:
        """Begins another window when this one is over."""
        now = self._clock()
        if now - self._began >= WINDOW_S:
            recent = now - self._began < 2 * WINDOW_S
            self._before, self._since = (self._now, self._began) if recent else (Counter(), now)
            self._now, self._began = Counter(), now
