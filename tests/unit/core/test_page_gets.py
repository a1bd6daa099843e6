"""Gets that wait at a page server: each is told what its own load has brought, and for all else it asks by a call."""

from __future__ import annotations

import pytest
from hand_loader import absent, loaded, loaded_large, raised
from shard_bench import full, ring, value_of

from raycache.core import numbered, page_gets
from raycache.core.flights import KEPT_S, UNSTORED_KEPT_S
from raycache.core.messages import Failed, InFlight, Large, Served
from raycache.core.page_gets import PageGets, Waiting

ALICE = full("alice")
BENCH_OPTIONS = {"max_loads": 2}
WITH_ANOTHER = ring(2, "other")
ELSEWHERE = next(key for key in map(full, range(99)) if WITH_ANOTHER.owner(key) == "other")


class Gets:
    """The gets that wait for a bench's shard; `busy`: its lock is taken."""

    def __init__(self, bench):
        self.bench, self.busy, self.told = bench, False, []
        self.gets = PageGets(bench.shard.page_reads, self._handle, bench.clock)

    def _handle(self, message):
        return None if self.busy else self.bench.shard.handle(message)

    def get(self, number=7):
        return self.gets.get(1, number, ALICE, lambda served: self.told.append(self.value(served)))

    @staticmethod
    def value(served):
        """The value that is served; None: ask by a call."""
        assert isinstance(served, Served)
        return None if served.records == [None] else value_of(*served.records)

    def end(self, load, outcome):
        """As the actor does it: who waits is told, and then the shard settles."""
        load.end(outcome)
        self.gets.landed(load.keys, load)
        self.bench.shard.tick()
        self.bench.shard.told(self.gets.take_told())


@pytest.fixture
def bench(bench):
    bench.define()
    return bench


@pytest.fixture
def gets(bench):
    return Gets(bench)


def test_what_is_there_is_served_at_once(bench, gets):
    bench.set("alice", "here")

    assert gets.value(gets.get()) == "here"
    assert bench.loader.loads == []


def test_a_missing_key_is_loaded_once_and_all_who_wait_are_told(bench, gets):
    """The first has started the load; another one by a call joins it, too."""
    first, second = gets.get(number=7), gets.get(number=8)
    (third,) = bench.get("alice")
    (load,) = bench.loader.loads
    gets.end(load, {ALICE: loaded("new")})

    assert [each.started for each in (first, second, third)] == [True, False, False]
    assert gets.told == ["new", "new"]
    assert not gets.gets.wants([ALICE])
    assert bench.get("alice") == ["new"]


def test_what_was_told_and_is_stored_is_kept_nowhere_else(bench, gets):
    gets.get()
    gets.end(*bench.loader.loads, {ALICE: loaded("new")})

    assert bench.shard._flights.ended(ALICE) is None


@pytest.mark.parametrize(
    "outcome",
    [{ALICE: raised(ValueError("no"))}, {ALICE: absent()}, {ALICE: loaded_large(0, 200_000)}, Failed("it died")],
    ids=["raised", "absent", "too large to be kept", "died"],
)
def test_for_what_is_no_small_value_it_asks_by_a_call_and_the_getter_does_not_run_again(bench, gets, outcome):
    gets.get()
    (load,) = bench.loader.loads
    gets.end(load, outcome)
    (item,) = bench.ask("alice", again=True).items

    assert gets.told == [None]
    assert isinstance(item, InFlight)
    assert (item.outcome, item.started) == (load.outcome, False)
    assert bench.loader.loads == [load]


def test_a_large_value_is_kept_where_it_is_stored_and_nowhere_else(bench, gets):
    """Its memory is free as soon as it is evicted."""
    gets.get()
    gets.end(*bench.loader.loads, {ALICE: loaded_large(0, 5_000)})

    assert gets.told == [None]
    assert isinstance(*bench.ask("alice", again=True).items, Large)
    assert bench.shard._flights.ended(ALICE) is None


def test_a_load_that_was_running_when_its_key_was_removed_tells_nobody_who_came_later(bench, gets):
    """The one who has waited before gets its value, as whoever waits for the load's future does."""
    gets.get(number=7)
    bench.remove("alice")
    later = gets.get(number=8)
    old, new = bench.loader.loads
    gets.end(old, {ALICE: loaded("old")})
    told = list(gets.told)
    gets.end(new, {ALICE: loaded("new")})

    assert later.started
    assert told == ["old"]
    assert gets.told == ["old", "new"]
    assert bench.get("alice") == ["new"]


def test_who_waits_for_a_task_to_be_free_asks_by_a_call_when_its_load_has_ended(bench, gets):
    """The shard has named another load to it."""
    bench.get("one"), bench.get("other")
    waiting = gets.get()
    gets.end(bench.loader.loads[0], {full("one"): loaded("first")})
    told = list(gets.told)
    gets.end(bench.loader.loads[2], {ALICE: loaded("mine")})
    (item,) = bench.ask("alice", again=True).items

    assert waiting.started
    assert told == []
    assert gets.told == [None]
    assert item.outcome is bench.loader.loads[2].outcome


def test_a_key_that_its_load_did_not_reach_is_asked_for_by_a_call(bench, gets):
    gets.get()
    gets.end(bench.loader.loads[0], {})

    assert gets.told == [None]
    assert ALICE in bench.shard._flights


@pytest.mark.parametrize(
    ("key", "busy", "most"),
    [
        (ALICE, True, 9),
        (ALICE, False, 0),
        (full("alice", 9), False, 9),
        (full("alice", 2), False, 9),
        (ELSEWHERE, False, 9),
    ],
    ids=["busy", "too many wait", "unknown group", "no getter", "not the owner"],
)
def test_where_the_shard_cannot_simply_load_it_asks_by_a_call(bench, gets, monkeypatch, key, busy, most):
    monkeypatch.setattr(page_gets, "MOST_WAITING", most)
    bench.define(2, "plain", getter=None)
    bench.join(WITH_ANOTHER)
    gets.busy = busy

    assert gets.value(gets.gets.get(1, 7, key, gets.told.append)) is None
    assert bench.loader.loads == []
    assert not gets.gets.wants([key])


def test_without_a_lease_nothing_is_answered(bench, gets):
    bench.set("alice", "here")
    bench.shard.end()

    assert gets.get() is None


def test_who_has_waited_long_enough_asks_by_a_call_and_is_told_once(bench, gets):
    waiting = gets.get()
    gets.gets.give_up(waiting)
    gets.end(*bench.loader.loads, {ALICE: loaded("late")})

    assert gets.told == [None]


def test_who_has_gone_is_told_nothing_and_its_number_says_by_a_call_what_it_has_started(bench, gets):
    """Also when the load has ended meanwhile: it is counted once, as started."""
    waiting = gets.get(number=7)
    gets.gets.forget(waiting)
    gets.gets.forget(waiting)
    running, joined = (bench.ask("alice", again=True, number=number) for number in (7, 8))
    gets.end(*bench.loader.loads, {ALICE: loaded("new")})
    ended, other = bench.ask("alice", again=True, number=7), bench.ask("alice", again=True)

    assert isinstance(waiting, Waiting)
    assert gets.told == []
    assert [each.started for each in (running, joined, ended, other)] == [True, False, True, False]


@pytest.mark.parametrize("outcome", [absent(), raised(ValueError("no"))], ids=["absent", "raised"])
def test_who_waits_and_asks_after_anothers_load_gets_that_ones_end(bench, gets, outcome):
    """What its own load has brought is gone by then, and no getter runs a third time."""
    gets.get(number=7)
    gets.end(*bench.loader.loads, {ALICE: outcome})
    bench.ask("alice")  # of another, by a call, when nothing is there
    gets.end(bench.loader.loads[1], {ALICE: outcome})
    bench.clock.advance(KEPT_S + 1)  # on a machine that stood still
    bench.shard.tick()
    (item,) = bench.ask("alice", again=True).items

    assert item.outcome is bench.loader.loads[1].outcome
    assert len(bench.loader.loads) == 2


def test_what_is_not_stored_is_not_kept_for_ever(bench, gets):
    gets.get(number=7)
    gets.end(*bench.loader.loads, {ALICE: absent()})
    bench.clock.advance(UNSTORED_KEPT_S + 1)
    bench.shard.tick()

    assert bench.shard._flights.ended(ALICE) is None


@pytest.mark.parametrize(
    "outcome", [loaded("new"), absent(), raised(ValueError("no"))], ids=["value", "absent", "raised"]
)
def test_a_get_has_started_its_load_whatever_others_were_told_of_it_and_have_started_since(bench, gets, outcome):
    """Its answer was lost; the end was told to another who waits, and a third has the key loaded anew, if need be."""
    gets.gets.forget(gets.get(number=7))
    gets.get(number=8)
    gets.end(*bench.loader.loads, {ALICE: outcome})
    others = [bench.ask("alice").started, bench.ask("alice", again=True, number=8).started]

    assert bench.ask("alice", again=True, number=7).started
    assert others == [False, False]


@pytest.mark.parametrize("first", [True, False], ids=["its call has started the load", "its call has joined it"])
def test_a_get_that_comes_over_the_connection_after_its_call_was_answered_starts_nothing(bench, gets, first):
    """It lay in the socket of a stopped process: nobody waits for it any more."""
    if not first:
        bench.get("alice")
    bench.ask("alice", again=True, number=7)
    (load,) = bench.loader.loads
    gets.end(load, {ALICE: absent()})
    late = gets.value(gets.get(number=7))
    another = gets.get(number=8)

    assert late is None
    assert another.started
    assert len(bench.loader.loads) == 2


def test_a_call_is_answered_in_full_however_often_it_comes(bench, gets):
    """Its client waits for it, though the number was answered before."""
    gets.gets.forget(gets.get(number=7))
    gets.end(*bench.loader.loads, {ALICE: absent()})
    bench.clock.advance(UNSTORED_KEPT_S + 1)
    bench.shard.tick()
    (item,) = bench.ask("alice", again=True, number=7).items

    assert item.outcome is bench.loader.loads[1].outcome


def test_of_the_numbers_of_gets_the_last_are_remembered(bench, monkeypatch):
    """Those that have started a load, and those that have come by a call."""
    monkeypatch.setattr(numbered, "MOST_NUMBERS", 3)
    for number in range(1, 6):
        bench.ask("alice", number=100 + number)
        bench.ask(number, number=number)
    remembered = [number for number in (5, 4, 3, 2, 1) if bench.ask(number, again=True, number=number).started]

    assert remembered == [5, 4, 3]
    assert len(bench.shard._numbered) == 3
