"""A key that nobody has loaded yet, with a trivial getter, against a bare Ray task; then a thousand of each."""

from __future__ import annotations

from collections.abc import Iterator

import ray

import raycache
from benchmarks.harness import Goal, Measurement, once, take_turns
from benchmarks.setting import Setting
from benchmarks.values import TEXT, names, value_of

ONE, ONE_TASK = "get of a cold key", "one bare Ray task"
MANY, MANY_TASKS = "get_many of 1000 cold keys", "1000 bare Ray tasks, then ray.get of all"
KEYS = 1000


def run(setting: Setting) -> Iterator[Measurement]:
    group = setting.cache.group("cold", value_of)
    yield _one(group, ray.remote(num_cpus=0)(value_of), setting.rounds(400, 100))
    # As Ray does them fastest. With num_cpus=0 it starts dozens of processes for the thousand, takes twice as long, and
    # slows down whatever comes next.
    yield _many(group, ray.remote(value_of), setting.rounds(20, 5))


def _one(group: raycache.Group, task: ray.remote_function.RemoteFunction, rounds: int) -> Measurement:
    warm_up = 50
    cold, bare = (names(TEXT, first, warm_up + rounds) for first in (20_000_000, 30_000_000))
    contenders = {
        ONE: lambda number: once(lambda: group.get(cold[number])),
        ONE_TASK: lambda number: once(lambda: ray.get(task.remote(bare[number]))),
    }
    done = Measurement(
        case="cold",
        operation="a str of 100 bytes from a trivial getter, one at a time, 3 ms apart; tasks have num_cpus=0",
        samples=take_turns(contenders, rounds, warm_up=warm_up, pause_s=0.003),
        peer=ONE_TASK,
    )
    done.goals.append(Goal(what=f"{ONE} / {ONE_TASK}", figure=done.ratio(ONE, ONE_TASK), bound=2.2, unit="x"))
    return done


def _many(group: raycache.Group, task: ray.remote_function.RemoteFunction, rounds: int) -> Measurement:
    def keys_of(number: int) -> list[str]:
        return names(TEXT, 40_000_000 + number * KEYS, KEYS)

    def cold(number: int) -> float:
        keys = keys_of(number)
        return once(lambda: group.get_many(keys))

    def bare(number: int) -> float:
        keys = keys_of(number)
        return once(lambda: ray.get([task.remote(key) for key in keys]))

    done = Measurement(
        case="cold-many",
        operation="1000 strs of 100 bytes from a trivial getter; tasks have the default num_cpus, as that is faster",
        samples=take_turns({MANY: cold, MANY_TASKS: bare}, rounds, warm_up=2, pause_s=0.2),
        peer=MANY_TASKS,
    )
    figure = done.ratio(MANY_TASKS, MANY)
    done.goals.append(Goal(what=f"{MANY_TASKS} / {MANY}", figure=figure, bound=20, unit="x", at_least=True))
    return done
