"""The hottest keys: what was hit most often lately, as processes tell it with their reports, in bounded memory."""

from __future__ import annotations

import pytest
from shard_bench import ShardBench, full

from raycache.core.hottest import MOST, SHOWN, TOLD, WINDOW_S, Hottest, told
from raycache.core.messages import Hits, HotKey, Report
from raycache.core.stats import Stats


@pytest.fixture
def hottest(clock):
    return Hottest(clock)


@pytest.fixture
def bench(tmp_path, clock):
    bench = ShardBench(tmp_path, clock)
    bench.define()
    yield bench
    bench.close()


def test_keys_are_given_with_their_hits_per_second_the_hottest_first(hottest, clock):
    for _ in range(4):
        hottest.add([Hits(b"a", 1), Hits(b"b", 5)])
        clock.advance(1)

    assert hottest.rates() == [(b"b", 5.0), (b"a", 1.0)]


def test_what_was_hit_in_less_than_a_second_is_not_more_than_it_was(hottest):
    hottest.add([Hits(b"a", 3)])

    assert hottest.rates() == [(b"a", 3.0)]


def test_the_window_before_counts_as_well(hottest, clock):
    hottest.add([Hits(b"a", 30)])
    clock.advance(WINDOW_S)
    hottest.add([Hits(b"a", 15)])
    clock.advance(5)

    assert hottest.rates() == [(b"a", 45 / 15)]


@pytest.mark.parametrize("pauses", [[2 * WINDOW_S], [WINDOW_S, WINDOW_S], [1.0] * 20], ids=len)
def test_what_is_no_longer_hit_is_gone_after_two_windows(hottest, clock, pauses):
    hottest.add([Hits(b"a", 30)])
    for pause in pauses:
        clock.advance(pause)
        hottest.add([Hits(b"b", 1)])

    assert b"a" not in dict(hottest.rates())


def test_only_so_many_keys_are_kept_and_the_hottest_are_among_them(hottest):
    hottest.add([Hits(b"hot", 2)])
    for start in range(0, 5 * MOST, 100):
        hottest.add([Hits(b"%d" % (start + more), 1) for more in range(100)])

        assert len(hottest._now) <= 2 * MOST

    assert len(hottest.rates()) == SHOWN
    assert hottest.rates()[0] == (b"hot", 2.0)


def test_a_process_tells_of_those_that_it_hit_most_often():
    hits = {b"%d" % number: number for number in range(1, 100)}

    assert [each.times for each in told(hits)] == [*range(99, 99 - TOLD, -1)]


def test_a_shard_names_the_keys_as_users_write_them(bench, clock):
    keys = ["alice", 7, ("a", b"\xff"), "<b>"]
    bench.shard.handle(Report(1, Stats(), (), (), tuple(Hits(full(key), 9 - n) for n, key in enumerate(keys))))

    assert [(hot.group, hot.key) for hot in bench.info().hottest] == [("users", repr(key)) for key in keys]


def test_of_long_keys_the_beginning_is_named(bench):
    bench.shard.handle(Report(1, Stats(), (), (), (Hits(full("x" * 5000), 1),)))

    assert bench.info().hottest == (HotKey("users", repr("x" * 5000)[:200], 1.0),)


def test_keys_of_a_group_that_was_replaced_are_not_named(bench):
    bench.shard.handle(Report(1, Stats(), (), (), (Hits(full("a"), 1),)))
    bench.define(2)

    assert bench.info().hottest == ()


def test_what_is_no_key_is_not_named(bench):
    """Nobody sends such a one who means it, and the shard must still tell of itself."""
    bench.shard.handle(Report(1, Stats(), (), (), (Hits(full("a")[:4] + b"?", 5), Hits(full("a"), 1))))

    assert [hot.key for hot in bench.info().hottest] == ["'a'"]


@pytest.mark.parametrize(
    ("near", "size", "tier"),
    [("1 MiB", 10, "near_hits"), (0, 10, "page_hits"), (0, 200_000, "shard_hits")],
    ids=["near", "pages", "shard"],
)
def test_hits_are_counted_by_key_whatever_answers_them(inline, near, size, tier):
    cache = inline(shards=2)
    group = cache.group("users", lambda key: "x" * size, near=near)
    for _ in range(8):
        group.get("often")
    for _ in range(3):
        group.get("seldom")
    stats = cache.stats()

    assert getattr(stats, tier) == stats.hits == 9
    assert [hot for shard in cache.shards() for hot in shard.hottest] == [
        HotKey("users", "'often'", 7.0),
        HotKey("users", "'seldom'", 2.0),
    ]


def test_keys_on_their_way_are_counted_until_they_are_there(bench):
    bench.get("loading")
    bench.ask("filling", fill=True)
    before = bench.stats().loads_in_flight
    bench.bring(bench.loader.loads[0])

    assert (before, bench.stats().loads_in_flight) == (2, 1)
