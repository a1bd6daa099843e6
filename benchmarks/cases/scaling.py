"""What a hit costs with a thousand groups and with several shards, and an owner on a ring of a thousand members."""

from __future__ import annotations

from collections.abc import Iterator

import raycache
from benchmarks.harness import Measurement
from benchmarks.setting import Setting
from benchmarks.values import TEXT, names, values_of
from raycache.core.ring import Ring
from raycache.edge.bench import in_new_process
from raycache.edge.rounds import Samples, each, on_new_items, take_turns

GOALS = ()
KEYS, WARM_UP = 100, 3  # keys in a round
GROUPS, SHARDS = 1000, 4
ONE_GROUP, MANY_GROUPS = "page hits in one of 2 groups", f"page hits spread over {GROUPS} groups"
ONE_SHARD, MANY_SHARDS = "page hit, 1 shard", f"page hit, {SHARDS} shards on the node"


def run(setting: Setting) -> Iterator[Measurement]:
    yield _members(setting)
    yield _groups(setting)
    yield _shards(setting)


def _members(setting: Setting) -> Measurement:
    rings = {size: Ring(1, {f"shard-{n}": 1.0 for n in range(size)}) for size in (1000, 100, 10, 1)}
    keys = [key.encode() for key in names(TEXT, 0, 1000)]

    def owner_in(ring: Ring) -> float:
        return each(ring.owner, keys)

    contenders = {f"ring of {size}": lambda _, ring=ring: owner_in(ring) for size, ring in rings.items()}
    return Measurement(
        case="scaling-members",
        operation="Ring.owner(key), 1024 points a member",
        sample=f"mean of a loop over {len(keys)} keys",
        samples=take_turns(contenders, setting.rounds(200, 50), warm_up=5),
        ours="ring of 1000",
        apart=tuple(contenders),
    )


def _groups(setting: Setting) -> Measurement:
    rounds = setting.rounds(40, 10)
    keys = names(TEXT, 0, KEYS * (WARM_UP + rounds))
    with setting.a_cache("bench-groups", capacity="256 MiB") as cache:
        alone = cache.group("alone", None, capacity="64 MiB", near=0)
        alone.set_many(values_of(keys))
        count = setting.rounds(GROUPS, GROUPS // 10)
        groups = [cache.group(f"group-{n}", None, capacity="64 KiB", near=0) for n in range(count)]
        for number, group in enumerate(groups):
            group.set_many(values_of(keys[number % KEYS :: KEYS]))
        return Measurement(
            case="scaling-groups",
            operation="get by another process on the node, str of 100 bytes, near cache off",
            sample=f"mean of a loop over {KEYS} keys",
            samples=in_new_process(_over_groups, alone, groups, keys, rounds),
            ours=MANY_GROUPS,
            apart=(ONE_GROUP,),
            facts={"groups": count},
        )


def _over_groups(alone: raycache.Group, groups: list[raycache.Group], keys: list[str], rounds: int) -> Samples:
    """Of the many, each key of a round is got from another group."""
    turns = len(groups) // KEYS  # the groups of a round are others than those of the one before
    asked = [(groups[at % KEYS + KEYS * (at // KEYS % turns)], key) for at, key in enumerate(keys)]
    contenders = {
        ONE_GROUP: on_new_items(alone.get, keys, KEYS),
        MANY_GROUPS: on_new_items(lambda each: each[0].get(each[1]), asked, KEYS),
    }
    return take_turns(contenders, rounds, warm_up=WARM_UP)


def _shards(setting: Setting) -> Measurement:
    rounds = setting.rounds(100, 20)
    keys = names(TEXT, 0, KEYS * (WARM_UP + rounds))
    with (
        setting.a_cache("bench-one", capacity="64 MiB") as one,
        setting.a_cache("bench-four", capacity="64 MiB", shards_per_node=SHARDS) as four,
    ):
        groups = {ONE_SHARD: one.group("keys", None), MANY_SHARDS: four.group("keys", None)}
        for group in groups.values():
            group.set_many(values_of(keys))
        return Measurement(
            case="scaling-shards",
            operation="first get of a key in a process, str of 100 bytes",
            sample=f"mean of a loop over {KEYS} keys, new ones for every round",
            samples=in_new_process(_over_shards, groups, keys, rounds),
            ours=MANY_SHARDS,
            apart=(ONE_SHARD,),
        )


def _over_shards(groups: dict[str, raycache.Group], keys: list[str], rounds: int) -> Samples:
    contenders = {name: on_new_items(group.get, keys, KEYS) for name, group in groups.items()}
    return take_turns(contenders, rounds, warm_up=WARM_UP)
