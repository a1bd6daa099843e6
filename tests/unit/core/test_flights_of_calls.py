"""Flights with calls: how to compute a key comes along with the question, and may be gone when it is its turn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hand_loader import HandLoad, HandLoader, loaded
from test_flights import end

from raycache.core.flights import MOST_COSTS, Flights
from raycache.core.messages import Call, Define, Failed, Get, GroupSpec, InFlight, Orphaned
from raycache.options import GroupOptions

SPEC = GroupSpec(1, "f", GroupOptions(capacity_bytes=1000, batch_size=3), getter=b"", definition=b"one")
OTHER = replace(SPEC, definition=b"other")
BATCH = replace(SPEC, batch=True, definition=b"batch")


class CallLoader(HandLoader):
    """Remembers what it was to call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[Call]] = []

    def start(self, spec: GroupSpec, keys: list[bytes], calls: list[Call] = ()) -> HandLoad:
        self.calls.append(list(calls))
        return super().start(spec, keys)


@pytest.fixture
def loader():
    return CallLoader()


@pytest.fixture
def flights(loader, clock):
    return Flights(loader.start, clock, 2)


def add(flights, spec, *keys, frame=b"", dispatch=True):
    for key in keys:
        flights.add(spec, key, False, Call(key.decode(), frame=frame))
    if dispatch:
        flights.dispatch()


def names(first, last):
    return [b"%03d" % number for number in range(first, last)]


def test_each_key_is_started_with_its_own_call(flights, loader):
    add(flights, SPEC, *names(0, 6), dispatch=False)
    flights.dispatch()

    assert [[call.arguments.encode() for call in calls] for calls in loader.calls] == [
        load.keys for load in loader.loads
    ]


def test_definitions_of_one_function_do_not_go_together(flights, loader):
    add(flights, SPEC, *names(0, 2), dispatch=False)
    add(flights, OTHER, *names(2, 4), dispatch=False)
    flights.dispatch()

    assert [(load.spec, load.keys) for load in loader.loads] == [(SPEC, names(0, 1)), (OTHER, names(2, 4))]


def test_only_items_of_one_frame_go_in_one_batch(flights, loader):
    for number in range(0, 6, 2):
        add(flights, BATCH, *names(number, number + 1), frame=b"even", dispatch=False)
        add(flights, BATCH, *names(number + 1, number + 2), frame=b"odd", dispatch=False)
    flights.dispatch()

    assert [load.keys for load in loader.loads] == [[b"000", b"002", b"004"], [b"001", b"003", b"005"]]
    assert [{call.frame for call in calls} for calls in loader.calls] == [{b"even"}, {b"odd"}]


def test_the_lanes_take_turns(flights, loader):
    add(flights, BATCH, *names(0, 9), frame=b"a", dispatch=False)
    add(flights, BATCH, b"x", frame=b"b", dispatch=False)
    flights.dispatch()

    assert [load.keys for load in loader.loads] == [names(0, 3), [b"x"]]


def test_what_a_key_costs_is_known_for_each_definition(flights, loader):
    """A slow definition is not put together because an older one was quick."""
    for spec in (SPEC, OTHER):
        add(flights, spec, b"x")
        end(flights, loader.loads[-1], {b"x": loaded("v", cost_s=1e-6 if spec is SPEC else 1.0)})
    started = len(loader.loads)
    add(flights, SPEC, *names(0, 100), dispatch=False)
    flights.dispatch()
    add(flights, OTHER, *names(100, 200), dispatch=False)
    flights.dispatch()

    assert [len(load.keys) for load in loader.loads[started:]] == [100, 1]
    assert loader.loads[-1].spec is OTHER


def test_of_so_many_definitions_only_the_latest_costs_are_kept(flights, loader):
    for number in range(MOST_COSTS + 50):
        add(flights, replace(SPEC, definition=b"%d" % number), b"x")
        end(flights, loader.loads[-1], {b"x": loaded("v")})

    assert len(flights._cost_s) == MOST_COSTS
    assert len(flights) == len(flights.running) == 0


def test_a_getter_at_work_that_asks_starts_each_lane_at_once(flights, loader):
    add(flights, SPEC, b"x")
    add(flights, SPEC, b"y")
    add(flights, BATCH, *names(0, 4), frame=b"a", dispatch=False)
    add(flights, BATCH, *names(4, 6), frame=b"b", dispatch=False)
    flights.hurry(BATCH, names(0, 6), standin=False)

    assert [load.keys for load in loader.loads[2:]] == [names(0, 3), names(3, 4), names(4, 6)]
    assert [{call.frame for call in calls} for calls in loader.calls[2:]] == [{b"a"}, {b"a"}, {b"b"}]


def test_calls_of_a_chunk_that_failed_are_tried_one_by_one(flights, loader):
    add(flights, BATCH, *names(0, 3), frame=b"a", dispatch=False)
    flights.dispatch()
    end(flights, loader.loads[0], Failed("killed"))

    assert [[call.arguments for call in calls] for calls in loader.calls[1:]] == [["000"], ["001"]]


def test_an_orphan_is_free_for_who_brings_its_arguments_anew(flights, loader):
    add(flights, SPEC, b"a")
    flights.futures([b"a"], started=())
    came = end(flights, loader.loads[0], {b"a": Orphaned()})

    assert (came, b"a" in flights, flights.ended(b"a")) == ([b"a"], False, None)
    add(flights, SPEC, b"a")
    assert end(flights, loader.loads[1], {b"a": loaded("value")}) == [b"a"]


def test_that_a_key_was_an_orphan_is_not_the_answer_for_who_waited_for_its_turn(flights, loader):
    add(flights, SPEC, b"x")
    add(flights, SPEC, b"y")
    add(flights, SPEC, b"a")
    flights.futures([b"a"], started=())
    end(flights, loader.loads[0], {b"x": loaded("v")})
    end(flights, loader.loads[2], {b"a": Orphaned()})

    assert flights.ended(b"a") is None


def test_who_asks_after_an_orphan_has_its_own_call_run(bench):
    spec = bench.define()
    bench.shard.handle(Define(replace(spec, definition=b"code")))
    key = b"\0\0\0\1a"

    def ask(arguments, **options):
        message = Get(1, (key,), 1, definition=b"code", calls=(Call(arguments),), **options)
        (item,) = bench.shard.handle(message).items
        return item

    first = ask("of a process that is gone")
    bench.end(bench.loader.loads[0], {key: Orphaned()})
    second = ask("of one that is there", again=True)

    assert isinstance(first, InFlight)
    assert (second.started, second.outcome) == (True, bench.loader.loads[1].outcome)
    assert (bench.stats().loads, bench.stats().entries) == (0, 0)
