"""The near cache: bounded in bytes, and what was hit stays longer."""

from __future__ import annotations

import math
from threading import Thread

import pytest

from raycache.core.near import ENTRY_BYTES, LARGEST_SHARE, UNSHARED, Near, NearEntry

SIZE = 1000
VOUCHER = ((math.inf,), (0,), 0, 0)


def keep(near, name, value="value", size=SIZE):
    near.put(name, NearEntry(name.encode(), value, None, math.inf, 0.0, size, VOUCHER))


@pytest.fixture
def near():
    """Room for ten entries, of which four are there."""
    near = Near(10 * (SIZE + ENTRY_BYTES))
    for name in "abcd":
        keep(near, name)
    return near


def fill(near):
    """Takes all places but two, which are for entries that were hit."""
    for number in range(8):
        keep(near, f"new {number}")


def hit(near, name):
    near.entries[name].hits += 1


def test_the_oldest_entries_go_but_for_those_that_were_hit(near):
    hit(near, "a")
    hit(near, "c")
    fill(near)

    assert near.entries.keys() & set("abcd") == set("ac")
    assert len(near.entries) == 10


def test_hits_that_were_taken_count_until_the_entry_is_passed_over(near):
    """Hits are told to the shards every second; that must not make an entry look unused."""
    hit(near, "a")
    taken = [(entry.key, hits) for entry, hits in near.take_hits()]
    fill(near)

    assert taken == [(b"a", 1)]
    assert "a" in near.entries
    assert "b" not in near.entries


def test_an_entry_that_was_passed_over_goes_unless_it_is_hit_again(near):
    hit(near, "a")
    hit(near, "b")
    fill(near)
    hit(near, "b")
    for number in range(10):
        keep(near, f"newer {number}")

    assert "a" not in near.entries
    assert "b" in near.entries


def test_what_is_larger_than_its_share_is_not_kept():
    capacity = 100 * SIZE
    near = Near(capacity)
    largest = int(capacity * LARGEST_SHARE) - ENTRY_BYTES
    keep(near, "fits", size=largest)
    keep(near, "does not", size=largest + 1)

    assert [*near.entries] == ["fits"]


@pytest.mark.parametrize(("value", "shared"), [("text", True), ((1, b"2"), True), ({}, False), (([],), False)])
def test_only_what_nobody_can_change_is_shared_between_callers(near, value, shared):
    keep(near, "a", value)

    assert (near.entries["a"].value is not UNSHARED) == shared


def test_an_entry_is_found_by_its_aliases_until_it_goes(near):
    entry, elsewhere = near.entries["a"], {}
    aliased = [near.alias("a", entry, elsewhere, alias, "found") for alias in (1, 2)]
    before = dict(elsewhere)
    keep(near, "a")

    assert (aliased, before) == ([True, True], {1: "found", 2: "found"})
    assert elsewhere == {}


def test_an_alias_that_is_given_again_takes_no_more_room(near):
    """As a memoized call does while its entries may not be used, or when its code changes there and back."""
    entry, elsewhere = near.entries["a"], {}
    for number in range(100):
        near.alias("a", entry, elsewhere, 1, ("found", number))

    assert sum(map(len, near._aliases.values())) == 1


def test_an_entry_that_goes_leaves_what_has_taken_the_place_of_its_alias(near):
    elsewhere = {}
    for name in "ab":
        near.alias(name, near.entries[name], elsewhere, 1, ("found", name))
    keep(near, "a")

    assert elsewhere == {1: ("found", "b")}


def test_an_entry_that_has_gone_gets_no_alias(near):
    """Nobody would ever take it away."""
    entry, elsewhere = near.entries["a"], {}
    keep(near, "a")

    assert not near.alias("a", entry, elsewhere, 1, "found")
    assert elsewhere == {}


def test_an_entry_that_another_thread_replaces_meanwhile_leaves_no_alias(near):
    """It is replaced when it is in the other table, and does not know of that yet."""

    class Elsewhere(dict):
        def __setitem__(self, alias, found):
            super().__setitem__(alias, found)
            other.start()
            other.join(0.05)  # it cannot end before this does

    elsewhere = Elsewhere()
    other = Thread(target=keep, args=(near, "a"))
    near.alias("a", near.entries["a"], elsewhere, 1, "found")
    other.join()

    assert elsewhere == {}
