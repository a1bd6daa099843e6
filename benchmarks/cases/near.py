"""A near hit against hits of caches in the same process: 1000 keys in a loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import raycache
from benchmarks.harness import Measurement, at_most
from benchmarks.peers import install
from benchmarks.setting import Setting
from raycache.edge.bench import KEYS, LRU, NEAR, in_new_process, keys_of, near, text_of
from raycache.edge.rounds import Samples

GOALS = (at_most(NEAR, LRU, 3, row="near hit, str key"),)


def run(setting: Setting) -> Iterator[Measurement]:
    rounds = setting.rounds(500, 100)
    with raycache.connect(address="inline") as cache:
        done = _measurement("near", "in a plain process; the others have room for all keys, too")
        peers: dict[str, Callable[[str], Any]] = {}
        for name, filled in {"cachetools": _cachetools, "cachebox": _cachebox, "theine": _theine}.items():
            peers |= done.if_there(f"{name} hit", filled)
        done.samples = near(cache.group("near", text_of), peers, rounds)
        done.judge(*GOALS)
        yield done
    done = _measurement("near-worker", "in a Ray worker")
    done.samples = in_new_process(_in_worker, setting.cache.group("near", text_of), rounds)
    yield done


def _in_worker(group: raycache.Group, rounds: int) -> Samples:
    return near(group, {}, rounds)


def _measurement(case: str, where: str) -> Measurement:
    return Measurement(
        case=case,
        operation=f"get of a str key that this process has got before, {where}",
        sample=f"mean of a loop over {KEYS} keys",
        ours=NEAR,
    )


def _items() -> dict[str, str]:
    return {key: text_of(key) for key in keys_of("near", 0, KEYS)}


def _cachetools() -> Callable[[str], Any]:
    made = install.package("cachetools").LRUCache(2 * KEYS)
    made.update(_items())
    return _getitem(made)


def _cachebox() -> Callable[[str], Any]:
    made = install.package("cachebox").LRUCache(2 * KEYS)
    made.update(_items())
    return _getitem(made)


def _theine() -> Callable[[str], Any]:
    made = install.package("theine").Cache(2 * KEYS)
    for key, value in _items().items():
        made.set(key, value)
    return lambda key: made.get(key)[0]


def _getitem(mapping: Any) -> Callable[[str], Any]:
    get: Callable[[str], Any] = mapping.__getitem__
    return get
