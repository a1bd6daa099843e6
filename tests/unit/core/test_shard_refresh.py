"""A refresh: loads what is there, and what that leaves."""

from __future__ import annotations

import pytest
from hand_loader import absent, raised
from shard_bench import full

from raycache.core.messages import Failed, InFlight, Missing


def test_a_refresh_loads_a_key_that_is_there_and_others_get_the_old_value_meanwhile(bench):
    bench.define()
    bench.set("a", "old")
    (answer,) = bench.get("a", fresh=True)

    assert (isinstance(answer, InFlight), answer.started) == (True, True)
    assert bench.get("a") == ["old"]
    bench.bring(bench.loader.loads[0], "new")
    assert bench.get("a") == ["new"]


@pytest.mark.parametrize("outcome", [Failed("killed"), {full("a"): raised(ValueError("no"))}], ids=["death", "error"])
def test_a_refresh_that_fails_keeps_the_old_value(bench, outcome):
    bench.define()
    bench.set("a", "old")
    bench.get("a", fresh=True)
    bench.end(bench.loader.loads[0], outcome)

    assert bench.get("a") == ["old"]


def test_a_refresh_that_learns_that_the_key_is_gone_removes_it(bench):
    bench.define()
    bench.set("a", "old")
    bench.get("a", fresh=True)
    bench.end(bench.loader.loads[0], {full("a"): absent()})

    assert (bench.peek("a"), bench.stats().removals) == ([Missing()], 1)


def test_a_refresh_to_a_value_that_is_too_large_ends_the_old_one(bench):
    """Else a get after the refresh would return what was there before it."""
    bench.define(capacity_bytes=500)
    bench.set("a", "old")
    bench.get("a", fresh=True)
    bench.bring(bench.loader.loads[0], "x" * 600)

    assert bench.peek("a") == [Missing()]


def test_a_refresh_during_a_load_starts_its_own_and_the_earlier_load_is_not_stored(bench):
    bench.define()
    bench.get("a")
    bench.get("a", fresh=True)
    bench.bring(bench.loader.loads[1], "new")
    bench.bring(bench.loader.loads[0], "old")

    assert bench.get("a") == ["new"]
