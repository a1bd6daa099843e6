"""Promise 5: every get is counted once, over all processes, and the books add up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from peers import Peers, results
from sources import Source
from waiting import until

import raycache
from raycache.core.stats import NAMES

KEYS = [f"key-{number}" for number in range(30)]


def use(group: raycache.Group) -> int:
    """Gets of all kinds; how many."""
    for key in KEYS:
        group.get(key)
        group.get(key)
    group.get_many(KEYS)
    group.get("nobody", default=None)
    group.peek(KEYS[0])
    group.report()
    return 3 * len(KEYS) + 1


def test_gets_of_several_processes_add_up(users: raycache.Group, source: Source, peers: Peers) -> None:
    """Each is a hit near, in the pages or at a shard, or a load that was started or joined."""
    source.will("be absent", "nobody")
    gets = sum(results([peer.start(use, users) for peer in peers(3)])) + use(users)
    stats = users.stats()

    assert stats.gets == gets
    parts = (stats.near_hits, stats.page_hits, stats.shard_hits, stats.loads_started, stats.loads_joined)
    assert sum(parts) == gets
    assert (stats.unavailable, stats.misses) == (0, 0)
    assert stats.loads == sum(source.runs.values())
    assert stats.loads_started == len(KEYS) + source.runs["'nobody'"]
    assert stats.not_found == source.runs["'nobody'"]
    assert stats.entries == len(KEYS)


def test_a_hit_is_counted_once_where_it_was(users: raycache.Group, peers: Peers) -> None:
    """Near in the process that has it, in the pages in one that has not."""
    (peer,) = peers(1)
    users.get("alice")
    after_load = users.stats()
    peer.do(users.get, "alice")
    peer.do(users.report)
    after_pages = users.stats()
    for _ in range(5):
        peer.do(users.get, "alice")
    users.get("alice")
    peer.do(users.report)
    peer.do(users.report)
    after_near = users.stats()

    assert [(each.loads_started, each.page_hits, each.near_hits) for each in (after_load, after_pages, after_near)] == [
        (1, 0, 0),
        (1, 1, 0),
        (1, 1, 6),
    ]


def test_peeks_and_questions_are_no_gets(users: raycache.Group) -> None:
    """They change no counter of gets."""
    users.get("alice")
    before = users.stats()
    users.peek("alice"), users.peek("bob"), "alice" in users, list(users.keys()), len(users)

    assert users.stats().gets == before.gets == 1


def test_a_process_reports_by_itself_within_seconds(users: raycache.Group, peers: Peers) -> None:
    """It need not be asked to."""
    peers(1)[0].do(users.get, "alice")

    until(lambda: users.stats().gets == 1, "the other process has reported", 5.0)


def test_changes_are_counted_once(users: raycache.Group, source: Source) -> None:
    """Sets, removals, evictions and expiries by their own names."""
    users.set_many({"alice": 1, "bob": 2})
    users.set("alice", 3)
    users.remove_many(["alice", "nobody"])
    users.get("carol")
    assert len(users) == 2  # what was loaded has come into the shard
    users.clear()
    stats = users.stats()

    assert (stats.sets, stats.removals, stats.evictions, stats.expirations) == (3, 3, 0, 0)
    assert (stats.entries, stats.bytes) == (0, 0)


def test_bytes_are_exact_and_evictions_end(register: Callable[..., raycache.Group], peers: Peers) -> None:
    """Many small values through a group with room for some of them."""
    group = register(None, capacity="64 KiB")
    for turn in range(4):
        peers(1)[0].do(group.set_many, {f"{turn}-{number:02}": bytes(1000) for number in range(60)})
    stats = group.stats()
    sizes = {key: group.peek(key) for key in group.keys()}  # noqa: SIM118  # a group has no __iter__

    assert stats.bytes <= 64 << 10
    assert stats.entries == len(sizes) == 240 - stats.evictions
    per_entry, rest = divmod(stats.bytes, stats.entries)
    assert rest == 0
    assert 1000 < per_entry < 1100


def test_a_caches_stats_are_the_sum_of_its_groups(
    cache: raycache.Cache, register: Callable[..., raycache.Group], source: Source
) -> None:
    """Of its shards, too."""
    one, two = register(source), register(None)
    one.get("alice")
    two.set("bob", 1)
    groups: dict[str, Any] = cache.stats_by_group()
    total = cache.stats()

    assert total == sum(groups.values(), raycache.Stats())
    assert groups[one.name].loads == groups[two.name].sets == 1
    for name in NAMES:
        assert getattr(total, name) == pytest.approx(sum(getattr(each, name) for each in groups.values()))
    assert total.bytes == sum(shard.bytes for shard in cache.shards())
