"""Vectorised functions: each item is cached by itself, and only what is missing is passed on."""

from __future__ import annotations

import asyncio

import numpy
import pandas
import pytest
from gates import together

import raycache
from raycache import NotFound


@pytest.fixture
def lengths(memo, where, tally):
    @memo(batch="texts", batch_size=3, where=where)
    def lengths(texts, unit=1):
        tally(list(texts))
        return [len(text) * unit for text in texts]

    return lengths


def test_a_call_returns_a_list_in_the_order_of_the_items(lengths):
    assert lengths(["ccc", "a", "bb"]) == [3, 1, 2]


def test_only_missing_items_are_passed_on(lengths, tally):
    lengths(["a", "bb"])

    assert lengths(["bb", "ccc", "a", "dddd"]) == [2, 3, 1, 4]
    assert tally.seen == [["a", "bb"], ["ccc", "dddd"]]


def test_no_call_has_more_items_than_the_batch_size(lengths, tally):
    texts = ["x" * number for number in range(10)]

    assert lengths(texts) == list(range(10))
    assert max(map(len, tally.seen)) == 3
    assert sorted(text for some in tally.seen for text in some) == texts


def test_an_item_that_comes_twice_is_computed_once(lengths, tally):
    assert lengths(["a", "bb", "a", "a"]) == [1, 2, 1, 1]
    assert tally.seen == [["a", "bb"]]


def test_of_no_items_nothing_is_asked(lengths, tally):
    assert (lengths([]), tally.seen) == ([], [])


def test_items_with_other_arguments_are_others(lengths, tally):
    assert [lengths(["a"], 2), lengths(["a"], unit=2), lengths(texts=["a"], unit=3)] == [[2], [2], [3]]
    assert tally.seen == [["a"], ["a"]]


def test_items_of_other_types_are_others(memo, where):
    types = memo(lambda items: [type(item).__name__ for item in items], batch="items", where=where)

    assert types([1, 1.0, True, "1", -0.0, 0.0]) == ["int", "float", "bool", "str", "float", "float"]


def test_items_may_come_from_any_iterable(lengths):
    assert [lengths(iter(["a"])), lengths(("a", "bb")), lengths({"a": 1})] == [[1], [1, 2], [1]]


def test_a_call_without_the_list_is_refused(lengths):
    with pytest.raises(TypeError, match="'texts'"):
        lengths(unit=3)


def test_a_list_that_is_left_to_its_default_is_refused(memo, where):
    with pytest.raises(TypeError, match=r"needs its list 'items': the items of it are what is cached"):
        memo(lambda items=(): items, batch="items", where=where)()


@pytest.mark.parametrize("wrong", [5, None], ids=repr)
def test_what_is_no_list_is_refused(lengths, wrong):
    with pytest.raises(TypeError, match="is no list of items"):
        lengths(wrong)


def test_an_item_without_a_fingerprint_is_named_by_its_place(lengths):
    with pytest.raises(raycache.UnhashableArgument, match=r"texts\[1\]"):
        lengths(["a", iter([])])


def returning(memo, where, result, **options):
    return memo(lambda items: result(items), batch="items", where=where, **options)


WRONG = {
    "too few": (lambda items: list(items)[1:], ValueError, "given 2 items and returned 1 values"),
    "too many": (lambda items: [*items, 3], ValueError, "given 2 items and returned 3 values"),
    "none": (lambda items: None, TypeError, "given 2 items and returned a NoneType"),
    "a dict": (lambda items: {item: item for item in items}, TypeError, "returned a dict; it is to return a list"),
    "a set": (lambda items: set(items), TypeError, "returned a set"),
    "text": (lambda items: "ab", TypeError, "returned a str"),
}


@pytest.mark.parametrize(("result", "kind", "message"), WRONG.values(), ids=WRONG)
def test_another_number_or_kind_of_results_is_an_error_and_nothing_is_kept(memo, where, result, kind, message):
    f = memo(result, batch="items", where=where, name="f")
    with pytest.raises(kind, match=message):
        f([1, 2])

    assert (f.peek([1, 2]), f.cache_info().currsize) == ([None, None], 0)


def test_results_may_be_any_iterable_in_order(memo, where):
    rows = memo(lambda items: numpy.array([[item, item] for item in items]), batch="items", where=where, name="rows")
    lazy = memo(lambda items: (item + 1 for item in items), batch="items", where=where, name="lazy")

    assert [row.tolist() for row in rows([1, 2])] == [[1, 1], [2, 2]]
    assert lazy([1, 2]) == [2, 3]


def test_a_frame_is_refused_as_it_iterates_over_its_columns(memo, where):
    def frame(items):
        return pandas.DataFrame({"a": items, "b": items})

    with pytest.raises(TypeError, match="returned a DataFrame"):
        memo(frame, batch="items", where=where)([1, 2])


def test_the_exception_of_a_batch_is_that_of_all_its_items(memo, where, tally):
    @memo(batch="items", where=where)
    def f(items):
        tally(list(items))
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        f([1, 2])
    assert (tally.seen, f.cache_info().currsize) == ([[1, 2]], 0)


def test_an_item_may_be_not_found(memo, where):
    @memo(batch="items", where=where)
    def f(items):
        return [NotFound(f"no {item}") if item < 0 else item for item in items]

    with pytest.raises(NotFound, match="no -1"):
        f([1, -1, 2])

    assert f.peek([1, -1, 2]) == [1, None, 2]


def test_each_item_may_have_its_own_ttl(memo, where, clock):
    @memo(batch="items", where=where, ttl=100)
    def f(items):
        return [raycache.Expiring(item, ttl=item) for item in items]

    assert f([5, 50]) == [5, 50]
    clock.advance(10)
    assert f.peek([5, 50]) == [None, 50]


def test_members_that_are_of_one_key_are_refused(lengths):
    for member in (lengths.key, lengths.explain):
        with pytest.raises(raycache.InvalidOption, match="is of one key, and lengths has one for every item"):
            member(["a"])


def test_peek_forget_and_refresh_take_a_list(lengths, tally):
    lengths(["a", "bb"])

    assert lengths.peek(["bb", "c", "a"]) == [2, None, 1]
    assert (lengths.forget(["bb", "c"]), lengths.forget(["bb"]), lengths.peek(["a", "bb"])) == (True, False, [1, None])
    assert (lengths.refresh(["a"]), tally.seen) == ([1], [["a", "bb"], ["a"]])


def test_an_async_batch_is_awaited(memo, where, tally):
    @memo(batch="items", where=where)
    async def f(items):
        tally(list(items))
        return [item + 1 for item in items]

    async def scenario():
        return [await f([1, 2]), await f([2, 3])]

    assert asyncio.run(scenario()) == [[2, 3], [3, 4]]
    assert tally.seen == [[1, 2], [3]]


def test_a_batch_of_a_method_knows_its_object(memo, where):
    class Model:
        def __init__(self, factor):
            self.factor = factor

        @memo(batch="items", where=where)
        def scale(self, items):
            return [self.factor * item for item in items]

    assert [Model(2).scale([1, 2]), Model(3).scale([1, 2]), Model(2).scale([2])] == [[2, 4], [3, 6], [4]]
    assert Model(3).scale.map([1, 5]) == [3, 15]


PLACES = {
    "first": (lambda items, k: [k * item for item in items], {"k": 2}),
    "after one that is fixed": (lambda k, items: [k * item for item in items], {"k": 2}),
    "by name only": (lambda *, items, k: [k * item for item in items], {"k": 2}),
    "after a default": (lambda k=2, items=(): [k * item for item in items], {}),
    "beside more": (lambda items, **more: [more["k"] * item for item in items], {"k": 2}),
}


@pytest.mark.parametrize(("function", "fixed"), PLACES.values(), ids=PLACES)
def test_the_list_may_stand_anywhere(memo, where, function, fixed):
    f = memo(function, batch="items", where=where, name="f")

    assert f.map([1, 2], fixed=fixed) == [2, 4]
    assert f(items=[2, 3], **fixed) == [4, 6]
    assert f.cache_info().misses == 3


def test_threads_with_overlapping_batches_compute_each_item_once(memo, where, tally):
    @memo(batch="items", where=where, batch_size=5)
    def f(items):
        for item in items:
            tally(item)
        return [-item for item in items]

    works = [lambda first=first: f(list(range(first, first + 20))) for first in range(0, 40, 5)]
    results = together(*works)

    assert results == [[-item for item in range(first, first + 20)] for first in range(0, 40, 5)]
    assert sorted(tally.seen) == list(range(55))
