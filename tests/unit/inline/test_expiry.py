"""Expiry: exactly at its time, for every way in which a value comes in."""

from __future__ import annotations

from datetime import timedelta

import pytest

from raycache import Expiring, NotFound

NEAR = pytest.mark.parametrize("near", [None, 0], ids=["near", "no near cache"])


@NEAR
def test_a_value_is_over_exactly_at_its_time(call, cache, getter, clock, near):
    group = cache.group("g", getter, ttl="5s", near=near)
    loads = []
    for seconds in (0, 4.875, 0.125, 4.875, 0.125):
        clock.advance(seconds)
        call(group, "get", "a")
        loads.append(len(getter.calls))

    assert loads == [1, 1, 2, 2, 3]


def test_three_gets_over_an_expiry_are_two_loads(call, cache, getter, clock):
    group = cache.group("g", getter, ttl=60)
    call(group, "get", "a")
    call(group, "get", "a")
    clock.advance(61)
    call(group, "get", "a")

    assert len(getter.calls) == 2


@NEAR
@pytest.mark.parametrize("ttl", [5, 5.0, "5s", timedelta(seconds=5)], ids=repr)
def test_a_set_value_lives_as_long_as_it_was_given(call, cache, getter, clock, near, ttl):
    group = cache.group("g", getter, ttl=60, near=near)
    call(group, "set", "a", "set", ttl=ttl)
    call(group, "set_many", {"b": "set"}, ttl=ttl)
    clock.advance(4.875)

    assert call(group, "get_many", ["a", "b"]) == {"a": "set", "b": "set"}
    clock.advance(0.125)
    assert call(group, "get_many", ["a", "b"]) == {"a": "value of 'a'", "b": "value of 'b'"}


def test_a_value_that_the_getter_gave_a_time_lives_that_long(call, cache, getter, clock):
    getter.values["a"] = Expiring("short", ttl="2s")
    group = cache.group("g", getter, ttl=60)

    assert call(group, "get", "a") == "short"
    clock.advance(2)
    assert (group.peek("a"), call(group, "get", "a"), len(getter.calls)) == (None, "short", 2)


def test_replacing_a_value_resets_its_time(call, cache, clock):
    group = cache.group("g", None)
    call(group, "set", "a", 1, ttl=5)
    clock.advance(4)
    call(group, "set", "a", 2, ttl=5)
    call(group, "set", "b", 1, ttl=5)
    call(group, "set", "b", 2)
    clock.advance(4)

    assert call(group, "get_many", ["a", "b"], default=None) == {"a": 2, "b": 2}
    clock.advance(1)
    assert call(group, "get_many", ["a", "b"], default=None) == {"a": None, "b": 2}


def test_a_refresh_resets_the_time(call, cache, getter, clock):
    group = cache.group("g", getter, ttl=5)
    group.get("a")
    clock.advance(4)
    call(group, "refresh", "a")
    clock.advance(4)

    assert (call(group, "get", "a"), len(getter.calls)) == ("value of 'a'", 2)


def test_no_value_lives_longer_than_the_group_allows(call, cache, getter, clock):
    getter.values["a"] = Expiring(1, ttl="1d")
    group = cache.group("g", getter, max_ttl=10)
    call(group, "get_many", ["a", "b"])
    call(group, "set", "c", 1, ttl=1000)
    clock.advance(10)

    assert list(group.keys()) == []


def test_a_jittered_time_stays_within_its_bounds_and_differs(call, cache, getter, clock):
    group = cache.group("g", getter, ttl=100, ttl_jitter=0.5)
    names = list(range(60))
    call(group, "get_many", names)
    clock.advance(50)

    assert len(group) == 60
    clock.advance(25)
    assert 0 < len(group) < 60
    clock.advance(25.001)
    assert len(group) == 0


@NEAR
def test_that_a_key_does_not_exist_is_remembered_for_as_long_as_the_group_says(call, cache, getter, clock, near):
    getter.values["a"] = NotFound("no")
    group = cache.group("g", getter, ttl=60, negative_ttl=5, near=near)
    loads = []
    for seconds in (0, 4.875, 0.125):
        clock.advance(seconds)
        with pytest.raises(NotFound, match=r"^no$"):
            call(group, "get", "a")
        loads.append(len(getter.calls))

    assert loads == [1, 1, 2]


def test_a_missing_key_is_found_as_soon_as_it_is_set(call, cache, getter):
    getter.values["a"] = NotFound("no")
    group = cache.group("g", getter, negative_ttl=60)
    call(group, "get", "a", default=None)
    call(group, "set", "a", "here")

    assert call(group, "get", "a") == "here"


def test_a_value_of_no_time_at_all_is_delivered_and_over(call, cache, getter):
    group = cache.group("g", getter, ttl=0)

    assert [call(group, "get", "a") for _ in range(2)] == ["value of 'a'"] * 2
    assert (len(getter.calls), len(group)) == (2, 0)


def test_what_is_over_goes_whatever_its_recency(cache, clock):
    group = cache.group("g", None)
    group.set("a", 1, ttl=5)
    group.set("b", 1)
    clock.advance(4)
    group.get("a")
    clock.advance(1)

    assert (len(group), list(group.keys()), group.stats().expirations) == (1, ["b"], 1)
