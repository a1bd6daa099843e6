"""Batches from the pages: one transaction for a shard, the same values and the same counting as one by one."""

from __future__ import annotations

import pytest

from raycache.core.pages import Pages

KEYS = ["a", "b", 1, 1.5, ("x", 2), b"bytes", "long" * 200]


@pytest.fixture
def group(inline):
    group = inline().group("g", lambda key: {"key": key})
    group.get_many(KEYS)
    group.forget()
    return group


def test_a_batch_reads_the_pages_of_a_shard_once(group, monkeypatch):
    read = []
    get_many = Pages.get_many
    monkeypatch.setattr(Pages, "get_many", lambda pages, keys: read.append([*keys]) or get_many(pages, read[-1]))
    got = group.get_many(KEYS)

    assert got == {key: {"key": key} for key in KEYS}
    assert [len(keys) for keys in read] == [len(KEYS)]


def test_a_batch_of_near_and_page_hits_and_loads_counts_each_key_once(group):
    before = group.stats()
    group.get_many(KEYS[:2])
    got = group.get_many([*KEYS, "new"])
    after = group.stats()

    assert [*got] == [*KEYS, "new"]
    assert after.page_hits - before.page_hits == len(KEYS)
    assert after.near_hits - before.near_hits == 2
    assert after.loads_started - before.loads_started == 1


def test_values_of_a_batch_are_the_callers_own(group):
    group.get_many(KEYS)["a"]["key"] = "changed"

    assert group.get_many(KEYS)["a"] == group.get("a") == {"key": "a"}
