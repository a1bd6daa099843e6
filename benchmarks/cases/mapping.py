"""`f.map`: over 10,000 cached items against as many joblib.Memory hits, and over 1000 cold items of 1 ms each."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Iterator

import raycache
from benchmarks.harness import Goal, Measurement, faster
from benchmarks.peers import install
from benchmarks.setting import MEMO_CAPACITY, Setting
from benchmarks.values import TEXT, names, value_of
from raycache.edge.rounds import Contender, each, once, take_turns

ITEMS = 10_000
#: Of joblib's hits a round takes fewer, and counts them as many.
SOME = 200
COLD, COST_S = 1000, 0.001
GOALS = ()
OURS, PEER, COLD_ITEMS = "map of 10,000 cached items", "10,000 joblib.Memory hits", "map of 1000 cold items of 1 ms"


def spin(number: int) -> int:
    """Takes a millisecond of a processor."""
    until = time.perf_counter() + COST_S
    while time.perf_counter() < until:
        pass
    return number


def run(setting: Setting) -> Iterator[Measurement]:
    yield from _hits(setting)
    yield from _cold(setting)


def _hits(setting: Setting) -> Iterator[Measurement]:
    keys = names(TEXT, 0, ITEMS)
    ours = raycache.memoize(value_of, name="bench.map", cache=setting.cache, capacity=MEMO_CAPACITY)
    ours.map(keys, progress=False)
    done = Measurement(
        case="map",
        operation="all results as a list, in a process that has them near",
        sample=f"one map; of joblib {SOME} hits, times {ITEMS // SOME}",
        ours=OURS,
    )
    contenders: dict[str, Contender] = {OURS: lambda _: once(lambda: ours.map(keys, progress=False))}
    with tempfile.TemporaryDirectory(prefix="raycache-bench-") as folder:
        contenders |= done.if_there(PEER, lambda: _joblib_hits(folder, keys))
        done.samples = take_turns(contenders, setting.rounds(30, 5), warm_up=2)
    done.judge(faster(OURS, PEER, 20))
    yield done


def _joblib_hits(folder: str, keys: list[str]) -> Contender:
    stored = install.package("joblib").Memory(folder, verbose=0).cache(value_of)
    for key in keys[:SOME]:
        stored(key)
    return lambda _: each(stored, keys[:SOME]) * ITEMS


def _cold(setting: Setting) -> Iterator[Measurement]:
    ours = raycache.memoize(spin, name="bench.cold-map", cache=setting.cache, capacity=MEMO_CAPACITY)
    first = itertools.count(0, COLD)

    def cold(_: int) -> float:
        at = next(first)
        return once(lambda: ours.map(range(at, at + COLD), progress=False))

    samples = take_turns({COLD_ITEMS: cold}, setting.rounds(20, 5), warm_up=2, pause_s=0.2)
    done = Measurement(case="map-cold", operation="items that nobody has computed", samples=samples)
    ideal = COLD * COST_S / len(os.sched_getaffinity(0))
    share = 100 * ideal / done.median(COLD_ITEMS)
    done.goals.append(Goal(what="share of the ideal", figure=share, bound=70, unit=" %", at_least=True))
    yield done
