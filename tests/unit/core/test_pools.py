"""Pools: several groups in one store, whose bytes are counted together and entries told apart."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hand_loader import loaded
from shard_bench import full
from stored import NoRoom, entry, sealed

from raycache.core import record
from raycache.core.directory import Directory
from raycache.core.messages import Define, GetGroups, GroupSpec, NoSuchGroup, Refused, Register, group_prefix
from raycache.core.store import Entry, Store, entry_bytes
from raycache.options import CacheOptions, GroupOptions


def key(group: int, name: str) -> bytes:
    return group_prefix(group) + name.encode()


def usage(store, group):
    each = store.usage[group]
    return each.entries, each.bytes, each.evictions, each.expirations


def test_bytes_of_a_pool_are_those_of_its_groups_together(store):
    puts = {key(1, "a"): entry(bytes(100)), key(2, "a"): entry(bytes(200)), key(2, "b"): entry(bytes(50))}
    store.put(puts)
    sizes = [entry_bytes(name, each.record) for name, each in puts.items()]

    assert store.bytes == sum(sizes)
    assert [usage(store, 1)[:2], usage(store, 2)[:2]] == [(1, sizes[0]), (2, sizes[1] + sizes[2])]


def test_the_least_recent_of_all_groups_goes_and_is_counted_where_it_was(store):
    for group, name in [(1, "a"), (2, "a"), (1, "b")]:
        store.put({key(group, name): entry(bytes(250))})
    store.get(key(1, "a"), 0.0)
    store.put({key(1, "c"): entry(bytes(250))})

    assert list(store) == [key(1, "b"), key(1, "a"), key(1, "c")]
    assert [usage(store, group)[2] for group in (1, 2)] == [0, 1]
    assert usage(store, 2)[:2] == (0, 0)


def test_what_has_expired_is_counted_where_it_was(store):
    store.put({key(1, "a"): entry(bytes(1), 5.0), key(2, "a"): entry(bytes(1), 5.0), key(2, "b"): entry(bytes(1), 6.0)})
    store.expire(6.0)

    assert [usage(store, 1), usage(store, 2)] == [(0, 0, 0, 1), (0, 0, 0, 2)]


def test_clearing_a_group_leaves_the_others(store):
    store.put({key(1, "a"): entry(bytes(10)), key(2, "a"): entry(bytes(10)), key(1, "b"): entry(bytes(10))})

    assert (store.clear(group_prefix(1)), list(store)) == (2, [key(2, "a")])
    assert store.bytes == usage(store, 2)[1]
    assert usage(store, 1)[:2] == (0, 0)


def test_a_smaller_capacity_evicts_and_a_larger_one_keeps(store):
    for name in "abc":
        store.put({key(1, name): entry(bytes(250))})
    store.resize(600)

    assert (list(store), store.bytes <= 600) == ([key(1, "b"), key(1, "c")], True)
    store.resize(2000)
    for name in "defghi":
        store.put({key(2, name): entry(bytes(250))})
    assert (len(store), store.bytes <= 2000) == (7, True)


def test_what_is_taken_out_is_given_in_the_order_of_its_use(store):
    for group, name in [(1, "a"), (2, "a"), (1, "b"), (1, "c")]:
        store.put({key(group, name): entry(bytes(10))})
    store.get(key(1, "a"), 0.0)
    taken = store.take(group_prefix(1))

    assert [*taken] == [key(1, "b"), key(1, "c"), key(1, "a")]
    assert (taken[key(1, "a")], list(store)) == (sealed(key(1, "a"), entry(bytes(10))), [key(2, "a")])
    assert usage(store, 1)[:2] == (0, 0)


def test_a_value_that_lies_elsewhere_is_taken_along(store):
    stub = Entry(record.stub(record.Header(record.NEVER, 0.0, 0.0, 0), 500), "the value")
    store.put({key(1, "a"): stub})

    assert store.take(group_prefix(1)) == {key(1, "a"): sealed(key(1, "a"), stub)}


def test_where_memory_has_no_room_the_books_of_all_groups_are_right(pages):
    store = Store(10_000, NoRoom(pages, 100))
    store.put({key(1, "a"): entry(bytes(10)), key(2, "a"): entry(bytes(10))})
    unstored = store.put({key(2, "a"): entry(bytes(500))})

    assert unstored == [key(2, "a")]
    assert (store.bytes, len(store)) == (sum(each.bytes for each in store.usage.values()), len(pages.scan(b"")))


# ------------------------------------------------------------------------------------------------ shard


def define(bench, id, pool, capacity_bytes=2000, *, resize=False):
    spec = GroupSpec(id, f"memo:{id}", GroupOptions(capacity_bytes=capacity_bytes), b"", pool=pool)
    bench.shard.handle(Define(spec, resize=resize))
    return spec


def load(bench, name, group, value="x" * 500):
    bench.get(name, group=group)
    bench.bring(bench.loader.loads[-1], value)


def test_groups_of_one_pool_share_its_capacity_and_others_do_not(bench):
    define(bench, 1, "memo")
    define(bench, 2, "memo")
    define(bench, 3, "its own")
    for group in (1, 2, 3):
        for name in "abc":
            load(bench, name, group)

    assert [bench.stats(group).entries for group in (1, 2, 3)] == [0, 3, 3]
    assert [bench.stats(group).evictions for group in (1, 2, 3)] == [3, 0, 0]
    assert bench.info().bytes == sum(bench.stats(group).bytes for group in (1, 2, 3))


def test_a_group_may_not_be_mixed_up_with_a_pool_of_its_name(bench):
    bench.define(1, "memo", capacity_bytes=2000)
    define(bench, 2, "memo")
    for group in (1, 2):
        for name in "abc":
            load(bench, name, group)

    assert [bench.stats(group).entries for group in (1, 2)] == [3, 3]


def test_clearing_one_group_of_a_pool_leaves_the_others(bench):
    define(bench, 1, "memo")
    define(bench, 2, "memo")
    load(bench, "a", 1)
    load(bench, "a", 2)

    assert bench.clear(1).done == 1
    assert [bench.stats(group).entries for group in (1, 2)] == [0, 1]


def test_a_pool_that_is_made_smaller_evicts(bench):
    define(bench, 1, "its own")
    for name in "abc":
        load(bench, name, 1)
    define(bench, 1, "its own", 1200, resize=True)

    assert (bench.stats(1).entries, bench.stats(1).evictions) == (2, 1)
    define(bench, 1, "its own", 3000, resize=True)
    for name in "defg":
        load(bench, name, 1)
    assert bench.stats(1).entries == 5


def test_another_definition_of_a_pools_group_does_not_resize_it(bench):
    define(bench, 1, "its own")
    for name in "abc":
        load(bench, name, 1)
    define(bench, 1, "its own", 600)

    assert bench.stats(1).entries == 3


def test_a_group_that_moves_to_another_pool_takes_its_entries_along(bench):
    define(bench, 1, "memo")
    define(bench, 2, "memo")
    for group in (1, 2):
        load(bench, "a", group)
    load(bench, "b", 1)
    define(bench, 1, "its own", 3000, resize=True)
    for name in "cde":
        load(bench, name, 2)

    assert bench.get("a", "b", group=1) == ["x" * 500] * 2
    assert [bench.stats(group).entries for group in (1, 2)] == [2, 3]
    assert bench.stats(2).evictions == 1
    assert bench.stats(1).evictions == 0


def test_in_a_smaller_pool_the_most_recent_entries_are_kept(bench):
    define(bench, 1, "memo", 5000)
    for name in "abcd":
        load(bench, name, 1)
    load(bench, "large", 1, "x" * 1500)
    bench.get("a", group=1)
    define(bench, 1, "its own", 1200, resize=True)

    assert bench.peek("a", "d", group=1) == ["x" * 500] * 2
    assert bench.stats(1).entries == 2


def test_a_group_that_stored_nothing_can_be_replaced(bench):
    bench.define(1, "users")
    bench.get("a")

    bench.define(2, "users")

    assert bench.stats(2).entries == 0
    assert bench.ask("a") == NoSuchGroup(1)


# -------------------------------------------------------------------------------------------- directory


@pytest.fixture
def directory(clock):
    return Directory(CacheOptions(capacity_bytes=1000), clock=clock, tickets=itertools.count(1).__next__)


def register(directory, name, pool, capacity_bytes):
    spec = GroupSpec(0, f"memo:{name}", GroupOptions(capacity_bytes=capacity_bytes), pool=pool)
    return directory.handle(Register(spec))


def user(directory, name, capacity_bytes):
    return directory.handle(Register(GroupSpec(0, name, GroupOptions(capacity_bytes=capacity_bytes))))


def test_a_pool_counts_once_however_many_share_it(directory):
    one, other = register(directory, "one", "memo", 600), register(directory, "other", "memo", 300)

    assert (one.options.capacity_bytes, other.options.capacity_bytes, one.id == other.id) == (600, 600, False)
    assert isinstance(user(directory, "users", 401), Refused)
    assert user(directory, "users", 400).id


def test_a_pool_that_does_not_fit_is_refused_with_the_numbers(directory):
    register(directory, "one", "memo", 600)
    refused = register(directory, "f", "memo:f", 401)

    assert refused.error == "CapacityError"
    assert all(told in refused.message for told in ("'memo:f'", "401", "400 are left", "memo 600"))


def test_a_group_that_is_called_like_the_pool_is_counted_beside_it(directory):
    user(directory, "memo", 700)

    assert isinstance(register(directory, "one", "memo", 600), Refused)
    assert register(directory, "one", "memo", 300).id
    assert isinstance(user(directory, "more", 1), Refused)


def test_the_same_function_is_the_same_group(directory):
    first = register(directory, "f", "memo", 600)

    assert [register(directory, "f", "memo", size) for size in (600, 100)] == [first, first]


def test_the_last_definition_says_how_large_a_functions_own_pool_is(directory):
    first = register(directory, "f", "memo:f", 600)
    changes = directory.changes
    second = register(directory, "f", "memo:f", 900)

    assert (second.id, second.options.capacity_bytes) == (first.id, 900)
    assert directory.changes == changes + 1
    assert directory.handle(GetGroups())["memo:f"] == second
    assert isinstance(register(directory, "f", "memo:f", 1001), Refused)
    assert directory.handle(GetGroups())["memo:f"] == second


def test_a_function_may_go_from_one_pool_to_another_and_stays_the_same_group(directory):
    register(directory, "other", "memo", 300)
    first = register(directory, "f", "memo", 300)
    own = register(directory, "f", "memo:f", 700)

    assert (own.id, own.pool, own.options.capacity_bytes) == (first.id, "memo:f", 700)
    assert isinstance(user(directory, "users", 1), Refused)
    back = register(directory, "f", "memo", 1)
    assert (back.id, back.pool, back.options.capacity_bytes) == (first.id, "memo", 300)
    assert user(directory, "users", 700).id


def test_an_option_that_counts_for_loads_alone_does_not_change_the_group(directory):
    first = register(directory, "f", "memo", 300)
    spec = replace(first, id=0, options=replace(first.options, ttl_s=5.0))

    assert directory.handle(Register(spec)) == first


def test_loaded_values_are_stored_where_the_group_is_now(bench):
    """A load that was under way when the group moved."""
    define(bench, 1, "memo")
    bench.get("a", group=1)
    define(bench, 1, "its own", 3000, resize=True)
    bench.end(bench.loader.loads[0], {full("a"): loaded("value")})

    assert bench.get("a", group=1) == ["value"]
