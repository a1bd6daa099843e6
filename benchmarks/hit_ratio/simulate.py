"""The policies of a shard on a trace: the very classes, asked as a store asks them; and the optimum."""

from __future__ import annotations

import heapq
from collections import Counter
from typing import NamedTuple

from benchmarks.hit_ratio.traces import Requests
from raycache.core.eviction import BY_NAME


class Figures(NamedTuple):
    """Shares of a whole trace."""

    hits: float  # of the requests
    seconds: float  # of what computing every request would take


def simulate(policy: str, requests: Requests, capacity: int, *, told_every: int = 1) -> Figures:
    """By a policy. `told_every`: hits are told in batches of so many requests, as clients do once a second; up to
    four of a key."""
    order, told = BY_NAME[policy](), Counter[bytes]()
    sizes: dict[bytes, int] = {}
    used = hits = 0
    saved_s = 0.0
    for number, (name, size, cost_s) in enumerate(requests, 1):
        key = name.to_bytes(8, "big")
        if key in sizes:
            hits += 1
            saved_s += cost_s
            told[key] += 1
        elif size <= capacity:
            while used + size > capacity:
                victim = order.victim()
                order.discard(victim)
                used -= sizes.pop(victim)
            order.add(key, size, cost_s)
            sizes[key] = size
            used += size
        if number % told_every == 0:
            for touched, times in told.items():
                for _ in range(min(times, 4)):
                    order.touch(touched)
            told.clear()
    return Figures(hits / len(requests), saved_s / sum(each.cost_s for each in requests))


def optimum(requests: Requests, capacity: int) -> float:
    """The hit ratio of who knows the future and evicts what comes again last (Belady 1966). With sizes, which make that
    hard, what comes again last for its size goes: not the optimum, but more than any policy reaches."""
    nexts = _next_times(requests)
    size_of: dict[int, int] = {}
    due: dict[int, int] = {}  # when a key that is in comes again
    order: list[tuple[float, int, int]] = []  # a heap, with what is out of date
    used = hits = 0
    for now, (key, size, _) in enumerate(requests):
        if key in size_of:
            hits += 1
        elif size <= capacity:
            size_of[key], used = size, used + size
        else:
            continue
        due[key] = nexts[now]
        heapq.heappush(order, (-(nexts[now] - (now if size > 1 else 0)) * size, nexts[now], key))
        while used > capacity:
            _, time, victim = heapq.heappop(order)
            if due.get(victim) == time:
                used -= size_of.pop(victim)
                del due[victim]
    return hits / len(requests)


def _next_times(requests: Requests) -> list[int]:
    """For each request when its key comes again."""
    nexts, last = [0] * len(requests), dict[int, int]()
    for now in range(len(requests) - 1, -1, -1):
        key = requests[now].key
        nexts[now] = last.get(key, 2 * len(requests))
        last[key] = now
    return nexts
