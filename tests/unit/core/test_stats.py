"""Counters: frozen, addable, and gets are the sum of how they were answered."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache import Stats

COUNTERS = [field.name for field in dataclasses.fields(Stats)]
STATS = st.builds(Stats, **{name: st.integers(0, 2**40) for name in COUNTERS})


@given(one=STATS, other=STATS)
def test_stats_add_up_counter_by_counter(one, other):
    total = one + other

    assert all(getattr(total, name) == getattr(one, name) + getattr(other, name) for name in COUNTERS)


@given(some=st.lists(STATS, max_size=4))
def test_the_sum_does_not_depend_on_the_order(some):
    assert sum(some, Stats()) == sum(reversed(some), Stats())


@given(stats=STATS)
def test_gets_are_the_sum_of_the_ways_they_were_answered(stats):
    hits = stats.near_hits + stats.page_hits + stats.shard_hits
    others = stats.loads_started + stats.loads_joined + stats.unavailable + stats.misses

    assert (stats.hits, stats.gets) == (hits, hits + others)


@given(stats=STATS)
def test_the_hit_ratio_is_hits_per_get(stats):
    assert stats.hit_ratio == (stats.hits / stats.gets if stats.gets else 0.0)


def test_before_the_first_get_the_hit_ratio_is_zero():
    assert Stats().hit_ratio == 0.0


def test_stats_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Stats().near_hits = 1


def test_stats_are_not_added_to_anything_else():
    with pytest.raises(TypeError):
        Stats() + 1


@given(stats=STATS)
def test_as_a_dict_they_have_every_counter_and_what_follows_from_them(stats):
    told = json.loads(json.dumps(stats.as_dict()))

    assert {name: told.pop(name) for name in COUNTERS} == dataclasses.asdict(stats)
    assert told == {"gets": stats.gets, "hits": stats.hits, "hit_ratio": stats.hit_ratio}
