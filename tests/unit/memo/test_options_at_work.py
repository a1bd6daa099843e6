"""What each option does."""

from __future__ import annotations

import threading
import time

import pytest
from tally import Held, looks

import raycache
from raycache import Expiring, NotFound


def test_results_live_as_long_as_the_ttl_says(memo, where, tally, clock):
    @memo(where=where, ttl="10s")
    def f(x):
        tally(x)
        return [x]

    f(1)
    clock.advance(9.9)
    f(1)
    before = list(tally.seen)
    clock.advance(0.1)

    assert f.peek(1) is None
    assert (f(1), before, tally.seen) == ([1], [1], [1, 1])


def test_a_quick_hit_ends_with_the_ttl_too(memo, where, tally, clock):
    @memo(where=where, ttl=10)
    def f(x):
        tally(x)
        return x

    for _ in range(3):
        f(1)
    clock.advance(10)
    f(1)

    assert tally.seen == [1, 1]


def test_a_result_may_name_its_own_ttl(memo, where, tally, clock):
    @memo(where=where, ttl="1h")
    def f(x):
        tally(x)
        return Expiring(x, ttl=5) if x == "short" else Expiring(x)

    assert [f("short"), f("short"), f("long"), f("long")] == ["short", "short", "long", "long"]
    clock.advance(5)
    f("short")
    f("long")
    assert tally.seen == ["short", "long", "short"]


def test_a_wrong_ttl_of_a_result_is_an_error_of_the_call(memo, where):
    @memo(where=where)
    def f(x):
        return Expiring(x, ttl="soon")

    with pytest.raises(raycache.InvalidOption, match="soon"):
        f(1)


@pytest.mark.parametrize("raising", [True, False], ids=["raised", "returned"])
def test_not_found_is_remembered_as_long_as_negative_ttl_says(memo, where, tally, clock, raising):
    @memo(where=where, negative_ttl="10s")
    def f(x):
        tally(x)
        if raising:
            raise NotFound(f"no {x}")
        return NotFound(f"no {x}")

    for _ in range(3):
        with pytest.raises(NotFound, match="no 1"):
            f(1)
    clock.advance(10)
    with pytest.raises(NotFound, match="no 1"):
        f(1)

    assert tally.seen == [1, 1]


def test_without_a_negative_ttl_not_found_is_asked_for_every_time(memo, where, tally):
    @memo(where=where, ttl="1h")
    def f(x):
        tally(x)
        raise NotFound("no")

    for _ in range(2):
        with pytest.raises(NotFound):
            f(1)

    assert tally.seen == [1, 1]


def test_ignored_arguments_do_not_count(memo, where, tally):
    @memo(where=where, ignore=["verbose", "log"])
    def f(x, verbose=False, *, log=None):
        tally((x, verbose))
        return x

    assert [f(1), f(1, True), f(1, verbose=True), f(1, log=iter([])), f(2)] == [1, 1, 1, 1, 2]
    assert tally.seen == [(1, False), (2, False)]


def test_a_key_function_alone_says_what_counts(memo, where, tally):
    @memo(where=where, key=lambda path, mode="r": path.lower())
    def read(path, mode="r"):
        tally(path)
        return path

    assert [read("A"), read("a"), read("A", mode="w"), read("b")] == ["A", "A", "A", "b"]
    assert tally.seen == ["A", "b"]


def test_what_a_key_function_raises_is_raised(memo, where):
    @memo(where=where, key=lambda x: 1 / x)
    def f(x):
        return x

    with pytest.raises(ZeroDivisionError):
        f(0)


def test_a_version_counts_in_the_place_of_the_code(memo):
    one = memo(lambda x: x + 1, name="f", version=1)
    same = memo(lambda x: x + 2, name="f", version=1)
    other = memo(lambda x: x + 3, name="f", version=2)

    assert [one(1), same(1), other(1)] == [2, 2, 4]


def test_what_a_function_depends_on_counts(memo):
    def made(limit):
        return memo(lambda x: x, name="f", version=1, depends=[limit, str.upper])

    assert made(1).key(5) == made(1).key(5) != made(2).key(5)


def test_a_name_takes_the_place_of_module_and_qualified_name(memo, cache):
    @memo(name="clean")
    def f(x):
        return x

    @memo(name="clean")
    def f2(x):
        return x

    f(1)

    assert f.key(1) == f2.key(1)
    assert "memo:clean" in cache.groups()
    assert looks(f2) == (0, 1)


def test_functions_of_one_name_and_other_code_share_counters_and_not_results(memo):
    one, other = memo(lambda x: x, name="f"), memo(lambda x: -x, name="f")

    assert [one(1), other(1), one(1), other(1)] == [1, -1, 1, -1]
    assert looks(one) == looks(other) == (2, 2)


def test_a_load_timeout_ends_a_task(inline, tally, gate):
    hold = Held(gate())

    @raycache.memoize(cache=inline(clock=time.monotonic), load_timeout="50ms")
    def f(x):
        hold()

    with pytest.raises(raycache.LoadTimeout, match=r"more than 0.05 s"):
        f(1)


def test_a_task_runs_elsewhere_and_a_caller_computes_here(memo):
    where = {each: memo(lambda: threading.get_ident(), where=each, name=each)() for each in ("task", "caller")}

    assert (where["caller"] == threading.get_ident(), where["task"] == threading.get_ident()) == (True, False)


def test_the_task_and_the_caller_share_results(memo, tally):
    def f(x):
        tally(x)
        return x

    assert [memo(f)(1), memo(f, where="caller")(1)] == [1, 1]
    assert tally.seen == [1]
