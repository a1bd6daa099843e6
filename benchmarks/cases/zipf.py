"""A mixed load on keys of which few are asked for often, from 1, 2, 4 and 8 processes: throughput and tail."""

from __future__ import annotations

import bisect
import functools
import itertools
import random
import time
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import raycache
from benchmarks.harness import Measurement
from benchmarks.peers import stores
from benchmarks.plots import RATE
from benchmarks.setting import Setting
from benchmarks.values import DICT, names, value_of, values_of
from raycache.edge.bench import Crew
from raycache.edge.rounds import Samples

GOALS = ()
OURS = "raycache"
KEYS, EXPONENT = 20_000, 0.99
PROCESSES = (1, 2, 4, 8)
#: Shares of sets: reading through a cache that has it all, and the mix that caches are often measured with.
MIXES = {"zipf-read": 0.0, "zipf-mixed": 0.1}
#: Times that a process keeps of a slice, evenly spread.
_KEPT = 2000


def run(setting: Setting) -> Iterator[Measurement]:
    slices, slice_s = setting.rounds(3, 2), 0.5
    group = setting.cache.group("zipf", value_of)
    values = values_of(names(DICT, 0, KEYS))
    group.set_many(values)
    missing = Measurement(case="zipf", operation="")
    openers: dict[str, Callable[[], Any]] = {OURS: lambda: group}
    for name, address in setting.filled(missing, values).items():
        openers[name] = functools.partial(_open, address)
    for processes in PROCESSES:
        with Crew(processes, openers) as crew:
            for mix, sets in MIXES.items():
                yield _measured(f"{mix}-{processes}", crew, list(openers), sets, slices, slice_s, missing.not_run)


def _open(address: stores.Address) -> stores.Store:
    return address.open()


def _measured(
    case: str, crew: Crew, names: list[str], sets: float, slices: int, slice_s: float, not_run: dict[str, str]
) -> Measurement:
    rates: dict[str, list[float]] = {name: [] for name in names}
    samples: Samples = {name: [] for name in names}
    for number in range(slices + 1):
        for name in names:
            told = crew.work(name, load, sets, slice_s, number)
            if number:  # the first one warms up
                rates[name].append(sum(rate for rate, _ in told))
                for _, taken in told:
                    samples[name] += taken
    return Measurement(
        case=case,
        operation=f"small dicts, {KEYS:,} keys, zipf {EXPONENT}; {1 - sets:.0%} get, {sets:.0%} set; "
        f"{case.rpartition('-')[2]} processes at once",
        sample="one operation; near caches are on, as they are by default",
        samples=samples,
        ours=OURS,
        amounts={RATE: {name: sorted(each)[len(each) // 2] for name, each in rates.items()}},
        not_run=not_run,
    )


def load(store: stores.Store | raycache.Group, sets: float, slice_s: float, number: int, process: int) -> Any:
    """Operations of one process for so many seconds: how many a second, and what some of them took."""
    choose = random.Random(f"{number} {process}")
    keys, setting = itertools.cycle(_zipf(choose, 5000)), itertools.cycle([choose.random() < sets for _ in range(4999)])
    taken = array("d")
    now, end = time.perf_counter(), time.perf_counter() + slice_s
    began = now
    while now < end:
        key = next(keys)
        value = value_of(key) if next(setting) else None
        before = time.perf_counter()
        if value is None:
            found = store.get(key)
            now = time.perf_counter()
            assert found is not None, f"{key} is not there"
        else:
            store.set(key, value)
            now = time.perf_counter()
        taken.append(now - before)
    step = max(len(taken) // _KEPT, 1)
    return len(taken) / (now - began), list(taken[::step])


def _zipf(choose: random.Random, count: int) -> list[str]:
    """So many keys, the n-th of all with a probability in proportion to 1 / n ** EXPONENT."""
    sums = _sums()
    numbers = (bisect.bisect_left(sums, choose.random() * sums[-1]) for _ in range(count))
    return [f"{DICT[:1]}-{number}" for number in numbers]


@functools.cache
def _sums() -> list[float]:
    return list(itertools.accumulate(1 / n**EXPONENT for n in range(1, KEYS + 1)))
