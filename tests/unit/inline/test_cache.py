"""`connect` and `Cache`: how an inline cache begins, what it says of itself, and that it leaves nothing."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import pytest

import raycache


def folders(cache):
    return [Path(shard.folder) for shard in cache.shards()]


def test_a_cache_has_the_shards_it_was_asked_for(inline):
    cache = inline(shards=3, capacity="1 MiB")
    shards = cache.shards()

    assert len({shard.id for shard in shards}) == len(set(folders(cache))) == 3
    assert {(shard.node, shard.pid, shard.capacity_bytes, shard.reachable) for shard in shards} == {
        ("inline", os.getpid(), 1 << 20, True)
    }


def test_two_caches_of_one_name_are_two_caches_inline(inline):
    one, two = inline(), inline()
    one.group("g", None).set("a", 1)

    assert two.group("g", None).get("a", default=None) is None


@pytest.mark.parametrize("end", ["close", "destroy"])
def test_a_cache_that_has_ended_leaves_no_folder_and_no_thread(inline, end):
    threads = set(threading.enumerate())
    cache = inline(shards=2)
    cache.group("g", str.upper).get("a")
    paths = folders(cache)
    getattr(cache, end)()

    assert [path for path in paths if path.exists()] == []
    assert [each for each in set(threading.enumerate()) - threads if each.name == "raycache-report"] == []
    assert cache.closed


def test_ending_a_cache_twice_is_safe(inline):
    cache = inline()
    for end in (cache.close, cache.close, cache.destroy, cache.destroy):
        end()

    assert cache.closed


def test_a_cache_ends_with_its_block(clock):
    with raycache.connect(address="inline", capacity="1 MiB", clock=clock) as cache:
        assert cache.group("g", str.upper).get("a") == "A"
        (path,) = folders(cache)

    assert not path.exists()
    assert cache.closed


def test_a_program_that_forgets_to_close_leaves_nothing(python):
    program = "import raycache; cache = raycache.connect(address='inline', capacity='1 MiB')\n"
    program += "cache.group('g', str.upper).get('a'); print(cache.shards()[0].folder)"

    assert not Path(python(program)).exists()


def test_descriptors_are_given_back(inline):
    inline().destroy()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        raycache.connect(address="inline", capacity="1 MiB").destroy()
    gc.collect()

    assert len(os.listdir("/proc/self/fd")) <= before


def test_objects_that_users_hold_say_what_they_are(inline, getter):
    cache = inline(shards=2)
    group = cache.group("users", getter, ttl="5m", capacity=1000)

    assert repr(cache) == "<raycache.Cache 'default' inline, 2 shards, 1 groups here>"
    assert repr(group).startswith("<raycache.Group 'users' getter=")
    assert "capacity=1,000" in repr(group)
    assert "ttl=300s" in repr(group)
    assert "no getter" in repr(cache.group("plain", None))
    cache.close()
    assert "closed" in repr(cache)


def test_groups_are_listed_by_name(cache, getter):
    for name in ("b", "c", "a"):
        cache.group(name, getter)

    assert cache.groups() == ["a", "b", "c"]
    assert list(cache.stats_by_group()) == ["a", "b", "c"]


def test_the_default_capacity_of_a_group_is_at_most_a_quarter_of_its_shard(inline, getter):
    cache = inline(capacity="4 MiB")
    for number in range(4):
        cache.group(f"group-{number}", getter)

    assert "capacity=1,048,576" in repr(cache.group("group-0"))
    with pytest.raises(raycache.CapacityError, match="0 are left"):
        cache.group("group-4", getter)


def test_without_a_capacity_a_cache_takes_a_share_of_shared_memory(inline):
    total = os.statvfs("/dev/shm")
    (shard,) = inline(capacity=None).shards()

    assert 32 << 20 <= shard.capacity_bytes <= max(32 << 20, total.f_frsize * total.f_blocks // 8)


def test_a_group_that_another_handle_registered_is_joined_by_name(cache, getter):
    cache.group("users", getter, ttl=5)

    assert cache.group("users").get("a") == "value of 'a'"
