"""A hit of a memoized function with simple arguments, against those of functools, diskcache and joblib: 1000 keys."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import raycache
from benchmarks.harness import Measurement, at_most, faster
from benchmarks.peers import install
from benchmarks.setting import MEMO_CAPACITY, Setting
from benchmarks.values import TEXT, names
from raycache.edge.rounds import Contender, each, take_turns

KEYS = names(TEXT, 0, 1000)
#: Of the slow peers a round takes fewer calls.
SOME = KEYS[::20]
OURS, LRU, DISK, JOBLIB = (
    "raycache.memoize hit",
    "functools.lru_cache hit",
    "diskcache.memoize hit",
    "joblib.Memory hit",
)
ROW = "memoize hit, simple arguments"
#: About a function alone; what one reads is looked at on every hit.
GOALS = (at_most(OURS, LRU, 5, row=ROW), faster(OURS, DISK, 50, row=ROW), faster(OURS, JOBLIB, 200, row=ROW))
THRESHOLD = 0.5


def plain(text: str, model: str = "small") -> str:
    return 20 * f"{text} {model}"


def helper(text: str) -> str:
    return 20 * text


def reading(text: str) -> str:
    return f"{helper(text)} {THRESHOLD}"


def run(setting: Setting) -> Iterator[Measurement]:
    alone = _measured("memoize", "a function that reads nothing else of the user's", plain, setting)
    alone.judge(*GOALS)
    yield alone
    yield _measured("memoize-reads", "a function with a helper and a global value", reading, setting)


def _measured(case: str, what: str, function: Callable[..., Any], setting: Setting) -> Measurement:
    done = Measurement(
        case=case,
        operation=f"call with a str that was computed before: {what}",
        sample=f"mean of a loop over {len(KEYS)} keys, of diskcache and joblib over {len(SOME)}",
        ours=OURS,
    )
    ours = raycache.memoize(function, name=f"{case}.{function.__name__}", cache=setting.cache, capacity=MEMO_CAPACITY)
    ours.map(KEYS, progress=False)
    with tempfile.TemporaryDirectory(prefix="raycache-bench-") as folder:
        lru = functools.lru_cache(maxsize=2 * len(KEYS))(function)
        slow: dict[str, Callable[..., Any]] = done.if_there(DISK, lambda: _on_disk(function, folder))
        slow |= done.if_there(JOBLIB, lambda: install.package("joblib").Memory(folder, verbose=0).cache(function))
        contenders = {name: _hits(cached, KEYS) for name, cached in ((OURS, ours), (LRU, lru))}
        contenders |= {name: _hits(cached, SOME) for name, cached in slow.items()}
        before = ours.cache_info()
        done.samples = take_turns(contenders, setting.rounds(200, 40), warm_up=5)
    assert ours.cache_info().misses == before.misses, "these were no hits"
    return done


def _on_disk(function: Callable[..., Any], folder: str) -> Callable[..., Any]:
    cached: Callable[..., Any] = install.package("diskcache").Cache(str(Path(folder) / "disk")).memoize()(function)
    return cached


def _hits(cached: Callable[..., Any], keys: list[str]) -> Contender:
    """Calls with these keys, which are computed first."""
    for key in keys:
        cached(key)
    return lambda _: each(cached, keys)
