"""Values that are too large, or that would be dead when they are read again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray
from peers import Peers
from sources import Source

import raycache


class Heavy(Source):
    """A getter of two million bytes."""

    def __call__(self, key: Any) -> Any:
        self._value(key)
        return bytes(2_000_000)


def test_a_value_larger_than_the_capacity_is_returned_and_not_kept(
    register: Callable[..., raycache.Group], tmp_path: Path, peers: Peers
) -> None:
    """It is counted, and other entries stay."""
    source = Heavy(tmp_path / "heavy")
    group = register(source, capacity="1 MiB")
    group.set("small", 1)
    sizes = [len(group.get("alice")), len(peers(1)[0].do(group.get, "alice"))]
    stats = group.stats()

    assert sizes == [2_000_000] * 2
    assert source.runs == {"'alice'": 2}
    assert (stats.too_large, stats.entries, stats.evictions) == (2, 1, 0)
    assert group.get("small") == 1


@pytest.mark.parametrize("size", [90_000, 2_000_000])
def test_a_set_of_a_value_larger_than_the_capacity_is_refused(
    size: int, register: Callable[..., raycache.Group]
) -> None:
    """With both numbers; what was there stays."""
    group = register(None, capacity="64 KiB")
    group.set("alice", "small")
    with pytest.raises(raycache.ValueTooLarge, match=rf"'alice' takes {size // 1000:,},\d+ bytes.*65,536"):
        group.set("alice", bytes(size))
    with pytest.raises(raycache.ValueTooLarge):
        group.set_many({"bob": 1, "carol": bytes(size)})

    assert group.get("alice") == "small"
    assert "bob" not in group


def test_a_set_of_a_value_with_object_refs_is_refused(register: Callable[..., raycache.Group]) -> None:
    """At any depth: what they refer to does not live as long as the cache."""
    group = register(None)
    for value in (ray.put(1), {"parts": [ray.put(1)]}):
        with pytest.raises(raycache.UncacheableValue, match="ObjectRef"):
            group.set("alice", value)

    assert "alice" not in group


def test_a_getters_value_with_object_refs_is_refused(register: Callable[..., raycache.Group]) -> None:
    """Whoever waits for it is told why."""
    group = register(lambda key: {"parts": [ray.put(1)]})

    with pytest.raises(raycache.UncacheableValue, match="ObjectRef"):
        group.get("alice")
    assert "alice" not in group


def test_a_value_that_cannot_be_pickled_is_refused(register: Callable[..., raycache.Group]) -> None:
    """From a getter and in a set."""
    group = register(lambda key: threading.Lock())
    with pytest.raises(raycache.UncacheableValue, match="lock"):
        group.get("alice")
    with pytest.raises(raycache.UncacheableValue, match="lock"):
        group.set("alice", [threading.Lock()])
