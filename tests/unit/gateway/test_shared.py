"""Questions that are shared: how many are asked, and which answer, or failure, each of those who ask gets."""

from __future__ import annotations

import asyncio
import gc
import itertools

import pytest

from raycache.edge.gateway.shared import Shared
from raycache.errors import CacheUnavailable


@pytest.fixture
def question(gate):
    """Its answers are 1, 2, ...; each waits at the gate."""
    numbers, held = itertools.count(1), gate()

    def ask():
        number = next(numbers)
        held.passing()
        return number

    ask.gate = held
    return ask


async def asked(shared, count):
    tasks = [asyncio.create_task(shared.answer()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def test_who_asks_while_it_is_under_way_gets_the_next_answer(question):
    """... together with all who do: what was so before they asked is in it."""

    async def ask():
        shared = Shared(question)
        first = await asked(shared, 1)
        await asyncio.to_thread(question.gate.await_arrival)
        later = await asked(shared, 50)
        question.gate.open()
        return await asyncio.gather(*first, *later)

    assert asyncio.run(ask()) == [1] + [2] * 50


@pytest.mark.parametrize(("age", "answers"), [(0.5, [1, 1]), (1.5, [1, 2])])
def test_an_answer_may_be_as_old_as_was_said(question, clock, age, answers):
    question.gate.open()

    async def ask():
        shared = Shared(question, 1.0, clock)
        first = await shared.answer()
        clock.advance(age)
        return [first, await shared.answer()]

    assert asyncio.run(ask()) == answers


def test_a_failure_is_that_of_all_who_wait_for_it():
    """Else each of them would wait for one of its own, one after the other."""
    failures = []

    def fail():
        failures.append(1)
        raise CacheUnavailable("no")

    async def ask():
        shared = Shared(fail)
        return await asyncio.gather(*(shared.answer() for _ in range(50)), return_exceptions=True)

    answers = asyncio.run(ask())

    assert {type(answer) for answer in answers} == {CacheUnavailable}
    assert len(failures) <= 2


def test_who_goes_away_takes_the_answer_from_nobody_else(question):
    async def ask():
        gone, staying = await asked(Shared(question), 2)
        await asyncio.to_thread(question.gate.await_arrival)
        gone.cancel()
        question.gate.open()
        return await staying

    assert asyncio.run(ask()) in (1, 2)


def test_a_failure_that_nobody_waits_for_is_not_logged(gate, caplog):
    held = gate()

    def fail():
        held.passing()
        raise CacheUnavailable("no")

    async def ask():
        shared = Shared(fail)
        (gone,) = await asked(shared, 1)
        await asyncio.to_thread(held.await_arrival)
        gone.cancel()
        await asyncio.wait([gone])
        held.open()
        with pytest.raises(CacheUnavailable):
            await shared.answer()
        del shared
        gc.collect()

    asyncio.run(ask())

    assert caplog.records == []
