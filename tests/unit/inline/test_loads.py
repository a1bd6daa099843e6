"""One load per cold key, whoever asks and however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time

import pytest
from gates import together

from raycache import GetterFailed, LoaderDied, LoadTimeout, NotFound

CALLERS = 8


def test_two_callers_of_a_cold_key_are_one_load(group, getter, gate, pool):
    getter.gates["a"] = gate()
    first = pool.submit(group.get, "a")
    getter.gates["a"].await_arrival()
    second = pool.submit(lambda: asyncio.run(group.aget("a")))
    getter.gates["a"].open()

    assert [first.result(30), second.result(30)] == ["value of 'a'"] * 2
    assert getter.calls == ["a"]


def test_threads_that_ask_for_the_same_cold_keys_load_each_once(cache, getter):
    """Promise 1: one getter run per cold key, however many ask at once."""
    group = cache.group("g", getter)
    names = [f"key-{number}" for number in range(100)]

    def ask(seed):
        mine = random.Random(seed).sample(names, len(names))
        return group.get_many(mine) if seed % 2 else {name: group.get(name) for name in mine}

    results = together(*[lambda seed=seed: ask(seed) for seed in range(CALLERS)])

    assert results == [{name: f"value of {name!r}" for name in names}] * CALLERS
    assert sorted(getter.calls) == sorted(names)


def test_tasks_of_an_event_loop_share_a_load_too(group, getter):
    async def ask():
        return await asyncio.gather(*(group.aget("a") for _ in range(10)), group.aget_many(["a", "b"]))

    assert asyncio.run(ask()) == ["value of 'a'"] * 10 + [{"a": "value of 'a'", "b": "value of 'b'"}]
    assert sorted(getter.calls) == ["a", "b"]


ENDS = {
    "value": ("value", str),
    "exception": (ValueError("no"), ValueError),
    "not found": (NotFound("no"), NotFound),
    "end of the process": (SystemExit(1), GetterFailed),
    "death of the loader": (KeyboardInterrupt(), LoaderDied),
}


@pytest.mark.parametrize(("value", "kind"), ENDS.values(), ids=ENDS)
def test_however_a_load_ends_everybody_wakes_and_the_key_is_free(cache, getter, gate, pool, value, kind):
    group = cache.group("g", getter)
    getter.values["a"] = value
    getter.gates["a"] = gate()
    waiting = [pool.submit(group.get, "a") for _ in range(CALLERS)]
    getter.gates["a"].await_arrival()
    getter.gates["a"].open()
    results = [each.exception(60) or each.result() for each in waiting]
    getter.values["a"] = "next"
    group.remove("a")

    assert {type(result) for result in results} == {kind}
    assert group.get("a") == "next"


def test_an_exception_reaches_every_caller_as_itself_with_a_note(call, group, getter):
    getter.values["a"] = LookupError("nothing on the shelf", 7)
    with pytest.raises(LookupError) as raised:
        call(group, "get", "a")

    assert (type(raised.value), raised.value.args) == (LookupError, ("nothing on the shelf", 7))
    assert "raised by the getter" in raised.value.__notes__[-1]
    assert "in __call__" in raised.value.__notes__[-1]


def test_a_callers_timeout_is_its_own_and_the_load_goes_on(call, inline, getter, gate, pool):
    group = inline(clock=time.monotonic).group("users", getter)
    getter.gates["a"] = gate()
    patient = pool.submit(group.get, "a", timeout="60s")
    getter.gates["a"].await_arrival()
    with pytest.raises(LoadTimeout, match=r"no value within 0.01 s for 'a' .*'users'; what is being loaded goes on"):
        call(group, "get", "a", timeout=0.01)
    with pytest.raises(LoadTimeout, match="'a'"):
        call(group, "get_many", ["a", "b"], timeout="10ms")
    getter.gates["a"].open()

    assert patient.result(30) == "value of 'a'"
    assert (call(group, "get", "a"), sorted(getter.calls)) == ("value of 'a'", ["a", "b"])


def test_the_timeout_of_the_first_caller_does_not_fail_the_others(inline, getter, gate, pool):
    group = inline(clock=time.monotonic).group("users", getter)
    getter.gates["a"] = gate()
    with pytest.raises(LoadTimeout):
        group.get("a", timeout=0.01)
    second = pool.submit(group.get, "a")
    getter.gates["a"].open()

    assert second.result(30) == "value of 'a'"
    assert getter.calls == ["a"]


def test_the_cancellation_of_the_first_caller_does_not_fail_the_others(group, getter, gate):
    getter.gates["a"] = gate()

    async def scenario():
        first = asyncio.create_task(group.aget("a"))
        await asyncio.to_thread(getter.gates["a"].await_arrival)
        second = asyncio.create_task(group.aget("a"))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        getter.gates["a"].open()
        return await second

    assert asyncio.run(scenario()) == "value of 'a'"
    assert getter.calls == ["a"]


def test_a_load_that_outlives_the_event_loop_that_asked_ends_in_silence(inline, getter, gate, caplog):
    group = inline(clock=time.monotonic).group("users", getter)
    getter.gates["a"] = gate()
    with pytest.raises(LoadTimeout):
        asyncio.run(group.aget("a", timeout=0.01))
    with caplog.at_level(logging.DEBUG):
        getter.gates["a"].open()

        assert group.get("a") == "value of 'a'"
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_a_getter_that_takes_too_long_is_given_up_and_its_key_is_free(call, inline, getter, gate):
    group = inline(clock=time.monotonic).group("users", getter, load_timeout="50ms")
    getter.values["a"] = "late"
    getter.gates["a"] = late = gate()
    with pytest.raises(LoadTimeout, match=r"the getter of the group 'users' took more than 0.05 s for 'a'"):
        call(group, "get", "a")
    getter.values["a"] = "in time"
    del getter.gates["a"]

    assert call(group, "get", "a") == "in time"
    late.open()
    assert (group.get("a"), group.stats().load_timeouts) == ("in time", 1)


def test_no_more_getters_run_at_once_than_the_cache_may_have(inline, getter, gate, pool):
    group = inline(max_loads=2).group("g", getter)
    getter.gates = dict.fromkeys(range(6), gate())
    waiting = [pool.submit(group.get, number) for number in range(6)]
    for _ in range(2):
        getter.gates[0].await_arrival()
    running = len(getter.calls)
    getter.gates[0].open()

    assert [each.result(30) for each in waiting] == [f"value of {number}" for number in range(6)]
    assert (running, sorted(getter.calls)) == (2, list(range(6)))


ENDINGS = {"missing": NotFound("no"), "error": ValueError("no"), "too large": "x" * 5000}


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
def test_keys_that_waited_for_a_free_task_are_loaded_once_though_nothing_is_kept(inline, getter, ending):
    """One call of the getter for each key, though most of them had to wait and were asked for again."""
    names = [f"key-{number}" for number in range(30)]
    getter.values = dict.fromkeys(names, ending)
    group = inline(max_loads=1).group("g", getter, capacity=1000)
    with contextlib.suppress(ValueError):
        group.get_many(names, default=None)

    assert sorted(getter.calls) == sorted(names)


def test_missing_keys_of_several_batches_cost_one_call_each(inline):
    calls = []

    def fetch_all(keys):
        calls.extend(keys)
        return {}

    group = inline(max_loads=1).group("g", batch_getter=fetch_all, batch_size=3)
    names = [f"key-{number}" for number in range(30)]

    assert group.get_many(names, default=None) == dict.fromkeys(names)
    assert sorted(calls) == sorted(names)
