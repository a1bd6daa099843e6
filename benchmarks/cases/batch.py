"""get_many of 1000 keys that this process has not had yet, through its node's pages, against MGET of Redis."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import raycache
from benchmarks.cases.pages import store_in_redis
from benchmarks.harness import Contender, Measurement, Samples, once, take_turns
from benchmarks.setting import Setting
from benchmarks.values import DICT, names, value_of

OURS, PEER = "get_many(1000)", "redis-py MGET + 1000 pickle.loads"
KEYS, WARM_UP = 1000, 5
FIRST = 10_000_000  # of the numbers of its keys: none that another case has stored


def run(setting: Setting) -> Iterator[Measurement]:
    rounds = setting.rounds(100, 20)
    group = setting.cache.group("batch", value_of)
    keys = names(DICT, FIRST, KEYS * (WARM_UP + rounds))
    group.get_many(keys)
    done = Measurement(
        case="batch",
        operation="1000 small dicts that another process loaded, each got for the first time here",
        samples={},
        peer=PEER,
    )
    port = setting.redis(PEER, done.not_run)
    if port is not None:
        store_in_redis(port, {key: value_of(key) for key in keys})
    done.samples = setting.in_new_process(measure, group, port, keys)
    yield done


def measure(group: raycache.Group, port: int | None, keys: list[str]) -> Samples:
    def keys_of(number: int) -> list[str]:
        return keys[number * KEYS : (number + 1) * KEYS]

    contenders: dict[str, Contender] = {OURS: lambda number: once(lambda: group.get_many(keys_of(number)))}
    if port is not None:
        import redis

        client = redis.Redis(port=port)

        def mget(names: list[str]) -> dict[str, object]:
            data = client.mget(names)
            return {key: pickle.loads(each) for key, each in zip(names, data, strict=True)}  # type: ignore[arg-type]

        contenders[PEER] = lambda number: once(lambda: mget(keys_of(number)))
    return take_turns(contenders, len(keys) // KEYS - WARM_UP, warm_up=WARM_UP)
