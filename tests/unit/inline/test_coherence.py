"""No stale reads: a change that has returned holds, whatever was in flight."""

from __future__ import annotations

import pytest
from gates import together


def test_a_load_in_flight_when_remove_returns_does_not_bring_the_old_value_back(group, getter, gate, pool):
    getter.values["a"] = "old"
    getter.gates["a"] = old = gate()
    first = pool.submit(group.get, "a")
    old.await_arrival()
    group.remove("a")
    getter.values["a"] = "new"
    del getter.gates["a"]

    assert group.get("a") == "new"  # it did not join the old load
    old.open()
    assert first.result(30) == "old"  # who asked before the remove
    assert group.get("a") == "new"
    assert group.peek("a") == "new"


@pytest.mark.parametrize("change", ["set", "clear", "remove_many"])
def test_a_load_in_flight_does_not_undo_a_change(group, getter, gate, pool, change):
    getter.values["a"] = "old"
    getter.gates["a"] = old = gate()
    first = pool.submit(group.get, "a")
    old.await_arrival()
    {"set": lambda: group.set("a", "set"), "clear": group.clear, "remove_many": lambda: group.remove_many(["a"])}[
        change
    ]()
    old.open()
    first.result(30)
    getter.values["a"] = "new"
    del getter.gates["a"]

    assert group.get("a") == ("set" if change == "set" else "new")


def test_a_refresh_serves_the_old_value_meanwhile(group, getter, gate, pool):
    group.get("a")
    getter.values["a"] = "new"
    getter.gates["a"] = gate()
    refresh = pool.submit(group.refresh, "a")
    getter.gates["a"].await_arrival()

    assert group.get("a") == "value of 'a'"
    getter.gates["a"].open()
    assert refresh.result(30) == "new"
    assert group.get("a") == "new"


def test_of_concurrent_sets_of_a_key_one_wins_for_everybody(cache):
    group = cache.group("g", None)
    for turn in range(30):
        results = together(*[lambda value=(turn, who): group.set("a", value) for who in range(4)])

        assert results == [None] * 4
        assert group.get("a") in [(turn, who) for who in range(4)]
        assert group.get("a") == group.peek("a") == group.get_many(["a"])["a"]
        assert len(group) == 1


def test_a_get_that_starts_after_a_set_has_returned_never_sees_an_older_value(cache):
    """Whatever other threads read meanwhile and keep near them."""
    group = cache.group("g", None)
    returned = [0]
    group.set("a", 0)

    def write():
        for number in range(1, 60):
            group.set("a", number)
            returned.append(number)
        return True

    def read():
        while (least := returned[-1]) < 59:
            if (value := group.get("a", default=-1)) < least:
                return least, value
        return True

    assert together(write, read, read) == [True] * 3
    assert group.get("a") == 59
