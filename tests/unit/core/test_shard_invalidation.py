"""A shard's writes: what is removed or replaced is gone for good, whatever is in flight."""

from __future__ import annotations

import pytest
from shard_bench import full

from raycache.core.keys import digest
from raycache.core.messages import Ack, Bump, Missing
from raycache.core.versions import FOREVER, SLOTS, slot_of


def test_a_load_in_flight_when_its_key_is_removed_is_not_stored(bench):
    bench.define()
    bench.get("a")
    bench.remove("a")
    bench.bring(bench.loader.loads[0], "old")

    assert bench.peek("a") == [Missing()]


def test_a_get_after_a_remove_does_not_join_an_earlier_load(bench):
    bench.define()
    bench.get("a")
    bench.remove("a")
    (later,) = bench.get("a")

    assert (later.started, later.outcome) == (True, bench.loader.loads[1].outcome)
    bench.bring(bench.loader.loads[1], "new")
    bench.bring(bench.loader.loads[0], "old")
    assert bench.get("a") == ["new"]


def test_a_load_in_flight_when_the_group_is_cleared_is_not_stored(bench):
    bench.define()
    bench.get("a")
    bench.clear()
    bench.bring(bench.loader.loads[0], "old")

    assert bench.peek("a") == [Missing()]


def test_a_set_takes_the_place_of_a_load_in_flight(bench):
    bench.define()
    bench.get("a")
    bench.set("a", "set")
    bench.bring(bench.loader.loads[0], "loaded")

    assert bench.get("a") == ["set"]


def test_a_load_that_has_ended_before_a_remove_but_was_not_settled_is_gone_with_it(bench):
    bench.define()
    bench.get("a")
    bench.loader.loads[0].bring("old")
    bench.remove("a")
    bench.shard.tick()

    assert bench.peek("a") == [Missing()]


@pytest.mark.parametrize("end", ["remove", "clear"])
def test_a_value_that_was_delivered_counts_as_one_that_was_there(bench, end):
    """Who got a value and then removes it is not told that there was none."""
    bench.define()
    bench.get("a")
    bench.loader.loads[0].bring("value")

    assert (bench.remove("a") if end == "remove" else bench.clear()).done == 1
    assert bench.stats().removals == 1


def test_clearing_one_group_leaves_the_others(bench):
    bench.define(1, "one")
    bench.define(2, "two", capacity_bytes=5000)
    bench.set("a", 1, group=1)
    bench.set("a", 2, group=2)
    bench.get("b", group=2)
    bench.clear(1)
    bench.bring(bench.loader.loads[0], "B")

    assert (bench.peek("a", group=1), bench.peek("a", "b", group=2)) == ([Missing()], [2, "B"])


def test_removing_says_how_many_there_were(bench):
    bench.define()
    bench.set("a", 1)

    assert (bench.remove("a", "b").done, bench.remove("a").done, bench.clear().done) == (1, 0, 0)
    assert bench.stats().removals == 1


def test_dropping_a_copy_for_a_set_elsewhere_is_no_removal(bench):
    bench.define()
    bench.set("a", 1)
    bench.remove("a", removal=False)

    assert (bench.peek("a"), bench.stats().removals) == ([Missing()], 0)


def test_a_set_is_counted_once_it_is_stored(bench):
    bench.define()

    assert bench.set("a", 1) == Ack(1, done=1)
    assert bench.set("a", 2).done == 1
    assert (bench.stats().sets, bench.stats().entries) == (2, 1)


def test_a_set_lives_as_long_as_it_says_or_as_the_group_says(bench, clock):
    bench.define(ttl_s=10.0, max_ttl_s=20.0)
    bench.set("group's", 1)
    bench.set("own", 2, ttl_s=5.0)
    bench.set("capped", 3, ttl_s=100.0)
    alive = []
    for seconds in (4.9, 0.1, 4.9, 0.1, 9.9, 0.1):
        clock.advance(seconds)
        alive.append([value for value in bench.peek("group's", "own", "capped") if value != Missing()])

    assert alive == [[1, 2, 3], [1, 3], [1, 3], [3], [3], []]


def test_a_bump_ends_near_entries_of_its_keys_alone(bench):
    slots = list(bench.versions.slots)
    bench.shard.handle(Bump((full("a"), full("b")), 1))
    changed = {slot for slot in range(SLOTS) if bench.versions.slots[slot] != slots[slot]}

    assert changed == {slot_of(digest(full("a"))), slot_of(digest(full("b")))}


def test_a_bump_of_everything_ends_all_near_entries(bench):
    slots = list(bench.versions.slots)
    bench.shard.handle(Bump(None, 1))

    assert all(bench.versions.slots[slot] > slots[slot] for slot in range(SLOTS))


def test_a_get_touches_no_slots(bench):
    """Only invalidation ends near entries; a fill must not."""
    bench.define()
    slots = list(bench.versions.slots)
    bench.get("a")
    bench.bring(bench.loader.loads[0])
    bench.get("a")

    assert list(bench.versions.slots) == slots


def test_a_shard_that_begins_ends_near_entries_of_its_earlier_life(bench):
    slots = list(bench.versions.slots)
    bench.join()

    assert all(bench.versions.slots[slot] > slots[slot] for slot in range(SLOTS))
    assert bench.versions.lease[0] == FOREVER


def test_a_shard_that_ends_gives_up_its_lease(bench):
    bench.shard.end()

    assert bench.versions.lease[0] == 0.0
