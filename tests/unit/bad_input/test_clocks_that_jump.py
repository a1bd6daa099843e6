"""A wall clock that jumps: back, forth, by an hour, by years. Expiry, leases and loads go by the monotonic one."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import pytest
from fake_clock import FakeClock
from shard_bench import full
from shards_bench import ShardsBench

import raycache
from raycache.core.messages import Adopt, Missing
from raycache.glance import Seen

HOUR_S = 3600.0
#: Who asks for the wall clock: to show it, to compare it with that of other machines, or for a number that is greater
#: than the epochs of a directory whose state is lost; and the gateway, whose protocols tell times of the wall clock.
SHOWS_TIME = {"cluster/directory.py", "edge/facts.py", "edge/notebook.py", "edge/probe.py", "glance.py"}
SHOWS_TIME |= {f"edge/gateway/{name}.py" for name in ("groupcache", "guard", "rest", "served")}


def asks_wall_clock(path):
    """Whether a module uses what a change of the wall clock changes."""
    names = {
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    return bool(
        names & {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today", "time.localtime"}
    )


def test_nobody_measures_by_the_wall_clock():
    root = Path(raycache.__file__).parent

    assert {str(path.relative_to(root)) for path in root.rglob("*.py") if asks_wall_clock(path)} == SHOWS_TIME


@pytest.fixture
def jump(monkeypatch):
    """Moves the wall clock."""
    real, off = time.time, [0.0]
    monkeypatch.setattr(time, "time", lambda: real() + off[0])
    monkeypatch.setattr(time, "time_ns", lambda: int((real() + off[0]) * 1e9))

    def jump(seconds):
        off[0] += seconds

    return jump


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S, 1e9, -1e9])
def test_entries_live_as_long_as_they_should(inline, jump, clock, seconds):
    group = inline(clock=clock).group("users", str.upper, ttl=60)
    group.get("a")
    group.set("b", "B", ttl=120)
    jump(seconds)
    clock.advance(59)

    assert (group.get("a"), group.peek("b"), group.stats().loads) == ("A", "B", 1)
    jump(-2 * seconds)
    clock.advance(2)
    assert (group.get("a"), group.peek("b"), group.stats().loads) == ("A", "B", 2)
    clock.advance(60)
    assert group.peek("b") is None


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_by_the_real_clock_too(inline, jump, seconds):
    """Nothing is over at once, nothing is kept for an hour, no get waits for one."""
    group = inline(clock=time.monotonic).group("users", str.upper, ttl=0.3)
    group.get("a")
    jump(seconds)

    assert group.get("a", timeout=10) == "A"
    deadline = time.monotonic() + 10
    while group.peek("a") is not None:
        assert time.monotonic() < deadline
    jump(-seconds)
    assert group.get("a", timeout=10) == "A"
    assert group.stats().loads == 2


def test_what_was_seen_is_never_from_the_future():
    """Of a clock that went back it is only said when it was."""
    assert Seen(1, at=1000.0).as_of(now=1000.0 - HOUR_S).count("ago") == 0
    assert Seen(1, at=1000.0).as_of(now=1000.0 + HOUR_S).endswith("60 min ago")


@pytest.fixture
def shards(tmp_path, clock):
    """Two nodes that were started at very different times."""
    shards = ShardsBench(tmp_path, old=clock, new=FakeClock(5.0))
    shards.define()
    shards.join("old")
    yield shards
    shards.close()


@pytest.mark.parametrize("ttl_s", [10.0, 1e6])
def test_entries_keep_their_remaining_time_when_they_change_nodes(shards, ttl_s):
    """There and back, between clocks that differ by any amount."""
    names = [f"key-{number}" for number in range(20)]
    for name in names:
        shards.set(name, name, ttl_s=ttl_s)
    for weights in ({"old": 0.0, "new": 1.0}, {"old": 1.0, "new": 0.0}, {"old": 0.0, "new": 1.0}):
        for id in ("old", "new"):
            shards[id].clock.advance(ttl_s / 5)
        shards.weigh(weights)
        shards.hand_over()
    new, epoch = shards["new"], shards.ring.epoch
    assert [each for each in names if shards.where(each) != ["new"]] == []
    new.clock.advance(ttl_s / 5)
    assert new.peek(*names, epoch=epoch) == names
    new.clock.advance(ttl_s / 5)
    assert new.peek(*names, epoch=epoch) == [Missing()] * len(names)


def test_a_batch_that_was_long_on_its_way_brings_nothing_that_is_over(shards):
    shards.set("a", "value", ttl_s=10.0)
    shards.weigh({"old": 0.0, "new": 1.0})
    target, message = shards["old"].shard.batch()
    for id in ("old", "new"):
        shards[id].clock.advance(20.0)
    late = Adopt(message.source, message.ring, message.entries, shards["old"].clock())
    shards[target].shard.handle(late)

    assert shards["new"].peek("a", epoch=2, asked=True) == [Missing()]
    assert shards["new"].pages.get(full("a")) is None
