"""`python -m benchmarks.policy_memory`: what the order of each policy takes for an entry, beside the key itself.

By tracemalloc, of keys that are there before: when so many were added, and when three times as many others have taken
their places one by one, every second time after a hit on one of those that came last.
"""

from __future__ import annotations

import random
import tracemalloc

from raycache.core.eviction import BY_NAME, Policy

COUNT, TURNS = 100_000, 3


def bytes_of(policy: str) -> tuple[float, float]:
    """For each entry: after filling, and after everything was replaced."""
    rng = random.Random(1)
    keys = [b"\0\0\0\1s%016x" % rng.getrandbits(64) for _ in range(COUNT * (1 + TURNS))]
    tracemalloc.start()
    order = BY_NAME[policy]()
    for key in keys[:COUNT]:
        _add(order, key, rng)
    filled, _ = tracemalloc.get_traced_memory()
    for place in range(COUNT, len(keys)):
        if rng.random() < 0.5:
            order.touch(keys[rng.randrange(place - COUNT, place)])
        order.discard(order.victim())
        _add(order, keys[place], rng)
    replaced, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return filled / COUNT, replaced / COUNT


def _add(order: Policy, key: bytes, rng: random.Random) -> None:
    """With a size around 2 KB and a time around 50 ms, both over a wide range."""
    order.add(key, round(rng.lognormvariate(7.6, 1.0)), rng.lognormvariate(-3.0, 1.0))


if __name__ == "__main__":
    print("| policy | filled | all replaced |\n|---|---|---|")
    for name in BY_NAME:
        print("| {} | {:.0f} | {:.0f} |".format(name, *bytes_of(name)))
