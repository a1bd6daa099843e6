"""Callers that wait for what another caller computes: by tokens that are renewed, given back or taken over."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest
from tally import Held

import raycache
from raycache.core.fills import TOKEN_S
from raycache.core.lookup import LEAST_PAUSE_S, MOST_PAUSE_S
from raycache.core.messages import Answers, Filled, Filling, Get, Orphaned, Renew


class Spy:
    """Sees every message to a shard, and the answer; a test can wait for some kind of it."""

    def __init__(self, network, monkeypatch):
        self._ask, self._network = network.ask, network
        self._came = threading.Condition()
        self.seen = []
        monkeypatch.setattr(network, "ask", self)

    def __call__(self, shard, message):
        future = self._ask(shard, message)
        with self._came:
            self.seen.append((message, future.value))
            self._came.notify_all()
        return future

    def await_(self, wanted, count=1):
        """Returns when so many messages and answers were as wanted."""
        with self._came:
            assert self._came.wait_for(lambda: sum(wanted(*each) for each in self.seen) >= count, 30)


def told_to_wait(message, answer):
    return isinstance(message, Get) and isinstance(answer, Answers) and answer.items == [Filling()]


@pytest.fixture
def spy(cache, monkeypatch):
    return Spy(cache.network, monkeypatch)


@pytest.fixture
def door(gate):
    return gate()


@pytest.fixture
def held(memo, tally, door):
    """A function of the caller that waits at the door, the first time it is called."""
    hold = Held(door)

    @memo(where="caller", name="held")
    def held(x):
        tally(x)
        if len(tally.seen) == 1:
            hold()
        return [x, len(tally.seen)]

    return held


def test_who_waits_gets_what_was_computed(held, spy, door, pool, tally):
    first = pool.submit(held, 1)
    door.await_arrival()
    others = [pool.submit(held, 1), pool.submit(lambda: asyncio.run(acall(held, 1)))]
    spy.await_(told_to_wait, 4)
    door.open()

    assert [each.result(30) for each in (first, *others)] == [[1, 1]] * 3
    assert tally.seen == [1]


async def acall(memoized, *args):
    """A call of a plain function as an event loop makes it."""
    return await memoized._memo.acall(args, {})


def test_who_waits_for_one_key_does_not_hold_up_another(held, spy, door, pool):
    first = pool.submit(held, 1)
    door.await_arrival()
    waiting = pool.submit(held, 1)
    spy.await_(told_to_wait)

    assert held(2) == [2, 2]
    door.open()
    assert [first.result(30), waiting.result(30)] == [[1, 1 + 1]] * 2


def test_waiting_is_counted_as_joining(held, spy, door, pool, cache):
    first = pool.submit(held, 1)
    door.await_arrival()
    waiting = pool.submit(held, 1)
    spy.await_(told_to_wait, 3)
    door.open()
    first.result(30)
    waiting.result(30)
    stats = cache.stats()

    assert (stats.gets, stats.loads_started, stats.loads_joined, stats.loads) == (2, 1, 1, 1)


def test_a_token_that_was_not_renewed_goes_to_the_next_and_the_late_result_is_refused(
    held, spy, door, pool, clock, monkeypatch
):
    monkeypatch.setattr("raycache.memo.holding.RENEW_S", 1e6)
    first = pool.submit(held, 1)
    door.await_arrival()
    second = pool.submit(held, 1)
    spy.await_(told_to_wait)
    clock.advance(TOKEN_S)
    taken = second.result(30)
    door.open()

    assert (taken, first.result(30)) == ([1, 2], [1, 2])
    assert [answer.done for message, answer in spy.seen if isinstance(message, Filled)] == [1, 0]
    assert held(1) == [1, 2]


def test_while_it_computes_the_holder_renews_its_token(held, spy, door, pool, clock, monkeypatch):
    monkeypatch.setattr("raycache.memo.holding.RENEW_S", 0.001)
    first = pool.submit(held, 1)
    door.await_arrival()
    for _ in range(5):
        clock.advance(TOKEN_S - 0.1)
        renewed = sum(isinstance(message, Renew) for message, _ in spy.seen)
        spy.await_(lambda message, answer: isinstance(message, Renew), renewed + 2)
    during, renewed = held.explain(1), [answer.done for message, answer in spy.seen if isinstance(message, Renew)]
    door.open()

    assert (during.computing, first.result(30)) == (True, [1, 1])
    assert set(renewed) == {1}


def test_when_nothing_is_computed_nobody_renews(held, door, pool):
    door.open()
    held(1)
    for thread in threading.enumerate():
        if thread.name == "raycache-renew":
            thread.join(30)
            assert not thread.is_alive()


def test_a_computation_that_is_given_up_gives_its_token_back(held, spy, memo):
    @memo(where="caller")
    def f(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        f(1)

    assert [message.result for message, _ in spy.seen if isinstance(message, Filled)] == [Orphaned()]
    assert not f.explain(1).computing


def test_who_waits_for_what_was_removed_computes_it(held, spy, door, pool):
    first = pool.submit(held, 1)
    door.await_arrival()
    waiting = pool.submit(held, 1)
    spy.await_(told_to_wait)
    held.forget(1)
    again = waiting.result(30)
    door.open()

    assert (again, first.result(30), held(1)) == ([1, 2], [1, 2], [1, 2])


def asking(memoized, *args):
    """A lookup that has been told to wait, by hand: its steps, and what it waits for."""
    plan, binding = memoized._memo.plan(args, {}), memoized._memo.binding()
    look = binding.look(plan.works)
    steps = binding.ask(look, plan.code, None)
    want = next(steps)
    while want.futures:
        want = steps.send([future.value for future in want.futures])
    return look, steps, want


def test_pauses_grow_until_they_are_long_enough(held, door, pool):
    first = pool.submit(held, 1)
    door.await_arrival()
    _, steps, want = asking(held, 1)
    pauses = [want.timeout_s]
    for _ in range(10):
        want = steps.send([])
        assert isinstance(want.futures[0].value, Answers)
        pauses.append(steps.send([future.value for future in want.futures]).timeout_s)
    door.open()
    first.result(30)

    assert pauses[0] == LEAST_PAUSE_S
    assert all(after == min(2 * before, MOST_PAUSE_S) for before, after in itertools.pairwise(pauses))
    assert pauses[-1] == MOST_PAUSE_S


def test_who_waits_looks_first_where_it_costs_no_message(held, spy, door, pool):
    first = pool.submit(held, 1)
    door.await_arrival()
    look, steps, _ = asking(held, 1)
    door.open()
    first.result(30)
    asked = len(spy.seen)
    with pytest.raises(StopIteration):
        steps.send([])

    assert list(look.got.values()) == [[1, 1]]
    assert len(spy.seen) == asked


def test_of_a_batch_only_what_nobody_computes_is_claimed(memo, spy, tally, door, pool):
    hold = Held(door)

    @memo(where="caller", batch="items")
    def f(items):
        tally(list(items))
        if len(tally.seen) == 1:
            hold()
        return [-item for item in items]

    first = pool.submit(f, [1, 2])
    door.await_arrival()
    second = pool.submit(f, [2, 3])
    spy.await_(told_to_wait)
    door.open()

    assert [first.result(30), second.result(30)] == [[-1, -2], [-2, -3]]
    assert sorted(tally.seen) == [[1, 2], [3]]


@pytest.mark.parametrize("other", ["task", "caller"])
def test_what_is_claimed_is_computed_before_others_are_waited_for(memo, door, pool, tally, other):
    """Else who wants only that would wait as well, and then compute it once more."""
    hold = Held(door)

    def f(items):
        tally(list(items))
        if 1 in items:
            hold()
        return [-item for item in items]

    first, second = (memo(f, where=where, batch="items", name="f", version=1) for where in (other, "caller"))
    held = pool.submit(first, [1])
    door.await_arrival()
    waiting = pool.submit(second, [1, 2])
    with tally.came:
        assert tally.came.wait_for(lambda: [2] in tally.seen, 30)
    meanwhile = second([2])
    door.open()

    assert (meanwhile, held.result(30), waiting.result(30)) == ([-2], [-1], [-1, -2])
    assert sorted(tally.seen) == [[1], [2]]


def test_a_cache_that_ends_meanwhile_does_not_keep_the_result_from_its_caller(inline, tally, gate, pool):
    cache, door = inline(), gate()
    hold = Held(door)

    @raycache.memoize(cache=cache, where="caller")
    def f(x):
        hold()
        return [x]

    first = pool.submit(f, 1)
    door.await_arrival()
    cache.destroy()
    door.open()

    assert first.result(30) == [1]
