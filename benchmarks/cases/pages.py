"""A hit in a process that has not had the key yet, through its node's pages; against unpickling alone and Redis."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import raycache
from benchmarks.harness import Contender, Goal, Measurement, Samples, each, take_turns
from benchmarks.setting import Setting
from benchmarks.values import DICT, TEXT, names, value_of

OURS, ALONE, PEER = "page hit", "pickle.loads alone", "redis-py GET + pickle.loads"
KEYS, WARM_UP = 100, 10  # keys in a round


def run(setting: Setting) -> Iterator[Measurement]:
    rounds = setting.rounds(300, 60)
    group = setting.cache.group("pages", value_of)
    for kind in (DICT, TEXT):
        keys = names(kind, 0, KEYS * (WARM_UP + rounds))
        group.get_many(keys)
        done = Measurement(
            case=f"pages-{'dict' if kind == DICT else 'str'}",
            operation=f"first get of a key in a process, {kind}; another process loaded it",
            sample=f"mean of a loop over {KEYS} keys, new ones for every round",
            samples={},
            peer=PEER,
        )
        port = setting.redis(PEER, done.not_run)
        if port is not None:
            store_in_redis(port, {key: value_of(key) for key in keys})
        done.samples = setting.in_new_process(measure, group, port, keys)
        more_us = (done.median(OURS) - done.median(ALONE)) * 1e6
        done.goals = [
            Goal(what=f"{OURS} - {ALONE}", figure=more_us, bound=10, unit="us"),
            Goal(what=f"{PEER} / {OURS}", figure=done.ratio(PEER, OURS), bound=10, unit="x", at_least=True),
        ]
        yield done


def store_in_redis(port: int, values: dict[str, Any]) -> None:
    import redis

    with redis.Redis(port=port) as client:
        items = [(key, pickle.dumps(value, protocol=5)) for key, value in values.items()]
        for at in range(0, len(items), 10_000):
            client.mset(dict(items[at : at + 10_000]))


def measure(group: raycache.Group, port: int | None, keys: list[str]) -> Samples:
    pickles = {key: pickle.dumps(value_of(key), protocol=5) for key in keys}

    def on_own_keys(call: Callable[[str], Any]) -> Contender:
        return lambda number: each(call, keys[number * KEYS : (number + 1) * KEYS])

    contenders = {OURS: on_own_keys(group.get), ALONE: on_own_keys(lambda key: pickle.loads(pickles[key]))}
    if port is not None:
        import redis

        client = redis.Redis(port=port)
        contenders[PEER] = on_own_keys(lambda key: pickle.loads(client.get(key)))  # type: ignore[arg-type]
    before = group.stats().page_hits
    samples = take_turns(contenders, len(keys) // KEYS - WARM_UP, warm_up=WARM_UP)
    assert group.stats().page_hits - before == len(keys), "these were no page hits"
    assert group.get(keys[-1]) == value_of(keys[-1])
    return samples
