"""What a shard gives out of its pages: under a lease, in bounded replies, and its policy and counters hear of it."""

from __future__ import annotations

import pytest
from shard_bench import CAPACITY, full

from raycache.core import page_reads
from raycache.core.messages import GetEndpoint, Standing

BENCH_OPTIONS = {"lease_s": 3.0}


@pytest.fixture
def bench(bench):
    bench.define()
    return bench


def served(bench, *names):
    """Which of these keys have a record; None without a lease."""
    served = bench.shard.page_reads.read([full(name) for name in names])
    return served and [stored is not None for stored in served.records]


def test_records_are_read_in_the_order_asked(bench, clock):
    bench.set("a", 1)
    bench.set("b" * 1000, 2)

    assert served(bench, "b" * 1000, "nothing", "a") == [True, False, True]
    assert bench.shard.page_reads.read([full("a")]).now == clock()


def test_nothing_is_read_without_a_lease(bench, clock):
    """Nor when the shard has ended."""
    bench.set("a", 1)
    clock.advance(3.0)
    unleased = served(bench, "a")
    bench.grant(Standing.LEASED)
    leased = served(bench, "a")
    bench.shard.end()

    assert (unleased, leased, served(bench, "a")) == (None, [True], None)


def test_a_reply_is_about_the_first_keys_when_it_grows_large(bench, monkeypatch):
    monkeypatch.setattr(page_reads, "REPLY_BYTES", 500)
    monkeypatch.setattr(page_reads, "STEP_KEYS", 2)
    for name in "abcdef":
        bench.set(name, "x" * 200)

    assert served(bench, *"abcdef") == [True] * 4


def test_what_was_read_is_not_the_next_to_be_evicted(bench):
    """The policy hears of it at the next tick."""
    bench.set("read", "x" * (CAPACITY // 3))
    bench.set("not read", "x" * (CAPACITY // 3))
    served(bench, "read")
    bench.shard.tick()
    bench.set("more", "x" * (CAPACITY // 2))

    assert served(bench, "read", "not read", "more") == [True, False, True]


def test_records_that_were_served_are_counted(bench):
    bench.set("a", 1)
    served(bench, "a", "nothing")
    served(bench, "a")

    assert bench.info().served == 2


def test_keys_of_a_group_that_is_gone_are_no_matter(bench):
    bench.set("a", 1)
    served(bench, "a")
    bench.define(2)
    bench.shard.tick()

    assert served(bench, "a") == [False]


def test_without_a_page_server_there_is_no_endpoint(bench):
    assert bench.shard.handle(GetEndpoint()).port == 0
