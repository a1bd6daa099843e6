"""The decorator: what it takes, what it refuses, and what it makes of a function."""

from __future__ import annotations

import asyncio
import functools
import inspect
import pickle
from datetime import timedelta

import cloudpickle
import pytest
from tally import looks

import raycache
from raycache.errors import InvalidOption


def plain(x: int, y: int = 2) -> int:
    """Adds."""
    return x + y


@raycache.memoize
def importable(x):
    return x


async def coroutine(x):
    return x


def generator():
    yield 1


async def async_generator():
    yield 1


class Model:
    pass


def test_bare_it_takes_a_function(memo):
    assert memo(plain)(1) == 3


def test_with_options_it_gives_a_decorator(memo):
    @memo(ttl="1d")
    def double(x):
        return 2 * x

    assert (double(3), double.cache_parameters()["ttl_s"]) == (6, 86_400.0)


def test_it_takes_a_function_and_options_together(memo):
    assert memo(plain, ttl=5).cache_parameters()["ttl_s"] == 5.0


def test_a_memoized_function_looks_like_the_function(memo):
    memoized = memo(plain)

    assert memoized.__wrapped__ is plain
    assert (memoized.__name__, memoized.__qualname__, memoized.__doc__) == ("plain", "plain", "Adds.")
    assert memoized.__module__ == plain.__module__
    assert inspect.signature(memoized) == inspect.signature(plain)
    assert inspect.iscoroutinefunction(memo(coroutine)) or asyncio.iscoroutinefunction(memo(coroutine))
    assert not inspect.iscoroutinefunction(memoized)


def test_its_repr_names_the_function_and_asks_nobody():
    assert repr(raycache.memoize(plain)) == f"<raycache.memoize {__name__}.plain(x: 'int', y: 'int' = 2) -> 'int'>"


def test_cache_info_starts_as_that_of_functools_does(memo):
    memoized = memo(plain)
    for x in (1, 2, 1, 1):
        memoized(x)
    info = memoized.cache_info()

    assert info._fields[:4] == functools._CacheInfo._fields == ("hits", "misses", "maxsize", "currsize")
    assert (info[:4], info.bytes > 0) == ((2, 2, None, 2), True)


def test_cache_info_says_what_hits_have_saved(memo):
    @memo
    def text(x):
        return "x" * 1000

    for _ in range(4):
        text(1)
    info = text.cache_info()

    assert 3000 <= info.bytes_saved < 3200
    assert info.seconds_saved > 0


def test_cache_clear_removes_the_results_of_this_function_alone(memo):
    one, other = memo(plain), memo(plain, name="other")
    for x in range(3):
        one(x)
        other(x)
    one.cache_clear()

    assert (one.cache_info().currsize, other.cache_info().currsize) == (0, 3)
    assert (one.peek(1), other.peek(1)) == (None, 3)


def test_cache_parameters_have_functools_names_and_the_options_that_were_given(memo, cache):
    parameters = memo(plain, ttl="5m", ignore=["y"], where="caller", capacity="1 MiB").cache_parameters()

    assert {"maxsize": None, "typed": True, "ttl_s": 300.0, "ignore": ("y",)}.items() <= parameters.items()
    assert (parameters["where"], parameters["capacity_bytes"], parameters["cache"]) == ("caller", 1 << 20, cache)
    assert "version" not in parameters


@pytest.fixture
def connected(monkeypatch):
    """The names that were connected to; nothing is."""
    names = []

    def connect(name):
        names.append(name)
        raise raycache.CacheUnavailable("no cache here")

    monkeypatch.setattr("raycache.memo.memo.connect", connect)
    return names


def test_nothing_is_connected_before_the_first_call(connected):
    memoized = raycache.memoize(plain, ttl="1d", where="caller", name="of this test")
    repr(memoized)
    memoized.key(1)
    memoized.cache_parameters()
    cloudpickle.loads(cloudpickle.dumps(memoized))
    pickle.loads(pickle.dumps(importable))

    assert connected == []
    with pytest.raises(raycache.CacheUnavailable):
        memoized(1)
    assert connected == ["default"]


def test_a_cache_can_be_named(connected):
    with pytest.raises(raycache.CacheUnavailable):
        raycache.memoize(plain, cache="other")(1)

    assert connected == ["other"]


def test_what_others_can_import_is_pickled_by_its_name():
    assert pickle.loads(pickle.dumps(importable)) is importable


def test_pickled_by_value_it_has_the_same_keys(memo):
    def local(x):
        return x + 1

    copy = cloudpickle.loads(cloudpickle.dumps(raycache.memoize(local)))

    assert copy.key(1) == raycache.memoize(local).key(1)


def test_after_its_cache_was_closed_a_named_one_is_connected_to_again(inline, monkeypatch):
    caches = [inline(), inline()]
    waiting = list(caches)
    monkeypatch.setattr("raycache.memo.memo.connect", lambda name: waiting.pop(0))
    memoized = raycache.memoize(plain)
    first = memoized(1)
    caches[0].close()

    assert (first, memoized(1), looks(memoized)) == (3, 3, (0, 1))


def test_a_cache_that_was_given_and_closed_is_an_error(memo, cache):
    memoized = memo(plain)
    memoized(1)
    cache.close()
    with pytest.raises(raycache.CacheUnavailable, match="closed in this process"):
        memoized(1)


REFUSED = {
    "a generator function": (generator, "memoize.generator.: this is a generator function: what it yields is used up"),
    "an async generator": (async_generator, "this is an async generator function"),
    "a class": (Model, "memoize.Model.: this is a class: .* memoize a function that returns it"),
    "a value": (7, "memoize.7.: that cannot be called; decorate a function"),
    "a function of unknown parameters": (getattr, "nobody can tell what arguments it takes"),
    "a memoized function": (importable, "<raycache.memoize .*importable.x.> is memoized already"),
}


@pytest.mark.parametrize(("what", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_memoized_is_refused_with_the_reason(what, message):
    with pytest.raises(InvalidOption, match=message):
        raycache.memoize(what)


WRONG = {
    "where": ({"where": "here"}, "where='here': 'task' runs the function as a Ray task, 'caller' in the caller"),
    "key": ({"key": 3}, "key=3 cannot be called; give a function of the same arguments"),
    "key and ignore": ({"key": str, "ignore": ["x"]}, "give ignore= or key=, not both"),
    "key and batch": ({"key": str, "batch": "x"}, "key= does not go with batch="),
    "ignored text": ({"ignore": "x"}, "ignore='x': give a list, as ignore="),
    "ignored numbers": ({"ignore": [1]}, "the names of arguments"),
    "ignored unknown": ({"ignore": ["z"]}, "ignore='z': plain has no such parameter; it has: x, y"),
    "depends on one": ({"depends": plain}, "depends=<function plain .*give a list, as depends="),
    "depends on a set": ({"depends": {plain, len}}, "give a list, as depends="),
    "tasks of a caller": ({"where": "caller", "task_options": {"num_cpus": 1}}, "task_options= are for where='task'"),
    "task options": ({"task_options": [1]}, r"task_options=\[1\]: a dict, as"),
    "name": ({"name": ""}, "name='': text, and not empty"),
    "name of a wrong type": ({"name": 3}, "name=3: text, and not empty"),
    "cache": ({"cache": 3}, "cache=3: a raycache.Cache, or the name of one"),
    "batch": ({"batch": "z"}, "batch='z' is no argument of .*plain .it has x, y.; name its list argument"),
    "batch size": ({"batch": "x", "batch_size": 0}, "batch_size=0"),
    "ttl": ({"ttl": "soon"}, "ttl='soon' is not a time"),
    "negative ttl": ({"negative_ttl": -1}, "negative_ttl=-1"),
    "load timeout": ({"load_timeout": "x"}, "load_timeout='x'"),
    "capacity": ({"capacity": "much"}, "capacity='much'"),
    "policy": ({"policy": "best", "capacity": 1000}, "policy='best': there is no such policy; choose one of lru, s3"),
    "policy of what all share": (
        {"policy": "sieve"},
        "policy='sieve' is for a function with a capacity of its own: give",
    ),
    "unknown option": ({"tll": 5}, "tll= is no option of memoize; it has ttl, negative_ttl"),
    "an option's inner name": ({"ttl_s": 5}, "ttl_s= is no option of memoize"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_option_is_refused_when_the_function_is_decorated(options, message):
    with pytest.raises(InvalidOption, match=message):
        raycache.memoize(plain, **options)


@pytest.mark.parametrize("ttl", ["1d", 86_400, 86_400.0, timedelta(days=1)], ids=repr)
def test_a_ttl_is_text_seconds_or_a_timedelta(ttl):
    assert raycache.memoize(plain, ttl=ttl).cache_parameters()["ttl_s"] == 86_400.0
