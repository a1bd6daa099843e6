"""Changing a group, in both faces: what has returned holds for whoever asks next."""

from __future__ import annotations

import pytest

from raycache import NotFound, UncacheableValue, ValueTooLarge


@pytest.mark.parametrize("near", [None, 0], ids=["near", "no near cache"])
def test_a_get_after_a_set_returns_the_new_value(call, cache, getter, near):
    group = cache.group("g", getter, near=near)
    for value in ("first", "second", ["third"]):
        call(group, "set", "a", value)
        assert (call(group, "get", "a"), call(group, "peek", "a")) == (value, value)

    assert getter.calls == []


def test_a_set_ends_what_was_loaded(call, group, getter):
    group.get("a")
    call(group, "set", "a", "new")

    assert call(group, "get", "a") == "new"


def test_set_many_sets_all(call, group):
    call(group, "set_many", {"a": 1, 2: "two", ("c",): None})

    assert call(group, "get_many", ["a", 2, ("c",)]) == {"a": 1, 2: "two", ("c",): None}
    call(group, "set_many", {})
    assert len(group) == 3


def test_set_many_sets_none_if_one_is_refused(call, cache):
    group = cache.group("g", None, capacity=1000)
    with pytest.raises(ValueTooLarge, match="'b'"):
        call(group, "set_many", {"a": 1, "b": bytes(2000)})
    with pytest.raises(UncacheableValue):
        call(group, "set_many", {"a": 1, "b": iter(int, 1).__next__, "c": (each for each in "x")})

    assert len(group) == 0


def test_a_set_is_of_the_cache_and_not_of_the_source(call, group, getter):
    call(group, "set", "a", "set")
    call(group, "remove", "a")

    assert call(group, "get", "a") == "value of 'a'"


def test_a_removed_key_is_loaded_anew(call, group, getter):
    assert call(group, "get", "a") == "value of 'a'"
    getter.values["a"] = "new"
    assert call(group, "get", "a") == "value of 'a'"

    assert call(group, "remove", "a") is True
    assert call(group, "peek", "a") is None
    assert call(group, "get", "a") == "new"


def test_removing_an_absent_key_is_safe(call, group, getter):
    assert call(group, "remove", "a") is False
    assert call(group, "remove_many", ["a", "b"]) == 0
    assert call(group, "remove_many", []) == 0
    assert call(group, "clear") == 0
    assert group.stats().removals == 0


def test_after_removing_many_keys_none_of_them_is_returned(call, group, getter):
    names = [f"key-{number}" for number in range(50)]
    group.get_many(names)
    getter.values = dict.fromkeys(names, "new")

    assert call(group, "remove_many", names[:40]) == 40
    assert [group.peek(name) for name in names[:40]] == [None] * 40
    assert call(group, "get_many", names) == dict.fromkeys(names[:40], "new") | group.get_many(names[40:])
    assert group.get(names[45]) != "new"


def test_after_a_clear_no_key_is_returned(call, group, getter):
    names = [f"key-{number}" for number in range(50)]
    group.get_many(names)
    getter.values = dict.fromkeys(names, "new")

    assert call(group, "clear") == 50
    assert len(group) == 0
    assert call(group, "get_many", names) == getter.values


def test_clearing_one_group_leaves_another(call, cache, getter):
    one, two = cache.group("one", getter), cache.group("two", getter)
    one.get("a")
    two.get("a")
    call(one, "clear")

    assert (one.peek("a"), two.peek("a")) == (None, "value of 'a'")


def test_a_refresh_loads_a_key_that_is_there(call, group, getter):
    group.get("a")
    getter.values["a"] = "new"

    assert call(group, "refresh", "a") == "new"
    assert (call(group, "get", "a"), getter.calls) == ("new", ["a", "a"])


def test_a_refresh_loads_a_key_that_is_not_there(call, group):
    assert call(group, "refresh", "a") == "value of 'a'"
    assert group.peek("a") == "value of 'a'"


def test_a_refresh_that_fails_keeps_the_old_value(call, group, getter):
    group.get("a")
    getter.values["a"] = ValueError("source is down")

    with pytest.raises(ValueError, match="source is down"):
        call(group, "refresh", "a")
    assert group.get("a") == "value of 'a'"


def test_a_refresh_that_learns_that_the_key_is_gone_removes_it(call, group, getter):
    group.get("a")
    getter.values["a"] = NotFound("gone")

    with pytest.raises(NotFound, match="gone"):
        call(group, "refresh", "a")
    assert "a" not in group
    with pytest.raises(NotFound, match="gone"):
        call(group, "get", "a")


def test_after_a_refresh_to_a_value_that_is_too_large_the_old_one_is_not_returned(call, cache, getter):
    group = cache.group("g", getter, capacity=1000)
    group.get("a")
    getter.values["a"] = "x" * 2000

    assert call(group, "refresh", "a") == "x" * 2000
    assert call(group, "get", "a") == "x" * 2000


def test_a_value_that_was_got_and_is_removed_at_once_was_there(call, cache, getter):
    group = cache.group("g", getter)
    for number in range(200):
        group.get(number)

        assert call(group, "remove", number) is True
