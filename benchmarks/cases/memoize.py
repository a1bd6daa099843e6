"""A hit of a memoized function with simple arguments, against those of functools, diskcache and joblib: 1000 keys."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diskcache
import joblib

import raycache
from benchmarks.harness import Contender, Goal, Measurement, each, take_turns
from benchmarks.setting import Setting
from benchmarks.values import TEXT, names

KEYS = names(TEXT, 0, 1000)
#: Of the slow peers a round takes fewer calls.
SOME = KEYS[::20]
OURS, LRU, DISK, JOBLIB = (
    "raycache.memoize hit",
    "functools.lru_cache hit",
    "diskcache.memoize hit",
    "joblib.Memory hit",
)
THRESHOLD = 0.5


def plain(text: str, model: str = "small") -> str:
    return 20 * f"{text} {model}"


def helper(text: str) -> str:
    return 20 * text


def reading(text: str) -> str:
    return f"{helper(text)} {THRESHOLD}"


def run(setting: Setting) -> Iterator[Measurement]:
    rounds = setting.rounds(300, 60)
    with tempfile.TemporaryDirectory() as folder:
        yield _measured("memoize", "a function that reads nothing else of the user's", plain, rounds, setting, folder)
        yield _measured(
            "memoize-reads", "a function with a helper and a global value", reading, rounds, setting, folder
        )


def _measured(
    case: str, what: str, function: Callable[..., Any], rounds: int, setting: Setting, folder: str
) -> Measurement:
    ours = raycache.memoize(function, name=f"{case}.{function.__name__}", cache=setting.cache)
    lru = functools.lru_cache(maxsize=2 * len(KEYS))(function)
    disk = diskcache.Cache(str(Path(folder) / f"disk-{case}"))
    memory = joblib.Memory(Path(folder) / f"joblib-{case}", verbose=0)
    ondisk, stored = disk.memoize()(function), memory.cache(function)
    ours.map(KEYS, progress=False)
    for cached in (ours, lru, ondisk, stored):
        for key in KEYS:
            cached(key)
    before = ours.cache_info()
    contenders: dict[str, Contender] = {
        OURS: lambda _: each(ours, KEYS),
        LRU: lambda _: each(lru, KEYS),
        DISK: lambda _: each(ondisk, SOME),
        JOBLIB: lambda _: each(stored, SOME),
    }
    done = Measurement(
        case=case,
        operation=f"call with a str that was computed before: {what}",
        sample=f"mean of a loop over {len(KEYS)} keys, of diskcache and joblib over {len(SOME)}",
        samples=take_turns(contenders, rounds, warm_up=5),
        peer=LRU,
    )
    disk.close()
    after = ours.cache_info()
    assert after.misses == before.misses, "these were no hits"
    if function is plain:  # the goals are about a function alone; what one reads is looked at on every hit
        done.goals.append(Goal(what=f"{OURS} / {LRU}", figure=done.ratio(OURS, LRU), bound=6, unit="x"))
        for peer, bound in ((DISK, 40), (JOBLIB, 200)):
            figure = done.ratio(peer, OURS)
            done.goals.append(Goal(what=f"{peer} / {OURS}", figure=figure, bound=bound, unit="x", at_least=True))
    return done
