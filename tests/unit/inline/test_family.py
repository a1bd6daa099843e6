"""Behaviours that the groupcache family promises, and defects that were found there and must not be here.

What other files of these tests state already is not repeated: loads in `test_loads`, figures in `test_accounting`,
changes in `test_group_changes`, times in `test_expiry`, the ring in `core/test_ring`.
"""

from __future__ import annotations

import time
from collections import Counter

import accounts
import pytest

from raycache import NotFound, UnknownGroup

ODD = ["a b", "a+b", "a%20b", "100%", "/", "/a", "//a//b", ".", "..", "a/../b", "a b/c,d", "?", "#", "a\nb", "a\0b"]
ODD += ["\U0001f600", "é", "é", "\ud800", b"\xff\xfe\x00", b"/", " ", "  ", "'; drop table", "x" * 5000]


@pytest.mark.parametrize("key", ODD, ids=lambda key: ascii(key)[:30])
def test_a_key_with_odd_characters_works_end_to_end(call, group, getter, key):
    assert call(group, "get", key) == f"value of {key!r}"
    call(group, "set", key, "set")

    assert (call(group, "get_many", [key]), call(group, "keys")) == ({key: "set"}, [key])
    assert (call(group, "remove", key), call(group, "contains", key), getter.calls) == (True, False, [key])


@pytest.mark.parametrize("name", ["a/b", "/", "..", "users of today", "\U0001f600", "x" * 300])
def test_a_group_name_with_odd_characters_works(cache, getter, name):
    group = cache.group(name, getter)

    assert (group.get("a"), group.name, cache.groups()) == ("value of 'a'", name, [name])
    assert cache.group(name).peek("a") == "value of 'a'"


def test_an_unknown_group_and_a_missing_key_are_different_errors(cache, getter):
    getter.values["a"] = NotFound("no a")
    group = cache.group("users", getter)
    with pytest.raises(UnknownGroup) as unknown:
        cache.group("others")
    with pytest.raises(NotFound) as missing:
        group.get("a")

    assert not isinstance(unknown.value, NotFound)
    assert not isinstance(missing.value, UnknownGroup)


def test_ten_gets_of_a_key_are_one_load(call, group, getter):
    assert {call(group, "get", "a") for _ in range(10)} == {"value of 'a'"}
    assert getter.calls == ["a"]


def test_a_flood_evicts_a_key_and_it_is_loaded_again(call, cache, getter):
    group = cache.group("g", getter, capacity=2000, near=0)
    call(group, "get", "first")
    call(group, "get_many", range(500))
    call(group, "stats")

    assert (call(group, "get", "first"), getter.calls.count("first")) == ("value of 'first'", 2)
    assert group.stats().evictions > 300


def test_a_key_that_is_used_outlives_a_flood(inline, getter):
    """Hits that no shard sees keep an entry, too, once they have been told."""
    group = inline().group("g", getter, capacity=5000)
    for number in range(200):
        group.get("used")
        group.stats()  # tells the shards
        group.get(number)

    assert getter.calls.count("used") == 1
    assert "used" in list(group.keys())


def test_loading_a_key_twice_in_a_row_leaves_one_item_and_exact_bytes(call, group):
    call(group, "get", "a")
    once = group.stats()
    call(group, "refresh", "a")
    twice = group.stats()

    assert (twice.entries, twice.bytes) == (once.entries, once.bytes) == (1, once.bytes)


def test_sequential_keys_spread_over_three_shards(inline, getter):
    cache = inline(shards=3)
    group = cache.group("g", getter)
    group.get_many(f"key-{number}" for number in range(200))
    group.stats()
    entries = [shard.entries for shard in cache.shards()]

    assert sum(entries) == 200
    assert max(entries) / (200 / 3) <= 1.25


def test_after_warming_no_get_loads(call, cache, getter):
    group = cache.group("g", getter)
    names = [f"key-{number}" for number in range(100)]
    call(group, "get_many", names)
    for name in names:
        call(group, "get", name)
    call(group, "get_many", reversed(names))

    assert Counter(getter.calls) == dict.fromkeys(names, 1)


def test_errors_of_the_source_arrive_with_their_messages(call, group, getter):
    getter.values |= {"a": NotFound("no such user"), "b": PermissionError(13, "not allowed")}
    with pytest.raises(NotFound, match="no such user"):
        call(group, "get", "a")
    with pytest.raises(PermissionError, match="not allowed") as refused:
        call(group, "get", "b")

    assert refused.value.errno == 13


def test_a_getter_that_failed_is_asked_again_by_the_next_get(call, group, getter):
    getter.values["a"] = OSError("down")
    for _ in range(2):
        with pytest.raises(OSError, match="down"):
            call(group, "get", "a")
    del getter.values["a"]

    assert (call(group, "get", "a"), getter.calls) == ("value of 'a'", ["a"] * 3)


def test_a_getter_may_ask_another_group(inline):
    """A load that needs another value waits for it without blocking the cache."""
    cache = inline(clock=time.monotonic)
    lower = cache.group("lower", lambda key: key * 2)
    upper = cache.group("upper", lambda key: lower.get(key) + 1)

    assert upper.get_many([1, 2, 3]) == {1: 3, 2: 5, 3: 7}
    accounts.check(cache)
