"""A page hit among a million entries against one among ten thousand, and the memory that an entry takes."""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import raycache
from benchmarks.harness import Goal, Measurement, at_most
from benchmarks.peers import servers, stores
from benchmarks.setting import MEMCACHED, REDIS, Setting
from benchmarks.values import TEXT, names, values_of
from raycache.edge.bench import in_new_process
from raycache.edge.rounds import Samples, each, take_turns

OURS, MANY, FEW = "raycache", "page hit among many entries", "page hit among 10,000 entries"
MEMORY = "resident bytes per entry"
FEW_ENTRIES, BATCH, KEYS = 10_000, 10_000, 200  # keys in one set_many, keys in a round
WARM_UP = 500  # rounds: a hundred thousand keys, so that the reader has all of the pages mapped
GOALS = (at_most(MANY, FEW, 1.8, row="growth"), at_most(OURS, REDIS, 2, row="memory", amount=MEMORY))


def run(setting: Setting) -> Iterator[Measurement]:
    count = setting.rounds(1_000_000, 100_000)
    # In a new shard and in new servers: others have memory that they have let go of, and would fill again.
    with setting.a_cache("bench-growth", capacity="512 MiB") as cache:
        few = cache.group("few", None, capacity="16 MiB", near=0)
        many = cache.group("many", None, capacity="384 MiB", near=0)
        fill(few, FEW_ENTRIES)
        before = _resident_bytes(cache)
        fill(many, count)
        taken = (_resident_bytes(cache) - before) / count
        yield _growth(setting, few, many, count)
        stats = many.stats()
    yield _memory(taken, stats, count)


def _growth(setting: Setting, few: raycache.Group, many: raycache.Group, count: int) -> Measurement:
    done = Measurement(
        case="growth",
        operation="get of a random key by another process on the node, str of 100 bytes, near cache off",
        sample=f"mean of a loop over {KEYS} keys",
        samples=in_new_process(measure, {MANY: many, FEW: few}, setting.rounds(500, 100)),
        ours=MANY,
        apart=(FEW,),
        facts={"entries": count},
    )
    stats = many.stats()
    done.judge(GOALS[0])
    done.goals += [
        Goal(what="entries that fit", figure=stats.entries, bound=count, unit="", at_least=True),
        Goal(what="evictions meanwhile", figure=stats.evictions, bound=0, unit=""),
    ]
    return done


def _memory(taken: float, stats: raycache.Stats, count: int) -> Measurement:
    done = Measurement(
        case="memory",
        operation=f"{count:,} strs of 100 bytes: of the shard its process's own memory and its pages, of servers RSS",
        ours=OURS,
        amounts={MEMORY: {OURS: taken}},
        facts={"bytes per entry that raycache accounts for": round(stats.bytes / stats.entries)},
    )
    for name, taken_by in ((REDIS, _redis_bytes), (MEMCACHED, _memcached_bytes)):
        done.amounts[MEMORY] |= done.if_there(name, functools.partial(taken_by, count))
    done.judge(GOALS[1])
    return done


def fill(group: raycache.Group, count: int) -> None:
    for items in _batches(count):
        group.set_many(items)
    assert len(group) == count, f"{len(group):,} of {count:,} entries are there"


def _batches(count: int) -> Iterator[dict[Any, str]]:
    for first in range(0, count, BATCH):
        yield values_of(names(TEXT, first, BATCH))


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
        total += _process_bytes(shard.pid, "RssAnon")
        total += sum(file.stat().st_blocks * 512 for file in Path(shard.folder).iterdir())
    return total


def _process_bytes(pid: int, what: str) -> int:
    found = re.search(rf"{what}:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def _redis_bytes(count: int) -> float:
    """What an entry takes in Redis, its values as pickles."""
    with servers.redis() as port:
        store = stores.Redis(port).open()
        return _bytes_per_entry(store, store.client.info("server")["process_id"], count)


def _memcached_bytes(count: int) -> float:
    with servers.memcached() as port:
        store = stores.Memcached(port).open()
        return _bytes_per_entry(store, int(store.client.stats()[b"pid"]), count)


def _bytes_per_entry(store: stores.Store, pid: int, count: int) -> float:
    before = _process_bytes(pid, "VmRSS")
    for items in _batches(count):
        store.set_many(items)
    return (_process_bytes(pid, "VmRSS") - before) / count
