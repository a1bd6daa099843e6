"""Arrays of 100 MB, got by processes that did not load them: the first get of each, and of any, and the second."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random
from typing import Any

import numpy as np

import raycache
from benchmarks.harness import Goal, Measurement, faster
from benchmarks.peers import install, stores
from benchmarks.setting import ACTOR, REDIS, Setting
from raycache.edge.bench import in_new_process
from raycache.edge.rounds import Samples, each, merge, once

OURS, AGAIN, FIRST = "first get of an array", "second get of it", "the very first get of a process"
REDIS_GET = f"{REDIS} GET + loads"
_JOBLIB = "joblib.Memory(mmap_mode='r')"
JOBLIB, JOBLIB_AGAIN, JOBLIB_FIRST = _JOBLIB, f"{_JOBLIB}, second call", f"{_JOBLIB}, the very first call"
RAY_GET, ACTOR_GET = "ray.get of an ObjectRef", f"{ACTOR} of ObjectRefs: get, then ray.get"
NUMBERS = 12_500_000  # float64: 100 MB
#: One to warm up with and the others to measure, in turn. Each is four times in memory: ours, the actor's, Redis's,
#: joblib's.
ARRAYS = 5
ROW = "100 MB array"
GOALS = (faster(OURS, REDIS_GET, 100, row=ROW), faster(OURS, JOBLIB, 1, row=ROW))


def array_of(key: int) -> np.ndarray:
    array: np.ndarray = np.random.default_rng(key).random(NUMBERS)
    return array


def run(setting: Setting) -> Iterator[Measurement]:
    import ray

    group = setting.cache.group("large", array_of, capacity="512 MiB")
    group.get_many(range(ARRAYS))
    done = Measurement(
        case="large",
        operation="numpy arrays of 100 MB that another process loaded, in a process that has got another one before",
        sample=f"mean of a loop over {ARRAYS - 1} arrays, nothing of them read; of a very first get that one get",
        ours=OURS,
        apart=(AGAIN, FIRST, JOBLIB_AGAIN, JOBLIB_FIRST),
    )
    actor, names = setting.actor(), [_name(key) for key in range(ARRAYS)]
    actor.open().set_many({_name(key): [ray.put(array_of(key))] for key in range(ARRAYS)})
    found = done.if_there(REDIS_GET, setting.redis)
    for address in found.values():
        for key in range(ARRAYS):
            address.open().set(_name(key), array_of(key))
    with tempfile.TemporaryDirectory(prefix="raycache-bench-") as folder:
        for stored in done.if_there(JOBLIB, lambda: _stored(folder)).values():
            for key in range(ARRAYS):
                stored(key)
        files = None if JOBLIB in done.not_run else folder
        processes = range(setting.rounds(15, 3))
        done.samples = merge(
            in_new_process(measure, group, actor, found.get(REDIS_GET), files, number) for number in processes
        )
    for address in found.values():
        address.open().client.delete(*names)
    actor.open().set_many(dict.fromkeys(names))
    assert group.stats().loads == ARRAYS
    group.clear()
    done.judge(*GOALS)
    done.goals.append(Goal(what=FIRST, figure=done.median(FIRST) * 1e3, bound=5, unit=" ms"))
    yield done


def _name(key: int) -> str:
    return f"array-{key}"


def _stored(folder: str) -> Any:
    return install.package("joblib").Memory(folder, mmap_mode="r", verbose=0).cache(array_of)


def measure(
    group: raycache.Group, actor: stores.Actor, redis: stores.Redis | None, folder: str | None, number: int
) -> Samples:
    """What the new process of this number takes."""
    import ray

    before, *keys = ((number + nth) % ARRAYS for nth in range(ARRAYS))
    samples = {FIRST: [once(partial(group.get, before))]}  # before Ray has done anything else here
    store = actor.open()
    (held,) = store.get(_name(before))
    calls: dict[str, Callable[[int], Any]] = {
        OURS: group.get,
        RAY_GET: lambda _: ray.get(held),
        ACTOR_GET: lambda key: ray.get(store.get(_name(key))[0]),
    }
    if folder is not None:
        calls[JOBLIB] = _stored(folder)
        samples[JOBLIB_FIRST] = [once(partial(calls[JOBLIB], before))]
    if redis is not None:
        client = redis.open().client
        calls[REDIS_GET] = lambda key: pickle.loads(client.get(_name(key)))
    for call in calls.values():
        call(before)
    order = Random(number)  # whoever comes after Redis finds the CPU's caches empty
    first, second = _timed(calls, keys, order), _timed(calls, keys, order)
    again = {name: second[of] for name, of in ((AGAIN, OURS), (JOBLIB_AGAIN, JOBLIB)) if of in second}
    for key in keys:
        assert np.array_equal(group.get(key)[:1000], np.random.default_rng(key).random(1000))
    return first | again | samples


def _timed(calls: Mapping[str, Callable[[int], Any]], keys: list[int], order: Random) -> Samples:
    """What each takes for these, one contender after the other in random order."""
    taken = {name: each(calls[name], keys) for name in order.sample(list(calls), len(calls))}
    return {name: [taken[name]] for name in calls}
