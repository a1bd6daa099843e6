"""A pipeline of three steps over many items, run twice, each time by a new process, as one runs a script again."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import raycache
from benchmarks.harness import Measurement
from benchmarks.peers import install
from benchmarks.setting import MEMO_CAPACITY, Setting
from raycache.edge.bench import in_new_process
from raycache.edge.rounds import Samples

GOALS = ()
OURS, JOBLIB, DISK, PLAIN = "raycache.memoize, map", "joblib.Memory", "diskcache.memoize", "without a cache"
STEP_S = 0.005
#: Makes functions of a kind remember: a step, and the step over all items.
Caching = Callable[[Callable[[Any], Any]], Callable[[list[Any]], list[Any]]]


def clean(text: str) -> str:
    _take()
    return text.strip().lower()


def count(text: str) -> dict[str, int]:
    _take()
    return {letter: text.count(letter) for letter in sorted(set(text))}


def score(counts: dict[str, int]) -> float:
    _take()
    return sum(counts.values()) / len(counts)


def _take() -> None:
    """Takes a processor for STEP_S."""
    until = time.thread_time() + STEP_S
    while time.thread_time() < until:
        pass


def run(setting: Setting) -> Iterator[Measurement]:
    items, rounds = setting.rounds(200, 50), setting.rounds(3, 1)
    name = setting.cache.name
    first, again = (
        Measurement(
            case=case,
            operation=f"{items} items through three steps that take {STEP_S * 1e3:g} ms each, in a new process: {what}",
            sample="one run, without starting Python; raycache's map uses all cores, the others one",
            ours=OURS,
        )
        for case, what in (("pipeline", "for the first time"), ("pipeline-again", "a second time"))
    )
    with tempfile.TemporaryDirectory(prefix="raycache-bench-") as folder:
        kinds: dict[str, Callable[[], Caching]] = {
            OURS: functools.partial(_with_raycache, name),
            PLAIN: _without,
        }
        for each in (first, again):
            for known in (JOBLIB, DISK):
                package = known.partition(".")[0]
                if each.if_there(known, functools.partial(install.package, package)):
                    kinds[known] = functools.partial(_with_package, package, folder)
        first.samples, again.samples = _runs(kinds, items, rounds)
    yield first
    yield again


def _runs(kinds: dict[str, Callable[[], Caching]], items: int, rounds: int) -> tuple[Samples, Samples]:
    """Seconds of the first and of the second run, each round with texts of its own."""
    samples: tuple[Samples, Samples] = ({kind: [] for kind in kinds}, {kind: [] for kind in kinds})
    for number in range(rounds):
        texts = [f"  Round {number}, item {item}  " for item in range(items)]
        for into in samples:
            for kind, opener in kinds.items():
                into[kind].append(in_new_process(_pipeline, opener, texts))
    return samples


def _pipeline(opener: Callable[[], Caching], texts: list[str]) -> float:
    """One run of the script: what is imported and connected is not counted."""
    caching = opener()
    steps = [caching(step) for step in (clean, count, score)]
    began = time.perf_counter()
    results: list[Any] = texts
    for step in steps:
        results = step(results)
    taken = time.perf_counter() - began
    assert len(results) == len(texts)
    return taken


def _with_raycache(name: str) -> Caching:
    cache = raycache.connect(name)
    return lambda step: functools.partial(
        raycache.memoize(step, cache=cache, capacity=MEMO_CAPACITY).map, progress=False
    )


def _with_package(package: str, folder: str) -> Caching:
    imported = install.package(package)
    if package == "joblib":
        remember = imported.Memory(f"{folder}/joblib", verbose=0).cache
    else:
        remember = imported.Cache(f"{folder}/diskcache").memoize()
    return lambda step: _one_by_one(remember(step))


def _without() -> Caching:
    return _one_by_one


def _one_by_one(step: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
    return lambda items: [step(item) for item in items]
