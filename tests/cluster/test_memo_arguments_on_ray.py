"""Arguments and values of memoized functions between processes: large ones, odd ones, and those that cannot travel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from marks import Marks
from memos import MODES
from peers import Peers, attempt

import raycache

#: 10 MB.
LARGE = 1_250_000


def memoized(cache: str, marks: Marks, body: Callable[..., Any], **options: Any) -> Any:
    """A memoized function of one argument that does this, and leaves a line for each run."""

    @raycache.memoize(cache=cache, **options)
    def work(argument: Any) -> Any:
        marks.add("run")
        return body(argument)

    return work


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return Marks(tmp_path / "runs")


@pytest.mark.parametrize("where", MODES)
def test_large_arguments_and_values_arrive_as_they_are(
    where: str, cache: raycache.Cache, peers: Peers, marks: Marks
) -> None:
    """Arrays of 10 MB; computed once for this process and another one."""
    work = memoized(cache.name, marks, lambda array: array[::-1] * 2, where=where)
    array = np.arange(float(LARGE))
    mine, theirs, again = work(array), peers(1)[0].do(work, array.copy()), work(array)

    for value in (mine, theirs, again):
        np.testing.assert_array_equal(value, array[::-1] * 2)
    assert marks.lines() == ["run"]


@pytest.mark.parametrize("where", MODES)
def test_a_value_that_is_returned_twice_is_the_callers_own(where: str, cache: raycache.Cache, marks: Marks) -> None:
    """What one caller does to it, the next one does not see."""
    work = memoized(cache.name, marks, lambda n: {"numbers": list(range(n))}, where=where)
    work(3)["numbers"].append("spoiled")
    work(3)["numbers"].append("spoiled again")

    assert work(3) == {"numbers": [0, 1, 2]}
    assert marks.lines() == ["run"]


def sorted_in_place(array: Any) -> Any:
    array.sort()
    return array.tolist()


@pytest.mark.parametrize("where", MODES)
def test_a_small_argument_may_be_changed_by_the_function(where: str, cache: raycache.Cache, marks: Marks) -> None:
    """As the caller's own could be; in a task it is a copy."""
    work = memoized(cache.name, marks, sorted_in_place, where=where)
    array = np.array([3, 1, 2])

    assert work(array) == [1, 2, 3]
    assert array.tolist() == ([3, 1, 2] if where == "task" else [1, 2, 3])


def total(arguments: dict[str, Any]) -> float:
    return float(sum(np.sum(ray.get(each)) for each in arguments["refs"]))


@pytest.mark.parametrize("where", MODES)
def test_arguments_that_hold_object_refs_travel(where: str, cache: raycache.Cache, peers: Peers, marks: Marks) -> None:
    """The key is made of the refs, not of what they stand for: the same refs hit, also in another process."""
    work = memoized(cache.name, marks, total, where=where)
    refs = [ray.put(np.ones(10)), ray.put(np.ones(LARGE // 10))]
    mine, again = work({"refs": refs}), work({"refs": list(refs)})
    theirs = peers(1)[0].do(work, {"refs": refs})

    assert mine == again == theirs == 10 + LARGE // 10
    assert marks.lines() == ["run"]


def test_a_value_that_holds_object_refs_is_refused(cache: raycache.Cache, marks: Marks) -> None:
    """It would not live as long as the cache does."""
    work = memoized(cache.name, marks, lambda n: [ray.put(n)])

    with pytest.raises(raycache.UncacheableValue, match="ObjectRef"):
        work(1)


class Connection:
    """Has a fingerprint, and cannot be pickled."""

    def __init__(self, name: str) -> None:
        self.name, self.lock = name, threading.Lock()

    def __raycache_key__(self) -> str:
        return self.name


def test_arguments_that_cannot_be_pickled_are_refused_with_a_remedy(cache: raycache.Cache, marks: Marks) -> None:
    """The message names the function, what does not pickle, and what would work."""
    work = memoized(cache.name, marks, lambda connection: connection.name)

    with pytest.raises(raycache.UncacheableValue, match=r"(?s)arguments of .*work.*lock.*where='caller'"):
        work(Connection("db"))
    assert marks.lines() == []


def test_arguments_that_cannot_be_pickled_work_in_the_caller(cache: raycache.Cache, marks: Marks) -> None:
    """They go nowhere; the result does, and is found by others with an equal key."""
    work = memoized(cache.name, marks, lambda connection: connection.name.upper(), where="caller")

    assert [work(Connection("db")), work(Connection("db")), work(Connection("other"))] == ["DB", "DB", "OTHER"]
    assert marks.lines() == ["run", "run"]


@pytest.mark.parametrize("where", MODES)
def test_a_value_that_cannot_be_pickled_is_refused(where: str, cache: raycache.Cache, marks: Marks) -> None:
    """The message says what does not pickle; the key is free, and the next call computes."""
    work = memoized(cache.name, marks, lambda _: threading.Lock(), where=where)
    outcomes = [attempt(work, 1), attempt(work, 1)]

    assert [outcome.error for outcome in outcomes] == [raycache.UncacheableValue] * 2
    assert all("lock" in outcome.message for outcome in outcomes)
    assert marks.lines() == ["run", "run"]


def test_a_function_that_cannot_be_pickled_is_refused_with_its_name(cache: raycache.Cache) -> None:
    """It reads something that exists in this process alone, and is told apart by a version."""
    lock = threading.Lock()

    @raycache.memoize(cache=cache.name, version="1")
    def guarded(n: int) -> int:
        with lock:
            return n

    with pytest.raises(raycache.UnpicklableGetter, match=r"(?s)guarded.*lock"):
        guarded(1)


@pytest.mark.parametrize("where", MODES)
def test_a_value_larger_than_the_capacity_is_returned_and_not_kept_for_others(
    where: str, cache: raycache.Cache, peers: Peers, marks: Marks
) -> None:
    """Each process computes it for itself, and `explain` says why."""
    work = memoized(cache.name, marks, bytes, where=where, capacity="1 MiB", name=f"large in the {where}")
    one, two = peers(2)
    sizes = [len(one.do(work, 2 << 20)), len(two.do(work, 2 << 20))]

    assert sizes == [2 << 20] * 2
    assert marks.lines() == ["run", "run"]
    assert "too large" in repr(work.explain(2 << 20))
