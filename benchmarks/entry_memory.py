"""`python -m benchmarks.entry_memory [--count N]`: what an entry takes in a shard, index included, against Redis.

A store and its pages in a process of their own, filled as the case `growth` fills them: memory of the process alone,
and the files. No Ray: what its workers take is there once, and not for each entry.
"""

from __future__ import annotations

import multiprocessing
import random
import re
import tempfile
from array import array
from pathlib import Path

import click

from raycache.core import record
from raycache.core.codec import Codec
from raycache.core.keys import encode
from raycache.core.memory import SHARED_MEMORY
from raycache.core.messages import group_prefix
from raycache.core.pages import Pages
from raycache.core.store import Entry, Store

BATCH = 10_000
#: Policy, order of the numbers in the keys, seconds to live, and how often the whole is filled anew by other keys.
CASES = [
    ("lru", "random", None, 1),
    ("lru", "ascending", None, 1),
    ("lru", "random", 3600.0, 1),
    ("s3fifo", "random", None, 1),
    ("gdsf", "random", None, 1),
    ("lru", "random", None, 2),
    ("s3fifo", "random", None, 2),
    ("sieve", "random", None, 1),
]


def value_of(number: int) -> str:
    """100 characters."""
    return f"{number:020d}" * 5


def entry_bytes(count: int, policy: str, order: str, ttl_s: float | None, fills: int) -> tuple[float, float]:
    """Bytes of the process and of the pages for each entry."""
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY, prefix="raycache-bench-") as folder:
        pages = Pages.create(Path(folder), count * 600 + (64 << 20))
        encoder, prefix, numbers = Codec(), group_prefix(1), _numbers(count * fills, order)
        before = _own_bytes()
        store = Store(count * 133, pages, policy)  # what so many entries are counted for
        for first in range(0, len(numbers), BATCH):
            entries = {}
            for number in numbers[first : first + BATCH]:
                blob = encoder.encode(value_of(number))
                head = record.Header(record.NEVER if ttl_s is None else number % ttl_s + 1, 1.0, 0.001, blob.tag)
                entries[prefix + encode(f"s-{number}")] = Entry(record.pack(head, b"".join(blob.parts)))
            store.put(entries)
        own, files = _own_bytes() - before, sum(file.stat().st_blocks * 512 for file in Path(folder).iterdir())
        pages.close()
        return own / len(store), files / len(store)


def _numbers(count: int, order: str) -> array[int]:
    numbers = array("I", range(count))
    if order == "random":
        random.Random(1).shuffle(numbers)
    return numbers


def _own_bytes() -> int:
    found = re.search(r"RssAnon:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


@click.command()
@click.option("--count", default=1_000_000, help="Entries; a million, like the goal.")
@click.option("--redis", default=212.0, help="What Redis takes for each; the case `growth` measures that.")
def main(count: int, redis: float) -> None:
    """What an entry of 100 characters takes in a shard, index included."""
    print(f"{'policy':8} {'keys':10} {'ttl':>5} {'filled':>6} {'process':>8} {'pages':>6} {'both':>6}   of Redis")
    for policy, order, ttl_s, fills in CASES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            own, files = pool.apply(entry_bytes, (count, policy, order, ttl_s, fills))
        ttl = "" if ttl_s is None else f"{ttl_s:g}"
        ratio = (own + files) / redis
        print(
            f"{policy:8} {order:10} {ttl:>5} {fills:>5}x {own:8.0f} {files:6.0f} {own + files:6.0f} {ratio:8.2f}x",
            flush=True,
        )


if __name__ == "__main__":
    main()
