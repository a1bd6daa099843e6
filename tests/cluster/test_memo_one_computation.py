"""Promise 1 for memoized functions: one computation of a cold call, wherever it runs and however many processes ask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from cluster_ray import ClusterRay
from marks import Barrier, Marks
from memos import MODES, call_announced, call_together, fetching, fetching_async
from peers import Peers, attempt, results
from programs import Program
from sources import BackendBroken, Source

import raycache

pytestmark = pytest.mark.parametrize("where", MODES)

#: A driver of its own, which calls the function when all have come.
DRIVER = """
    import sys
    from pathlib import Path
    import ray
    from marks import Barrier
    from memos import fetching
    from sources import Source

    address, cache, where, folder, barrier = sys.argv[1:]
    ray.init(address=address, log_to_driver=False)
    fetch = fetching(Source(Path(folder)), cache, where=where)
    fetch.peek("alice")
    Barrier(Path(barrier), 3).wait()
    print(fetch("alice"), flush=True)
"""


@pytest.mark.parametrize("make", [fetching, fetching_async])
def test_eight_processes_that_make_one_cold_call_compute_it_once(
    make: Any, where: str, cache: raycache.Cache, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """Who computes it is held up until all have called; an async function runs in an event loop of each."""
    fetch = make(source, cache.name, where=where)
    source.will("wait", "alice")
    barrier = Barrier(tmp_path / "barrier", 8)
    call = call_together if make is fetching else call_announced
    calls = [peer.start(call, fetch, barrier, "alice") for peer in peers(8)]
    barrier.await_lines(8)
    source.await_run("alice")
    source.behave("alice")

    assert results(calls) == [Source.value("alice")] * 8
    assert source.runs == {"'alice'": 1}


def test_the_function_runs_where_it_was_told_to(where: str, cache: raycache.Cache, source: Source) -> None:
    """In a process of a task's, or in the caller's own."""
    fetching(source, cache.name, where=where)("alice")
    elsewhere = source.pids("alice") != [os.getpid()]

    assert elsewhere == (where == "task")


def test_ray_tasks_that_make_one_cold_call_compute_it_once(
    where: str, cache: raycache.Cache, source: Source, tmp_path: Path
) -> None:
    """They take all CPUs there are."""
    fetch = fetching(source, cache.name, where=where)
    number = int(ray.cluster_resources()["CPU"])
    barrier = Barrier(tmp_path / "barrier", number)
    task = ray.remote(call_together).options(num_cpus=1)

    assert results([task.remote(fetch, barrier, "alice") for _ in range(number)]) == [Source.value("alice")] * number
    assert source.runs == {"'alice'": 1}


@pytest.fixture
def drivers(
    where: str, cluster_ray: ClusterRay, cache: raycache.Cache, source: Source, tmp_path: Path
) -> Iterator[list[Program]]:
    """Two programs that call the function when the test is there, too."""
    words = (cluster_ray.address, cache.name, where, tmp_path / "source", tmp_path / "barrier")
    programs = [Program(DRIVER, *words, PYTHONHASHSEED=str(number)) for number in range(2)]
    yield programs
    for program in programs:
        program.__exit__()


def test_programs_of_their_own_and_the_test_compute_a_cold_call_once(
    where: str, cache: raycache.Cache, source: Source, drivers: list[Program], tmp_path: Path
) -> None:
    """Three drivers, each with its own seed of `hash()`."""
    fetch = fetching(source, cache.name, where=where)
    values = [call_together(fetch, Barrier(tmp_path / "barrier", 3), "alice"), *(each.line() for each in drivers)]
    for each in drivers:
        each.end()

    assert values == [Source.value("alice")] * 3
    assert source.runs == {"'alice'": 1}


@pytest.mark.parametrize(("act", "error"), [("raise", BackendBroken), ("be absent", raycache.NotFound)])
def test_those_who_wait_for_a_call_that_fails_get_its_error(
    act: str, error: type[Exception], where: str, cache: raycache.Cache, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """As itself, from one run; the next call computes anew."""
    fetch = fetching_async(source, cache.name, where=where)
    call_announced(fetch, Marks(tmp_path / "first"), "somebody else")  # the shard knows the function
    source.will("wait", "alice")
    arrivals = Marks(tmp_path / "arrivals")
    calls = [peer.start(attempt, call_announced, fetch, arrivals, "alice") for peer in peers(4)]
    arrivals.await_lines(4)
    source.will(act, "alice")
    outcomes = results(calls)
    runs = source.runs["'alice'"]
    source.behave("alice")
    after = peers(1)[0].do(call_announced, fetch, arrivals, "alice")

    assert [outcome.error for outcome in outcomes] == [error] * 4
    assert all("alice" in outcome.message for outcome in outcomes)
    assert runs == 1
    assert after == Source.value("alice")
    assert source.runs["'alice'"] == 2
