"""Running getters: every kind of getter, every way in which it can end."""

from __future__ import annotations

import functools

import pytest
from fake_clock import FakeClock
from loading import load, values

from raycache import NotFound
from raycache.core import keys
from raycache.core.codec import Codec, decode
from raycache.core.getters import BUDGET_S, INLINE_BYTES, raised, run
from raycache.core.messages import Absent, GroupSpec, group_prefix
from raycache.options import GroupOptions


def double(key):
    return 2 * key


async def adouble(key):
    return 2 * key


class Doubler:
    factor = 2

    def __call__(self, key):
        return self.factor * key

    def method(self, key):
        return self.factor * key

    async def amethod(self, key):
        return self.factor * key


class AsyncDoubler:
    async def __call__(self, key):
        return 2 * key


KINDS = {
    "function": double,
    "async function": adouble,
    "lambda that returns a coroutine": lambda key: adouble(key),
    "partial": functools.partial(lambda factor, key: factor * key, 2),
    "partial of an async function": functools.partial(adouble),
    "object": Doubler(),
    "async object": AsyncDoubler(),
    "method": Doubler().method,
    "async method": Doubler().amethod,
}


@pytest.mark.parametrize("getter", KINDS.values(), ids=KINDS)
def test_every_kind_of_getter_gives_its_values(getter):
    outcome, large = load(getter, "a", "b", 3)

    assert (values(outcome), large) == ({"a": "aa", "b": "bb", 3: 6}, None)


async def adouble_all(some):
    return {key: 2 * key for key in some}


BATCHES = {
    "mapping": lambda some: {key: 2 * key for key in reversed(some)},
    "list": lambda some: [2 * key for key in some],
    "tuple": lambda some: tuple(2 * key for key in some),
    "async": adouble_all,
    "returns a coroutine": lambda some: adouble_all(some),
    "mapping with more than was asked for": lambda some: {key: 2 * key for key in [*some, "more"]},
}


@pytest.mark.parametrize("getter", BATCHES.values(), ids=BATCHES)
def test_every_kind_of_batch_getter_gives_its_values(getter):
    outcome, _ = load(getter, "a", "b", "c", batch=True)

    assert values(outcome) == {"a": "aa", "b": "bb", "c": "cc"}


def test_a_batch_getter_is_called_once_with_a_list_of_all_keys():
    calls = []
    load(lambda some: calls.append(some) or list(some), "a", 1, ("b", 2), batch=True)

    assert calls == [["a", 1, ("b", 2)]]


@pytest.mark.parametrize("keys_", [(1, True), (True, 1, 1.0), (0.0, -0.0)])
def test_keys_that_are_equal_to_python_get_their_own_values_of_a_list(keys_):
    """1 and True are different keys; a dict of the answers would take them for one."""
    outcome, _ = load_in_order(lambda some: [repr(key) for key in some], keys_)

    assert outcome == [repr(key) for key in keys_]


def load_in_order(getter, names):
    spec = GroupSpec(1, "group", GroupOptions(capacity_bytes=1000), getter=b"", batch=True)
    full = [group_prefix(1) + keys.encode(name) for name in names]
    outcome, large = run(getter, spec, full, Codec(), FakeClock())
    return [decode(outcome[key].tag, (outcome[key].data,)) for key in full], large


@pytest.mark.parametrize("returned", [[], ["A"], ["A", "B", "C"]], ids=len)
def test_a_list_of_the_wrong_length_is_an_error_of_every_key(returned):
    outcome, _ = load(lambda some: returned, "a", "b", batch=True)

    for name in "ab":
        assert isinstance(error := raised(outcome[name]), ValueError)
        assert f"was given 2 keys and returned {len(returned)} values" in str(error)


def test_a_key_that_a_mapping_lacks_does_not_exist():
    outcome, _ = load(lambda some: {"a": 1}, "a", "b", batch=True)

    assert values({"a": outcome["a"]}) == {"a": 1}
    assert isinstance(outcome["b"], Absent)
    assert "'b'" in outcome["b"].message


def test_notfound_among_the_values_of_a_batch_is_of_its_key_alone():
    outcome, _ = load(lambda some: [NotFound("no a"), 2], "a", "b", batch=True)

    assert (outcome["a"].message, values({"b": outcome["b"]})) == ("no a", {"b": 2})


def test_what_is_not_reached_in_time_is_left_out(clock):
    def slow(key):
        clock.advance(0.6 * BUDGET_S)
        return key

    outcome, _ = load(slow, "a", "b", "c", "d", clock=clock)

    assert values(outcome) == {"a": "a", "b": "b"}


def test_at_least_one_key_is_loaded_however_slow(clock):
    def slow(key):
        clock.advance(10 * BUDGET_S)
        return key

    assert values(load(slow, "a", "b", clock=clock)[0]) == {"a": "a"}


def test_what_a_key_took_is_told_with_it(clock):
    def slow(key):
        clock.advance(0.01 * key)
        return key

    outcome, _ = load(slow, 1, 2, clock=clock)

    assert [outcome[name].cost_s for name in (1, 2)] == pytest.approx([0.01, 0.02])


def test_the_time_of_a_batch_is_shared_by_its_keys(clock):
    def slow(some):
        clock.advance(3.0)
        return list(some)

    outcome, _ = load(slow, "a", "b", "c", batch=True, clock=clock)

    assert [outcome[name].cost_s for name in "abc"] == pytest.approx([1.0] * 3)


def test_large_values_are_kept_apart():
    small, large = bytes(INLINE_BYTES), bytes(INLINE_BYTES + 1)
    outcome, payload = load(lambda some: [small, large, large], "a", "b", "c", batch=True)

    assert outcome["a"].data == small
    assert [(outcome[name].data, outcome[name].size) for name in "bc"] == [(0, len(large)), (1, len(large))]
    assert [decode(*blob) for blob in payload] == [large, large]


def test_after_a_large_value_the_rest_goes_to_another_task():
    """So that the value is on its way while others are loaded."""
    outcome, payload = load(lambda key: bytes(INLINE_BYTES + 1), "a", "b")

    assert (list(outcome), len(payload)) == (["a"], 1)


def test_many_bytes_of_small_values_are_sent_before_more_are_loaded():
    outcome, _ = load(lambda key: bytes(INLINE_BYTES), *range(100))

    assert 1 < len(outcome) < 20
