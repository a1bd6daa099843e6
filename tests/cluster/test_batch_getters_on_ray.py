"""Batch getters: what they are called with, and how often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from peers import Peers, results
from sources import BackendBroken, BatchSource, Source

import raycache

KEYS = [f"key-{number}" for number in range(20)]


@pytest.fixture
def batch(tmp_path: Path) -> Iterator[BatchSource]:
    made = BatchSource(tmp_path / "batch")
    yield made
    made.end()


@pytest.fixture
def cache(make_cache: Callable[..., raycache.Cache]) -> raycache.Cache:
    """With one loader task at a time: nothing splits a batch but its size."""
    return make_cache(max_loads=1)


@pytest.fixture
def users(cache: raycache.Cache, batch: BatchSource) -> raycache.Group:
    return cache.group("users", batch_getter=batch)


def test_only_missing_keys_are_passed_in_one_call(users: raycache.Group, batch: BatchSource, peers: Peers) -> None:
    """Of those that another process has loaded, none."""
    first = peers(1)[0].do(users.get_many, KEYS[:5])
    both = users.get_many(KEYS)

    assert [sorted(call) for call in batch.calls] == [sorted(KEYS[:5]), sorted(KEYS[5:])]
    assert both == {key: Source.value(key) for key in KEYS}
    assert first == {key: Source.value(key) for key in KEYS[:5]}


def test_a_single_get_is_a_batch_of_one(users: raycache.Group, batch: BatchSource) -> None:
    """The getter need not know."""
    assert users.get("alice") == Source.value("alice")
    assert batch.calls == [["alice"]]


def test_no_call_has_more_keys_than_the_batch_size(cache: raycache.Cache, batch: BatchSource) -> None:
    """Every key is in exactly one call."""
    users = cache.group("users", batch_getter=batch, batch_size=6)
    values = users.get_many(KEYS)

    assert values == {key: Source.value(key) for key in KEYS}
    assert max(map(len, batch.calls)) == 6
    assert batch.runs == dict.fromkeys(map(repr, KEYS), 1)


def test_a_missing_key_costs_one_call_and_is_not_found(users: raycache.Group, batch: BatchSource) -> None:
    """It is what the getter leaves out."""
    batch.will("be absent", "nobody")
    with pytest.raises(raycache.NotFound, match="'nobody'"):
        users.get("nobody")

    assert batch.calls == [["nobody"]]
    assert users.get_many(["alice", "nobody"], default=None) == {"alice": Source.value("alice"), "nobody": None}


def test_an_exception_of_a_batch_getter_reaches_all_its_keys(users: raycache.Group, batch: BatchSource) -> None:
    """They are free after that."""
    batch.will("raise", KEYS[0])
    with pytest.raises(BackendBroken):
        users.get_many(KEYS[:3])
    batch.behave(KEYS[0])

    assert users.get_many(KEYS[:3]) == {key: Source.value(key) for key in KEYS[:3]}


def test_processes_that_ask_for_overlapping_batches_load_each_key_once(
    users: raycache.Group, batch: BatchSource, peers: Peers
) -> None:
    """Each gets all that it asked for."""
    asked = [KEYS[0:12], KEYS[6:18], KEYS[10:20]]
    calls = [peer.start(users.get_many, keys) for peer, keys in zip(peers(3), asked, strict=True)]

    assert results(calls) == [{key: Source.value(key) for key in keys} for keys in asked]
    assert batch.runs == dict.fromkeys(map(repr, KEYS), 1)


def test_a_batch_getter_may_return_a_list_in_the_same_order(cache: raycache.Cache) -> None:
    """One of another length is an error that gives both numbers."""
    lists = cache.group("lists", batch_getter=lambda keys: [key.upper() for key in keys], capacity="1 MiB")
    short = cache.group("short", batch_getter=lambda keys: ["one"], capacity="1 MiB")

    assert lists.get_many(["alice", "bob"]) == {"alice": "ALICE", "bob": "BOB"}
    with pytest.raises(ValueError, match="given 2 keys and returned 1 values"):
        short.get_many(["alice", "bob"])
