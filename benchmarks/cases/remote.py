"""A hit of a process on another node than the shard that has the key, against Redis over the same link.

The second node is one of Ray's on this machine, so that the link is loopback for all.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import raycache
from benchmarks.cases.pages import ALONE, REDIS_GET, getters
from benchmarks.harness import Measurement, faster
from benchmarks.peers import groupcache_nodes
from benchmarks.setting import Setting
from benchmarks.values import TEXT, names, value_of, values_of
from raycache.edge.bench import BATCH, PER_ROUND, in_new_process
from raycache.edge.rounds import Contender, on_new_items, take_turns

OURS, OURS_MANY = "get from another node", f"get_many of {BATCH} from another node"
GROUPCACHE = "groupcache Get from its peer"
WARM_UP = 5
GOALS = (faster(OURS, REDIS_GET, 1, row="hit on another node"),)


def run(setting: Setting) -> Iterator[Measurement]:
    # The head's shard owns no key of this cache: all keys are on the second node.
    with setting.second_node() as node, setting.a_cache("bench-remote", placement="workers") as cache:
        cache.spread()
        yield _one_by_one(setting, cache, node)
        yield _many(setting, cache, node)


def _one_by_one(setting: Setting, cache: raycache.Cache, node: str) -> Measurement:
    rounds = setting.rounds(60, 15)
    group = cache.group("remote", value_of)
    keys = names(TEXT, 0, PER_ROUND * (WARM_UP + rounds))
    in_new_process(_load, group, keys, node=node)
    done = Measurement(
        case="remote",
        operation="first get of a key in a process, str of 100 bytes; its owner is on another Ray node of this machine",
        sample=f"mean of a loop over {PER_ROUND} keys, new ones for every round; of actors over fewer",
        ours=OURS,
        apart=(ALONE,),
    )
    fast, slow = getters(setting, done, keys)
    contenders = {OURS: on_new_items(group.get, keys, PER_ROUND)}
    contenders |= {name: on_new_items(opener(), keys, PER_ROUND) for name, opener in fast.items()}
    contenders |= {name: on_new_items(opener(), keys, PER_ROUND, PER_ROUND // 20) for name, opener in slow.items()}
    for name, nodes in done.if_there(GROUPCACHE, setting.groupcache).items():
        nodes.load(0, len(keys))
        contenders[name] = functools.partial(_of_its_peer, nodes)
    done.samples = _timed(group, contenders, rounds, len(keys))
    done.judge(*GOALS)
    return done


def _many(setting: Setting, cache: raycache.Cache, node: str) -> Measurement:
    rounds = setting.rounds(30, 10)
    group = cache.group("remote-many", value_of)
    keys = names(TEXT, 0, BATCH * (WARM_UP + rounds))
    batches = [keys[at : at + BATCH] for at in range(0, len(keys), BATCH)]
    in_new_process(_load, group, keys, node=node)
    done = Measurement(case="remote-many", operation=f"{BATCH} strs of 100 bytes at once", ours=OURS_MANY)
    contenders = {OURS_MANY: on_new_items(group.get_many, batches, 1)}
    for name, address in setting.filled(done, values_of(keys)).items():
        contenders[f"{name} get_many"] = on_new_items(address.open().get_many, batches, 1)
    done.samples = _timed(group, contenders, rounds, len(keys))
    return done


def _of_its_peer(nodes: groupcache_nodes.Nodes, number: int) -> float:
    return nodes.get(number * PER_ROUND, PER_ROUND)


def _load(group: raycache.Group, keys: list[str]) -> None:
    group.get_many(keys)


def _timed(group: raycache.Group, contenders: dict[str, Contender], rounds: int, gets: int) -> dict[str, list[float]]:
    before = group.stats()
    samples = take_turns(contenders, rounds, warm_up=WARM_UP)
    after = group.stats()
    assert after.gets - before.gets == gets
    assert (after.loads, after.near_hits, after.page_hits) == (before.loads, before.near_hits, before.page_hits)
    return samples
