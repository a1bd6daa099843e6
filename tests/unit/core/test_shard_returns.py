"""A shard that was killed and comes back to its pages: all that is as it was stored, and nothing else."""

from __future__ import annotations

import struct
import sys

import pytest
from member_bench import LEASE_S
from shard_bench import ALONE, CAPACITY, TICKET, ShardBench, full, ring

from raycache.core import record
from raycache.core.messages import Answers, GroupSpec, Missing, NoLease, NoSuchGroup, Standing
from raycache.core.store import entry_bytes
from raycache.options import GroupOptions

LEASED, WAITING, COLD = Standing.LEASED, Standing.WAITING, Standing.COLD


@pytest.fixture
def bench(tmp_path, clock):
    """A shard with a lease of the usual length, whose books are right at the end."""
    bench = ShardBench(tmp_path, clock, lease_s=LEASE_S)
    yield bench
    info = bench.info()
    stored = dict(bench.pages.items(b"", 10_000))
    bench.close()

    assert (info.entries, info.bytes) == (len(stored), sum(entry_bytes(*each) for each in stored.items()))


@pytest.fixture
def groups(bench):
    return [bench.define(1, "users"), bench.define(2, "others", capacity_bytes=5000)]


def comes_back(bench, groups, ring=ALONE, standing=LEASED):
    bench.restart()
    bench.grant(standing, ring, groups=groups)


# ------------------------------------------------------------------------------------------------- warm


def test_what_was_stored_is_there_again(bench, groups):
    for number in range(20):
        bench.set(f"key-{number}", number, group=1 + number % 2)
    before = bench.info()
    comes_back(bench, groups)

    assert [bench.peek(f"key-{n}", group=1 + n % 2) for n in range(20)] == [[n] for n in range(20)]
    after = bench.info()
    assert (after.entries, after.bytes, after.recovered, after.dropped) == (before.entries, before.bytes, 20, 0)
    assert [bench.stats(group).entries for group in (1, 2)] == [10, 10]


def test_near_entries_of_its_node_stay_good(bench, groups):
    slots = list(bench.versions.slots)
    comes_back(bench, groups)

    assert (list(bench.versions.slots), bench.versions.ticket[0]) == (slots, TICKET)


def test_it_asks_with_the_ticket_of_the_process_before_it(bench):
    bench.restart()
    hello = bench.shard.hello()

    assert (hello.ticket, hello.fresh, hello.epoch) == (TICKET, True, -1)


def test_nothing_is_served_before_the_directory_has_answered(bench, groups):
    bench.set("a", "value")
    bench.restart()

    assert bench.versions.lease[0] > bench.clock()
    assert bench.ask("a") == NoLease("here")
    assert bench.remove("a") == NoLease("here")
    bench.grant(WAITING, ALONE, groups=groups)
    bench.versions.lease[0] = 0.0
    assert bench.ask("a") == NoLease("here")
    bench.grant(LEASED)
    assert bench.peek("a") == ["value"]


def test_an_answer_that_never_came_leaves_everything_as_it_is(bench, groups):
    bench.set("a", "value")
    bench.restart()
    bench.shard.granted(bench.shard.hello(), None)

    assert (bench.shard.life.muted, bench.pages.get(full("a")) is not None) == (True, True)
    bench.grant(LEASED, ALONE, groups=groups)
    assert bench.peek("a") == ["value"]


def test_entries_expire_when_they_would_have(bench, groups, clock):
    bench.set("a", 1, ttl_s=10.0)
    bench.set("b", 2)
    clock.advance(2.0)
    comes_back(bench, groups)
    clock.advance(7.9)
    bench.grant(LEASED)

    assert bench.peek("a", "b") == [1, 2]
    clock.advance(0.1)
    bench.shard.tick()
    assert (bench.peek("a", "b"), bench.stats().expirations) == ([Missing(), 2], 1)


def test_the_capacity_holds_also_where_it_is_smaller_now(bench):
    bench.define(capacity_bytes=CAPACITY)
    for number in range(8):
        bench.set(number, bytes(1000))
    comes_back(bench, [GroupSpec(1, "users", GroupOptions(capacity_bytes=4000), b"")])

    assert bench.info().entries < 8
    assert bench.info().bytes <= 4000
    bench.set("new", bytes(1000))
    assert bench.info().bytes <= 4000


def test_what_comes_back_can_be_removed_replaced_and_evicted(bench, groups):
    for name in "abc":
        bench.set(name, "old")
    comes_back(bench, groups)
    bench.remove("a")
    bench.set("b", "new")

    assert bench.peek("a", "b", "c") == [Missing(), "new", "old"]
    assert bench.clear().done == 2


def test_what_others_own_by_now_is_dropped_and_not_counted_as_damaged(bench, groups):
    shared = ring(2, "there")
    names = [f"key-{number}" for number in range(20)]
    for name in names:
        bench.set(name, name)
    comes_back(bench, groups, shared)
    owned = [name for name in names if shared.owner(full(name)) == "here"]

    assert sorted(bench.pages.scan(b"")) == sorted(map(full, owned))
    assert (bench.info().recovered, bench.info().dropped) == (len(owned), 0)


def test_many_entries_come_back_in_steps(bench, groups, monkeypatch):
    monkeypatch.setattr("raycache.core.groups.RECOVER_KEYS", 3)
    for number in range(20):
        bench.set(number, number)
    bench.pages.write({full(99): b"torn"})
    comes_back(bench, groups)

    assert bench.peek(*range(20)) == list(range(20))
    assert (bench.info().recovered, bench.info().dropped) == (20, 1)


# ------------------------------------------------------------------------------------------ what is not taken


def stored(value=b"value", expires=record.NEVER, at=1000.0, key=None):
    packed = record.pack(record.Header(expires, at, 0.0, 2), value)
    return packed if key is None else record.sealed(key, packed)


A, B = full("a"), full("b")
DAMAGED = {
    "torn": {A: stored(key=A)[:-3]},
    "never sealed": {A: stored()},
    "of another key": {A: stored(key=B), B: stored(key=A)},
    "with a bit changed": {A: bytes([stored(key=A)[0] ^ 1]) + stored(key=A)[1:]},
    "empty": {A: b""},
    "something else": {A: b"something else that was stored here by another program"},
    "zeros": {A: bytes(100)},
    "of a group that nobody knows": {full("a", 9): stored(key=full("a", 9))},
    "no key of a group": {b"x": stored(key=b"x")},
    "two bytes of a key": {b"\0\0": stored(key=b"\0\0")},
}


@pytest.mark.parametrize("damaged", DAMAGED.values(), ids=DAMAGED)
def test_what_is_not_as_it_was_stored_is_dropped_and_counted(bench, groups, damaged):
    bench.set("c", "whole")
    bench.pages.write(damaged)
    comes_back(bench, groups)

    assert bench.pages.scan(b"") == [full("c")]
    assert bench.peek("a", "b", "c") == [Missing(), Missing(), "whole"]
    assert (bench.info().recovered, bench.info().dropped) == (1, len(damaged))


CUT = full("a" * 600)[:511]
LENGTHS = {
    "none": b"",
    "too short": b"\1\0",
    "zero": bytes(60),
    "too long": b"\xff" * 60,
    "wrong": b"\3\0\0\0" + bytes(60),
}


@pytest.mark.timeout(10)
@pytest.mark.parametrize("left", LENGTHS.values(), ids=LENGTHS)
def test_a_cut_key_that_does_not_stand_before_its_record_is_dropped(bench, groups, left):
    bench.set("c", "whole")
    with bench.pages._env.begin(write=True) as txn:
        txn.put(CUT, left)
    comes_back(bench, groups)

    with bench.pages._env.begin() as txn:
        assert txn.get(CUT) is None
    assert (bench.peek("c"), bench.info().dropped) == (["whole"], 1)


OVER = {
    "has expired": stored(expires=999.0, at=900.0, key=A),
    "expires at this moment": stored(expires=1000.0, at=900.0, key=A),
    "was stored in the future, by another clock": stored(at=5000.0, key=A),
    "stands for a value that is gone": record.sealed(A, record.stub(record.Header(record.NEVER, 1000.0, 0.0, 2), 500)),
    "expires at no time at all": stored(expires=struct.unpack("<d", b"\xff" * 8)[0], key=A),
}


@pytest.mark.parametrize("left", OVER.values(), ids=OVER)
def test_what_is_over_is_dropped(bench, groups, left):
    bench.pages.write({A: left})
    comes_back(bench, groups)

    assert (bench.pages.scan(b""), bench.peek("a"), bench.info().recovered) == ([], [Missing()], 0)


def test_entries_of_a_group_that_was_replaced_meanwhile_are_dropped(bench, groups):
    bench.set("a", "old")
    comes_back(bench, [bench.define(3, "users"), groups[1]])

    assert bench.ask("a") == NoSuchGroup(1)
    assert isinstance(bench.ask("a", group=3), Answers)
    assert bench.pages.scan(b"") == []


# ------------------------------------------------------------------------------------------------- cold


def test_a_process_whose_life_has_ended_starts_empty(bench, groups):
    bench.set("a", "old")
    bench.restart()
    slots = list(bench.versions.slots)
    bench.grant(COLD, ticket=8)

    assert (bench.versions.lease[0], bench.versions.ticket[0], bench.pages.scan(b"")) == (0.0, 8, [])
    assert all(now > then for now, then in zip(bench.versions.slots, slots, strict=True))
    assert (bench.info().recovered, bench.info().dropped) == (0, 0)
    assert not bench.shard.life.leased


# ------------------------------------------------------------------------------------------- a real restart


def test_the_pages_of_a_process_that_was_killed_come_back_from_their_files(tmp_path, clock, python):
    """Nothing was closed, as by kill -9."""
    killed = """if True:
        import os, sys
        from pathlib import Path
        from fake_clock import FakeClock
        from shard_bench import ShardBench
        bench = ShardBench(Path(sys.argv[1]), FakeClock())
        bench.define(capacity_bytes=20_000)
        for number in range(200):
            bench.set(number, number)
        print("done", flush=True)
        os._exit(0)
    """

    assert python(killed, tmp_path, PYTHONPATH=":".join(filter(None, sys.path))) == "done"
    bench = ShardBench(tmp_path, clock, first=None, keep=True)
    bench.grant(LEASED, ALONE, groups=[GroupSpec(1, "users", GroupOptions(capacity_bytes=20_000), b"")])

    assert bench.peek(*range(200)) == list(range(200))
    assert (bench.info().recovered, bench.info().dropped) == (200, 0)
    bench.close()
