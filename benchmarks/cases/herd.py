"""A thundering herd: 64 callers, in 8 processes, of a key that nobody has computed."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.harness import Goal, Measurement
from benchmarks.peers import install, stores
from benchmarks.setting import REDIS, Setting
from raycache.edge.bench import HERD_PROCESSES, HERD_THREADS, Crew, Opener, herd, spin

OURS, NAIVE, JOBLIB = "raycache", f"{REDIS}, get or else compute and set", "joblib.Memory"
RUNS = "runs of the getter per key"
GOALS = ()


class Counted:
    """`spin`, which takes 20 ms of a processor, and a byte in a file for every run of it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, key: str) -> str:
        value = spin(key)
        with open(self.path, "ab", buffering=0) as file:
            file.write(b".")
        return value

    def runs(self) -> int:
        return self.path.stat().st_size


def run(setting: Setting) -> Iterator[Measurement]:
    rounds = setting.rounds(10, 3)
    callers = HERD_PROCESSES * HERD_THREADS
    with tempfile.TemporaryDirectory(prefix="raycache-bench-") as folder:
        done = Measurement(
            case="herd",
            operation=f"{callers} threads of {HERD_PROCESSES} processes ask for a key that takes 20 ms of a processor, "
            "until all have it",
            ours=OURS,
        )
        getters = {name: Counted(Path(folder) / str(n)) for n, name in enumerate((OURS, NAIVE, JOBLIB))}
        group = setting.cache.group("herd", functools.partial(_counted, getters[OURS].path))
        openers: dict[str, Opener] = {OURS: lambda: group.get}
        for address in done.if_there(NAIVE, setting.redis).values():
            openers[NAIVE] = functools.partial(_naive, address, getters[NAIVE])
        if done.if_there(JOBLIB, lambda: install.package("joblib")):
            openers[JOBLIB] = functools.partial(_joblib, os.path.join(folder, "joblib"), getters[JOBLIB].path)
        with Crew(HERD_PROCESSES, openers) as crew:
            done.samples = herd(crew, list(openers), rounds)
        done.amounts[RUNS] = {name: getters[name].runs() / (rounds + 1) for name in openers}
    done.goals.append(Goal(what=f"{RUNS}: {OURS}", figure=done.amounts[RUNS][OURS], bound=1, unit=""))
    yield done


def _counted(path: Path, key: str) -> str:
    return Counted(path)(key)


def _naive(address: stores.Redis, compute: Counted) -> Callable[[str], str]:
    """What one writes without thinking of herds."""
    store = address.open()

    def ask(key: str) -> str:
        value: str | None = store.get(key)
        if value is None:
            value = compute(key)
            store.set(key, value)
        return value

    return ask


def _joblib(folder: str, path: Path) -> Callable[[str], str]:
    cached = install.package("joblib").Memory(folder, verbose=0).cache(_counted)
    return lambda key: cached(path, key)
