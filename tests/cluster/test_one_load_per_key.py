"""Promise 1: one run of the getter for a cold key, however many processes ask."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from marks import Barrier, Marks
from peers import Peers, get_announced, result, results
from sources import Source

import raycache

KEYS = [f"key-{number}" for number in range(100)]


def ask_at_once(group: raycache.Group, keys: list[str], barrier: Barrier) -> dict[Any, Any]:
    barrier.wait()
    return group.get_many(keys)


def ask_one_by_one(group: raycache.Group, keys: list[str], barrier: Barrier) -> dict[Any, Any]:
    barrier.wait()
    return {key: group.get(key) for key in keys}


@pytest.mark.parametrize("ask", [ask_at_once, ask_one_by_one])
@pytest.mark.parametrize("processes", [4, 8])
def test_processes_that_ask_for_100_cold_keys_at_once_load_them_100_times(
    ask: Callable[..., Any], processes: int, users: raycache.Group, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """Each in an order of its own; all get all values."""
    barrier = Barrier(tmp_path / "barrier", processes)
    orders = [random.sample(KEYS, len(KEYS)) for _ in range(processes)]
    calls = [peer.start(ask, users, order, barrier) for peer, order in zip(peers(processes), orders, strict=True)]
    answers = results(calls)

    assert source.runs == dict.fromkeys(map(repr, KEYS), 1)
    assert answers == [{key: Source.value(key) for key in order} for order in orders]
    assert [list(answer) for answer in answers] == orders


def test_those_who_ask_while_a_load_runs_wait_for_it(
    users: raycache.Group, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """They are counted as joined, the first as started."""
    source.will("wait", "alice")
    arrivals = Marks(tmp_path / "arrivals")
    calls = [peer.start(get_announced, users, "alice", arrivals) for peer in peers(3)]
    arrivals.await_lines(3)
    source.behave("alice")
    values = results(calls)
    for peer in peers(3):
        peer.do(users.report)
    stats = users.stats()

    assert values == [Source.value("alice")] * 3
    assert source.runs == {"'alice'": 1}
    assert (stats.loads_started, stats.loads_joined, stats.loads) == (1, 2, 1)


def ask_in_an_event_loop(group: raycache.Group, keys: list[str], barrier: Barrier) -> dict[Any, Any]:
    barrier.wait()
    return asyncio.run(group.aget_many(keys))


@pytest.mark.parametrize("ask", [ask_at_once, ask_in_an_event_loop])
def test_callers_that_hold_all_cpus_get_a_cold_key(
    ask: Callable[..., Any], users: raycache.Group, tmp_path: Path
) -> None:
    """The getter needs no CPU of Ray's: one that waits in an event loop keeps its own, and nobody would ever finish."""
    barrier = Barrier(tmp_path / "barrier", 4)
    task = ray.remote(ask).options(num_cpus=1)
    calls = [task.remote(users, ["alice"], barrier) for _ in range(int(ray.cluster_resources()["CPU"]))]

    assert results(calls) == [{"alice": Source.value("alice")}] * 4


def test_a_value_is_loaded_once_for_a_process_that_has_never_seen_it(
    users: raycache.Group, source: Source, peers: Peers
) -> None:
    """What one process has loaded, another one hits."""
    (peer,) = peers(1)
    mine, theirs = users.get("alice"), result(peer.start(users.get, "alice"))

    assert mine == theirs == Source.value("alice")
    assert source.runs == {"'alice'": 1}
