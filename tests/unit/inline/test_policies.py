"""The policy of a group: what the processes tell of their hits is what it goes by."""

from __future__ import annotations

import pytest

VALUE = "x" * 1000


@pytest.mark.parametrize(("policy", "left"), [("lru", "last"), ("gdsf", "often")])
def test_by_frequency_hits_near_the_caller_count_and_not_only_that_there_were_some(inline, policy, left):
    """Of one key that was hit three times and one that was hit last there is room for one."""
    group = inline().group("g", None, capacity=3300, policy=policy)
    for key in ("often", "last", "third"):
        group.set(key, VALUE)
    for key in ("often", "often", "often", "last"):
        group.get(key)
    group.stats()  # which tells the shard
    for key in ("more", "even more"):
        group.set(key, VALUE)

    assert {"often", "last"} & set(group.keys()) == {left}
