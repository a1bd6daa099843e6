"""The entries of a group: exact bytes, a bound that holds at all times, and what counts as what."""

from __future__ import annotations

import pytest
from stored import NoRoom, entry, sealed

from raycache.core import record
from raycache.core.keys import encode
from raycache.core.messages import group_prefix
from raycache.core.pages import Pages
from raycache.core.store import Entry, Store, entry_bytes
from raycache.options import POLICIES

GROUP = 7
OVERHEAD = len(group_prefix(GROUP)) + 1 + record.OVERHEAD_BYTES  # of every entry: group, kind of key, header, sum


def key(name: str) -> bytes:
    return group_prefix(GROUP) + encode(name)


def large(size: int, value: object = None) -> Entry:
    """A value that lies elsewhere."""
    return Entry(record.stub(record.Header(record.NEVER, 0.0, 0.0, 0), size), value)


def test_bytes_are_keys_and_values_beside_a_fixed_overhead(store):
    """Added, added, replaced by a shorter one, replaced by a longer one: 9, 19, 15, 37."""
    totals = []
    for name, value in [("k1", "1234567"), ("k2", "12345678"), ("k1", "123"), ("k2", "1" * 30)]:
        store.put({key(name): entry(value)})
        totals.append(store.bytes - OVERHEAD * len(store))

    assert totals == [9, 19, 15, 37]


def test_bytes_are_none_when_everything_is_gone(store):
    store.put({key("a"): entry("1"), key("b"): entry("2", expires=5.0), key("c"): large(500)})
    store.expire(5.0)
    store.remove([key("a")])
    store.clear(group_prefix(GROUP))

    assert (store.bytes, len(store), list(store)) == (0, 0, [])


def test_a_stub_counts_for_the_value_it_stands_for(store):
    store.put({key("a"): large(500)})
    with_stub = store.bytes

    assert with_stub == 500 + entry_bytes(key("a"), entry("12345678").record)
    store.put({key("a"): entry("x")})
    assert store.bytes == OVERHEAD + 2


def test_large_values_are_let_go_with_their_entries(store):
    store.put({key("a"): large(100, "value of a"), key("b"): large(100, "value of b")})
    store.remove([key("a")])

    assert store.large(key("b")) == "value of b"
    assert store.large(key("a")) is None


def test_of_a_full_store_the_least_recent_entries_go(store):
    for name in "abc":
        store.put({key(name): entry(bytes(250))})
    store.get(key("a"), 0.0)
    store.put({key("d"): entry(bytes(250))})

    assert (list(store), store.usage[GROUP].evictions) == ([key("c"), key("a"), key("d")], 1)


def test_a_key_that_was_hit_elsewhere_is_recent_too(store):
    for name in "abc":
        store.put({key(name): entry(bytes(250))})
    store.touch([key("a"), key("unknown")])
    store.put({key("d"): entry(bytes(250))})

    assert key("a") in store
    assert key("b") not in store


def test_replacing_removing_and_expiring_are_no_evictions(store):
    store.put({key("a"): entry("1"), key("b"): entry("2", expires=5.0), key("c"): entry("3", expires=5.0)})
    store.put({key("a"): entry("4")})
    store.remove([key("a")])
    store.expire(5.0)

    assert (store.usage[GROUP].evictions, store.usage[GROUP].expirations) == (0, 2)


def test_an_entry_is_over_exactly_at_its_time(store):
    store.put({key("a"): entry("1", expires=5.0)})

    assert store.get(key("a"), 4.999) is not None
    assert store.get(key("a"), 5.0) is None
    assert (len(store), store.usage[GROUP].expirations, store.bytes) == (0, 1, 0)


def test_what_is_over_goes_whatever_its_recency(store):
    store.put({key("a"): entry("1", expires=5.0), key("b"): entry("2")})
    store.get(key("a"), 4.0)
    store.expire(5.0)

    assert list(store) == [key("b")]


def test_replacing_an_entry_resets_its_expiry(store):
    store.put({key("a"): entry("1", expires=5.0)})
    store.put({key("a"): entry("2", expires=9.0)})
    store.put({key("b"): entry("1", expires=5.0)})
    store.put({key("b"): entry("2")})
    store.expire(5.0)

    assert sorted(store) == [key("a"), key("b")]
    store.expire(9.0)
    assert (list(store), store.usage[GROUP].expirations) == ([key("b")], 1)


def test_replacing_over_and_over_keeps_the_books_of_expiries_small(store):
    for number in range(1000):
        store.put({key("a"): entry("1", expires=5.0 + number)})
    store.put({key("b"): entry("1", expires=1.0)})
    store.expire(1004.0)

    assert (len(store), store.usage[GROUP].expirations) == (0, 2)


def test_an_entry_that_is_replaced_keeps_the_hits_that_it_had(pages):
    """By frequency, a key that is set again and again is not one that nobody has asked for."""
    store = Store(1000, pages, "gdsf")
    for name in "abc":
        store.put({key(name): entry(bytes(250))})
    store.touch([key("a")] * 3)
    store.put({key("a"): entry(bytes(250))})
    store.touch([key("b"), key("c")])
    store.put({key("d"): entry(bytes(250)), key("e"): entry(bytes(250))})

    assert key("a") in store


def costly(seconds: float) -> Entry:
    return Entry(record.pack(record.Header(record.NEVER, 0.0, seconds, 0), bytes(250)))


def test_what_is_recovered_is_worth_what_it_has_cost(pages):
    """The record says it; that is all that a restarted shard has."""
    before = Store(1000, pages, "gdsf")
    before.put({key("dear"): costly(9.0), key("cheap"): costly(0.1), key("cheaper"): costly(0.01)})
    store = Store(1000, pages, "gdsf")
    for name, stored in pages.items(b"", 10):
        store.recover(name, stored)
    store.put({key("new"): costly(1.0)})

    assert sorted(store) == sorted(map(key, ("dear", "cheap", "new")))


@pytest.mark.parametrize("policy", POLICIES)
def test_the_bound_holds_and_bytes_are_exact_by_every_policy(pages, policy):
    store = Store(3000, pages, policy)
    for number in range(300):
        store.put({key(str(number % 40)): entry(bytes(number * 37 % 400))})
        store.get(key(str(number * 7 % 40)), 0.0)

        assert store.bytes == sum(entry_bytes(name, stored) for name, stored in pages.items(b"", 100)) <= 3000
    assert sorted(store) == pages.scan(b"")


def test_another_policy_takes_over_all_entries(pages):
    store = Store(1000, pages)
    store.put({key("dear"): costly(9.0), key("cheap"): costly(0.1), key("cheaper"): costly(0.01)})
    store.resize(700, "gdsf")

    assert (store.policy, sorted(store)) == ("gdsf", [key("cheap"), key("dear")])
    store.forget_all()
    store.put({key("dear"): costly(9.0), key("cheap"): costly(0.1), key("cheaper"): costly(0.01)})
    assert key("dear") in store


def test_removing_an_absent_key_is_safe(store):
    assert (store.remove([key("a")]), store.clear(group_prefix(GROUP)), store.bytes) == (0, 0, 0)


def test_a_batch_larger_than_the_capacity_leaves_what_fits(store):
    unstored = store.put({key(str(number)): entry(bytes(250)) for number in range(10)})

    assert (unstored, list(store)) == ([], [key("7"), key("8"), key("9")])
    assert store.bytes <= 1000


def test_an_entry_of_exactly_the_capacity_fits(store):
    exact = entry(bytes(1000 - OVERHEAD - 1))
    more = entry(bytes(1000 - OVERHEAD))
    store.put({key("b"): entry("1")})

    assert (store.fits(key("a"), exact), store.fits(key("a"), more)) == (True, False)
    assert (store.put({key("a"): exact}), store.bytes, list(store)) == ([], 1000, [key("a")])


def test_where_memory_has_no_room_the_entry_is_named_and_the_old_value_is_gone(pages):
    """A value that could not be stored must not leave an older one behind."""
    narrow = NoRoom(pages, 100)
    store = Store(10_000, narrow)
    store.put({key("a"): entry("old")})

    assert store.put({key("a"): entry(bytes(500))}) == [key("a")]
    assert store.get(key("a"), 0.0) is None
    assert (store.bytes, len(store), pages.scan(b"")) == (0, 0, [])


def test_where_memory_has_room_again_entries_are_stored_again(pages):
    narrow = NoRoom(pages, 100)
    store = Store(10_000, narrow)
    store.put({key("a"): entry(bytes(500))})
    narrow.room = 1000

    assert store.put({key("a"): entry(bytes(500))}) == []
    assert store.get(key("a"), 0.0) == sealed(key("a"), entry(bytes(500))).record


@pytest.mark.parametrize(("size", "count", "at_once"), [(10, 100_000, 200), (3000, 1500, 10), (70_000, 100, 1)])
def test_in_a_full_file_system_old_entries_make_room_for_new_ones(small_file_system, size, count, at_once):
    """Shared memory that is full evicts; it does not end the caching."""
    pages = Pages.create(small_file_system, 64 << 20)
    store = Store(32 << 20, pages)
    batches = [range(first, first + at_once) for first in range(0, count, at_once)]
    unstored = [store.put({key(str(number)): entry(bytes(size)) for number in batch}) for batch in batches]

    assert store.usage[GROUP].evictions > 0
    assert unstored == [[]] * len(batches)
    assert sorted(store) == sorted(pages.scan(b""))
    assert store.bytes > 1 << 19
    pages.close()
