"""An array of 100 MB, got by processes that did not load it and have done nothing else before; against Redis."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import numpy as np

import raycache
from benchmarks.harness import Contender, Goal, Measurement, Samples, merge, once, take_turns
from benchmarks.setting import Setting

OURS, PEER = "first get in a process", "redis-py GET + pickle.loads"
NUMBERS = 12_500_000  # float64: 100 MB
ARRAYS = 3


def array_of(key: int) -> np.ndarray:
    array: np.ndarray = np.random.default_rng(key).random(NUMBERS)
    return array


def run(setting: Setting) -> Iterator[Measurement]:
    group = setting.cache.group("large", array_of, capacity="512 MiB")
    group.get_many(range(ARRAYS))
    done = Measurement(
        case="large",
        operation="a numpy array of 100 MB that another process loaded, in a new process each time; then again in it",
        samples={},
        peer=PEER,
    )
    port = setting.redis(PEER, done.not_run)
    if port is not None:
        _store_in_redis(port)
    processes = setting.rounds(15, 4)
    done.samples = merge(setting.in_new_process(measure, group, port, n % ARRAYS) for n in range(processes))
    done.goals = [Goal(what=OURS, figure=done.median(OURS) * 1e3, bound=5, unit="ms")]
    yield done


def _store_in_redis(port: int) -> None:
    import redis

    with redis.Redis(port=port) as client:
        for key in range(ARRAYS):
            client.set(f"array-{key}", pickle.dumps(array_of(key), protocol=5))


def measure(group: raycache.Group, port: int | None, key: int) -> Samples:
    contenders: dict[str, Contender] = {
        OURS: lambda _: once(lambda: group.get(key)),
        "get of the same key again": lambda _: once(lambda: group.get(key)),
    }
    if port is not None:
        import redis

        client = redis.Redis(port=port)
        client.ping()  # connected, as the cache is
        contenders[PEER] = lambda _: once(lambda: pickle.loads(client.get(f"array-{key}")))  # type: ignore[arg-type]
    samples = take_turns(contenders, 1, warm_up=0)
    assert np.array_equal(group.get(key)[:1000], np.random.default_rng(key).random(1000))
    return samples
