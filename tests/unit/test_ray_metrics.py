"""What a shard tells Ray's metrics, with instruments that remember it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from raycache.cluster.metrics import Exporter
from raycache.core.messages import ShardInfo
from raycache.core.metrics import GROUPS, SHARDS
from raycache.core.stats import Stats

INFO = ShardInfo(id="n.0", node="n", pid=1, address="10.0.0.1", folder="/f", weight=1.0, capacity_bytes=8, entries=3)
SHARD_TAGS = {"cache": "c", "shard": "n.0", "node": "10.0.0.1"}


class Instruments:
    """Counters and gauges as Ray has them: what was told is added up, or is the last."""

    def __init__(self) -> None:
        self.told: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.calls = 0
        self.made: list[str] = []

    def Counter(self, name: str, description: str, tag_keys: tuple[str, ...]) -> Any:
        return self._instrument(name, tag_keys, added=True)

    def Gauge(self, name: str, description: str, tag_keys: tuple[str, ...]) -> Any:
        return self._instrument(name, tag_keys, added=False)

    def _instrument(self, name: str, tag_keys: tuple[str, ...], added: bool) -> Any:
        self.made.append(name)

        def tell(value: float, tags: dict[str, str]) -> None:
            assert set(tags) == set(tag_keys)
            assert value > 0 or not added, "Ray refuses to add nothing"
            self.calls += 1
            key = name, frozenset(tags.items())
            self.told[key] = value + (self.told.get(key, 0.0) if added else 0.0)

        return type("Instrument", (), {"inc" if added else "set": staticmethod(tell)})

    def value(self, name: str, **tags: str) -> float | None:
        return self.told.get((name, frozenset((SHARD_TAGS | tags).items())))


@pytest.fixture
def ray() -> Instruments:
    return Instruments()


@pytest.fixture
def exporter(ray: Instruments) -> Exporter:
    return Exporter("c", INFO, ray)


def test_all_metrics_of_the_table_are_made(exporter, ray):
    """Those of groups and of shards."""
    assert sorted(ray.made) == sorted(metric.name for metric in (*GROUPS, *SHARDS))


def test_counters_are_told_by_how_much_they_have_grown(exporter, ray):
    """Ray adds up, and what is told again would count twice."""
    for hits in (3, 3, 5):
        exporter.export(INFO, {"users": Stats(near_hits=hits, load_seconds=hits / 2)})

    assert ray.value("raycache_gets_total", group="users", tier="near") == 5
    assert ray.value("raycache_load_seconds_total", group="users") == 2.5


def test_gauges_are_told_as_they_are_each_time(exporter, ray):
    """Also those that have not changed, as Ray forgets them otherwise."""
    for _ in range(2):
        ray.told.clear()
        exporter.export(INFO, {"users": Stats(entries=2)})

        assert ray.value("raycache_shard_entries") == 3
        assert ray.value("raycache_group_entries", group="users") == 2


def test_a_group_that_took_the_place_of_another_counts_from_nothing(exporter, ray):
    """What its predecessor counted stays told."""
    exporter.export(INFO, {"users": Stats(sets=5)})
    exporter.export(INFO, {"users": Stats(sets=2)})

    assert ray.value("raycache_sets_total", group="users") == 7


def test_nothing_that_stands_still_is_told_of_counters(exporter, ray):
    """An idle group costs its gauges alone."""
    exporter.export(INFO, {"users": Stats(sets=5)})
    ray.calls = 0
    exporter.export(INFO, {"users": Stats(sets=5)})
    idle = ray.calls
    exporter.export(replace(INFO, served=1), {"users": Stats(sets=6)})

    assert ray.calls == idle + idle + 2
