"""`map` and `imap` on a cluster: all tasks at work, results in order, every item computed once, in bounded memory."""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from marks import Barrier, Marks
from memos import MODES, fetching
from peers import Peers, attempt, results
from sources import BackendBroken, Source
from waiting import until

import raycache


def squaring(cache: str, marks: Marks, **options: Any) -> Any:
    @raycache.memoize(cache=cache, **options)
    def square(number: int, *, plus: int = 0) -> int:
        marks.add(f"{os.getpid()} {number}")
        return number * number + plus

    return square


def squaring_many(cache: str, marks: Marks, **options: Any) -> Any:
    @raycache.memoize(cache=cache, batch="numbers", **options)
    def squares(numbers: list[int]) -> list[int]:
        marks.add(repr(numbers))
        return [number * number for number in numbers]

    return squares


def numbers_of(marks: Marks) -> Counter[int]:
    return Counter(int(line.split()[1]) for line in marks.lines())


@pytest.mark.parametrize("where", MODES)
def test_a_map_computes_its_cold_items_once_and_gives_them_in_order(
    where: str, cache: raycache.Cache, tmp_path: Path
) -> None:
    """The second one computes nothing; one that goes further computes the rest."""
    marks = Marks(tmp_path / "runs")
    square = squaring(cache.name, marks, where=where)
    first, second, further = square.map(range(100)), square.map(range(100)), square.map(range(50, 150))

    assert first == second == [n * n for n in range(100)]
    assert further == [n * n for n in range(50, 150)]
    assert numbers_of(marks) == dict.fromkeys(range(150), 1)


def test_items_that_come_twice_are_computed_once(cache: raycache.Cache, tmp_path: Path) -> None:
    """In one block and far apart; each place has its result."""
    marks = Marks(tmp_path / "runs")
    items = [1, 2, 1, *range(500), 2]

    assert squaring(cache.name, marks).map(items) == [n * n for n in items]
    assert numbers_of(marks) == dict.fromkeys(range(500), 1)


def test_arguments_that_are_the_same_for_all_items_count(cache: raycache.Cache, tmp_path: Path) -> None:
    """Given as `fixed`, they are as in a call."""
    marks = Marks(tmp_path / "runs")
    square = squaring(cache.name, marks)
    values = square.map(range(5), fixed={"plus": 1}), square.map(range(5)), square(3, plus=1)

    assert values == ([1, 2, 5, 10, 17], [0, 1, 4, 9, 16], 10)
    assert numbers_of(marks) == dict.fromkeys(range(5), 2)


def test_a_map_over_a_thousand_cold_items_uses_all_tasks_of_the_cache(
    make_cache: Callable[..., raycache.Cache], tmp_path: Path
) -> None:
    """None of the processes gets beyond its first item before as many are at work as there may be."""
    marks = Marks(tmp_path / "runs")

    @raycache.memoize(cache=make_cache(max_loads=3).name)
    def square(number: int) -> int:
        marks.add(f"{os.getpid()} {number}")
        until(lambda: len({line.split()[0] for line in marks.lines()}) >= 3, "three processes are at work")
        return number * number

    assert square.map(range(1000)) == [n * n for n in range(1000)]
    assert numbers_of(marks) == dict.fromkeys(range(1000), 1)


@pytest.mark.parametrize("where", MODES)
def test_an_iterator_is_read_only_so_far_ahead_as_keeps_the_cluster_busy(
    where: str, cache: raycache.Cache, tmp_path: Path
) -> None:
    """One without an end can be mapped; who stops reads no more of it."""
    read = itertools.count()
    square = squaring(cache.name, Marks(tmp_path / "runs"), where=where)
    results_ = square.imap(read, ordered=False)
    first = list(itertools.islice(results_, 5))
    results_.close()
    until(lambda: not any("raycache-map" in each.name for each in threading.enumerate()), "what was begun has ended")

    assert set(first) < {n * n for n in range(1000)}
    assert next(read) <= 1000


def test_two_processes_that_map_the_same_items_compute_each_once(
    cache: raycache.Cache, peers: Peers, tmp_path: Path
) -> None:
    """At the same time, in opposite orders; each has all values."""
    marks, barrier = Marks(tmp_path / "runs"), Barrier(tmp_path / "barrier", 2)
    square = squaring(cache.name, marks)
    orders = [list(range(400)), list(range(399, -1, -1))]
    calls = [peer.start(map_together, square, order, barrier) for peer, order in zip(peers(2), orders, strict=True)]

    assert results(calls) == [[n * n for n in order] for order in orders]
    assert numbers_of(marks) == dict.fromkeys(range(400), 1)


def map_together(function: Any, items: list[Any], barrier: Barrier) -> list[Any]:
    barrier.wait()
    values: list[Any] = function.map(items)
    return values


@pytest.mark.parametrize("where", MODES)
def test_two_processes_that_map_a_vectorised_function_compute_each_item_once(
    where: str, cache: raycache.Cache, peers: Peers, tmp_path: Path
) -> None:
    """A batch has only what nobody else is computing."""
    marks, barrier = Marks(tmp_path / "runs"), Barrier(tmp_path / "barrier", 2)
    squares = squaring_many(cache.name, marks, where=where, batch_size=16)
    orders = [list(range(200)), list(range(199, -1, -1))]
    calls = [peer.start(map_together, squares, order, barrier) for peer, order in zip(peers(2), orders, strict=True)]
    values = results(calls)
    batches: list[list[int]] = [eval(line) for line in marks.lines()]

    assert values == [[n * n for n in order] for order in orders]
    assert Counter(itertools.chain(*batches)) == dict.fromkeys(range(200), 1)
    assert max(map(len, batches)) <= 16


def test_a_vectorised_function_is_given_the_missing_items_alone(cache: raycache.Cache, tmp_path: Path) -> None:
    """By a call as by a map, in their order."""
    marks = Marks(tmp_path / "runs")
    squares = squaring_many(cache.name, marks)
    values = squares([1, 2]), squares([1, 2, 3, 4]), squares.map([5, 4, 3])

    assert values == ([1, 4], [1, 4, 9, 16], [25, 16, 9])
    assert marks.lines() == ["[1, 2]", "[3, 4]", "[5]"]


@pytest.mark.parametrize("where", MODES)
def test_an_item_that_fails_is_named_and_loses_no_other_items_result(
    where: str, cache: raycache.Cache, source: Source
) -> None:
    """A second map computes what had failed, and what was not reached."""
    fetch = fetching(source, cache.name, where=where)
    source.will("raise", 7)
    outcome = attempt(fetch.map, range(20))
    source.behave(7)
    values = fetch.map(range(20))

    assert (outcome.error, outcome.message) == (BackendBroken, "no backend for 7 (code 503)")
    assert "for item 7: 7" in outcome.notes
    assert values == [Source.value(n) for n in range(20)]
    assert source.runs == {str(n): 2 if n == 7 else 1 for n in range(20)}


@pytest.mark.parametrize("where", MODES)
def test_exceptions_stand_in_the_place_of_results_for_who_asks_for_that(
    where: str, cache: raycache.Cache, source: Source
) -> None:
    """Of every kind, an item that has no fingerprint among them."""
    fetch = fetching(source, cache.name, where=where)
    source.will("raise", 3)
    source.will("be absent", 4)
    values = fetch.map([1, 2, 3, 4, object(), 6], return_exceptions=True)
    kinds = [type(value) for value in values]

    assert kinds == [str, str, BackendBroken, raycache.NotFound, raycache.UnhashableArgument, str]
    assert values[5] == Source.value(6)


def test_an_item_that_ends_its_process_harms_itself_alone(cache: raycache.Cache, source: Source) -> None:
    """The others were in the same task, and have their results."""
    fetch = fetching(source, cache.name)
    source.will("die", 7)
    values = fetch.map(range(20), return_exceptions=True)

    assert isinstance(values[7], raycache.LoaderDied)
    assert [value for n, value in enumerate(values) if n != 7] == [Source.value(n) for n in range(20) if n != 7]


def test_results_come_as_they_are_ready_where_order_does_not_count(cache: raycache.Cache, source: Source) -> None:
    """What is slow holds up its own block, not those after it."""
    fetch = fetching(source, cache.name)
    source.will("wait", 0)
    first = next(results_ := fetch.imap(range(200), ordered=False))
    source.behave(0)
    rest = list(results_)

    assert first != Source.value(0)
    assert sorted([first, *rest]) == sorted(map(Source.value, range(200)))
