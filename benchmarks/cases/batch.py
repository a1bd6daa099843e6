"""get_many of 1000 keys that this process has not had yet, through its node's pages, against MGET of Redis."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.harness import Measurement, faster
from benchmarks.peers import stores
from benchmarks.setting import REDIS, Setting
from benchmarks.values import DICT, names, value_of, values_of
from raycache.edge.bench import BATCH, MANY, Opener, first_batches, in_new_process

MGET = f"{REDIS} MGET + {BATCH} loads"
WARM_UP = 5
FIRST = 10_000_000  # of the numbers of its keys: none that another case has stored
GOALS = (faster(MANY, MGET, 2, row="`get_many(1000)`, other process on the node"),)


def run(setting: Setting) -> Iterator[Measurement]:
    group = setting.cache.group("batch", value_of)
    keys = names(DICT, FIRST, BATCH * (WARM_UP + setting.rounds(60, 15)))
    group.get_many(keys)
    done = Measurement(
        case="batch",
        operation=f"{BATCH} small dicts that another process loaded, each got for the first time here",
        ours=MANY,
    )
    filled = setting.filled(done, values_of(keys), lambda name: MGET if name == REDIS else f"{name} get_many")
    others: dict[str, Opener] = {name: functools.partial(_getter, address) for name, address in filled.items()}
    done.samples = in_new_process(first_batches, group, keys, others, WARM_UP)
    done.judge(*GOALS)
    yield done


def _getter(address: stores.Address) -> Callable[[list[str]], Any]:
    return address.open().get_many
