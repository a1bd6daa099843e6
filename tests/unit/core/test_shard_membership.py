"""A shard among others: rings it learns, keys that moved, groups that it does not know."""

from __future__ import annotations

import pytest
from shard_bench import ALONE, ID, full, ring

from raycache.core import handover
from raycache.core.messages import Ack, InFlight, Learn, Missing, Moved, NoSuchGroup, Report
from raycache.core.stats import Stats
from raycache.core.versions import FOREVER

#: A ring on which another member owns "b" and others, but not "a".
SHARED = ring(2, "there")


OURS = next(name for name in "abcdefgh" if SHARED.owner(full(name)) == ID)


THEIRS = next(name for name in "abcdefgh" if SHARED.owner(full(name)) == "there")


def test_a_get_of_a_key_that_moved_is_told_the_epoch(bench):
    bench.define()
    bench.shard.handle(Learn(SHARED))

    assert bench.ask(THEIRS) == Moved(2)
    assert bench.loader.loads == []
    assert isinstance(bench.get(OURS)[0], InFlight)


def test_a_client_that_knows_more_than_the_shard_is_answered(bench):
    bench.define()

    assert isinstance(bench.get(THEIRS, epoch=2)[0], InFlight)


def test_a_stand_in_answers_for_a_key_that_it_does_not_own(bench):
    bench.define()
    bench.shard.handle(Learn(SHARED))
    bench.get(THEIRS, standin=True)
    bench.bring(bench.loader.loads[0], "value")

    assert bench.get(THEIRS, standin=True) == ["value"]


def test_a_set_teaches_the_shard_the_ring_before_it_acts(bench):
    bench.define()

    assert bench.set(THEIRS, 1, ring=SHARED) == Moved(2)
    assert bench.set(OURS, 1, ring=SHARED) == Ack(2, done=1)
    assert bench.info().epoch == 2


def test_a_remove_teaches_the_shard_the_ring_and_acts_on_any_key(bench):
    bench.define()

    assert bench.remove(THEIRS, ring=SHARED) == Ack(2, done=0)
    assert bench.info().epoch == 2


def test_an_older_ring_is_not_learnt(bench):
    bench.shard.handle(Learn(SHARED))

    assert bench.shard.handle(Learn(ALONE)) == Ack(2)


def test_a_load_that_ends_where_its_key_is_no_longer_owned_is_not_stored_after_the_hand_over(bench, clock):
    bench.define()
    bench.get(THEIRS)
    bench.shard.handle(Learn(SHARED))
    clock.advance(handover.LATE_S)
    while bench.shard.handing:
        if (sending := bench.shard.batch()) is not None:
            bench.shard.handed(*sending, Ack(2))
    bench.bring(bench.loader.loads[0], "value")

    assert bench.peek(THEIRS, standin=True) == [Missing()]


def test_a_shard_tells_the_weight_that_it_has_in_the_newest_ring(bench):
    before = bench.info().weight
    bench.shard.handle(Learn(ring(2, "there", weight=0.25)))

    assert (before, bench.info().weight) == (1.0, 0.25)


def test_a_group_that_the_shard_does_not_know_is_asked_for(bench):
    assert bench.ask("a", group=9) == NoSuchGroup(9)
    assert bench.set("a", 1, group=9) == NoSuchGroup(9)
    assert bench.shard.handle(Report(9, Stats(), ())) == NoSuchGroup(9)
    assert bench.remove("a", group=9) == NoSuchGroup(9)


def test_a_group_that_is_defined_anew_drops_its_entries_and_loads(bench):
    bench.define(1)
    bench.set("a", 1)
    bench.get("b")
    bench.define(2)
    bench.bring(bench.loader.loads[0], "old")

    assert bench.ask("a", group=1) == NoSuchGroup(1)
    assert (bench.info().entries, bench.info().bytes) == (0, 0)
    assert isinstance(bench.get("a", group=2)[0], InFlight)


def test_an_old_definition_does_not_come_back(bench):
    bench.define(2)
    bench.set("a", 1, group=2)
    old = bench.define(1)

    assert bench.ask("a", group=old.id) == NoSuchGroup(1)
    assert bench.peek("a", group=2) == [1]


def test_a_definition_that_is_known_changes_nothing(bench):
    bench.define(1)
    bench.set("a", 1)
    bench.define(1)

    assert bench.peek("a") == [1]


def test_a_group_that_is_defined_anew_has_the_capacity_and_the_policy_of_its_new_definition(bench):
    bench.define(1, capacity_bytes=1000)
    bench.define(2, capacity_bytes=600, policy="gdsf")
    for name in "abc":
        bench.set(name, bytes(250), group=2)

    assert (bench.info().entries, bench.shard._groups.get(2).store.policy) == (2, "gdsf")


@pytest.mark.parametrize("touched", [(), ("a",)], ids=["unseen", "reported"])
def test_hits_that_are_reported_keep_an_entry(bench, touched):
    bench.define(capacity_bytes=1000)
    for name in "abc":
        bench.set(name, bytes(250))
    bench.shard.handle(Report(1, Stats(near_hits=3), tuple(map(full, touched))))
    bench.set("d", bytes(250))

    assert (bench.peek("a") != [Missing()]) == bool(touched)
    assert (bench.stats().near_hits, bench.stats().evictions) == (3, 1)


def test_a_shard_describes_itself(bench):
    bench.define()
    bench.set("a", "value")
    info = bench.info()

    assert (info.id, info.node, info.pid, info.epoch, info.entries) == (ID, "node", 7, 1, 1)
    assert (info.bytes, info.lease_s, info.reachable) == (bench.stats().bytes, FOREVER, True)


def test_what_a_shard_had_counted_that_has_left_counts_for_its_heir_and_is_not_its_own(bench):
    """Totals keep it, also when the heir leaves; who exports figures of each shard was told it before."""
    bench.define()
    bench.shard.handle(Report(1, Stats(near_hits=3), ()))
    bench.shard.handle(Report(1, Stats(near_hits=4), (), inherited=True))

    assert bench.stats().near_hits == 7
    assert bench.shard.own_stats()["users"].near_hits == 3
    assert bench.shard.leave().events[1].near_hits == 7
