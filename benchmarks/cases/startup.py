"""What it takes to begin: importing raycache beside ray, making a cache, joining one, the first get in a process."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import raycache
from benchmarks.harness import Goal, Measurement
from benchmarks.peers import install, stores
from benchmarks.setting import REDIS, Setting
from benchmarks.values import TEXT, names, value_of
from raycache.edge.bench import in_new_process
from raycache.edge.rounds import Samples, merge, once, take_turns

GOALS = ()
RAY, BOTH = "import ray", "import ray, raycache"
MAKE, JOIN, GET = "connect, which makes a cache", "connect, which joins it", "first get of a process, a page hit"
REDIS_JOIN, REDIS_GET = f"{REDIS}: connect", f"{REDIS}: first GET + loads"


def run(setting: Setting) -> Iterator[Measurement]:
    yield _imports(setting)
    yield _connecting(setting)


def _imports(setting: Setting) -> Measurement:
    contenders = {name: lambda _, name=name: _seconds(name) for name in (RAY, BOTH)}
    samples = take_turns(contenders, setting.rounds(10, 3), warm_up=1)
    done = Measurement(case="startup", operation="import in a new process", samples=samples, ours=BOTH, apart=(RAY,))
    more = done.median(BOTH) - done.median(RAY)
    done.goals.append(Goal(what="seconds that raycache adds", figure=more, bound=0.15, unit=" s"))
    return done


def _seconds(statement: str) -> float:
    program = f"import time; began = time.perf_counter(); {statement}; print(time.perf_counter() - began)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _connecting(setting: Setting) -> Measurement:
    done = Measurement(
        case="startup-connect",
        operation="the first steps of a process in a Ray that runs",
        sample="one step",
        ours=JOIN,
        apart=(MAKE, GET, REDIS_GET),
    )
    redis = done.if_there(REDIS, setting.redis).get(REDIS)
    assert setting.cache  # Ray is up, and has started its first workers
    parts = (_connected(setting, number, redis) for number in range(setting.rounds(5, 2)))
    done.samples = merge(parts)
    return done


def _connected(setting: Setting, number: int, redis: stores.Redis | None) -> Samples:
    """A cache is made, and joined by another process."""
    with contextlib.ExitStack() as stack:
        making = setting.a_cache(f"bench-startup-{number}", capacity="32 MiB")
        made: list[raycache.Cache] = []
        samples: Samples = {MAKE: [once(lambda: made.append(stack.enter_context(making)))]}
        (cache,) = made
        (key,) = names(TEXT, number, 1)
        cache.group("first", value_of).get(key)
        return samples | in_new_process(_join, cache.name, redis, key)


def _join(name: str, redis: stores.Redis | None, key: str) -> Samples:
    held: list[raycache.Cache] = []
    samples = {JOIN: [once(lambda: held.append(raycache.connect(name)))]}
    group = held[0].group("first", value_of)
    samples[GET] = [once(lambda: group.get(key))]
    if redis is not None:
        install.package("redis")  # imported, as raycache is
        opened: list[stores.Store] = []
        samples[REDIS_JOIN] = [once(lambda: opened.append(redis.open()))]
        opened[0].set(key, value_of(key))
        samples[REDIS_GET] = [once(lambda: opened[0].get(key))]
    return samples
