"""GDSF: the entry goes first whose loss costs least: seconds to compute it again, times its hits, by its bytes; aged.

After Cherkasova, "Improving WWW Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy" (HP Labs, 1998): an
entry's priority is its worth plus L, the priority of what was evicted last, so that worth which is not used is
outgrown.

The order is kept as in CAMP (Ghandeharizadeh, Irani, Lam and Yap, Middleware 2014), as a heap of all entries would take
logarithmic time: costs per byte are rounded to steps of 9 %, and what has the same cost per byte and hits is in one
queue, in the order of the last use, which is that of its priorities, for L never falls. So only the heads of the queues
must be compared. They are in a heap, of as many queues as there are different worths, however many entries there are;
what it says of a queue may be out of date, but is never too high.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Iterator

#: What a miss costs beside the getter, which is a cold get with a trivial one, and all that is known of an entry that
#: was set. It also keeps the noise of quick getters from making an order.
_MISS_S = 3e-3
#: Steps by which worths are rounded, for each doubling; and the most hits that are told apart.
_STEPS, _MOST_HITS = 8, 64


class _Queue:
    """Keys of the same worth, the least recently used first, each with what L was then."""

    __slots__ = ("hits", "keys", "rate", "worth")

    def __init__(self, rate: int, hits: int) -> None:
        self.rate, self.hits = rate, hits
        self.worth: float = hits * 2.0 ** (rate / _STEPS)
        self.keys: OrderedDict[bytes, float] = OrderedDict()

    def __lt__(self, other: _Queue) -> bool:
        """Of keys of the same priority the least recently used goes first: the one of more worth, which has less L."""
        return self.worth > other.worth


class GDSF:
    """Keys in queues, and the queues in a heap."""

    __slots__ = ("_age", "_heads", "_queue_of", "_queues")

    def __init__(self) -> None:
        self._age = 0.0  # L
        self._queue_of: dict[bytes, _Queue] = {}
        self._queues: dict[tuple[int, int], _Queue] = {}  # by cost per byte and hits; those in `_heads`
        self._heads: list[tuple[float, _Queue]] = []  # the priority of the first key, or a lower one

    def add(self, key: bytes, size: int = 1, cost_s: float = 0.0, hits: int = 0) -> None:
        if key in self._queue_of:
            self.touch(key)
            return
        rate = round(_STEPS * math.log2((cost_s + _MISS_S) / max(size, 1)))
        self._place(key, rate, 1 + hits)

    def touch(self, key: bytes) -> None:
        if (queue := self._queue_of.get(key)) is not None:
            del queue.keys[key]
            self._place(key, queue.rate, queue.hits + 1)

    def _place(self, key: bytes, rate: int, hits: int) -> None:
        hits = min(hits, _MOST_HITS)
        queue = self._queues.get((rate, hits))
        if queue is None:
            queue = self._queues[rate, hits] = _Queue(rate, hits)
            heapq.heappush(self._heads, (self._age + queue.worth, queue))
        queue.keys[key] = self._age
        self._queue_of[key] = queue

    def discard(self, key: bytes) -> int:
        queue = self._queue_of.pop(key, None)
        if queue is None:
            return 0
        del queue.keys[key]
        return queue.hits - 1

    def victim(self) -> bytes:
        while self._heads:
            priority, queue = self._heads[0]
            if not queue.keys:
                heapq.heappop(self._heads)
                del self._queues[queue.rate, queue.hits]
                continue
            key, age = next(iter(queue.keys.items()))
            if age + queue.worth <= priority:
                self._age = priority
                return key
            heapq.heapreplace(self._heads, (age + queue.worth, queue))
        raise KeyError("no entries")

    def __contains__(self, key: object) -> bool:
        return key in self._queue_of

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._queue_of)

    def __len__(self) -> int:
        return len(self._queue_of)
