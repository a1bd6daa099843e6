"""Hand-over: how fast entries move when a second shard joins the first one on a node, and when weights change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import raycache
from benchmarks.cases.growth import fill
from benchmarks.harness import Measurement
from benchmarks.setting import Setting

GOALS = ()
JOINS, MOVES = "a second shard joins, from the start of its process", "it gives back what it has"
_MOVED_S = 120.0
#: Whether the entries of the shards are what they are to become.
Moved = Callable[[dict[str, int]], bool]


def run(setting: Setting) -> Iterator[Measurement]:
    count = setting.rounds(200_000, 20_000)
    done = Measurement(
        case="handover",
        operation=f"{count:,} strs of 100 bytes, half of which move; from the call of scale() to the last entry",
        sample="one change of owners",
    )
    with setting.a_cache("bench-handover", capacity="256 MiB") as cache:
        group = cache.group("moving", None, capacity="128 MiB")
        fill(group, count)
        size = group.stats().bytes / count
        (first,) = cache.shards()

        def join() -> None:
            cache.scale(shards_per_node=2)
            cache.spread()

        _measure(done, JOINS, cache, join, lambda now: len(now) == 2 and all(now.values()), size)
        (second,) = (shard.id for shard in cache.shards() if shard.id != first.id)
        _measure(done, MOVES, cache, lambda: cache.scale(weights={second: 0}), lambda now: not now[second], size)
        assert len(group) == count, f"{len(group):,} of {count:,} entries are there"
    yield done


def _measure(
    done: Measurement, name: str, cache: raycache.Cache, change: Callable[[], None], moved: Moved, size: float
) -> None:
    """Makes the change, and notes how fast entries, of so many bytes, have moved."""
    before = {shard.id: shard.entries for shard in cache.shards()}
    began = time.monotonic()
    change()
    now = _settled(cache, sum(before.values()), moved)
    seconds = time.monotonic() - began
    done.samples[name] = [seconds]
    entries = sum(max(count - before.get(id, 0), 0) for id, count in now.items())
    rates = {"entries that moved": entries, "entries per second": entries / seconds}
    for what, figure in (rates | {"MB per second": entries * size / seconds / 1e6}).items():
        done.amounts.setdefault(what, {})[name] = figure


def _settled(cache: raycache.Cache, count: int, moved: Moved) -> dict[str, int]:
    """Waits until entries have moved, all are there once, and nobody hands over any more; who has how many then."""
    deadline = time.monotonic() + _MOVED_S
    while time.monotonic() < deadline:
        shards = cache.shards()
        now = {shard.id: shard.entries for shard in shards}
        if sum(now.values()) == count and moved(now) and not any(shard.handing for shard in shards):
            return now
        time.sleep(0.02)
    raise RuntimeError(f"after {_MOVED_S:g} s the shards have {now} of {count:,} entries")
