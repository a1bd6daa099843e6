"""Calls: computed once, however many ask and however they end; what a caller does with a result is its own affair."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
from gates import together
from tally import Held, looks

import raycache
from raycache import NotFound
from raycache.core.messages import Answers, Get

CALLERS = 8


def test_calls_that_mean_the_same_are_one(memo, where, tally):
    @memo(where=where)
    def f(x, y=2, *rest, z=3, **more):
        tally(x)
        return x, y, rest, z, more

    results = [f(1), f(1, 2), f(x=1), f(y=2, x=1), f(1, z=3), f(x=1, y=2)]

    assert results == [(1, 2, (), 3, {})] * 6
    assert (tally.seen, looks(f)) == ([1], (5, 1))


def test_calls_that_mean_something_else_are_not_one(memo, where):
    @memo(where=where)
    def f(x, y=2, *rest, z=3, **more):
        return x, y, rest, z, more

    calls = [f(1), f(2), f(1, 3), f(1, 2, 3), f(1, 2, 3, 4), f(1, z=4), f(1, more=1), f(1, less=1), f((1, 2))]

    assert len({repr(call) for call in calls}) == len(calls) == f.cache_info().misses


def test_what_the_function_does_not_take_is_refused_as_it_would(memo, where):
    @memo(where=where)
    def f(x, y=2):
        return x

    for wrong in (lambda: f(), lambda: f(1, 2, 3), lambda: f(1, z=1), lambda: f(1, x=1)):
        with pytest.raises(TypeError, match=r"f\(\)"):
            wrong()
    f(1)
    for wrong in (lambda: f(), lambda: f(1, 2, 3), lambda: f(1, z=1), lambda: f(1, x=1)):
        with pytest.raises(TypeError, match=r"f\(\)"):
            wrong()
    assert f.cache_info().misses == 1


def test_an_argument_without_a_fingerprint_is_named(memo, where):
    @memo(where=where)
    def f(data):
        return 1

    with pytest.raises(raycache.UnhashableArgument, match=r"data\['rows'\]\[1\]"):
        f({"rows": [1, iter([])]})


def test_none_is_a_result_like_others(memo, where, tally):
    @memo(where=where)
    def f(x):
        tally(x)

    assert [f(1), f(1)] == [None, None]
    assert tally.seen == [1]


@pytest.mark.parametrize("kind", ["list", "array", "large array"])
def test_a_result_that_its_caller_changes_is_the_same_for_the_next(memo, where, kind):
    @memo(where=where)
    def f(size):
        return [0] * size if kind == "list" else numpy.zeros(size)

    size = 100_000 if kind == "large array" else 3
    for _ in range(3):
        result = f(size)
        if kind == "list" or result.flags.writeable:
            result[0] = 7

    assert f(size)[0] == 0


def test_an_argument_that_is_changed_later_is_another_one(memo, where):
    @memo(where=where)
    def f(items):
        return sum(items)

    items = [1, 2]
    first = f(items)
    items.append(3)

    assert (first, f(items), f([1, 2])) == (3, 6, 3)


def test_threads_that_ask_for_a_cold_result_share_one_computation(memo, where, tally, gate):
    """One computation per key, however many ask at once."""
    door = gate()
    hold = Held(door)

    @memo(where=where)
    def f(x):
        tally(x)
        hold()
        return [x]

    opener = threading.Thread(target=lambda: (door.await_arrival(), door.open()))
    opener.start()
    results = together(*[lambda: f(1)] * CALLERS)
    opener.join()

    assert (results, tally.seen) == ([[1]] * CALLERS, [1])


def test_tasks_of_an_event_loop_share_one_computation(memo, where, tally):
    @memo(where=where)
    async def f(x):
        tally(x)
        await asyncio.sleep(0)
        return [x]

    async def ask():
        return await asyncio.gather(*(f(1) for _ in range(CALLERS)), f(2))

    assert asyncio.run(ask()) == [[1]] * CALLERS + [[2]]
    assert sorted(tally.seen) == [1, 2]


class Broken(Exception):
    """An exception of the user's own."""


def test_an_exception_reaches_all_who_wait_as_itself_from_one_run(memo, cache, where, tally, gate, pool, monkeypatch):
    door = gate()
    hold = Held(door)

    @memo(where=where)
    def f(x):
        tally(x)
        hold()
        raise Broken("no", x)

    asked, askers = threading.Semaphore(0), set()
    answer = cache.network.ask

    def ask(shard, message):
        answered = answer(shard, message)
        if isinstance(message, Get) and isinstance(answered.value, Answers) and threading.get_ident() not in askers:
            askers.add(threading.get_ident())  # callers that wait for another ask again and again
            asked.release()
        return answered

    monkeypatch.setattr(cache.network, "ask", ask)
    first = pool.submit(f, 1)
    door.await_arrival()
    others = [pool.submit(f, 1) for _ in range(3)]
    assert all(asked.acquire(timeout=30) for _ in range(4))
    door.open()
    errors = [each.exception(30) for each in (first, *others)]

    assert [(type(error), error.args) for error in errors] == [(Broken, ("no", 1))] * 4
    assert tally.seen == [1]


def test_an_exception_is_not_kept(memo, where, tally):
    @memo(where=where)
    def f(x):
        tally(x)
        raise Broken

    for _ in range(2):
        with pytest.raises(Broken):
            f(1)

    assert (tally.seen, f.peek(1), f.cache_info().currsize) == ([1, 1], None, 0)


def test_an_exception_of_an_async_function_is_raised_where_it_is_awaited(memo, where):
    @memo(where=where)
    async def f(x):
        raise Broken(x)

    with pytest.raises(Broken, match="1"):
        asyncio.run(f(1))


def test_a_result_that_cannot_be_kept_is_an_error(memo, where):
    @memo(where=where)
    def f():
        return threading.Lock()

    with pytest.raises(raycache.UncacheableValue):
        f()


def test_a_caller_that_is_interrupted_leaves_the_call_to_the_next(memo, tally):
    @memo(where="caller")
    def f(x):
        tally(x)
        if len(tally.seen) == 1:
            raise KeyboardInterrupt
        return x

    with pytest.raises(KeyboardInterrupt):
        f(1)

    assert (f(1), tally.seen) == (1, [1, 1])


def test_a_cancelled_awaiter_leaves_the_call_to_the_next(memo, tally):
    async def scenario():
        started, never = asyncio.Event(), asyncio.Event()

        @memo(where="caller", version=1)
        async def f(x):
            tally(x)
            if len(tally.seen) == 1:
                started.set()
                await never.wait()
            return x

        first = asyncio.create_task(f(1))
        await started.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await asyncio.wait_for(f(1), 30)

    assert (asyncio.run(scenario()), tally.seen) == (1, [1, 1])


def test_a_function_may_call_itself_with_other_arguments(memo, where, tally):
    @memo(where=where, load_timeout="20s")
    def fib(n):
        tally(n)
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(30) == 832_040
    assert sorted(tally.seen) == list(range(31))


def test_an_async_function_may_call_itself_with_other_arguments(memo, where, tally):
    @memo(where=where, load_timeout="20s")
    async def fib(n):
        tally(n)
        return n if n < 2 else await fib(n - 1) + await fib(n - 2)

    assert asyncio.run(fib(12)) == 144
    assert sorted(tally.seen) == list(range(13))


def test_a_function_that_calls_itself_with_the_same_arguments_comes_to_pythons_end(memo, where):
    @memo(where=where, load_timeout="20s")
    def f(x):
        return f(x) + 1

    with pytest.raises(RecursionError):
        f(1)


def test_an_async_function_that_calls_itself_with_the_same_arguments_comes_to_pythons_end(memo, where):
    @memo(where=where, load_timeout="20s")
    async def f(x):
        return await f(x) + 1

    with pytest.raises(RecursionError):
        asyncio.run(f(1))


def test_functions_of_the_caller_that_call_each_other_for_ever_come_to_pythons_end(memo):
    @memo(where="caller")
    def even(x):
        return odd(x)

    @memo(where="caller")
    def odd(x):
        return even(x)

    with pytest.raises(RecursionError):
        even(1)


@pytest.mark.parametrize("inner", ["task", "caller"])
def test_a_memoized_function_may_call_another_one(inline, tally, where, inner):
    cache = inline(max_loads=1)

    @raycache.memoize(cache=cache, where=inner, load_timeout="20s")
    def clean(x):
        tally(("clean", x))
        return x.strip()

    @raycache.memoize(cache=cache, where=where, load_timeout="20s")
    def words(x, upper):
        tally(("words", x))
        return clean(x).upper() if upper else clean(x)

    assert [words(" a ", True), words(" a ", False), words(" a ", True)] == ["A", "a", "A"]
    assert tally.seen == [("words", " a "), ("clean", " a "), ("words", " a ")]


def test_peek_never_computes(memo, where, tally):
    @memo(where=where)
    def f(x):
        tally(x)
        return x

    before = f.peek(1)
    f(1)

    assert (before, f.peek(1), f.peek(2), tally.seen) == (None, 1, None, [1])
    assert looks(f) == (0, 1)


def test_forget_says_whether_there_was_a_result_and_has_it_computed_anew(memo, where, tally):
    @memo(where=where)
    def f(x):
        tally(x)
        return x

    f(1)
    f(2)

    assert [f.forget(1), f.forget(1), f.peek(1), f.peek(2)] == [True, False, None, 2]
    assert (f(1), tally.seen) == (1, [1, 2, 1])


def test_refresh_computes_anew_and_everybody_gets_the_new_result(memo, where, tally):
    @memo(where=where)
    def f(x):
        tally(x)
        return len(tally.seen)

    results = [f("a"), f("a"), f.refresh("a"), f("a"), f.refresh("b"), f("b")]

    assert results == [1, 1, 2, 2, 3, 3]


def test_a_refresh_that_fails_leaves_the_old_result(memo, where, tally):
    @memo(where=where)
    def f(x):
        tally(x)
        if len(tally.seen) == 2:
            raise Broken
        return "old"

    f(1)
    with pytest.raises(Broken):
        f.refresh(1)

    assert (f(1), len(tally.seen)) == ("old", 2)


def test_the_members_of_an_async_function(memo, where, tally):
    @memo(where=where)
    async def f(x):
        tally(x)
        return len(tally.seen)

    async def scenario():
        return [await f(1), await f.refresh(1), await f(1), f.peek(1), f.forget(1), f.peek(1), await f(1)]

    assert asyncio.run(scenario()) == [1, 2, 2, 2, True, None, 3]
    assert f.key(1) != f.key(2)


def test_a_key_is_text_and_the_same_for_calls_that_mean_the_same(memo):
    @memo
    def f(x, y=2):
        return x

    assert f.key(1) == f.key(x=1) == f.key(1, 2) != f.key(1, 3)
    assert len(bytes.fromhex(f.key(1))) == 32


def test_a_result_that_was_removed_while_it_is_computed_is_told_and_not_kept(memo, where, tally, gate, pool):
    door = gate()
    hold = Held(door)

    @memo(where=where)
    def f(x):
        tally(x)
        hold()
        return len(tally.seen)

    first = pool.submit(f, 1)
    door.await_arrival()
    f.forget(1)
    door.open()

    assert first.result(30) == 1
    assert (f(1), f(1)) == (2, 2)


def test_not_found_is_told_as_such(memo, where):
    @memo(where=where)
    def f(x):
        raise NotFound(f"no {x}")

    with pytest.raises(NotFound, match="no 1"):
        f(1)
    assert f.peek(1) is None


def test_a_task_is_given_the_arguments_as_they_were_when_it_was_called(memo, gate):
    """Its caller may change them meanwhile; the result is kept for what they were."""
    door = gate()

    @memo(where="task", version="1")
    def total(numbers):
        door.passing()
        return sum(numbers)

    numbers = [1, 2]
    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(total, numbers)
        door.await_arrival()
        numbers.append(100)
        door.open()

        assert called.result(30) == 3
    assert total.peek([1, 2]) == 3
