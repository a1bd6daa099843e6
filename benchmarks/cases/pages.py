"""A hit in a process that has not had the key yet, through its node's pages; against stores that processes share."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterator
from typing import Any

from benchmarks.harness import Goal, Measurement, faster
from benchmarks.peers import stores
from benchmarks.setting import REDIS, Setting
from benchmarks.values import DICT, TEXT, names, value_of, values_of
from raycache.edge.bench import PAGE, PER_ROUND, Opener, first_gets, in_new_process

ALONE = "pickle.loads alone"
REDIS_GET = f"{REDIS} GET + loads"
WARM_UP = 10
GOALS = (faster(PAGE, REDIS_GET, 15, row="hit by another process on the node"),)


def run(setting: Setting) -> Iterator[Measurement]:
    rounds = setting.rounds(200, 40)
    group = setting.cache.group("pages", value_of)
    for kind, case in ((DICT, "pages-dict"), (TEXT, "pages-str")):
        keys = names(kind, 0, PER_ROUND * (WARM_UP + rounds))
        group.get_many(keys)
        done = Measurement(
            case=case,
            operation=f"first get of a key in a process, {kind}; another process loaded it",
            sample=f"mean of a loop over {PER_ROUND} keys, new ones for every round; of the actor over fewer",
            ours=PAGE,
            apart=(ALONE,),
        )
        fast, slow = getters(setting, done, keys)
        done.samples = in_new_process(first_gets, group, keys, fast, slow, WARM_UP)
        if kind == DICT:
            done.judge(*GOALS)
            more_us = (done.median(PAGE) - done.median(ALONE)) * 1e6
            done.goals.append(Goal(what=f"{PAGE} - {ALONE}", figure=more_us, bound=10, unit=" us"))
        yield done


def getters(setting: Setting, done: Measurement, keys: list[str]) -> tuple[dict[str, Opener], dict[str, Opener]]:
    """What gets these keys from the peers, which have them from now on: the quick, and the slow."""
    filled = setting.filled(done, values_of(keys), lambda name: REDIS_GET if name == REDIS else f"{name} get")
    found: dict[str, Opener] = {name: functools.partial(_getter, address) for name, address in filled.items()}
    slow = {name: opener for name, opener in found.items() if "actor" in name}
    fast = {name: opener for name, opener in found.items() if name not in slow}
    return {ALONE: functools.partial(_unpickler, keys), **fast}, slow


def _getter(address: stores.Address) -> Callable[[str], Any]:
    return address.open().get


def _unpickler(keys: list[str]) -> Callable[[str], Any]:
    pickles = {key: pickle.dumps(value_of(key), protocol=5) for key in keys}
    return lambda key: pickle.loads(pickles[key])
