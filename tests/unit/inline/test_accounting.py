"""Figures that add up: bytes exactly, every get counted once, the bound at all times."""

from __future__ import annotations

import random
import threading

import accounts
import pytest

from raycache import LoadTimeout, NotFound


def test_every_get_is_counted_once_by_how_it_was_answered(call, cache, getter):
    """Promise 5, against the calls of this test."""
    group = cache.group("g", getter, negative_ttl=60)
    getter.values |= {"missing": NotFound("no"), "bad": ValueError("no")}
    gets = 0
    for names in (["a"], ["a", "b"], ["missing"], ["missing", "a"], ["c", "d", "e", "a"], []):
        call(group, "get_many", names, default=None)
        gets += len(names)
    for name in ("a", "f", "missing", "f"):
        call(group, "get", name, default=None)
        gets += 1
    with pytest.raises(ValueError, match="no"):
        call(group, "get", "bad")
    gets += 1
    call(group, "peek", "a")
    call(group, "contains", "zzz")
    call(group, "refresh", "a")
    stats = group.stats()

    assert stats.gets == gets
    assert stats.gets == stats.near_hits + stats.page_hits + stats.shard_hits + stats.loads_started
    assert stats.loads_started == len(getter.calls) - 1  # the refresh was no get
    assert (stats.loads, stats.loads_failed, stats.not_found) == (len(getter.calls), 1, 1)


def test_hits_are_counted_where_they_were_found(call, cache, getter):
    near = cache.group("near", getter)
    pages = cache.group("pages", getter, near=0)
    for group in (near, pages):
        for _ in range(5):
            call(group, "get", "a")

    assert (near.stats().near_hits, near.stats().loads_started, near.stats().gets) == (4, 1, 5)
    assert (pages.stats().near_hits, pages.stats().loads_started, pages.stats().gets) == (0, 1, 5)
    assert pages.stats().page_hits + pages.stats().shard_hits == 4


def test_a_large_value_is_a_hit_of_its_shard(call, cache, getter):
    getter.values["a"] = bytes(300_000)
    group = cache.group("g", getter, near=0, capacity="2 MiB")
    for _ in range(3):
        call(group, "get", "a")
    group.remove("a")

    assert (group.stats().shard_hits, group.stats().loads_started) == (2, 1)


def test_who_waits_for_anothers_load_has_joined_it(group, getter, gate):
    getter.gates["a"] = gate()
    first = threading.Thread(target=group.get, args=["a"])
    first.start()
    getter.gates["a"].await_arrival()
    with pytest.raises(LoadTimeout):
        group.get("a", timeout=0)
    getter.gates["a"].open()
    first.join(30)
    group.get("a")
    stats = group.stats()

    assert stats.gets == 3
    assert (stats.loads_started, stats.hits) == (1, 1)


def test_gets_of_a_group_without_a_getter_are_hits_or_misses(call, cache):
    group = cache.group("g", None)
    group.set("a", 1)
    call(group, "get_many", ["a", "b", "c"], default=None)
    with pytest.raises(NotFound, match="'d'"):
        call(group, "get", "d")
    stats = group.stats()

    assert (stats.hits, stats.misses, stats.gets) == (1, 3, 4)


def test_gets_of_many_threads_are_all_counted(cache, getter):
    group = cache.group("g", getter)
    names = list(range(20))
    barrier = threading.Barrier(4)

    def ask(seed):
        source = random.Random(seed)
        barrier.wait(30)
        for _ in range(300):
            group.get(source.choice(names))
            group.get_many(source.sample(names, 2))

    threads = [threading.Thread(target=ask, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    stats = group.stats()

    assert stats.gets == 4 * 300 * 3
    assert stats.loads_started == len(getter.calls) == len(names)


def test_a_missing_key_costs_one_call_of_the_getter(call, group, getter):
    getter.values["a"] = NotFound("no")
    call(group, "get", "a", default=None)

    assert (getter.calls, group.stats().not_found) == (["a"], 1)


def test_bytes_follow_every_change_exactly(cache, clock):
    group = cache.group("g", None, capacity=20_000)
    totals = []
    steps = [
        lambda: group.set("a", b"x" * 100),
        lambda: group.set("b", b"x" * 100),
        lambda: group.set("a", b"x" * 50),
        lambda: group.set("b", b"x" * 150),
        lambda: group.set("c", b"x" * 10, ttl=5),
        lambda: clock.advance(5),
        lambda: group.remove("a"),
        lambda: group.remove("a"),
        lambda: group.clear(),
    ]
    for step in steps:
        before = group.stats()
        step()
        after = group.stats()
        totals.append((after.entries - before.entries, after.bytes - before.bytes))
    one = totals[0][1]  # an entry with 100 bytes

    assert totals == [
        (1, one),
        (1, one),
        (0, -50),
        (0, 50),
        (1, one - 90),
        (-1, 90 - one),
        (-1, 50 - one),
        (0, 0),
        (-1, -50 - one),
    ]


def test_the_bound_holds_after_every_step_of_a_flood(cache, getter):
    """Promise 4; what was evicted is loaded again."""
    group = cache.group("g", getter, capacity=5000, near=0)
    source = random.Random(0)
    shards = len(cache.shards())
    for number in range(300):
        getter.values[number] = bytes(source.randrange(600))
        group.get(number)
        stats = group.stats()
        assert stats.bytes <= 5000 * shards
    before = len(getter.calls)

    assert group.stats().evictions > 50
    assert group.get(0) == getter.values[0]
    assert len(getter.calls) == before + 1
    accounts.check(cache)


def test_evictions_are_only_what_made_room(cache, clock):
    group = cache.group("g", None, capacity=100_000)
    group.set_many({number: number for number in range(10)}, ttl=5)
    group.set_many({number: -number for number in range(10)})
    group.set("e", 1, ttl=5)
    group.remove_many([0, 1, 99])
    clock.advance(5)
    stats = group.stats()

    assert (stats.evictions, stats.removals, stats.expirations, stats.sets) == (0, 2, 1, 21)
    assert stats.entries == 8


def test_a_value_that_is_too_large_is_delivered_counted_and_not_kept(call, cache, getter):
    group = cache.group("g", getter, capacity=1000, near=0)
    getter.values["a"] = b"x" * 2000

    assert [call(group, "get", "a") for _ in range(2)] == [b"x" * 2000] * 2
    assert (group.stats().too_large, group.stats().entries, len(getter.calls)) == (2, 0, 2)


def test_the_stats_of_a_cache_are_the_sum_of_its_groups(cache, getter):
    one, two = cache.group("one", getter), cache.group("two", getter)
    one.get_many(range(10))
    two.get_many(range(5))
    two.get(0)

    assert cache.stats().gets == one.stats().gets + two.stats().gets == 16
    assert (cache.stats().entries, cache.stats().bytes) == (15, one.stats().bytes + two.stats().bytes)
    assert cache.stats_by_group() == {"one": one.stats(), "two": two.stats()}


def test_time_in_getters_and_time_saved_are_told(cache):
    """By the getter's own time, which no fake clock moves."""
    group = cache.group("g", lambda key: sum(range(50_000)))
    group.get("a")
    spent = group.stats().load_seconds
    for _ in range(3):
        group.get("a")

    assert spent > 0
    assert group.stats().load_seconds == spent
    assert group.stats().seconds_saved == pytest.approx(3 * spent, rel=1e-3)
