"""The demo: worker processes that all want the measures of all Python files of a folder, each in an order of its own.

However they overlap, a file is parsed once: the cache's loads are the distinct files, exactly.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from raycache.cache import Cache
from raycache.connecting import connect
from raycache.core.messages import ShardInfo
from raycache.core.stats import Stats
from raycache.edge.measure import Measure, Unparsed, measure
from raycache.group import Group

Measures = dict[str, Measure | Unparsed]

#: How often each worker asks for every file: the first pass meets a cold cache, the second a warm one.
PASSES = 2
#: Files in one `get_many`, and how many are then asked for one by one.
BATCH = 40
#: Room per file, many times what a measure takes: nothing may be evicted, or it would be loaded again.
BYTES_PER_FILE = 4 << 10
LEAST_CAPACITY = 32 << 20
SEED = 20
#: How long to wait for counters that workers have sent and shards have not yet added.
COUNTED_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the demo found out."""

    folder: Path
    nodes: int
    workers: int
    stats: Stats
    shards: list[ShardInfo]
    cold_s: float  # first pass, of the slowest worker
    warm_s: float  # second pass, of the slowest worker
    measures: Measures

    @property
    def files(self) -> int:
        return len(self.measures)

    @property
    def once(self) -> bool:
        """Whether every file was loaded exactly once."""
        return self.stats.loads == self.files

    @property
    def unparsed(self) -> list[Unparsed]:
        return [found for _, found in sorted(self.measures.items()) if isinstance(found, Unparsed)]

    def most_complex(self, number: int) -> list[tuple[str, Measure]]:
        """The paths, from the folder on, and the measures of the most complex files."""
        measured = [(self.inside(path), found) for path, found in self.measures.items() if isinstance(found, Measure)]
        return sorted(measured, key=lambda item: (-item[1].complexity, item[0]))[:number]

    def inside(self, path: str) -> str:
        """The path from the folder on."""
        return os.path.relpath(path, self.folder)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "folder": os.fspath(self.folder),
            "nodes": self.nodes,
            "workers": self.workers,
            "files": self.files,
            "loaded_once": self.once,
            "cold_seconds": self.cold_s,
            "warm_seconds": self.warm_s,
            "stats": self.stats.as_dict(),
            "shards": [asdict(shard) for shard in self.shards],
            "most_complex": [{"path": path, **asdict(found)} for path, found in self.most_complex(10)],
            "unparsed": [{"path": self.inside(each.path), "error": each.error} for each in self.unparsed],
        }


@dataclass(frozen=True)
class Step:
    """A worker got the values of some more files."""

    files: int


@dataclass(frozen=True)
class Finished:
    """A worker is through: how long each pass took, and what it got if it is to tell."""

    seconds: list[float]
    measures: Measures | None


def visit(group: Group, files: list[str], seed: int, tell: bool) -> Iterator[Step | Finished]:
    """A worker: asks for all files in a random order, in batches and one by one in turn; then in another order."""
    order, measures, seconds = random.Random(seed), Measures(), list[float]()
    for _ in range(PASSES):
        shuffled = order.sample(files, len(files))
        began = time.monotonic()
        for number, start in enumerate(range(0, len(files), BATCH)):
            batch = shuffled[start : start + BATCH]
            if number % 2 == 0:
                measures |= cast(Measures, group.get_many(batch))
            else:
                measures.update((path, group.get(path)) for path in batch)
            yield Step(len(batch))
        seconds.append(time.monotonic() - began)
    group.report()
    yield Finished(seconds, measures if tell else None)


def arrive(group: Group) -> Iterator[str]:
    """Brings the cache to the node where it runs: a node gets its shard with its first client."""
    yield group.name


def run(
    folder: Path,
    files: list[str],
    *,
    nodes: int,
    workers: int,
    started: Callable[[], None],
    progress: Callable[[int], None],
) -> Result:
    """Runs the demo in a Ray of its own, which has ended when it returns or raises.

    Args:
        folder: where the files lie.
        files: their paths, which are the keys.
        nodes: Ray nodes on this machine.
        workers: processes that ask, spread over the nodes.
        started: is called when Ray and the cache are up.
        progress: is called with the number of files that a worker got just now.
    """
    from raycache.cluster.local import local_ray, stream  # takes a while to import, and --help should not

    capacity = max(LEAST_CAPACITY, BYTES_PER_FILE * len(files))
    # The nodes share this machine's cores; getters that wait for one would count that as time saved.
    loads = max((os.cpu_count() or 1) // nodes, 1)
    with local_ray(nodes) as ids, connect(f"demo-{os.getpid()}", capacity=capacity, max_loads=loads) as cache:
        group = cache.group("measures", getter=measure, capacity=capacity)
        # All shards first: one that came later would take over keys that another has loaded.
        for _ in stream(arrive, [(group,)] * nodes, ids):
            pass
        started()
        finished = []
        for came in stream(visit, [(group, files, SEED + n, n == 0) for n in range(workers)], ids):
            if isinstance(came, Step):
                progress(came.files)
            else:
                finished.append(came)
        (measures,) = (each.measures for each in finished if each.measures is not None)
        cold_s, warm_s = (max(seconds) for seconds in zip(*(each.seconds for each in finished), strict=True))
        return Result(
            folder=folder,
            nodes=nodes,
            workers=workers,
            stats=_counted(group, PASSES * workers * len(files)),
            shards=_described(cache),
            cold_s=cold_s,
            warm_s=warm_s,
            measures=measures,
        )


def _counted(group: Group, gets: int) -> Stats:
    """The group's counters when all gets are in them; a worker's last report may still be on its way."""
    deadline = time.monotonic() + COUNTED_S
    while (stats := group.stats()).gets < gets and time.monotonic() < deadline:
        time.sleep(0.05)
    return stats


def _described(cache: Cache) -> list[ShardInfo]:
    return sorted(cache.shards(), key=lambda shard: shard.id)
