"""Looking for answers before sleeping: when, for how long, and what is done once it was in vain."""

from __future__ import annotations

import os
import select
import socket
import time
from itertools import pairwise

import pytest

from raycache.cluster import page_client
from raycache.cluster.page_client import Connection
from raycache.cluster.spin import MOST_SKIPPED, SPIN_S, Spin
from raycache.core import frames
from raycache.core.messages import Loading, Served

ANSWER = Served([b"record"], 100.0)
KEY = b"\0\0\0\1skey"


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    """How many this process may use: as given; two, also where there is only one."""

    def set_to(number):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(number)))

    set_to(2)
    return set_to


# ------------------------------------------------------------------------------------------------------- spin


class Answering:
    """Answers that come after so many looks, each of which takes a tenth of the time that there is."""

    def __init__(self):
        self.now, self.looks, self.after = 0.0, 0, 0
        self.spin = Spin(self.look, lambda: self.now)

    def look(self, _):
        self.looks += 1
        self.now += SPIN_S / 10
        return self.looks > self.after

    def next(self, after):
        """Whether it was found, and the looks that this took."""
        self.looks, self.after = 0, after
        return self.spin.found(self.now + SPIN_S), self.looks


def test_what_is_there_takes_one_look():
    assert Answering().next(0) == (True, 1)


def test_what_does_not_come_is_looked_for_until_the_time_is_over():
    assert Answering().next(100) == (False, 10)


def test_after_looks_in_vain_more_and_more_answers_are_left_out():
    answering = Answering()
    looks = [answering.next(100)[1] for _ in range(1 + 1 + 1 + 3 + 1 + 7 + 1)]

    assert looks == [10, 0, 10, 0, 0, 0, 10, *7 * [0], 10]


def test_those_left_out_are_bounded_and_one_that_comes_ends_that():
    answering = Answering()
    late = [answering.next(100)[1] for _ in range(4 * MOST_SKIPPED)]
    looked = [place for place, looks in enumerate(late) if looks]
    while not answering.next(0)[0]:
        pass

    assert max(after - before for before, after in pairwise(looked)) == MOST_SKIPPED + 1
    assert [answering.next(100)[1] for _ in range(3)] == [10, 0, 10]


def test_on_one_core_nothing_is_looked_for(cores):
    cores(1)

    assert Answering().next(0) == (False, 0)


def test_when_the_time_is_over_nothing_is_looked_for_nor_taken_for_late():
    answering = Answering()

    assert not answering.spin.found(answering.now)
    assert answering.next(0) == (True, 1)


# ------------------------------------------------------------------------------------------------- connection


class Polls:
    """A connection's poll that keeps for how many milliseconds it was asked; `late` comes once it is slept for."""

    def __init__(self, connected, other):
        self.real, self.other, self.timeouts, self.late = select.poll(), other, [], b""
        self.real.register(connected, select.POLLIN)

    def poll(self, timeout_ms):
        self.timeouts.append(timeout_ms)
        if timeout_ms and self.late:
            self.other.sendall(self.late)
            self.late = b""
        return self.real.poll(timeout_ms)

    def take_sleeps(self):
        """Whether it was looked, and how often it was slept."""
        timeouts, self.timeouts = self.timeouts, []
        return 0 in timeouts, sum(timeout > 0 for timeout in timeouts)


class Ends:
    """A connection and the other end of its socket."""

    def __init__(self, monkeypatch):
        mine, self.other = socket.socketpair()
        self.polls = Polls(mine, self.other)
        monkeypatch.setattr(page_client.select, "poll", lambda: self)
        self.connection = Connection(mine)

    def register(self, *_):
        """As `select.poll` has it."""

    def poll(self, timeout_ms):
        return self.polls.poll(timeout_ms)

    def ask(self, *, quick=True):
        return self.connection.send(b"request", quick=quick)


@pytest.fixture
def ends(monkeypatch):
    monkeypatch.setattr(page_client, "SPIN_S", 0.02)
    ends = Ends(monkeypatch)
    yield ends
    ends.connection.close("the test is over")
    ends.other.close()


def test_an_answer_that_comes_at_once_is_taken_without_sleeping(ends):
    reading = ends.ask()
    ends.other.sendall(frames.reply(ANSWER))

    assert reading.result(5.0) == ANSWER
    assert ends.polls.take_sleeps() == (True, 0)


def test_one_that_is_late_is_slept_for_and_the_next_one_at_once(ends):
    sleeps = []
    for _ in range(2):
        ends.polls.late = frames.reply(ANSWER)
        assert ends.ask().result(5.0) == ANSWER
        sleeps.append(ends.polls.take_sleeps())

    assert sleeps == [(True, 1), (False, 1)]


def test_an_answer_in_two_parts_is_put_together(ends):
    reading, reply = ends.ask(), frames.reply(ANSWER)
    ends.other.sendall(reply[:-1])
    ends.polls.late = reply[-1:]

    assert reading.result(5.0) == ANSWER


@pytest.mark.parametrize("timeout_s", [0.0, 0.005, 0.05], ids=["none", "less than it is looked", "more"])
def test_a_time_out_ends_in_time(ends, timeout_s):
    reading, began = ends.ask(), time.monotonic()

    assert reading.result(timeout_s) is None
    assert timeout_s <= time.monotonic() - began < timeout_s + 0.5


def test_on_one_core_every_answer_is_slept_for(cores, monkeypatch):
    cores(1)
    ends = Ends(monkeypatch)
    ends.polls.late = frames.reply(ANSWER)

    assert ends.ask().result(5.0) == ANSWER
    assert ends.polls.take_sleeps() == (False, 1)
    ends.connection.close("the test is over")
    ends.other.close()


def test_batches_and_ends_of_loads_are_slept_for(ends):
    ends.polls.late = frames.reply(ANSWER)
    batch = ends.ask(quick=False).result(5.0)
    get = ends.ask()
    ends.other.sendall(frames.loading(True))
    loading = get.result(5.0)
    ends.polls.take_sleeps()
    ends.polls.late = frames.reply(ANSWER)

    assert isinstance(loading, Loading)
    assert [batch, loading.end.result(5.0)] == [ANSWER, ANSWER]
    assert ends.polls.take_sleeps() == (False, 1)


def test_in_an_event_loops_thread_answers_are_slept_for(ends):
    """It would take the GIL from the loop."""
    ends.polls.late = frames.reply(ANSWER)

    assert ends.ask().future().result(5.0) == ANSWER
    assert ends.polls.take_sleeps() == (False, 1)
