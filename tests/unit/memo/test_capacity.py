"""Capacities: all memoized functions share one, unless one asks for its own."""

from __future__ import annotations

import pytest

import raycache
from raycache import CapacityError
from raycache.core.eviction import gdsf
from raycache.core.messages import GetGroups

VALUE = "x" * 1000


@pytest.fixture(autouse=True)
def costs_are_equal(monkeypatch):
    """Whatever else the machine does while a getter runs."""
    monkeypatch.setattr(gdsf, "_MISS_S", 1e6)


def text(memo, name, **options):
    return memo(lambda x: VALUE, name=name, **options)


def filled(memoized, arguments=range(40)):
    for argument in arguments:
        memoized(argument)
    return memoized.cache_info().currsize


def test_functions_share_one_pool_and_the_least_recent_results_go(inline):
    cache = inline(capacity="80 KiB")  # of which the pool has half

    def memo(function, **options):
        return raycache.memoize(function, cache=cache, **options)

    one, other = text(memo, "one"), text(memo, "other")
    first, second = filled(one), filled(other)

    assert 30 <= first <= 40
    assert (second, one.cache_info().currsize) == (first, 0)
    assert cache.stats_by_group()["memo:one"].evictions == 40


def test_a_function_may_have_a_capacity_of_its_own(memo):
    own, shared = text(memo, "own", capacity=10_000), text(memo, "shared")
    filled(shared)

    assert filled(own) == 9
    assert shared.cache_info().currsize == 40
    assert own.cache_info().bytes <= 10_000


def test_a_function_with_a_capacity_of_its_own_may_have_another_policy(memo, cache):
    """By default it is the one of all memoized functions."""
    for name, options in (("shared", {}), ("own", {"capacity": 10_000})):
        text(memo, name, **options)(1)
    text(memo, "other", capacity=10_000, policy="sieve")(1)
    specs = cache._ask(GetGroups())

    assert {name: spec.options.policy for name, spec in specs.items()} == {
        "memo:shared": "gdsf",
        "memo:own": "gdsf",
        "memo:other": "sieve",
    }


def test_the_last_policy_counts_and_keeps_the_results(memo, cache):
    for policy in ("sieve", "gdsf", "lru"):
        text(memo, "f", capacity=10_000, policy=policy)(1)

    assert cache._ask(GetGroups())["memo:f"].options.policy == "lru"
    assert cache.stats().loads_started == 1


def test_a_result_too_large_for_the_capacity_is_returned_and_not_kept(memo, where, tally):
    @memo(where=where, capacity=500)
    def f(x):
        tally(x)
        return VALUE

    assert [f(1), f(1)] == [VALUE, VALUE]
    assert f.cache_info().currsize == 0


def test_a_capacity_that_does_not_fit_is_refused_with_the_numbers(memo, where):
    with pytest.raises(CapacityError, match="'memo:f' asks for 16,777,216 bytes per shard"):
        text(memo, "f", capacity="16 MiB", where=where)(1)


def test_the_pool_takes_what_other_groups_have_left(inline):
    cache = inline(capacity=100_000)
    cache.group("users", str.upper, capacity=95_000)

    assert filled(raycache.memoize(lambda x: VALUE, cache=cache)) == 4


def test_where_nothing_is_left_the_pool_is_refused(inline):
    cache = inline(capacity=100_000)
    cache.group("users", str.upper, capacity=100_000)
    with pytest.raises(CapacityError, match="0 are left"):
        raycache.memoize(lambda x: x, cache=cache)(1)


def test_a_group_of_the_users_that_is_called_memo_is_not_the_pool(inline):
    cache = inline(capacity=100_000)
    cache.group("memo", str.upper, capacity=90_000)
    memoized = raycache.memoize(lambda x: VALUE, cache=cache)

    assert filled(memoized) == 9
    with pytest.raises(CapacityError, match="0 are left"):
        cache.group("more", str.upper, capacity=1)


@pytest.mark.parametrize("then", [5_000, None, 10_000])
def test_a_function_that_is_given_another_capacity_goes_on(memo, then):
    """What is decorated anew, as in a cell that is run again, and what still has the old decoration."""
    old = text(memo, "f", capacity=10_000)
    filled(old)
    new = text(memo, "f", capacity=then)

    assert [new(1), old(1), new(2), old(2)] == [VALUE] * 4
    again = text(memo, "f", capacity=10_000)
    assert [again(3), new(3), old(3)] == [VALUE] * 3


def test_the_last_capacity_counts(memo):
    """A cell that is run again with another capacity, and then with the first one."""
    capacities = [10_000, 5_000, 10_000, None, 5_000]
    counts = [
        filled(text(memo, "f", capacity=capacity), range(100 * number, 100 * number + 40))
        for number, capacity in enumerate(capacities)
    ]

    assert counts == [9, 4, 9, 49, 4]


def test_a_function_that_is_given_more_room_keeps_what_it_has(memo, tally):
    def text(x):
        tally(x)
        return VALUE

    filled(memo(text, capacity=10_000))
    more = memo(text, capacity=20_000)

    assert [more(x) for x in range(31, 40)] == [VALUE] * 9
    assert len(tally.seen) == 40
