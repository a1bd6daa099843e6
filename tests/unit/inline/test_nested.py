"""Getters that ask the cache themselves: they hold a task meanwhile, and must not wait for it."""

from __future__ import annotations

import pytest

import raycache
from raycache.errors import InvalidKey, InvalidOption


def test_a_recursive_getter_comes_to_an_end_with_a_single_task(inline):
    calls = []

    def fibonacci(n):
        calls.append(n)
        return n if n < 2 else group.get(n - 1) + group.get(n - 2)

    group = inline(max_loads=1).group("fibonacci", fibonacci, load_timeout="20s")

    assert group.get(30) == 832_040
    assert sorted(calls) == list(range(31))


def test_a_getter_may_ask_for_keys_of_its_own_chunk(inline):
    def total(n):
        return n if n == 0 else n + group.get(n - 1)

    group = inline(max_loads=1).group("totals", total, load_timeout="20s")

    assert group.get_many([9, 8, 7, 6, 5]) == {9: 45, 8: 36, 7: 28, 6: 21, 5: 15}


def test_groups_that_load_through_each_other_come_to_an_end(inline):
    cache = inline(max_loads=1)
    upper = cache.group("upper", str.upper, load_timeout="20s")
    shout = cache.group("shout", lambda key: f"{upper.get(key)}!", load_timeout="20s")

    assert shout.get_many(["a", "b", "c"]) == {"a": "A!", "b": "B!", "c": "C!"}
    assert upper.stats().loads == 3


def test_keys_that_a_dict_cannot_tell_apart_are_refused_together(inline):
    group = inline().group("g", repr)

    with pytest.raises(InvalidKey, match="equal to Python"):
        group.get_many([1, True])
    assert (group.get(1), group.get(True)) == ("1", "True")


def test_a_group_without_a_getter_cannot_refresh_and_keeps_its_value(inline):
    group = inline().group("g", None)
    group.set("a", 1)
    with pytest.raises(InvalidOption, match="no getter"):
        group.refresh("a")

    assert group.get("a") == 1


def test_a_key_that_is_nested_too_deep_is_refused():
    key: raycache.core.keys.Key = ("a",)
    for _ in range(100_000):
        key = (key,)
    with pytest.raises(InvalidKey, match="too deep"):
        raycache.core.keys.encode(key)
