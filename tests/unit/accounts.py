"""Whether the books of an inline cache are right: what it says it holds against what its pages hold."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path

import lmdb

import raycache
from raycache.core import record

PATIENCE_S = 30.0


def loads_end(others: set[threading.Thread] = frozenset()) -> None:
    """Waits until no getter runs any more, but in these threads."""
    for thread in set(threading.enumerate()) - others:
        if thread.name == "raycache-load":
            thread.join(PATIENCE_S)


def stored_bytes(folder: Path) -> tuple[int, int]:
    """Entries and bytes of a shard, recounted from a copy of its pages by their format alone."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copy(folder / "data.mdb", copy)
        env = lmdb.open(copy, readonly=True, lock=False, create=False)
        with env, env.begin(buffers=True) as txn:
            sizes = [_entry_bytes(bytes(key), stored) for key, stored in txn.cursor()]
    return len(sizes), sum(sizes)


def _entry_bytes(key: bytes, stored: memoryview) -> int:
    if len(key) < 511:
        return len(key) + record.value_bytes(stored)
    length = int.from_bytes(stored[:4], "little")  # a long key stands before its record
    return length + record.value_bytes(stored[4 + length :])


def check(cache: raycache.Cache) -> None:
    """Every figure that a cache gives is the sum of what lies in its shards."""
    stats, shards = cache.stats(), cache.shards()
    recounted = [stored_bytes(Path(shard.folder)) for shard in shards]

    assert stats.bytes == sum(shard.bytes for shard in shards)
    assert stats.entries == sum(shard.entries for shard in shards)
    assert [(shard.entries, shard.bytes) for shard in shards] == recounted
    assert all(shard.bytes <= shard.capacity_bytes for shard in shards)
    for name in cache.groups():
        group = cache.group(name)
        assert len(list(group.keys())) == len(group)
        assert len(set(map(repr, group.keys()))) == len(group)
