"""The table of metrics: all that is counted is in it, under names as Prometheus wants them."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raycache.core.messages import ShardInfo
from raycache.core.metrics import GROUPS, MOST_GROUPS, OTHER_GROUPS, SHARDS, GroupLabels
from raycache.core.stats import NAMES, Stats

SHARD = ShardInfo(id="n.0", node="n", pid=1, address="10.0.0.1", folder="/f", weight=1.0, capacity_bytes=8)
#: What of a shard is no figure, is told by the labels, or would make a series of every key.
NO_FIGURES = {"id", "node", "pid", "address", "folder", "reachable", "hottest"}

counted = st.builds(Stats, **dict.fromkeys(NAMES, st.integers(0, 1 << 40)))


def figures(table, of):
    return {(metric.name, *values): figure for metric in table for values, figure in metric.samples(of)}


@pytest.mark.parametrize("field", NAMES)
def test_every_counter_of_a_group_is_told(field):
    """A field that is added to Stats wants a place in the table."""
    assert figures(GROUPS, Stats(**{field: 7})) != figures(GROUPS, Stats())


@pytest.mark.parametrize("field", sorted({field.name for field in fields(ShardInfo)} - NO_FIGURES))
def test_every_figure_of_a_shard_is_told(field):
    """The same of ShardInfo."""
    assert figures(SHARDS, replace(SHARD, **{field: 7})) != figures(SHARDS, SHARD)


@given(counted)
def test_the_tiers_of_gets_add_up_to_the_gets(stats):
    """Every get is in one tier."""
    told = figures(GROUPS, stats)

    assert sum(figure for (name, *_), figure in told.items() if name == "raycache_gets_total") == stats.gets


@pytest.mark.parametrize("metric", [*GROUPS, *SHARDS], ids=lambda metric: metric.name)
def test_names_are_as_prometheus_wants_them(metric):
    """Base units at the end, `_total` behind those of counters, and no word twice."""
    assert re.fullmatch(r"raycache_[a-z_]+[a-z]", metric.name)
    assert metric.kind == ("counter" if metric.name.endswith("_total") else "gauge")
    assert metric.help.endswith(".")


def test_no_name_is_given_twice():
    """Whoever registers two metrics of one name gets an error from Ray, or nonsense."""
    names = [metric.name for metric in (*GROUPS, *SHARDS)]

    assert sorted(names) == sorted(set(names))


@given(st.lists(st.dictionaries(st.sampled_from("abcdef"), counted), max_size=5))
def test_groups_beyond_the_bound_are_told_together(seen):
    """Nothing is lost of them, and a group keeps the label that it had."""
    labels, labelled = GroupLabels(most=3), dict[str, bool]()
    for groups in seen:
        folded = labels.folded(groups, Stats())

        assert sum(folded.values(), Stats()) == sum(groups.values(), Stats())
        assert len(folded.keys() - {OTHER_GROUPS}) <= 3
        assert all(labelled.setdefault(name, name in folded) == (name in folded) for name in groups)


def test_the_label_of_a_group_is_text_that_can_be_written():
    """Names may have lone surrogates, which UTF-8 has not; one of them would be the end of every scrape."""
    folded = GroupLabels().folded({"Grüße": 1, "\udcff": 2, "\\udcff": 3}, 0)

    assert folded == {"Grüße": 1, "\\udcff": 5}


def test_a_hundred_groups_have_labels_of_their_own():
    """The bound that is documented."""
    folded = GroupLabels().folded({f"g{number}": Stats(sets=1) for number in range(MOST_GROUPS + 2)}, Stats())

    assert len(folded) == 101
    assert folded[OTHER_GROUPS] == Stats(sets=2)
