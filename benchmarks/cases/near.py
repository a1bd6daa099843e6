"""A near hit against a hit of functools.lru_cache, in the same process: 1000 keys in a loop."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import raycache
from benchmarks.harness import Goal, Measurement, Samples, each, take_turns
from benchmarks.setting import Setting
from benchmarks.values import TEXT, names, value_of

KEYS = names(TEXT, 0, 1000)
OURS, PEER = "near hit", "functools.lru_cache hit"


def run(setting: Setting) -> Iterator[Measurement]:
    rounds = setting.rounds(1000, 200)
    with raycache.connect(address="inline") as cache:
        yield _measured("near", "in a plain process", measure(cache.group("near", value_of), rounds))
    group = setting.cache.group("near", value_of)
    group.get_many(KEYS)
    yield _measured("near-worker", "in a Ray worker", setting.in_new_process(measure, group, rounds))


def measure(group: raycache.Group, rounds: int) -> Samples:
    # Bounded, as raycache is, and with room for all keys, as raycache has.
    cached = functools.lru_cache(maxsize=2 * len(KEYS))(value_of)
    group.get_many(KEYS)
    contenders = {OURS: lambda _: each(group.get, KEYS), PEER: lambda _: each(cached, KEYS)}
    samples = take_turns(contenders, rounds, warm_up=20)
    assert group.stats().near_hits >= rounds * len(KEYS), "these were no near hits"
    return samples


def _measured(case: str, where: str, samples: Samples) -> Measurement:
    done = Measurement(
        case=case,
        operation=f"get of a str key that this process has got before, {where}; the lru_cache has room for all keys",
        sample=f"mean of a loop over {len(KEYS)} keys",
        samples=samples,
        peer=PEER,
    )
    done.goals.append(Goal(what=f"{OURS} / {PEER}", figure=done.ratio(OURS, PEER), bound=4, unit="x"))
    return done
