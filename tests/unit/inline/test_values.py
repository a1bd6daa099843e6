"""A value is the caller's own: changing it, or what it was made of, never changes the cache."""

from __future__ import annotations

import numpy as np
import pytest

SMALL, LARGE = 100, 100_000  # numbers in an array: in the pages, and beside them


@pytest.mark.parametrize("near", [None, 0], ids=["near", "no near cache"])
def test_changing_a_value_that_get_returned_does_not_change_the_cache(call, cache, getter, near):
    getter.values["a"] = {"names": ["alice"]}
    group = cache.group("g", getter, near=near)
    for _ in range(3):
        value = call(group, "get", "a")
        assert value == {"names": ["alice"]}
        value["names"].append("bob")
        value["more"] = 1


def test_values_of_get_many_and_peek_are_the_callers_own_too(call, cache, getter):
    getter.values["a"] = ["alice"]
    group = cache.group("g", getter)
    for _ in range(2):
        for value in (call(group, "get_many", ["a"])["a"], call(group, "peek", "a"), call(group, "refresh", "a")):
            assert value == ["alice"]
            value.append("bob")


@pytest.mark.parametrize(
    "make", [lambda: ["alice"], lambda: bytearray(b"alice"), lambda: {"a": {"b"}}], ids=["list", "bytearray", "dict"]
)
def test_changing_an_object_after_set_does_not_change_the_cache(call, cache, make):
    group, value = cache.group("g", None), make()
    call(group, "set", "a", value)
    value.clear()

    assert call(group, "get", "a") == make()


@pytest.fixture(params=[SMALL, LARGE], ids=["small", "large"])
def array(request):
    return np.zeros(request.param)


def changed(array):
    """Tries to change an array; whether that was possible."""
    try:
        array[0] += 1
    except ValueError:
        return False
    return True


def test_changing_an_array_after_set_does_not_change_the_cache(call, cache, array):
    group = cache.group("g", None)
    call(group, "set", "a", array)
    array[:] = 7

    assert call(group, "get", "a").sum() == 0


def test_changing_an_array_that_the_getter_keeps_does_not_change_the_cache(call, cache, getter, array):
    getter.values["a"] = array
    group = cache.group("g", getter)
    first = call(group, "get", "a")
    array[:] = 7

    assert first.sum() == 0
    assert call(group, "get", "a").sum() == 0
    assert len(getter.calls) == 1


@pytest.mark.parametrize("near", [None, 0], ids=["near", "no near cache"])
def test_an_array_that_get_returned_cannot_change_the_cache(call, cache, getter, array, near):
    getter.values["a"] = array
    group = cache.group("g", getter, near=near)
    for _ in range(3):
        value = call(group, "get", "a")
        assert value.sum() == 0
        changed(value)


def test_an_array_that_was_set_cannot_be_changed_by_who_gets_it(call, cache, array):
    group = cache.group("g", None)
    group.set("a", array)
    for _ in range(3):
        value = call(group, "get", "a")
        assert value.sum() == 0
        changed(value)


def test_a_near_array_is_shared_between_callers_without_a_copy(cache):
    group = cache.group("g", None)
    group.set("a", np.zeros(SMALL))
    first, second = group.get("a"), group.get("a")

    assert np.shares_memory(first, second)
    assert not changed(first)


def test_an_immutable_value_is_shared_between_callers(cache):
    group = cache.group("g", None)
    group.set("a", ("alice", 1))
    group.get("a")

    assert group.get("a") is group.get("a")


VALUES = [None, False, 0, "", b"", (), [], {}, float("inf"), 10**30, "\ud800", {1: {2: (3, [4])}}, {"a", 1}, range(3)]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: ascii(value) if type(value) is not set else "a set")
def test_any_value_comes_back_also_one_that_is_false(call, group, getter, value):
    getter.values["a"] = value
    group.set("b", value)

    for _ in range(2):
        for key in "ab":
            got = call(group, "get", key)
            assert (got, type(got)) == (value, type(value))
    assert getter.calls == ["a"]
    assert call(group, "contains", "a")


@pytest.mark.parametrize("size", [1, 102_399, 102_400, 102_401, 300_000])
def test_values_of_every_size_come_back(call, cache, getter, size):
    """Around the size at which a value no longer lies in the pages."""
    getter.values["a"] = b"x" * size
    group = cache.group("g", getter, capacity="2 MiB")
    group.set("b", b"y" * size)

    for _ in range(2):
        assert call(group, "get_many", ["a", "b"]) == {"a": b"x" * size, "b": b"y" * size}
    assert getter.calls == ["a"]
