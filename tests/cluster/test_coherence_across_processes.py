"""What one process changes, all others see: once set, remove or clear has returned, no get returns an older value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from marks import Barrier, Marks
from peers import Peer, Peers, get_announced, result, results
from sources import Source

import raycache


def everywhere(group: raycache.Group, key: Any, all_peers: list[Peer]) -> list[Any]:
    """What this process and others get, twice: the second time it comes from their near caches."""
    mine = [group.get(key), group.get(key)]
    return mine + [peer.do(group.get, key) for _ in range(2) for peer in all_peers]


def test_a_set_is_seen_by_processes_that_had_the_old_value_near(users: raycache.Group, peers: Peers) -> None:
    """Also by the one that set it."""
    before = everywhere(users, "alice", peers(2))
    users.set("alice", "new")
    after = everywhere(users, "alice", peers(2))

    assert before == [Source.value("alice")] * 6
    assert after == ["new"] * 6


def test_a_set_by_another_process_is_seen_here(users: raycache.Group, peers: Peers) -> None:
    """And by third ones."""
    everywhere(users, "alice", peers(2))
    peers(1)[0].do(users.set, "alice", "new")

    assert everywhere(users, "alice", peers(2)) == ["new"] * 6


def test_a_removed_key_is_loaded_anew_everywhere(users: raycache.Group, source: Source, peers: Peers) -> None:
    """Once for all of them."""
    everywhere(users, "alice", peers(2))
    source.version = "1"
    removed = users.remove("alice")

    assert removed
    assert everywhere(users, "alice", peers(2)) == [Source.value("alice", "1")] * 6
    assert source.runs == {"'alice'": 2}


@pytest.mark.parametrize("clear", [raycache.Group.clear, lambda group: group.remove_many(["alice", "bob", "carol"])])
def test_after_removing_many_keys_nobody_has_any(
    clear: Callable[[raycache.Group], int], users: raycache.Group, source: Source, peers: Peers
) -> None:
    """By name or by clear, the process that did it included."""
    keys = ["alice", "bob", "carol"]
    for peer in peers(2):
        peer.do(users.get_many, keys)
    users.get_many(keys)
    source.version = "1"
    removed = clear(users)
    peeked = [users.peek(key) for key in keys] + [peer.do(users.peek, key) for peer in peers(2) for key in keys]
    loaded = [users.get_many(keys)] + [peer.do(users.get_many, keys) for peer in peers(2)]

    assert removed == 3
    assert peeked == [None] * 9
    assert loaded == [{key: Source.value(key, "1") for key in keys}] * 3


def test_a_refresh_is_seen_by_processes_that_had_the_old_value_near(
    users: raycache.Group, source: Source, peers: Peers
) -> None:
    """It is one run of the getter."""
    everywhere(users, "alice", peers(2))
    source.version = "1"
    fresh = users.refresh("alice")

    assert fresh == Source.value("alice", "1")
    assert everywhere(users, "alice", peers(2)) == [fresh] * 6
    assert source.runs == {"'alice'": 2}


def test_others_have_the_old_value_while_a_refresh_runs(users: raycache.Group, source: Source, peers: Peers) -> None:
    """Those who have it near, and those who ask the shard."""
    near, far = peers(2)
    near.do(users.get, "alice")
    source.version = "1"
    source.will("wait", "alice")
    call = near.start(users.refresh, "alice")
    source.await_run("alice", 2)
    meanwhile = [users.get("alice"), far.do(users.get, "alice")]
    source.behave("alice")

    assert meanwhile == [Source.value("alice")] * 2
    assert result(call) == Source.value("alice", "1")


@pytest.mark.parametrize("act", ["remove", "clear"])
def test_a_load_in_flight_at_remove_does_not_bring_the_old_value_back(
    act: str, users: raycache.Group, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """Who waits for it gets its value; a later get does not join it, and its value stays."""
    (peer,) = peers(1)
    source.will("wait", "alice")
    arrivals = Marks(tmp_path / "arrivals")
    early = peer.start(get_announced, users, "alice", arrivals)
    arrivals.await_lines(1)
    source.await_run("alice")
    users.remove("alice") if act == "remove" else users.clear()
    source.version = "1"
    late = peers(2)[1].start(users.get, "alice")
    source.await_run("alice", 2)
    source.behave("alice")

    assert results([early, late]) == [Source.value("alice"), Source.value("alice", "1")]
    assert everywhere(users, "alice", peers(2)) == [Source.value("alice", "1")] * 6
    assert source.runs == {"'alice'": 2}


def test_a_load_in_flight_at_set_does_not_bring_the_old_value_back(
    users: raycache.Group, source: Source, peers: Peers, tmp_path: Path
) -> None:
    """What was set stays. Who asked before it may get either value."""
    source.will("wait", "alice")
    arrivals = Marks(tmp_path / "arrivals")
    early = peers(1)[0].start(get_announced, users, "alice", arrivals)
    arrivals.await_lines(1)
    users.set("alice", "new")
    during = users.get("alice")
    source.behave("alice")

    assert during == "new"
    assert result(early) in (Source.value("alice"), "new")
    assert everywhere(users, "alice", peers(2)) == ["new"] * 6


def set_at_once(group: raycache.Group, value: str, barrier: Barrier) -> None:
    barrier.wait()
    group.set("alice", value)


def test_concurrent_sets_end_with_all_processes_agreeing(users: raycache.Group, peers: Peers, tmp_path: Path) -> None:
    """On one of the values, time and again."""
    for turn in range(10):
        barrier = Barrier(tmp_path / f"barrier-{turn}", 3)
        values = [f"{turn} of {number}" for number in range(3)]
        results([peer.start(set_at_once, users, each, barrier) for peer, each in zip(peers(3), values, strict=True)])
        seen = set(everywhere(users, "alice", peers(3)))

        assert len(seen) == 1
        assert seen <= set(values)


def test_removing_absent_keys_is_safe(users: raycache.Group, source: Source, peers: Peers) -> None:
    """It says that there was nothing."""
    (peer,) = peers(1)

    assert peer.do(users.remove, "nobody") is False
    assert peer.do(users.remove_many, ["nobody", "no one"]) == 0
    assert peer.do(users.remove_many, []) == 0
    assert peer.do(users.clear) == 0
    assert source.runs == {}


def test_peek_contains_and_keys_see_what_another_process_has_set(users: raycache.Group, peers: Peers) -> None:
    """Without any load."""
    peers(1)[0].do(users.set_many, {"alice": 1, "albert": 2, "bob": 3})

    assert users.peek("alice") == 1
    assert "bob" in users
    assert "carol" not in users
    assert sorted(users.keys(prefix="al")) == ["albert", "alice"]
    assert len(users) == 3
