"""Traces: what was asked for, in order, each with the bytes and the seconds that it takes.

Real ones are read from a folder of a developer's machine; synthetic ones are made anew, the same for the same seed.
"""

from __future__ import annotations

import gzip
import itertools
import lzma
import math
import random
import struct
from bisect import bisect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

#: How long a load takes where a trace does not say: the same for all.
COST_S = 1.0


class Request(NamedTuple):
    key: int
    size: int = 1
    cost_s: float = COST_S


Requests = list[Request]


class Trace(NamedTuple):
    """Requests, and the capacities to look at: in entries, or in bytes where requests have sizes."""

    name: str
    requests: Requests
    capacities: tuple[int, ...]


def _numbers(path: Path) -> Requests:
    """One number a line; other lines are marks."""
    return [Request(int(line)) for line in gzip.decompress(path.read_bytes()).split() if line.isdigit()]


def _words(path: Path) -> Requests:
    """Big-endian numbers of 32 bits."""
    return [Request(number) for (number,) in struct.iter_unpack(">I", lzma.decompress(path.read_bytes()))]


def _sized(path: Path) -> Requests:
    """Lines of a time, a number and a size."""
    lines = lzma.decompress(path.read_bytes()).splitlines()
    return [Request(int(key), int(size)) for _, key, size in map(bytes.split, lines)]


_FILES: dict[str, tuple[Callable[[Path], Requests], tuple[int, ...]]] = {
    "multi1.trace.gz": (_numbers, (500, 1500)),
    "sprite.trace.gz": (_numbers, (200, 1000)),
    "2_pools.trace.gz": (_numbers, (100,)),
    "loop.trace.gz": (_numbers, (500,)),
    "web07.trace.xz": (_words, (1000, 4000)),
    "request.trace.xz": (_sized, (100 << 20,)),
}


def real(folder: Path) -> Iterator[Trace]:
    """Those of the folder that are there."""
    for file, (read, capacities) in _FILES.items():
        if (folder / file).is_file():
            yield Trace(file.split(".")[0], read(folder / file), capacities)


def mixed(requests: int = 60_000, seed: int = 1) -> Trace:
    """Popular keys by Zipf's law, scans of keys that come once, and a loop that is longer than the capacities."""
    chance, draw = random.Random(seed), _zipf(5000, 0.9)
    scan, loop = itertools.count(1_000_000), itertools.cycle(range(2_000_000, 2_000_700))
    made: Requests = []
    while len(made) < requests:
        made += [Request(draw(chance)) for _ in range(400)]
        made += [Request(next(scan)) for _ in range(100)]
        made += [Request(next(loop)) for _ in range(100)]
    return Trace("mixed", made[:requests], (200, 1000))


def calls(requests: int = 60_000, seed: int = 2) -> Trace:
    """Calls of memoized functions: some arguments are popular; results differ in seconds and in bytes."""
    chance, draw = random.Random(seed), _zipf(8000, 0.8)
    works = [_work(chance, key) for key in range(8000)]
    return Trace("calls", [works[draw(chance)] for _ in range(requests)], _shares(works))


def pipeline(runs: int = 8, seed: int = 3) -> Trace:
    """A pipeline that runs again and again over the same 6000 calls, a few of which are new each time."""
    chance, fresh = random.Random(seed), itertools.count(6000)
    works, made = [_work(chance, key) for key in range(6000)], list[Request]()
    for _ in range(runs):
        made += works
        for place in chance.sample(range(6000), 300):
            works[place] = _work(chance, next(fresh))
    return Trace("pipeline", made, _shares(works))


def synthetic() -> list[Trace]:
    return [mixed(), calls(), pipeline()]


def _work(chance: random.Random, key: int) -> Request:
    """A call: around 50 ms, 95 of 100 within a factor of 25 of it; a result around 2 KB, within a factor of 15."""
    return Request(key, int(chance.lognormvariate(math.log(2000), 1.4)) + 1, chance.lognormvariate(math.log(0.05), 1.6))


def _shares(works: Requests) -> tuple[int, ...]:
    """A tenth and a third of the bytes of all."""
    total = sum(each.size for each in works)
    return total // 10, total // 3


def _zipf(count: int, exponent: float) -> Callable[[random.Random], int]:
    """Draws one of so many keys by Zipf's law."""
    sums = list(itertools.accumulate((rank + 1) ** -exponent for rank in range(count)))
    return lambda chance: bisect(sums, chance.random() * sums[-1])
