"""The ring: which shard owns a key.

Consistent hashing after Karger et al. (1997) with virtual nodes: a member of weight 1 has 1024 points on a circle of
64 bits, a key belongs to the member at or after its own point. Immutable: a change of members is a new ring with a
greater epoch. Placement depends on the members alone, not on the order in which they came; where points collide, the
member that sorts first has it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice

import mmh3

from raycache.core import keys

#: Points per unit of weight: the share of one of n members stays within 10 % of 1/n (3 to 4 standard deviations).
POINTS = 1024
#: The greatest weight: points take time and memory to make.
MOST_WEIGHT = 100
#: Placements that a process has at hand: rings come with every invalidation, and take milliseconds to make.
_PLACEMENTS = 32


class Ring:
    """Members (id to weight) at one epoch, and who owns which key. A member of weight 0 owns none."""

    __slots__ = ("_points", "_shards", "epoch", "lives", "members")

    def __init__(self, epoch: int, members: Mapping[str, float], lives: Mapping[str, int] | None = None) -> None:
        """`lives`: of each member the ticket by which it has joined, which tells one life of it from the next."""
        if wrong := {id: weight for id, weight in members.items() if not 0 <= weight <= MOST_WEIGHT}:
            raise ValueError(f"weights of members are numbers from 0 to {MOST_WEIGHT}: {wrong!r:.200}")
        self.epoch = epoch
        self.members = dict(sorted(members.items()))
        self.lives = dict(lives or {})
        self._points, self._shards = _placed(tuple(self.members.items()))

    def owner(self, key: bytes) -> str | None:
        """The id of the member that owns the key; None on an empty ring."""
        return self.owner_at(keys.digest(key))

    def owner_at(self, point: int) -> str | None:
        """The owner of a key of which the digest is known."""
        shards = self._shards
        if not shards:
            return None
        at = bisect_left(self._points, point)
        return shards[at if at < len(shards) else 0]

    def owners_at(self, points: Sequence[int]) -> Mapping[str | None, Sequence[int]]:
        """The owners of many keys, each with the places where its keys stand among the points."""
        if len(self._shards) == 1 and points:
            return {self._shards[0]: range(len(points))}
        owned: defaultdict[str | None, list[int]] = defaultdict(list)
        for place, point in enumerate(points):
            owned[self.owner_at(point)].append(place)
        return owned

    def owners(self, key: bytes, n: int | None = None) -> list[str]:
        """The first n different members (None: all with a weight) from the key's point on: owner, then stand-ins."""
        return list(islice(self._from(keys.digest(key)), n))

    def _from(self, point: int) -> Iterator[str]:
        start, seen = bisect_left(self._points, point), set[str]()
        for at in range(len(self._shards)):
            id = self._shards[(start + at) % len(self._shards)]
            if id not in seen:
                seen.add(id)
                yield id
                if len(seen) == len(self.members):
                    return

    def __reduce__(self) -> tuple[type[Ring], tuple[int, dict[str, float], dict[str, int]]]:
        return Ring, (self.epoch, self.members, self.lives)  # the points are made again: they are large and cheap

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Ring):
            return NotImplemented
        return (self.epoch, self.members, self.lives) == (other.epoch, other.members, other.lives)

    __hash__ = None  # type: ignore[assignment]  # compared by content, used in no set

    def __repr__(self) -> str:
        return f"Ring(epoch={self.epoch}, members={self.members})"


@lru_cache(_PLACEMENTS)
def _placed(members: tuple[tuple[str, float], ...]) -> tuple[list[int], list[str]]:
    """The points of all members in order, and whose each is. Of a member alone one point is enough."""
    alone = [id for id, weight in members if weight]
    if len(alone) == 1:
        return [0], alone
    placed = sorted((point, id) for id, weight in members for point in _points(id, weight))
    return [point for point, _ in placed], [id for _, id in placed]


def _points(id: str, weight: float) -> Iterator[int]:
    """Two points from each 128-bit hash of the member's id and a counter."""
    for pair in range(round(POINTS * weight / 2)):
        yield from mmh3.hash64(f"{id}#{pair}".encode(), signed=False)
