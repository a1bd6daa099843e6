"""The figures of docs/reliability.md: what the promises come to on real processes, each measured by itself."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import ray

import raycache
from chaos import journal
from chaos.arena import CAPACITY, PATIENCE_S, Arena, await_, serves, told
from chaos.faults import DIRECTORY, SHARD
from chaos.history import check
from chaos.plan import KINDS
from chaos.processes import processes, send
from chaos.trial import Trial, series

#: Keys that are warm when a shard is added, and how many are asked for at once.
WARM_KEYS, BATCH = 100_000, 5_000
#: Small values in a shard when it is killed.
KEPT_KEYS = 20_000
#: How often a shard is killed, and a node crashed, for the times that are told.
KILLS, CRASHES = 10, 5
CYCLES, FIRST_CYCLES = 1000, 250
#: Growth of resident memory over all cycles that is noise, not a leak: under 10 kB a cycle.
NOISE_BYTES = 8 << 20


@dataclass(frozen=True)
class Figure:
    """One line of the table; `met` is None where there is no bound."""

    what: str
    figure: str
    bound: str = ""
    met: bool | None = None


@dataclass(frozen=True)
class Settings:
    """What the command line says of trials."""

    seed: int = 0
    minutes: float = 3.0
    trials: int | None = None  # so many, however long they take
    seconds: float = 10.0  # that clients work in a trial
    lease_s: float = 3.0
    slack_s: float = 2.0  # that a get may take on top of a lease
    kinds: tuple[str, ...] = KINDS  # of faults
    broken: bool = False
    exit_first: bool = False
    tell: Callable[[Trial], None] = lambda trial: None  # called with each trial


def trials(settings: Settings) -> Iterator[Figure]:
    """Clients under faults, judged by the checker."""
    until = time.monotonic() + 60 * settings.minutes
    seeds: Iterable[int] = itertools.islice(itertools.count(settings.seed), settings.trials)
    if settings.trials is None:
        seeds = itertools.takewhile(lambda _: time.monotonic() < until, seeds)
    most_s = settings.lease_s + settings.slack_s
    counts: Counter[str] = Counter()
    longest_s = 0.0
    made = series(
        seeds,
        seconds=settings.seconds,
        most_s=most_s,
        lease_s=settings.lease_s,
        kinds=settings.kinds,
        broken=settings.broken,
    )
    with contextlib.closing(made):
        for trial in made:
            settings.tell(trial)
            verdict = trial.verdict
            counts.update(trial.counts)
            counts.update(trials=1, gets=verdict.gets, writes=verdict.writes, unknown=verdict.unknown)
            counts.update(violation.kind for violation in verdict.violations)
            counts.update(trouble=bool(trial.trouble))
            longest_s = max(longest_s, verdict.longest_s)
            if settings.exit_first and not trial.passed:
                break
    yield Figure("trials, each of another seed", f"{counts['trials']:,}")
    yield Figure("gets", f"{counts['gets']:,}")
    yield Figure("writes; failed or cut off", f"{counts['writes']:,}; {counts['unknown']:,}")
    yield Figure("processes stopped; nodes lost", f"{counts['stops']:,}; {counts['nodes lost']:,}")
    yield _none("kills that the cache did not survive", counts["trouble"], f" of {counts['kills']:,}")
    yield _none("stale reads", counts["stale"])
    yield _none("wrong values", counts["wrong"])
    yield _none("other errors", counts["raised"])
    yield Figure("longest stall of any get", f"{longest_s:.2f} s", f"at most {most_s:g} s", longest_s <= most_s)


def kill(settings: Settings) -> Iterator[Figure]:
    """A shard of three is killed while clients read: what they get meanwhile, and how long it takes."""
    with Arena(lease_s=settings.lease_s) as arena:
        outages = [_outage(arena, number, _kill_shard) for number in range(KILLS)]
    yield from _outages("kill -9 of a shard", outages, settings)


def node(settings: Settings) -> Iterator[Figure]:
    """A node of three is lost while clients read."""
    with Arena(lease_s=settings.lease_s) as arena:
        outages = [_outage(arena, number, _crash_node) for number in range(CRASHES)]
    yield from _outages("loss of a node", outages, settings)


@dataclass(frozen=True)
class _Outage:
    """What clients saw from a fault on until the cache served in full again."""

    seconds: float
    served: int
    failed: int
    longest_s: float


def _kill_shard(arena: Arena) -> int:
    """Kills a shard; its process id."""
    pid = processes(SHARD)[-1].pid
    send(signal.SIGKILL, pid)
    return pid


def _crash_node(arena: Arena) -> None:
    arena.crash_node(0)


def _outage(arena: Arena, number: int, harm: Callable[[Arena], int | None]) -> _Outage:
    folder = arena.folder / f"outage-{number}"
    folder.mkdir()
    arena.begin(folder, number, mix={"get": 1})
    arena.start(time.monotonic() + 2 * PATIENCE_S)
    await_(lambda: len(journal.operations(folder)) > 200, lambda: "clients get values")
    began = time.monotonic()
    dead = harm(arena)
    await_(
        lambda: dead not in _pids(arena) and serves(arena.cache, arena.nodes),
        lambda: f"the cache serves in full; {told(arena.cache)}",
    )
    arena.cache.group("chaos").remove(arena.source.keys[0])  # reaches all members, or does not return
    ended = time.monotonic()
    arena.source.end()
    arena.stop(PATIENCE_S)
    operations = [each for each in journal.operations(folder) if each.ended >= began and each.began <= ended]
    verdict = check(operations, killed=arena.killed)
    arena.heal()
    return _Outage(ended - began, verdict.gets, sum(bool(each.error) for each in operations), verdict.longest_s)


def _pids(arena: Arena) -> set[int | None]:
    """Of the shards that there are."""
    with contextlib.suppress(raycache.CacheUnavailable):
        return {shard.pid for shard in arena.cache.shards()}
    return set()


def _outages(what: str, outages: list[_Outage], settings: Settings) -> Iterator[Figure]:
    seconds = [outage.seconds for outage in outages]
    longest_s, most_s = max(outage.longest_s for outage in outages), settings.lease_s + settings.slack_s
    yield Figure(f"{what}: times", f"{len(outages)}")
    yield Figure("time to full service, median (longest)", f"{statistics.median(seconds):.1f} s ({max(seconds):.1f} s)")
    yield Figure("gets served meanwhile", f"{sum(outage.served for outage in outages):,}")
    yield _none("gets failed meanwhile", sum(outage.failed for outage in outages))
    yield Figure("longest get", f"{longest_s:.2f} s", f"at most {most_s:g} s", longest_s <= most_s)


class Tally:
    """A batch getter that notes how many keys it was run for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, keys: list[int]) -> dict[int, str]:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.write(file, f"{len(keys)}\n".encode())
        os.close(file)
        return {key: small(key) for key in keys}

    @property
    def keys(self) -> int:
        return sum(map(int, self._path.read_text().split()))


def small(key: object) -> str:
    """A value of 100 bytes."""
    return f"{key:0100}"


def rerun(settings: Settings) -> Iterator[Figure]:
    """Two warm shards become three: how many of the keys that move are loaded again."""
    with Arena(nodes=2, clients=2, lease_s=settings.lease_s) as arena:
        tally = Tally(arena.folder / "tally")
        group = arena.cache.group("warm", batch_getter=tally, capacity="80 MiB", near=0)
        _get_all(group)
        before, entries = tally.keys, len(group)
        arena.grow()
        wrong = _get_all(group)
        again = tally.keys - before
        await_(lambda: not any(shard.handing for shard in arena.cache.shards()), lambda: "all is handed over")
        moved = next(shard.entries for shard in arena.cache.shards() if shard.node == arena.nodes[-1])
    yield Figure("2 shards become 3: warm keys", f"{entries:,}")
    yield Figure("keys that moved", f"{moved:,}")
    share = again / max(moved, 1)
    yield Figure("getters run again", f"{again:,} ({share:.2%} of those)", "at most 1 %", moved > 0 and share <= 0.01)
    yield _none("wrong values", wrong)


def _get_all(group: raycache.Group) -> int:
    """Gets all warm keys; how many values are wrong."""
    wrong = 0
    for first in range(0, WARM_KEYS, BATCH):
        got = group.get_many(range(first, first + BATCH))
        wrong += sum(value != small(key) for key, value in got.items())
    return wrong


def warm(settings: Settings) -> Iterator[Figure]:
    """The only shard is killed: what it still has when it serves again."""
    with Arena(nodes=1, clients=0, lease_s=settings.lease_s) as arena:
        group = arena.cache.group("kept", capacity="80 MiB", near=0)
        keys = range(KEPT_KEYS)
        for first in range(0, KEPT_KEYS, BATCH):
            group.set_many({key: small(key) for key in keys[first : first + BATCH]})
        began, dead = time.monotonic(), _kill_shard(arena)
        await_(
            lambda: dead not in _pids(arena) and serves(arena.cache, arena.nodes),
            lambda: f"the shard serves again; {told(arena.cache)}",
        )
        seconds = time.monotonic() - began
        got = group.get_many(keys, default=None)
    kept = sum(value is not None for value in got.values())
    share = kept / KEPT_KEYS
    yield Figure("kill -9 of the only shard: small values in it", f"{KEPT_KEYS:,}")
    yield Figure("values kept", f"{kept:,} ({share:.1%})", "at least 99 %", share >= 0.99)
    yield _none("wrong values", sum(value not in (None, small(key)) for key, value in got.items()))
    yield Figure("time until it serves again", f"{seconds:.1f} s")


@dataclass(frozen=True)
class _Held:
    """What processes hold: this one, shards and directories together; objects are this one's."""

    objects: int
    descriptors: int
    threads: int
    memory_bytes: int
    files: int
    actors: int


def leaks(settings: Settings) -> Iterator[Figure]:
    """A process connects and closes a thousand times: what is left of that, in it, in the shard and the directory."""
    with Arena(nodes=1, clients=0, lease_s=settings.lease_s):
        name = f"leaks-{os.getpid()}"
        raycache.connect(name, capacity=CAPACITY).close()
        for cycle in range(CYCLES + FIRST_CYCLES):
            if cycle == FIRST_CYCLES:  # what is made once is there now
                before = _held()
            cache = raycache.connect(name)
            cache.group("upper", str.upper).get(f"key {cycle % 10}")
            cache.close()
        after = _held()
        raycache.connect(name).destroy()
    yield Figure("connect, get, close: times", f"{CYCLES:,}")
    yield _none("descriptors more", after.descriptors - before.descriptors)
    yield _none("threads more", after.threads - before.threads)
    yield _none("files in shared memory more", after.files - before.files)
    yield _none("actors more", after.actors - before.actors)
    objects = after.objects - before.objects
    yield Figure(
        "objects of Python more", f"{objects:,}", f"at most {CYCLES // 10}, one in ten cycles", objects <= CYCLES // 10
    )
    grown = after.memory_bytes - before.memory_bytes
    bound = f"at most {NOISE_BYTES >> 20} MiB, noise"
    yield Figure("resident memory more", f"{grown / (1 << 20):.1f} MiB", bound, grown <= NOISE_BYTES)


def _held() -> _Held:
    gc.collect()
    pids = [os.getpid(), *(process.pid for title in (SHARD, DIRECTORY) for process in processes(title))]
    folders = [Path(f"/proc/{pid}") for pid in pids]
    pages = [int((folder / "statm").read_text().split()[1]) for folder in folders]
    return _Held(
        objects=len(gc.get_objects()),
        descriptors=sum(len(list((folder / "fd").iterdir())) for folder in folders),
        threads=sum(map(_threads, folders)),
        memory_bytes=sum(pages) * os.sysconf("SC_PAGE_SIZE"),
        files=len(list(Path("/dev/shm").glob("raycache-*/*"))),
        actors=len(ray.util.list_named_actors(all_namespaces=True)),
    )


def _threads(process: Path) -> int:
    """Without the timers of gRPC, which keeps one or two of them as it likes."""
    count = 0
    for thread in (process / "task").iterdir():
        with contextlib.suppress(OSError):  # it has ended
            count += not (thread / "comm").read_text().startswith("grpc_global_tim")
    return count


def _none(what: str, number: int, of: str = "") -> Figure:
    return Figure(what, f"{number:,}{of}", "0", number <= 0)


FIGURES: dict[str, Callable[[Settings], Iterator[Figure]]] = {
    "trials": trials,
    "kill": kill,
    "node": node,
    "rerun": rerun,
    "warm": warm,
    "leaks": leaks,
}
