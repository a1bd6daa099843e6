"""What options say of a computation holds where it runs: resources, environment, time; and where its result is kept."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from marks import Marks
from memos import MODES, fetching
from peers import Peers, attempt, result
from sources import Source
from waiting import until

import raycache


def test_task_options_reach_the_task(cache: raycache.Cache) -> None:
    """CPUs, and the environment that it runs in."""

    @raycache.memoize(
        cache=cache.name, task_options={"num_cpus": 1, "runtime_env": {"env_vars": {"RAYCACHE_TEST": "there"}}}
    )
    def surroundings(of: str) -> tuple[str | None, dict[str, float]]:
        return os.environ.get(of), ray.get_runtime_context().get_assigned_resources()

    assert surroundings("RAYCACHE_TEST") == ("there", {"CPU": 1.0})
    assert "RAYCACHE_TEST" not in os.environ


def test_a_task_without_options_takes_no_cpu(cache: raycache.Cache) -> None:
    """Callers that hold all of them cannot keep it from running."""

    @raycache.memoize(cache=cache.name)
    def resources(_: int) -> dict[str, float]:
        taken: dict[str, float] = ray.get_runtime_context().get_assigned_resources()
        return taken

    assert resources(1).get("CPU", 0) == 0


def test_other_task_options_compute_nothing_anew(cache: raycache.Cache, tmp_path: Path) -> None:
    """They say how, not what: the results are found that were computed with the old ones."""
    marks = Marks(tmp_path / "runs")

    def work(n: int) -> int:
        marks.add("run")
        return n * 2

    values = [
        raycache.memoize(cache=cache.name)(work)(4),
        raycache.memoize(cache=cache.name, task_options={"num_cpus": 1})(work)(4),
    ]

    assert values == [8, 8]
    assert marks.lines() == ["run"]


def test_a_function_that_hangs_is_ended_with_load_timeout(cache: raycache.Cache, source: Source) -> None:
    """Its process is ended, and the next call computes, in a process that has to be started within the same time."""
    fetch = fetching(source, cache.name, load_timeout="3s")
    source.will("hang", "alice")
    outcome = attempt(fetch, "alice")
    source.behave("alice")

    assert outcome.error is raycache.LoadTimeout
    assert "3 s" in outcome.message
    assert 2.9 < outcome.seconds < 12
    assert fetch("alice") == Source.value("alice")


def test_those_who_wait_for_a_function_that_hangs_all_get_load_timeout(
    cache: raycache.Cache, source: Source, peers: Peers
) -> None:
    """It ran once for all of them."""
    fetch = fetching(source, cache.name, load_timeout="2s")
    source.will("hang", "alice")
    first = peers(3)[0].start(attempt, fetch, "alice")
    source.await_run("alice")
    others = [peer.start(attempt, fetch, "alice") for peer in peers(3)[1:]]
    outcomes = [result(call) for call in [first, *others]]

    assert {outcome.error for outcome in outcomes} == {raycache.LoadTimeout}
    assert source.runs == {"'alice'": 1}


@pytest.mark.parametrize("where", MODES)
def test_results_expire_and_errors_that_say_not_found_are_remembered(
    where: str, cache: raycache.Cache, source: Source
) -> None:
    """As long as `ttl` and `negative_ttl` say."""
    fetch = fetching(source, cache.name, where=where, ttl="1s", negative_ttl="10m")
    source.will("be absent", "bob")
    outcomes = [attempt(fetch, "bob"), attempt(fetch, "bob")]
    fetch("alice")
    until(lambda: not fetch.explain("alice").hit, "the result has expired")
    fetch("alice")

    assert [(outcome.error, outcome.message) for outcome in outcomes] == [
        (raycache.NotFound, "nobody is called 'bob'")
    ] * 2
    assert source.runs == {"'alice'": 2, "'bob'": 1}


def test_a_cache_is_given_itself_or_by_its_name(
    make_cache: Callable[..., raycache.Cache], source: Source, peers: Peers
) -> None:
    """The results lie in the one that was named; a function with the cache itself travels, too."""
    one, two = make_cache(), make_cache()
    fetches: list[Any] = [fetching(source, one.name), fetching(source, one), fetching(source, two.name)]
    values = [peers(1)[0].do(fetches[1], "alice"), *(fetch("alice") for fetch in fetches)]

    assert values == [Source.value("alice")] * 4
    assert source.runs == {"'alice'": 2}
    assert [cache.stats().entries for cache in (one, two)] == [1, 1]


def test_without_a_cache_it_is_the_default_one(cache: raycache.Cache, source: Source, peers: Peers) -> None:
    """Made by the first call, in this process or another one."""
    name = uuid.uuid4().hex

    @raycache.memoize(name=name)
    def work(n: int) -> int:
        return n

    try:
        values = peers(1)[0].do(work, 1), work(1)
        groups = raycache.connect().groups()
    finally:
        raycache.connect().destroy()
        peers(1)[0].let_go("default")

    assert values == (1, 1)
    assert f"memo:{name}" in groups
