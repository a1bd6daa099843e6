"""Keys that wait for a task to be free, while the one that runs may have an older value of them."""

from __future__ import annotations

import threading
import time

import pytest


class Source:
    """A getter whose first run of "a" stays at work with the old value until it is let go."""

    def __init__(self) -> None:
        self.value = "old"
        self.at_work, self.go = threading.Event(), threading.Event()

    def __call__(self, key):
        value = self.value
        if key == "a" and not self.go.is_set():
            self.at_work.set()
            assert self.go.wait(30)
        return value


@pytest.fixture
def source():
    made = Source()
    yield made
    made.go.set()


def test_a_get_after_a_removal_does_not_take_the_old_value_from_the_load_it_waits_for(inline, source, pool):
    group = inline(max_loads=1, clock=time.monotonic).group("g", source)
    early = pool.submit(group.get, "a")
    assert source.at_work.wait(30)
    source.value = "new"
    group.remove("a")
    late = pool.submit(group.get, "a")
    source.go.set()

    assert early.result(30) == "old"
    assert late.result(30) == "new"
    assert group.get("a") == "new"


def test_a_refresh_that_has_to_wait_for_a_task_returns_the_new_value(inline, source, pool):
    group = inline(max_loads=1, clock=time.monotonic).group("g", source)
    assert group.get("b") == "old"
    busy = pool.submit(group.get, "a")
    assert source.at_work.wait(30)
    source.value = "new"
    fresh = pool.submit(group.refresh, "b")
    source.go.set()

    assert (fresh.result(30), group.get("b"), busy.result(30)) == ("new", "new", "old")


def test_a_near_cache_full_of_hit_entries_takes_new_ones_in_constant_time(inline):
    group = inline().group("g", lambda key: "x" * 100, near="64 KiB")
    keys = [f"key {number}" for number in range(2000)]
    for key in keys:
        group.get(key)
        group.get(key)

    assert group.stats().near_hits > 0
    assert len(group.reader.near.entries) <= (64 << 10) // 250


def test_a_forked_child_that_ends_leaves_its_parents_cache_alone(inline, python):
    """As servers do that load the program first and fork then."""
    program = """
import os, sys, raycache
cache = raycache.connect(address="inline")
group = cache.group("g", str.upper)
group.get("a")
if os.fork() == 0:
    sys.exit(0)
assert os.wait()[1] == 0
print(group.get("a"), os.path.isdir(cache.shards()[0].folder))
"""

    assert python(program) == "A True"
