"""Glances: the last answer, asked anew with every look, and nobody waits long."""

from __future__ import annotations

import threading
import time

import pytest
from fake_clock import FakeClock
from gates import Gate

from raycache.errors import CacheUnavailable
from raycache.glance import PATIENCE_S, Glance, Seen


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


class Question:
    """Answers how often it was asked, once the gate is open."""

    def __init__(self, gate: Gate | None = None) -> None:
        self.gate, self.asked, self.error = gate, 0, None

    def __call__(self) -> int:
        self.asked += 1
        if self.gate is not None:
            self.gate.passing()
        if self.error is not None:
            raise self.error
        return self.asked


def test_every_look_asks_anew():
    glance = Glance(Question(), clock=FakeClock(5.0))

    assert [glance.look() for _ in range(2)] == [Seen(1, 5.0), Seen(2, 5.0)]


def test_patience_is_half_a_second():
    assert PATIENCE_S == 0.5


def test_a_look_does_not_wait_longer_than_its_patience(gate):
    seen = Glance(Question(gate), patience_s=0.01).look()

    assert seen == Seen(None, None, "no answer within 0.01 s")
    assert seen.remarks() == ("nothing has come from the cache yet: no answer within 0.01 s",)


def test_what_came_last_is_shown_while_nothing_comes(gate):
    question = Question()
    glance = Glance(question, clock=FakeClock(5.0), patience_s=0.2)
    glance.look()
    question.gate = gate
    seen = glance.look()

    assert seen == Seen(1, 5.0, "no answer within 0.2 s")
    assert seen.remarks() == ("what is shown came earlier: no answer within 0.2 s",)


def test_no_question_is_asked_while_another_is_under_way(gate):
    question = Question(gate)
    glance = Glance(question, patience_s=0.01)
    values = [glance.look().value for _ in range(3)]

    assert (values, question.asked) == ([None] * 3, 1)


def test_a_failure_is_told_and_the_answer_before_it_stays():
    question = Question()
    glance = Glance(question, clock=FakeClock(5.0))
    glance.look()
    question.error = CacheUnavailable("no answer from shard a")

    assert glance.look() == Seen(1, 5.0, "no answer from shard a")


def test_a_failure_of_another_kind_is_told_with_its_type():
    question = Question()
    question.error = OSError("no more files")

    assert Glance(question).look() == Seen(None, None, "OSError: no more files")


def test_an_answer_ends_the_trouble():
    question = Question()
    question.error = CacheUnavailable("no")
    glance = Glance(question, clock=FakeClock(5.0))
    glance.look()
    question.error = None

    assert glance.look() == Seen(2, 5.0)


def test_the_question_is_asked_in_a_daemon_thread_of_its_own():
    thread = Glance(threading.current_thread).look().value

    assert thread.daemon
    assert thread.name.startswith("raycache-")


@pytest.mark.parametrize(("age_s", "ago"), [(0, ""), (0.9, ""), (3, ", 3 s ago"), (7200, ", 2 h ago")])
def test_the_time_of_an_answer_is_told_with_its_age(age_s, ago):
    clock = time.strftime("%H:%M:%S", time.localtime(1e9))

    assert Seen(1, 1e9).as_of(1e9 + age_s) == clock + ago


def test_without_an_answer_there_is_no_time():
    assert Seen().as_of() == ""
