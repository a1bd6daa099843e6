"""What no shard acts on is refused by the call that brings it, and nothing is lost."""

from __future__ import annotations

import pytest

from raycache.errors import InvalidOption


@pytest.mark.parametrize("ttl", [1e15, float("inf"), float("nan"), -1])
def test_a_ttl_that_nobody_can_mean_is_refused_and_harms_nothing(inline, ttl):
    cache = inline()
    words = cache.group("words", str.upper)
    words.set("a", 1)
    with pytest.raises(InvalidOption, match="ttl"):
        words.set("a", 2, ttl=ttl)

    assert words.get("a") == 1


@pytest.mark.parametrize("weight", [-1, float("nan"), 1e9, "2", True])
def test_a_weight_that_is_none_is_refused(inline, weight):
    with pytest.raises(InvalidOption, match="weight"):
        inline(shards=2).scale(weights={"inline.0": weight})


@pytest.mark.parametrize("node", ["inline.0", "inline", "127.0.0.1"])
def test_the_last_shard_with_keys_is_not_drained(inline, node):
    """Its entries would go to nobody."""
    with pytest.raises(InvalidOption, match="raycache down"):
        inline().drain(node)
