"""What a memoized function's cache has done for it."""

from __future__ import annotations

from typing import NamedTuple

from raycache.memo.memo import Memo


class CacheInfo(NamedTuple):
    """As functools' cache_info(), over all processes; of others as they were up to a second ago."""

    hits: int
    misses: int
    maxsize: int | None  # of entries: there is no bound on their number, only on their bytes
    currsize: int
    bytes: int  # of the entries
    seconds_saved: float  # what computing had taken for the results that hits returned
    bytes_saved: int  # of the results that hits returned


def cache_info(memo: Memo) -> CacheInfo:
    stats = memo.binding().group.stats()
    return CacheInfo(
        stats.hits,
        stats.gets - stats.hits,
        None,
        stats.entries,
        stats.bytes,
        stats.seconds_saved,
        stats.bytes_saved,
    )
