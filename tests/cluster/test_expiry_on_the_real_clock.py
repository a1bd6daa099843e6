"""Values and missing keys that are over after some time, in every process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from peers import Peers
from sources import Source
from waiting import until

import raycache

TTL_S = 0.4


def test_a_groups_values_expire_in_every_process(
    register: Callable[..., raycache.Group], source: Source, peers: Peers
) -> None:
    """Not before their time, also where they are near; then one load brings the new one."""
    users, (peer,) = register(source, ttl=TTL_S), peers(1)
    began = time.monotonic()
    users.get("alice")
    peer.do(users.get, "alice")
    source.version = "1"
    new = Source.value("alice", "1")
    until(lambda: peer.do(users.get, "alice") == new, "the value has expired in the other process")
    seconds = time.monotonic() - began

    assert seconds >= TTL_S
    until(lambda: users.get("alice") == new, "the value has expired here")


@pytest.mark.parametrize("ttl", [TTL_S, "400ms"])
def test_a_value_that_is_set_with_a_ttl_expires(ttl: Any, users: raycache.Group, peers: Peers) -> None:
    """After it a get returns what the getter returns."""
    (peer,) = peers(1)
    users.set("alice", "short", ttl=ttl)
    users.set("bob", "long")
    until(lambda: users.get("alice") == Source.value("alice"), "what was set has expired")

    assert peer.do(users.get, "alice") == Source.value("alice")
    assert [users.get("bob"), peer.do(users.get, "bob")] == ["long"] * 2


def test_a_getter_chooses_the_expiry_of_each_value(register: Callable[..., raycache.Group]) -> None:
    """The others stay."""

    def getter(key: str) -> Any:
        now = time.monotonic()
        return raycache.Expiring(now, ttl=TTL_S) if key == "short" else now

    group = register(getter)
    before = group.get_many(["short", "long"])
    until(lambda: group.get("short") != before["short"], "the value with a ttl of its own has expired")

    assert group.get("short") - before["short"] >= TTL_S
    assert group.get("long") == before["long"]


def test_no_value_outlives_the_groups_max_ttl(register: Callable[..., raycache.Group]) -> None:
    """Whatever it names."""
    group = register(lambda key: raycache.Expiring(time.monotonic(), ttl="1h"), max_ttl=TTL_S)
    before = group.get("alice")

    until(lambda: group.get("alice") != before, "the value has expired")


def test_expired_entries_go_without_being_asked_for(register: Callable[..., raycache.Group], source: Source) -> None:
    """Whatever their recency; they count as expired, not as evicted or removed."""
    users = register(source, ttl=TTL_S)
    users.get_many(["alice", "bob"])
    users.set("carol", 1, ttl="1h")
    until(lambda: len(users) == 1, "expired entries have gone")
    stats = users.stats()

    assert (stats.expirations, stats.evictions, stats.removals) == (2, 0, 0)
    assert stats.bytes > 0
    assert list(users.keys()) == ["carol"]


def test_a_missing_key_is_remembered_for_the_negative_ttl(
    register: Callable[..., raycache.Group], source: Source, peers: Peers
) -> None:
    """By every process, with its message; then the getter is asked again."""
    users, (peer,) = register(source, negative_ttl=TTL_S), peers(1)
    source.will("be absent", "alice")
    with pytest.raises(raycache.NotFound, match="nobody is called 'alice'"):
        users.get("alice")
    source.behave("alice")
    until(lambda: peer.do(users.get, "alice", default=None) is not None, "the missing key is forgotten")

    assert source.runs == {"'alice'": 2}
    assert users.get("alice") == Source.value("alice")


@pytest.mark.parametrize(("negative_ttl", "runs"), [("1h", 1), (None, 4)])
def test_without_a_negative_ttl_the_getter_is_asked_each_time(
    negative_ttl: str | None, runs: int, register: Callable[..., raycache.Group], source: Source, peers: Peers
) -> None:
    """With one, once for all processes."""
    users, (peer,) = register(source, negative_ttl=negative_ttl), peers(1)
    source.will("be absent", "alice")
    values = [get("alice", default="nobody") for get in (users.get, lambda *a, **k: peer.do(users.get, *a, **k)) * 2]

    assert values == ["nobody"] * 4
    assert source.runs == {"'alice'": runs}
    assert "alice" not in users
