"""An array of 100 MB, got by processes that did not load it and have done nothing else before."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

import raycache
from benchmarks.harness import Goal, Measurement, faster
from benchmarks.peers import install, stores
from benchmarks.setting import REDIS, Setting
from raycache.edge.bench import in_new_process
from raycache.edge.rounds import Contender, Samples, merge, once, take_turns

OURS, AGAIN = "first get in a process", "get of the same key again"
REDIS_GET = f"{REDIS} GET + loads"
JOBLIB, JOBLIB_AGAIN = "joblib.Memory(mmap_mode='r'), first call", "the same call of joblib again"
RAY_GET = "ray.get of an ObjectRef"
NUMBERS = 12_500_000  # float64: 100 MB
ARRAYS = 3
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
        operation="a numpy array of 100 MB that another process loaded, in a new process each time; then again in it",
        sample="one get, nothing of the array read",
        ours=OURS,
        apart=(AGAIN, JOBLIB_AGAIN),
    )
    found = done.if_there(REDIS_GET, setting.redis)
    for address in found.values():
        for key in range(ARRAYS):
            address.open().set(f"array-{key}", array_of(key))
    plain = ray.put(array_of(0))
    with tempfile.TemporaryDirectory(prefix="raycache-bench-") as folder:
        for stored in done.if_there(JOBLIB, lambda: _stored(folder)).values():
            for key in range(ARRAYS):
                stored(key)
        arguments = (group, found.get(REDIS_GET), None if JOBLIB in done.not_run else folder, [plain])
        done.samples = merge(
            in_new_process(measure, *arguments, number % ARRAYS) for number in range(setting.rounds(15, 4))
        )
    for address in found.values():
        address.open().client.delete(*(f"array-{key}" for key in range(ARRAYS)))
    group.clear()
    done.judge(*GOALS)
    done.goals.append(Goal(what=OURS, figure=done.median(OURS) * 1e3, bound=5, unit=" ms"))
    yield done


def _stored(folder: str) -> Any:
    return install.package("joblib").Memory(folder, mmap_mode="r", verbose=0).cache(array_of)


def measure(
    group: raycache.Group, redis: stores.Redis | None, folder: str | None, plain: list[Any], key: int
) -> Samples:
    import ray

    contenders: dict[str, Contender] = {
        OURS: lambda _: once(lambda: group.get(key)),
        AGAIN: lambda _: once(lambda: group.get(key)),
        RAY_GET: lambda _: once(lambda: ray.get(plain[0])),
    }
    if folder is not None:
        stored = _stored(folder)
        contenders |= dict.fromkeys((JOBLIB, JOBLIB_AGAIN), lambda _: once(lambda: stored(key)))
    if redis is not None:
        client = redis.open().client
        contenders[REDIS_GET] = lambda _: once(lambda: pickle.loads(client.get(f"array-{key}")))
    samples = take_turns(contenders, 1, warm_up=0)
    assert np.array_equal(group.get(key)[:1000], np.random.default_rng(key).random(1000))
    return samples
