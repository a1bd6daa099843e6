"""Cold keys are loaded over the page server's connections: without a call, once, and with the same end as by calls."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from typing import Any

import pytest
from actor_calls import gets_by_call
from killing import kill_shard
from peers import Peer, Peers, attempt, results
from sources import BackendBroken, Source
from waiting import until

import raycache

KEYS = [f"key-{number}" for number in range(20)]


def get_counted(users: raycache.Group, key: str) -> tuple[Any, int]:
    """How a get ends, and how many actor calls it makes."""
    with gets_by_call(users) as calls:
        return attempt(users.get, key), len(calls)


def connect(users: raycache.Group) -> int:
    """Waits until this process gets cold keys without calls; how many it got until then."""
    numbers = itertools.count()
    until(lambda: get_counted(users, f"first-{os.getpid()}-{next(numbers)}")[1] == 0, "a cold get takes no call")
    return next(numbers)


def get_all(users: raycache.Group) -> list[str]:
    return [users.get(key) for key in KEYS]


def test_processes_that_ask_at_once_load_each_key_once_and_all_is_counted(
    users: raycache.Group, source: Source, peers: Peers
) -> None:
    """In step, one key after the other, over connections that are there."""
    first = sum(results([peer.start(connect, users) for peer in peers(3)]))
    values = results([peer.start(get_all, users) for peer in peers(3)])
    for peer in peers(3):
        peer.do(users.report)
    stats = users.stats()

    assert values == [list(map(Source.value, KEYS))] * 3
    assert set(source.runs.values()) == {1}
    assert stats.loads == stats.loads_started == len(KEYS) + first
    assert stats.gets == 3 * len(KEYS) + first
    assert stats.unavailable == 0


@pytest.mark.parametrize(("act", "error"), [("raise", BackendBroken), ("be absent", raycache.NotFound)])
def test_what_a_getter_raises_is_raised_once_and_costs_one_run(
    users: raycache.Group, source: Source, act: str, error: type[Exception]
) -> None:
    """It is fetched by a call, which finds how the load has ended."""
    connect(users)
    source.will(act, "alice")
    outcome, calls = get_counted(users, "alice")

    assert (outcome.error, calls) == (error, 1)
    assert source.runs["'alice'"] == 1


def test_a_get_survives_the_death_of_the_shard_that_it_waits_at(
    make_cache: Callable[..., raycache.Cache], source: Source, peers: Peers
) -> None:
    """The load goes with its shard: it is begun anew where the get goes on."""
    cache = make_cache()
    users = cache.group("users", source)
    peer: Peer = peers(1)[0]
    peer.do(connect, users)
    source.will("wait", "alice")
    waits = peer.start(users.get, "alice")
    source.await_run("alice")
    kill_shard(cache)
    source.behave("alice")

    assert results([waits]) == [Source.value("alice")]
    assert source.runs["'alice'"] <= 2
