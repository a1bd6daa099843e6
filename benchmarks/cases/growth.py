"""A page hit among a million entries against one among ten thousand, and the memory that an entry takes."""

from __future__ import annotations

import pickle
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import raycache
from benchmarks.harness import Goal, Measurement, Samples, each, take_turns
from benchmarks.setting import Setting
from benchmarks.values import TEXT, names, value_of

FEW, BATCH, KEYS = 10_000, 10_000, 200  # keys in one set_many, keys in a round
WARM_UP = 500  # rounds: a hundred thousand keys, so that the reader has all of the pages mapped


def run(setting: Setting) -> Iterator[Measurement]:
    count = setting.rounds(1_000_000, 100_000)
    cache = setting.cache
    few = cache.group("growth-few", None, capacity="16 MiB", near=0)
    many = cache.group("growth-many", None, capacity="384 MiB", near=0)
    fill(few, FEW)
    before = _resident_bytes(cache)
    fill(many, count)
    taken = (_resident_bytes(cache) - before) / count
    stats = many.stats()
    ours, peer = f"page hit at {count:,} entries", f"page hit at {FEW:,} entries"
    done = Measurement(
        case="growth",
        operation="get of a random key by another process on the node, str of 100 bytes, near cache off",
        sample=f"mean of a loop over {KEYS} keys",
        samples=setting.in_new_process(measure, {ours: many, peer: few}, setting.rounds(500, 100)),
        peer=peer,
    )
    done.goals = [
        Goal(what=f"{ours} / {peer}", figure=done.ratio(ours, peer), bound=1.8, unit="x"),
        Goal(what="entries that fit", figure=stats.entries, bound=count, unit=" entries", at_least=True),
        Goal(what="evictions meanwhile", figure=stats.evictions, bound=0, unit=" evictions"),
    ]
    done.facts["resident bytes per entry (shard's own + pages)"] = round(taken)
    done.facts["accounted bytes per entry"] = round(stats.bytes / stats.entries)
    if (port := setting.redis("memory of Redis", done.not_run)) is not None:
        done.facts["resident bytes per entry in Redis"] = round(_redis_bytes(port, count) / count)
    yield done


def fill(group: raycache.Group, count: int) -> None:
    for first in range(0, count, BATCH):
        group.set_many({key: value_of(key) for key in names(TEXT, first, BATCH)})
    assert len(group) == count, f"{len(group):,} of {count:,} entries are there"


def measure(groups: dict[str, raycache.Group], rounds: int) -> Samples:
    def random_keys(group: raycache.Group) -> Callable[[int], float]:
        count, choose = len(group), random.Random(7)

        def run(_: int) -> float:
            numbers = choose.choices(range(count), k=KEYS)
            return each(group.get, [names(TEXT, number, 1)[0] for number in numbers])

        return run

    return take_turns({name: random_keys(group) for name, group in groups.items()}, rounds, warm_up=WARM_UP)


def _resident_bytes(cache: raycache.Cache) -> int:
    """What the shards take: memory of their processes alone, and pages."""
    total = 0
    for shard in cache.shards():
        own = re.search(r"RssAnon:\s*(\d+) kB", Path(f"/proc/{shard.pid}/status").read_text())
        assert own is not None
        total += int(own[1]) * 1024
        total += sum(file.stat().st_blocks * 512 for file in Path(shard.folder).iterdir())
    return total


def _redis_bytes(port: int, count: int) -> int:
    """What Redis takes for the same values as pickles."""
    import redis

    with redis.Redis(port=port) as client:
        client.flushall()
        before = client.info("memory")["used_memory_rss"]
        for first in range(0, count, BATCH):
            client.mset({key: pickle.dumps(value_of(key), protocol=5) for key in names(TEXT, first, BATCH)})
        taken = client.info("memory")["used_memory_rss"] - before
        client.flushall()
        return int(taken)
