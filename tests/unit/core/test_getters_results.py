"""What a getter gives besides plain values: expiries, missing keys, and errors of every kind."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loading import load, values

from raycache import Expiring, GetterFailed, InvalidOption, NotFound, UncacheableValue
from raycache.core.getters import lifetime, raised
from raycache.core.messages import Absent, Loaded, Raised
from raycache.options import GroupOptions


def test_what_a_batch_getter_raises_is_raised_for_every_key():
    def getter(some):
        raise OSError("source is down")

    outcome, _ = load(getter, "a", "b", batch=True)

    assert [str(raised(outcome[name])) for name in "ab"] == ["source is down"] * 2


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_an_exception_of_one_key_leaves_the_others(kind):
    def plain(key):
        return 1 / key

    async def asynchronous(key):
        return 1 / key

    outcome, _ = load({"plain": plain, "async": asynchronous}[kind], 2, 0, 4)

    assert values({name: outcome[name] for name in (2, 4)}) == {2: 0.5, 4: 0.25}
    assert isinstance(raised(outcome[0]), ZeroDivisionError)


def test_an_exception_arrives_as_itself_with_its_traceback_as_a_note():
    class SourceError(Exception):
        def __init__(self, message, code):
            super().__init__(message, code)
            self.code = code

    def fetch(key):
        error = SourceError("no", 503)
        error.__notes__ = ["what the getter noted"]
        raise error

    error = raised(load(fetch, "a")[0]["a"])

    assert (type(error).__name__, error.args, error.code) == ("SourceError", ("no", 503), 503)
    assert error.__notes__[0] == "what the getter noted"
    assert "in fetch" in error.__notes__[-1]
    assert "raise error" in error.__notes__[-1]


class Holding(Exception):
    def __init__(self, lock):
        super().__init__("I hold a lock")
        self.lock = lock


class Demanding(Exception):
    """Its pickle calls it with too few arguments."""

    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


@pytest.mark.parametrize(
    "error", [Holding(threading.Lock()), Demanding("this", "that")], ids=lambda e: type(e).__name__
)
def test_an_exception_that_cannot_travel_is_told_in_words(error):
    def getter(key):
        raise error

    stand_in = raised(load(getter, "a")[0]["a"])

    assert type(stand_in) is GetterFailed
    assert type(error).__name__ in str(stand_in)
    assert str(error) in str(stand_in)
    assert "in getter" in stand_in.__notes__[-1]


@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit()], ids=repr)
def test_what_would_end_the_process_that_asked_is_told_in_words(error):
    def getter(key):
        raise error

    stand_in = raised(load(getter, "a")[0]["a"])

    assert type(stand_in) is GetterFailed
    assert repr(error) in str(stand_in)


def test_being_interrupted_is_not_the_getters_answer():
    def getter(key):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(getter, "a")


def test_a_value_that_cannot_be_kept_is_an_error_of_its_key():
    outcome, _ = load(lambda key: threading.Lock() if key == "a" else 1, "a", "b")

    assert isinstance(raised(outcome["a"]), UncacheableValue)
    assert values({"b": outcome["b"]}) == {"b": 1}


def test_notfound_is_no_error_and_keeps_its_message():
    def getter(key):
        raise NotFound(f"no {key}")

    assert load(getter, "a")[0]["a"] == Absent("no a", 0.0, None)
    assert load(getter, "a", negative_ttl_s=5.0)[0]["a"] == Absent("no a", 0.0, 5.0)


TTLS = {"group's": (None, 60.0), "seconds": (5, 5.0), "text": ("2m", 120.0), "timedelta": (timedelta(hours=1), 3600.0)}


@pytest.mark.parametrize(("ttl", "lives"), TTLS.values(), ids=TTLS)
def test_a_value_may_choose_its_expiry(ttl, lives):
    outcome, _ = load(lambda key: Expiring("value", ttl=ttl), "a", ttl_s=60.0)

    assert (outcome["a"].ttl_s, values(outcome)) == (lives, {"a": "value"})


def test_values_of_a_batch_may_choose_their_expiries():
    outcome, _ = load(lambda some: [Expiring(1, ttl=5), 2], "a", "b", batch=True, ttl_s=60.0)

    assert (outcome["a"].ttl_s, outcome["b"].ttl_s, values(outcome)) == (5.0, 60.0, {"a": 1, "b": 2})


def test_an_expiry_that_is_no_time_is_an_error_of_its_key():
    outcome, _ = load(lambda key: Expiring(1, ttl="soon"), "a")

    assert isinstance(error := raised(outcome["a"]), InvalidOption)
    assert "ttl='soon'" in str(error)


@given(ttl=st.none() | st.floats(0, 1e6), most=st.none() | st.floats(0, 1e6), jitter=st.floats(0, 0.99))
def test_a_lifetime_stays_within_its_cap_and_its_jitter(ttl, most, jitter):
    lives = lifetime(ttl, GroupOptions(capacity_bytes=1, max_ttl_s=most, ttl_jitter=jitter))
    bound = min((each for each in (ttl, most) if each is not None), default=None)

    if bound is None:
        assert lives is None
    else:
        assert (1 - jitter) * bound <= lives * (1 + 1e-9)
        assert lives <= bound


def test_jitter_spreads_expiries():
    options = GroupOptions(capacity_bytes=1, ttl_jitter=0.5)

    assert len({lifetime(100.0, options) for _ in range(20)}) > 10


def test_without_jitter_expiries_are_exact():
    assert lifetime(100.0, GroupOptions(capacity_bytes=1)) == 100.0


def test_kinds_of_results_are_told_apart():
    def getter(key):
        if key == "missing":
            raise NotFound
        return 1 / key

    outcome, _ = load(getter, 1, 0, "missing")

    assert [type(outcome[name]) for name in (1, 0, "missing")] == [Loaded, Raised, Absent]
