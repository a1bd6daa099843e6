"""Quick calls: arguments that are found without a fingerprint must mean the very same as with one."""

from __future__ import annotations

import enum
import gc
import itertools
import weakref

import numpy
import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tally import looks

import raycache
from raycache.core.near import ENTRY_BYTES, LARGEST_SHARE


class Text(str):
    """Equal to a str, and another argument."""

    __slots__ = ()


class Number(int):
    """Equal to an int, and another argument."""


class Level(enum.IntEnum):
    LOW = 1


ALIKE = [1, 1.0, True, "1", b"1", Text("1"), Number(1), Level.LOW, None, 0, 0.0, -0.0, False, "", "\udc80", ()]


def shown(*args, **kwargs):
    """What tells equal arguments apart."""
    return [f"{type(each).__name__} {each!r}" for each in (*args, *kwargs.items())]


@pytest.fixture(params=["shared", "not shared"])
def told(request, memo):
    """Tells what it was called with; in a result that may be shared, or in one that is decoded for each call."""
    shareable = request.param == "shared"

    def told(x, y="none"):
        texts = [f"{type(each).__name__} {each!r}" for each in (x, y)]
        return tuple(texts) if shareable else texts

    return memo(told)


def test_arguments_that_are_equal_to_python_never_share_a_result(told):
    for _ in range(3):
        for x in [*ALIKE, *reversed(ALIKE)]:
            assert list(told(x)) == list(told.__wrapped__(x))
        for x in ALIKE:
            for y in ALIKE:
                assert list(told(x, y)) == list(told(x, y=y)) == list(told.__wrapped__(x, y))

    assert told.cache_info().misses == len(ALIKE) * (len(ALIKE) + 1)


def test_whichever_of_two_equal_arguments_comes_first_they_are_told_apart(memo):
    for one, other in itertools.permutations(ALIKE, 2):
        told = memo(lambda x: f"{type(x).__name__} {x!r}", name="told")
        for x in (one, one, one, other, other, one):
            assert told(x) == told.__wrapped__(x)


ARGUMENTS = st.one_of(
    st.sampled_from(ALIKE), st.integers(-2, 2), st.floats(-1, 1, width=16), st.text("01", max_size=2), st.booleans()
)
CALLS = st.lists(st.tuples(st.lists(ARGUMENTS, max_size=2), st.dictionaries(st.sampled_from("yz"), ARGUMENTS)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS)
def test_a_hit_is_what_the_function_would_return(memo, calls):
    @memo
    def told(x=0, y=1, *, z=2):
        return f"{type(x).__name__} {x!r}, {type(y).__name__} {y!r}, {type(z).__name__} {z!r}"

    told.cache_clear()
    for args, kwargs in [*calls, *calls]:
        if len(args) == 2 and "y" in kwargs:
            with pytest.raises(TypeError):
                told(*args, **kwargs)
        else:
            assert told(*args, **kwargs) == told.__wrapped__(*args, **kwargs)


FUNCTIONS = {
    "no parameters": (lambda: "done", [((), {})]),
    "by position only": (eval("lambda x, /: [x]"), [((1,), {}), ((2,), {})]),
    "by name only": (lambda *, x: [x], [((), {"x": 1}), ((), {"x": 2})]),
    "by name only, beside one": (lambda a, *, x, y=3: (a, x, y), [((1,), {"x": 2}), ((1,), {"x": 2, "y": 4})]),
    "a default in the middle": (lambda a, b=2, c=3: (a, b, c), [((1,), {}), ((1,), {"c": 5}), ((1, 5), {})]),
    "more": (lambda a, *more, **named: (a, more, named), [((1, 2, 3), {}), ((1,), {"b": 2}), ((1,), {"self": 2})]),
    "many": (lambda a, b, c, d, e, f, g, h, i: (a, i), [(tuple(range(9)), {})]),
    "odd names": (lambda self, memo=1, given=2: (self, memo), [((1, 2), {}), ((), {"self": 1, "memo": 3})]),
    "its own names": (lambda _rc_self, _rc_one=1: (_rc_self, _rc_one), [((1, 2), {}), ((3,), {})]),
    "names of python": (lambda type, tuple=1: [type, tuple], [(("a",), {}), (("a", 2), {})]),
}


@pytest.mark.parametrize(("function", "calls"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_every_kind_of_parameter_is_found_again(memo, where, function, calls):
    memoized = memo(function, where=where, name="f")
    for _ in range(3):
        for args, kwargs in calls:
            assert memoized(*args, **kwargs) == function(*args, **kwargs)

    assert looks(memoized) == (2 * len(calls), len(calls))


@pytest.mark.parametrize("kind", ["array", "frame", "list"])
def test_arguments_that_cannot_be_compared_are_told_apart_too(memo, where, kind):
    make = {"array": numpy.array, "frame": lambda items: pandas.DataFrame({"a": items}), "list": list}[kind]

    @memo(where=where)
    def total(data, scale=1, shift=0):
        values = data["a"] if kind == "frame" else data
        return int(sum(values)) * scale + shift

    for _ in range(2):
        total(1 and make([1]), 1)
        assert [total(make([1, 2])), total(make([1, 3])), total(make([1, 2]), shift=1)] == [3, 4, 4]
        assert [total(make([1, 2]), scale=2), total(make([1, 2]), 2, 1)] == [6, 7]


class Broken:
    """Fails wherever it is compared."""

    def __hash__(self):
        raise ZeroDivisionError

    def __eq__(self, other):
        raise ZeroDivisionError

    def __raycache_key__(self):
        return 1


def test_an_argument_whose_own_methods_fail_is_an_argument(memo, where):
    f = memo(lambda x, y=1, z=2: 7, where=where)

    assert [f(1), f(Broken()), f(Broken(), z=3), f(1, Broken()), f(Broken())] == [7] * 5


def test_a_function_may_be_quick_and_a_method_beside_it_is_not_mixed_up(memo):
    class Scale:
        def __init__(self, factor):
            self.factor = factor

        @memo
        def by(self, x=1):
            return self.factor * x

    one, other = Scale(2), Scale(3)

    assert [one.by(5), other.by(5), one.by(5), other.by(5), one.by(), other.by()] == [10, 15, 10, 15, 2, 3]


def test_two_functions_do_not_answer_for_each_other(memo):
    one, other = memo(lambda x: ("one", x)), memo(lambda x: ("other", x))

    for _ in range(3):
        assert (one(1), other(1)) == (("one", 1), ("other", 1))


CHANGES = {
    "forget": lambda f: f.forget(1),
    "cache_clear": lambda f: f.cache_clear(),
    "refresh": lambda f: f.refresh(1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_ends_quick_hits(memo, where, tally, change):
    @memo(where=where)
    def f(x):
        tally(x)
        return len(tally.seen)

    for _ in range(3):
        f(1)
    change(f)

    assert (f(1), tally.seen) == (2, [1, 1])


def test_quick_hits_are_counted(memo):
    f = memo(lambda x: x)
    for _ in range(1000):
        f(1)

    assert looks(f) == (999, 1)
    assert f.cache_info().bytes_saved > 999


def near_of(memoized):
    return memoized._memo.binding().reader.near


def test_the_near_cache_is_bounded_and_what_finds_its_entries_goes_with_them(memo, where):
    f = memo(lambda x: "x" * 1000, where=where)
    f(0)
    near = near_of(f)
    near._capacity_bytes = most = int(20 * 1300 / LARGEST_SHARE / 8)
    for number in range(200):
        f(number)
        f(number)
    quick = f._memo.quick

    assert sum(entry.size for entry in near.entries.values()) <= most
    assert len(near.entries) <= most // (1000 + ENTRY_BYTES)
    assert len(quick.one) == len(near.entries)
    assert {entry for entry, _ in quick.one.values()} == set(near.entries.values())


@pytest.mark.parametrize("result", [7, [7]], ids=["shared", "not shared"])
def test_calling_over_and_over_takes_no_memory(memo, where, result):
    """Also where equal arguments take the place of one another."""
    f = memo(lambda x, y=0: result, where=where, name="f")
    for _ in range(500):
        for x in (1, 1.0, True):
            f(x)
            f(x, y=True)
            f(x, 1)

    assert max(map(len, near_of(f)._aliases.values())) <= 10


def test_a_closed_cache_gives_no_quick_hits(inline, monkeypatch):
    caches = [inline(), inline()]
    waiting = list(caches)
    monkeypatch.setattr("raycache.memo.memo.connect", lambda name: waiting.pop(0))
    f = raycache.memoize(lambda x: [x])
    for _ in range(3):
        f(1)
    caches[0].destroy()

    assert [f(1), f(1)] == [[1], [1]]
    assert looks(f) == (1, 1)


def test_a_memoized_function_that_is_let_go_is_collected(memo):
    f = memo(lambda x: x)
    f(1)
    f(1)
    kind = weakref.ref(type(f))
    assert kind() is not raycache.Memoized
    del f
    gc.collect()

    assert kind() is None


def test_nan_is_not_found_by_itself(memo, tally):
    """It equals nothing: every call would leave a name that nobody finds."""
    f = memo(lambda x: tally(x))
    for _ in range(10):
        f(float("nan"))

    assert (len(tally.seen), len(f._memo.quick.one)) == (1, 0)
