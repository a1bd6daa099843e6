"""The policies reach the hit ratios of libCacheSim's: golden figures of its 0.3.5 on traces made from a seed."""

from __future__ import annotations

import pytest

from benchmarks.hit_ratio.simulate import optimum, simulate
from benchmarks.hit_ratio.traces import Request, calls, mixed

UNSIZED = mixed(20_000).requests
SIZED = [Request(key, 1 + key * 2654435761 % 2**32 % 5000) for key, _, _ in calls(20_000).requests]
GOLDEN = [
    (UNSIZED, 200, {"lru": 0.2170, "s3fifo": 0.3261, "sieve": 0.3171, "gdsf": 0.2676}),
    (UNSIZED, 1000, {"lru": 0.3658, "s3fifo": 0.4576, "sieve": 0.4117, "gdsf": 0.3906}),
    (SIZED, 2 << 20, {"lru": 0.4243, "s3fifo": 0.4884, "sieve": 0.4798, "gdsf": 0.5043}),
]


@pytest.mark.parametrize(("requests", "capacity", "golden"), GOLDEN, ids=["unsized, 200", "unsized, 1000", "sized"])
def test_every_policy_is_within_half_a_point_of_libcachesims(requests, capacity, golden):
    ours = {policy: simulate(policy, requests, capacity).hits for policy in golden}

    assert ours == {policy: pytest.approx(theirs, abs=0.005) for policy, theirs in golden.items()}


def test_no_policy_is_better_than_who_knows_the_future():
    best = optimum(UNSIZED, 200)

    assert max(GOLDEN[0][2].values()) < best < 0.41


def test_for_calls_of_different_cost_gdsf_saves_most_seconds_also_where_hits_are_told_late():
    trace = calls(20_000)
    seconds = {
        policy: simulate(policy, trace.requests, trace.capacities[0], told_every=1000).seconds
        for policy in ("lru", "s3fifo", "sieve", "gdsf")
    }

    assert seconds["gdsf"] > max(seconds["lru"], seconds["s3fifo"], seconds["sieve"]) + 0.15
