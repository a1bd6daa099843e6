"""`raycache bench`, and timing by turns."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from raycache.edge import bench, cli, command
from raycache.edge.rounds import merge, on_new_items, quantile, take_turns


def test_contenders_take_turns_and_the_warm_up_is_left_out():
    order = []

    def contender(name):
        def run(number):
            order.append((name, number))
            return float(number)

        return run

    samples = take_turns({"a": contender("a"), "b": contender("b")}, 2, warm_up=1, first=10)

    assert order == [("a", 10), ("b", 10), ("a", 11), ("b", 11), ("a", 12), ("b", 12)]
    assert samples == {"a": [11.0, 12.0], "b": [11.0, 12.0]}


@pytest.mark.parametrize(("some", "asked"), [(None, [0, 1, 2, 3, 4, 5]), (1, [0, 3])])
def test_no_item_is_asked_for_twice(some, asked):
    seen = []
    run = on_new_items(seen.append, range(6), 3, some)

    assert all(run(number) >= 0 for number in range(2))
    assert seen == asked


@pytest.mark.parametrize(("share", "found"), [(0.0, 1), (0.5, 2), (0.51, 3), (0.99, 4), (1.0, 4)])
def test_a_quantile_is_a_sample(share, found):
    assert quantile([4, 1, 3, 2], share) == found


def test_samples_of_several_processes_are_put_together():
    assert merge([{"a": [1.0]}, {"a": [2.0], "b": [3.0]}]) == {"a": [1.0, 2.0], "b": [3.0]}


def test_near_hits_are_measured_and_are_near_hits(inline):
    cache = inline()
    samples = bench.near(cache.group("near", bench.text_of), {"dict": {}.get}, rounds=2)

    assert [len(samples[name]) for name in (bench.NEAR, bench.LRU, "dict")] == [2, 2, 2]
    assert cache.stats().near_hits == 22 * bench.KEYS


def test_figures_of_other_hits_than_were_meant_are_refused(inline):
    """An inline cache has no pages that are read: what is got is a shard's hit or a near one."""
    group = inline().group("pages", bench.text_of)
    keys = bench.keys_of("page", 0, bench.PER_ROUND)
    group.get_many(keys)
    group.reader.near.clear()
    group.set_many({key: bench.text_of(key) for key in keys[:5]})
    group.get_many(keys)

    with pytest.raises(RuntimeError, match="these were no page hits"):
        bench.first_gets(group, keys, {}, {}, 0)


def test_all_callers_of_a_process_get_the_same_and_answers_that_differ_are_refused():
    began, ended = bench._ask_at_once(bench.text_of, "herd-1", 0)
    assert began <= ended

    answers = iter(range(bench.HERD_THREADS))
    with pytest.raises(RuntimeError, match="callers got different answers"):
        bench._ask_at_once(lambda _: next(answers), "herd-1", 0)


@pytest.fixture
def measured(inline, monkeypatch):
    """The command on an inline cache, and measurements that are made up."""
    cache = inline()
    monkeypatch.setattr(command, "quiet_ray", lambda: None)
    monkeypatch.setattr(bench, "connect", lambda name, address, capacity: cache)
    monkeypatch.setattr(bench, "measure", lambda cache, share: {"near hit": [152e-9], f"share {share}": [3.6e-3]})
    return cache


def test_the_command_shows_median_and_tail_and_ends_its_cache(measured):
    shown = CliRunner().invoke(cli.main, ["bench", "--address", "host:1"]).stdout

    assert "152 ns" in shown
    assert "3.6 ms" in shown
    assert measured.closed


def test_the_command_gives_json_and_is_quick(measured):
    told = json.loads(CliRunner().invoke(cli.main, ["bench", "--address", "host:1", "--quick", "--json"]).stdout)

    assert told == {
        "near hit": {"median_s": 152e-9, "p99_s": 152e-9},
        "share 0.1": {"median_s": 3.6e-3, "p99_s": 3.6e-3},
    }
