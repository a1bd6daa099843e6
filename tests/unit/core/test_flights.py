"""Flights: at most one load per key, a bounded number of tasks, and no key that waits for ever."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hand_loader import HandLoader, loaded

from raycache.core.flights import CHUNK_KEYS, Flights
from raycache.core.getters import BUDGET_S
from raycache.core.messages import Failed, GroupSpec
from raycache.options import GroupOptions

SPEC = GroupSpec(1, "one", GroupOptions(capacity_bytes=1000, load_timeout_s=5.0), getter=b"")
OTHER = replace(SPEC, id=2, name="two")


@pytest.fixture
def loader():
    return HandLoader()


@pytest.fixture
def flights(loader, clock):
    return Flights(loader.start, clock, 2)


def add(flights: Flights, *keys: bytes, spec: GroupSpec = SPEC) -> None:
    for key in keys:
        flights.add(spec, key, standin=False)
    flights.dispatch()


def names(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def end(flights: Flights, load, outcome) -> list[bytes]:
    """Ends a load; the keys that were wanted and have come."""
    load.end(outcome)
    came = []
    for chunk, result in flights.landed(list(flights.running)):
        if isinstance(result, Failed):
            flights.fail(chunk)
        else:
            came += [flight.key for flight in flights.finish(chunk, result)]
    flights.dispatch()
    return came


def brought(*keys: bytes) -> dict:
    return {key: loaded("value", cost_s=1e-5) for key in keys}


def test_keys_that_come_together_are_spread_over_the_free_tasks(flights, loader):
    for key in names(6):
        flights.add(SPEC, key, standin=False)
    flights.dispatch()

    assert [load.keys for load in loader.loads] == [names(6)[:3], names(6)[3:]]


def test_no_more_tasks_run_than_the_limit_allows(flights, loader):
    for key in names(5):
        add(flights, key)

    assert [load.keys for load in loader.loads] == [[b"0"], [b"1"]]
    assert (len(flights), len(flights.running)) == (5, 2)


def test_a_task_that_ends_makes_room_for_what_waits(flights, loader):
    for key in names(5):
        add(flights, key)
    came = end(flights, loader.loads[0], brought(b"0"))

    assert came == [b"0"]
    assert b"0" not in flights
    assert loader.loads[2].keys == [b"2", b"3", b"4"]


def test_no_chunk_is_larger_than_the_bound(flights, loader):
    add(flights, b"a", b"b")
    end(flights, loader.loads[0], brought(b"a"))
    for key in names(3 * CHUNK_KEYS):
        flights.add(SPEC, key, standin=False)
    flights.dispatch()

    assert max(len(load.keys) for load in loader.loads) == CHUNK_KEYS


def test_of_slow_keys_no_task_takes_more_than_it_will_reach(flights, loader):
    """Else they would wait for it while other tasks are free."""
    add(flights, b"a", b"b")
    end(flights, loader.loads[0], {b"a": loaded("value", cost_s=0.4 * BUDGET_S)})
    for key in names(9):
        flights.add(SPEC, key, standin=False)
    flights.dispatch()

    assert loader.loads[2].keys == names(2)


def test_what_a_task_did_not_reach_goes_before_what_came_later(flights, loader):
    add(flights, b"x")
    for key in (b"a", b"b", b"c"):
        flights.add(SPEC, key, standin=False)
    flights.dispatch()
    add(flights, b"later")
    end(flights, loader.loads[1], {b"a": loaded("value", cost_s=0.4 * BUDGET_S)})

    assert loader.loads[2].keys == [b"b", b"c"]


def test_a_batch_getter_gets_at_most_its_batch_size(flights, loader):
    spec = replace(SPEC, batch=True, options=replace(SPEC.options, batch_size=3))
    for key in names(20):
        flights.add(spec, key, standin=False)
    flights.dispatch()

    assert [len(load.keys) for load in loader.loads] == [3, 3]


def test_keys_that_a_task_did_not_reach_wait_again(flights, loader):
    flights.add(SPEC, b"a", standin=False)
    add(flights, b"b", b"c", b"d")
    came = end(flights, loader.loads[0], brought(*loader.loads[0].keys[:1]))
    left = loader.loads[0].keys[1:]

    assert came == loader.loads[0].keys[:1]
    assert all(key in flights for key in left)
    assert sorted(key for load in loader.loads[1:] for key in load.keys if key in left) == sorted(left)


def test_a_single_key_whose_task_failed_is_free_again(flights, loader):
    add(flights, b"a")
    end(flights, loader.loads[0], Failed("killed"))

    assert b"a" not in flights
    assert (len(flights.running), len(loader.loads)) == (0, 1)
    add(flights, b"a")
    assert loader.loads[1].keys == [b"a"]


def test_keys_of_a_task_that_failed_are_tried_one_by_one(flights, loader):
    """One of them may have killed it; the others must not pay for that."""
    add(flights, b"x")
    for key in (b"a", b"b", b"c"):
        flights.add(SPEC, key, standin=False)
    flights.dispatch()
    chunk = loader.loads[1]
    end(flights, chunk, Failed("killed"))
    end(flights, loader.loads[0], brought(b"x"))

    assert chunk.keys == [b"a", b"b", b"c"]
    assert [load.keys for load in loader.loads[2:]] == [[b"a"], [b"b"]]
    end(flights, loader.loads[2], Failed("killed again"))
    assert loader.loads[4].keys == [b"c"]
    assert end(flights, loader.loads[3], brought(b"b")) == [b"b"]
    assert end(flights, loader.loads[4], brought(b"c")) == [b"c"]
    assert len(flights) == 0


def test_what_a_flight_that_was_taken_out_brings_is_not_wanted(flights, loader):
    add(flights, b"a")
    flights.take_out([b"a", b"unknown"])

    assert b"a" not in flights
    assert end(flights, loader.loads[0], brought(b"a")) == []


def test_a_key_that_was_taken_out_is_loaded_anew(flights, loader):
    add(flights, b"a")
    flights.take_out([b"a"])
    add(flights, b"a")

    assert [load.keys for load in loader.loads] == [[b"a"], [b"a"]]
    assert end(flights, loader.loads[0], brought(b"a")) == []
    assert b"a" in flights
    assert end(flights, loader.loads[1], brought(b"a")) == [b"a"]


def test_the_failure_of_a_flight_that_was_taken_out_does_not_touch_the_new_one(flights, loader):
    add(flights, b"a")
    flights.take_out([b"a"])
    add(flights, b"a")
    end(flights, loader.loads[0], Failed("killed"))

    assert b"a" in flights
    assert end(flights, loader.loads[1], brought(b"a")) == [b"a"]


def test_a_waiting_flight_that_is_taken_out_is_never_started(flights, loader):
    for key in names(3):
        add(flights, key)
    flights.take_out([b"2"])
    end(flights, loader.loads[0], brought(b"0"))

    assert [load.keys for load in loader.loads] == [[b"0"], [b"1"]]


def test_all_flights_of_a_group_can_be_taken_out(flights, loader):
    add(flights, b"a", b"b", b"c")
    add(flights, b"d", b"e", spec=OTHER)
    flights.take_out_group(SPEC.id)

    assert [key in flights for key in (b"a", b"b", b"c", b"d", b"e")] == [False, False, False, True, True]
    end(flights, loader.loads[0], brought(*loader.loads[0].keys))
    assert all(load.spec is OTHER for load in loader.loads[2:])


def test_groups_take_turns(flights, loader):
    """A group that wants a thousand keys does not make another one wait for all of them."""
    add(flights, b"x")
    add(flights, b"y")
    for key in names(2 * CHUNK_KEYS + 10):
        flights.add(SPEC, key, standin=False)
    flights.add(OTHER, b"other", standin=False)
    flights.dispatch()
    end(flights, loader.loads[0], brought(b"x"))
    end(flights, loader.loads[1], brought(b"y"))

    assert [load.spec.name for load in loader.loads[2:4]] == ["one", "two"]


def test_an_overdue_task_is_ended_and_its_key_free(flights, loader, clock):
    add(flights, b"a")
    clock.advance(BUDGET_S + 4.9)

    assert list(flights.landed(list(flights.running))) == []
    clock.advance(0.2)
    ((chunk, result),) = flights.landed(list(flights.running))
    flights.fail(chunk)
    assert (loader.loads[0].cancelled, result.hung, "5 s" in result.reason) == (True, True, True)
    assert (len(flights), flights.running) == (0, [])


def test_a_task_that_has_ended_in_time_is_not_cancelled_later(flights, loader, clock):
    add(flights, b"a")
    loader.loads[0].bring()
    clock.advance(100)

    assert [type(result) for _, result in flights.landed(list(flights.running))] == [dict]
    assert not loader.loads[0].cancelled


def test_who_asks_for_a_key_in_flight_gets_the_future_of_its_task(flights, loader):
    add(flights, b"a")
    add(flights, b"b")
    first, second, again = flights.futures([b"a", b"b", b"a"], started={b"a"})

    assert (first.outcome, second.outcome, again) == (loader.loads[0].outcome, loader.loads[1].outcome, first)
    assert (first.started, second.started, first.alone) == (True, False, True)
    assert first.left_s == pytest.approx(BUDGET_S + 5.0)


def test_who_asks_for_a_key_that_waits_is_told_to_ask_again_soon(flights):
    for key in names(3):
        add(flights, key)
    (future,) = flights.futures([b"2"], started={b"2"})

    assert (future.started, future.alone) == (True, False)
    assert 0 < future.left_s < 1


def test_keys_of_one_task_share_one_future(flights):
    add(flights, b"x")
    for key in names(500):
        flights.add(SPEC, key, standin=False)
    flights.dispatch()
    futures = flights.futures(names(500), started=set(names(500)))

    assert len({id(future) for future in futures}) == 1
    assert not futures[0].alone
