"""The life of a shard: its ticket and lease in shared memory, and what answers of the directory make of them."""

from __future__ import annotations

import pytest
from hand_loader import loaded
from member_bench import LEASE_S
from shard_bench import TICKET, ShardBench, full, ring

from raycache.core.messages import (
    Ack,
    Bump,
    Delete,
    Filled,
    Get,
    Grant,
    Hello,
    Learn,
    Leave,
    NoLease,
    NoSuchGroup,
    Orphaned,
    Place,
    Renew,
    Repeat,
    Report,
    Set,
    Standing,
    View,
)
from raycache.core.ring import Ring
from raycache.core.stats import Stats

COLD, LEASED, WAITING = Standing.COLD, Standing.LEASED, Standing.WAITING
SHARED = ring(2, "there")


@pytest.fixture
def bench(tmp_path, clock):
    """A shard that has not been in touch with its directory yet."""
    bench = ShardBench(tmp_path, clock, lease_s=LEASE_S, first=None)
    yield bench
    bench.close()


def lease(bench):
    return bench.versions.lease[0] - bench.clock()


# ------------------------------------------------------------------------------------------------- hello


def test_it_says_who_it_is_and_what_it_knows(bench, clock, tmp_path):
    place = Place("node", str(tmp_path), "10.0.0.1")

    assert bench.shard.hello() == Hello("here", place, 1.0, 0, -1, clock(), fresh=True)
    bench.join(SHARED)
    assert bench.shard.hello() == Hello("here", place, 1.0, TICKET, 2, clock(), handing=True)


def test_it_says_so_as_long_as_it_has_something_to_hand_over(bench):
    bench.join()

    assert bench.shard.batch() is None
    assert not bench.shard.hello().handing


# ------------------------------------------------------------------------------------------------- leases


def test_a_lease_runs_from_when_the_request_was_sent(bench, clock):
    bench.join()
    hello = bench.shard.hello()
    clock.advance(2.0)
    bench.shard.granted(hello, Grant(LEASED))

    assert lease(bench) == LEASE_S - 2.0


def test_an_answer_that_comes_late_takes_nothing_from_a_lease(bench, clock):
    bench.join()
    first = bench.shard.hello()
    clock.advance(1.0)
    bench.grant(LEASED)
    bench.shard.granted(first, Grant(LEASED))

    assert lease(bench) == LEASE_S


@pytest.mark.parametrize("grant", [None, Grant(WAITING)], ids=["no answer", "waiting"])
def test_without_a_lease_in_the_answer_there_is_no_other_than_before(bench, grant, clock):
    bench.join()
    clock.advance(1.0)
    bench.shard.granted(bench.shard.hello(), grant)

    assert lease(bench) == LEASE_S - 1.0


def test_an_answer_to_an_earlier_life_means_nothing(bench):
    bench.join()
    old = bench.shard.hello()
    bench.grant(COLD, ticket=8)
    for grant in (Grant(LEASED), Grant(COLD, ticket=9), Grant(LEASED, View(SHARED, {}))):
        bench.shard.granted(old, grant)

    assert (bench.versions.lease[0], bench.versions.ticket[0], bench.shard.epoch) == (0.0, 8, -1)


def test_a_ring_that_is_older_is_not_taken_from_an_answer(bench):
    bench.join(SHARED)
    bench.grant(LEASED, ring(1))

    assert bench.shard.epoch == 2


def test_after_its_end_no_answer_gives_it_a_lease(bench):
    bench.join()
    hello = bench.shard.hello()
    bench.shard.end()
    bench.shard.granted(hello, Grant(LEASED))
    bench.shard.life.renew(hello, Grant(LEASED))  # by another thread, at this moment
    bench.shard.granted(hello, Grant(COLD, ticket=8))

    assert (bench.versions.lease[0], bench.shard.life.leased, bench.versions.ticket[0]) == (0.0, False, TICKET)


def test_it_leaves_by_its_ticket_and_without_a_lease(bench):
    bench.join()

    assert bench.shard.leave() == Leave("here", TICKET)
    assert bench.versions.lease[0] == 0.0


# ---------------------------------------------------------------------------------------------- a new life


def test_a_new_life_begins_with_nothing_of_the_old_one(bench):
    bench.join()
    bench.define()
    bench.set("a", "old")
    bench.get("b")
    (token,) = bench.ask("c", fill=True).items
    slots = list(bench.versions.slots)
    bench.grant(COLD, ticket=8)

    assert (bench.pages.scan(b""), bench.info().entries, bench.info().bytes, bench.shard.epoch) == ([], 0, 0, -1)
    assert all(now > before for now, before in zip(bench.versions.slots, slots, strict=True))
    assert (bench.versions.lease[0], bench.versions.ticket[0]) == (0.0, 8)
    bench.grant(LEASED, Ring(2, {"here": 1.0}, {"here": 8}))
    bench.bring(bench.loader.loads[0], "old")
    assert bench.shard.handle(Filled(1, b"", full("c"), token.number, loaded("old"))) == Ack(2, 0)
    assert bench.info().entries == 0


def test_the_lease_goes_first_and_the_ticket_comes_last(bench, monkeypatch):
    """A crash in between starts over: nobody may take what is half gone for a life."""
    bench.join()
    seen = []

    def dropped():
        seen.append((bench.versions.lease[0], bench.versions.ticket[0]))
        raise RuntimeError("killed here")

    with monkeypatch.context() as patch:
        patch.setattr(bench.pages, "drop", dropped)
        with pytest.raises(RuntimeError):
            bench.grant(COLD, ticket=8)

    assert seen == [(0.0, TICKET)]
    assert bench.versions.ticket[0] == TICKET
    slots = bench.versions.slots[0]
    bench.grant(COLD, ticket=8)
    assert (bench.versions.ticket[0], bench.versions.slots[0]) == (8, slots + 1)


# --------------------------------------------------------------------------------------- without a lease

READS = {
    "get": Get(1, (full("a"),), 1),
    "set": Set(1, (), SHARED),
    "remove": Delete(1, (full("a"),), SHARED),
    "clear": Delete(1, None, SHARED),
}
OTHERS = {
    "bump": (Bump(None, 1), Ack(1)),
    "report": (Report(1, Stats(), ()), Ack(1)),
    "renew": (Renew(()), Ack(1)),
    "learn": (Learn(SHARED), Ack(2)),
    "filled": (Filled(9, b"", full("a", 9), 1, Orphaned()), NoSuchGroup(9)),
}


@pytest.mark.parametrize("ask", READS.values(), ids=READS)
def test_without_a_lease_it_serves_nothing_and_confirms_nothing(bench, ask, clock):
    bench.join()
    bench.define()
    bench.set("a", "value")
    clock.advance(LEASE_S)

    assert bench.shard.handle(ask) == NoLease("here")
    bench.grant(LEASED)
    assert bench.peek("a", epoch=2, standin=True) == ["value"]


@pytest.mark.parametrize("ask", [READS["set"], READS["remove"]], ids=["set", "remove"])
def test_it_learns_the_ring_of_what_it_does_not_do(bench, ask, clock):
    """Else it would stand in the way of joiners."""
    bench.join()
    clock.advance(LEASE_S)
    bench.shard.handle(ask)

    assert bench.shard.hello().epoch == 2


@pytest.mark.parametrize(("ask", "answer"), OTHERS.values(), ids=OTHERS)
def test_what_needs_no_lease_is_done_without_one(bench, ask, answer, clock):
    bench.join()
    bench.define()
    bench.set("a", "value")
    clock.advance(LEASE_S)

    assert bench.shard.handle(ask) == answer


@pytest.mark.parametrize("ask", [*READS.values(), *(ask for ask, _ in OTHERS.values())], ids=[*READS, *OTHERS])
@pytest.mark.parametrize("when", ["before the first answer", "after the end"])
def test_muted_it_does_nothing_but_end_near_entries(bench, ask, when):
    if when == "after the end":
        bench.join()
        bench.shard.end()
    slot = bench.versions.slots[0]
    answer = bench.shard.handle(ask)

    assert (answer == NoLease("here")) != isinstance(ask, Bump)
    assert bench.versions.slots[0] == slot + isinstance(ask, Bump)


def test_muted_it_still_knows_what_it_loads(bench, clock):
    """Whoever waits for that must not take it for one that is gone."""
    bench.join()
    bench.define()
    outcome = bench.get("a")[0].outcome
    bench.grant(COLD, ticket=8)
    bench.shard.end()

    assert bench.shard.handle(Get(1, (full("a"),), 1)) == NoLease("here")
    assert bench.shard.handle(Repeat((outcome, "another"))) == Repeat(("another",))


def test_muted_it_still_describes_itself(bench):
    assert (bench.info().id, bench.info().lease_s, bench.info().epoch) == ("here", 0.0, -1)
