"""S3-FIFO: a small queue on trial, a main queue for what was hit there, and a memory of what failed the trial.

After Yang, Zhang, Qiu, Yue and Rashmi, "FIFO Queues are All You Need for Cache Eviction" (SOSP 2023). Most keys are
asked for once: they go through the small queue, a tenth of all entries, and do not drive out what is asked for again.
Shares are of entries, not of bytes, and of what is here, since a policy knows no capacity.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

#: Entries of the main queue for each one of the small queue.
_MAIN_SHARE = 9
#: Hits with which an entry leaves the small queue for the main one, and the most that are counted: so many rounds of
#: the main queue an entry can have before it must be hit again.
_ENOUGH_HITS, _MOST_HITS = 2, 3
#: What is taken out of the main queue says so by so many hits more, to come back there if it was only replaced. An
#: entry on trial never has as many, that it is replaced included.
_OF_MAIN = 2 * _MOST_HITS
#: In how many parts the memory of ghosts is forgotten. With two, hit ratios on the traces were up to 19 points off
#: libCacheSim's; with these they are within 0.3.
_GENERATIONS = 8


class S3FIFO:
    """Keys in two queues in the order of arrival, each with its hits."""

    __slots__ = ("_evicts", "_ghosts", "_main", "_small")

    def __init__(self) -> None:
        self._small: OrderedDict[bytes, int] = OrderedDict()
        self._main: OrderedDict[bytes, int] = OrderedDict()
        self._ghosts = _Ghosts()
        self._evicts = False

    def add(self, key: bytes, size: int = 1, cost_s: float = 0.0, hits: int = 0) -> None:
        if key in self:
            self.touch(key)
            return
        # Until the first eviction nothing is on trial: the queues are filled in their proportion.
        filling = not self._evicts and len(self._main) < _MAIN_SHARE * len(self._small)
        back = hits >= _OF_MAIN
        queue = self._main if self._ghosts.take(key) or filling or back else self._small
        queue[key] = min(hits - _OF_MAIN if back else hits, _MOST_HITS)

    def touch(self, key: bytes) -> None:
        queue = self._small if key in self._small else self._main
        if key in queue:
            queue[key] = min(queue[key] + 1, _MOST_HITS)

    def discard(self, key: bytes) -> int:
        return self._main.pop(key) + _OF_MAIN if key in self._main else self._small.pop(key, 0)

    def victim(self) -> bytes:
        self._evicts = True
        while self:
            if not self._small or len(self._main) > _MAIN_SHARE * len(self._small):
                key, hits = next(iter(self._main.items()))
                if not hits:
                    return key
                self._main[key] = hits - 1
                self._main.move_to_end(key)
            else:
                key, hits = next(iter(self._small.items()))
                if hits < _ENOUGH_HITS:
                    self._ghosts.add(key, len(self) * _MAIN_SHARE // (_MAIN_SHARE + 1))
                    return key
                del self._small[key]
                self._main[key] = 0
        raise KeyError("no entries")

    def __contains__(self, key: object) -> bool:
        return key in self._small or key in self._main

    def __iter__(self) -> Iterator[bytes]:
        yield from self._small
        yield from self._main

    def __len__(self) -> int:
        return len(self._small) + len(self._main)


class _Ghosts:
    """Hashes of the keys that were evicted last, in generations: when the youngest is full the oldest is forgotten.
    They take a third of the memory of keys in their order."""

    __slots__ = ("_generations",)

    def __init__(self) -> None:
        self._generations: deque[set[int]] = deque([set()], maxlen=2 * _GENERATIONS)

    def add(self, key: bytes, most: int) -> None:
        """Remembers a key, and of those before it so many that there are `most`, or up to an eighth less."""
        self._generations[-1].add(hash(key))
        if len(self._generations[-1]) * _GENERATIONS >= most:
            self._generations.append(set())
        if sum(map(len, self._generations)) > most and len(self._generations) > 1:
            self._generations.popleft()

    def take(self, key: bytes) -> bool:
        """Whether the key is remembered; from now on it is not."""
        ghost = hash(key)
        for generation in self._generations:
            if ghost in generation:
                generation.remove(ghost)
                return True
        return False
