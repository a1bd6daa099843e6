"""libCacheSim's own figures, of the same policies and others: the simulator of S3-FIFO's and SIEVE's authors."""

from __future__ import annotations

from typing import Any

from benchmarks.hit_ratio.traces import Requests

#: Its classes by the names of our policies; and those that we have not.
OURS = {"lru": "LRU", "s3fifo": "S3FIFO", "sieve": "Sieve", "gdsf": "GDSF"}
OTHERS = {"arc": "ARC", "lirs": "LIRS", "w-tinylfu": "WTinyLFU"}


def hit_ratio(name: str, requests: Requests, capacity: int) -> float:
    """Of libCacheSim's policy. It knows no costs: every miss is the same to it."""
    import libcachesim

    cache, request, hits = getattr(libcachesim, name)(capacity), libcachesim.Request(), 0
    get: Any = cache.get
    for key, size, _ in requests:
        request.obj_id, request.obj_size = key, size
        hits += get(request)
    return hits / len(requests)
