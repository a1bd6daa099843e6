"""Counters: frozen, addable, each saying exactly what it counts."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """What happened in a group or a cache, over all shards and client processes.

    Every key that was asked for by `get` or `get_many` is counted in exactly one of the first seven; the seventh is for
    groups without a getter alone.
    """

    near_hits: int = 0  # answered in the calling process
    page_hits: int = 0  # read from the pages of a shard on the caller's node
    shard_hits: int = 0  # answered by a shard that had it
    loads_started: int = 0  # this get made the shard start a load
    loads_joined: int = 0  # this get waited for a load that was there already
    unavailable: int = 0  # no shard could be reached; the getter ran in the calling process
    misses: int = 0  # there was no value, and no getter to load it

    hot_hits: int = 0  # of page_hits: read from a copy of what a shard of another node owns

    loads: int = 0  # keys that getters were run for to an end, refreshes included
    loads_failed: int = 0  # of these: the getter raised (NotFound not counted)
    not_found: int = 0  # of these: NotFound
    loader_deaths: int = 0  # loader processes that died
    load_timeouts: int = 0  # loader tasks ended because they took too long
    too_large: int = 0  # loaded values larger than the group's capacity: delivered, not kept
    unstored: int = 0  # values that found no room in shared memory: delivered, not kept
    sets: int = 0  # values stored by set
    removals: int = 0  # entries removed by remove, clear or a NotFound of a refresh
    evictions: int = 0  # entries that went to make room
    expirations: int = 0  # entries that went because their time was over
    loads_in_flight: int = 0  # now: keys that are being loaded or computed, or wait for a loader to become free
    entries: int = 0  # now in the shards
    bytes: int = 0  # now in the shards: keys, records, large values
    load_seconds: float = 0.0  # spent in getters
    seconds_saved: float = 0.0  # what getters had taken for the values that hits returned
    bytes_saved: int = 0  # of the encoded values that hits returned

    @property
    def gets(self) -> int:
        """Keys asked for by get and get_many."""
        return self.hits + self.loads_started + self.loads_joined + self.unavailable + self.misses

    @property
    def hits(self) -> int:
        return self.near_hits + self.page_hits + self.shard_hits

    @property
    def hit_ratio(self) -> float:
        """Hits per get; 0.0 before the first get."""
        return self.hits / self.gets if self.gets else 0.0

    def __add__(self, other: Stats) -> Stats:
        if not isinstance(other, Stats):
            return NotImplemented
        return Stats(**{name: getattr(self, name) + getattr(other, name) for name in NAMES})

    def as_dict(self) -> dict[str, float]:
        """All counters and the figures derived from them, for JSON."""
        derived = {"gets": self.gets, "hits": self.hits, "hit_ratio": self.hit_ratio}
        return {name: getattr(self, name) for name in NAMES} | derived


NAMES = tuple(field.name for field in fields(Stats))
