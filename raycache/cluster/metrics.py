"""A shard's figures for the Prometheus endpoint of its node that Ray has, through `ray.util.metrics`.

Every shard tells of itself alone, so that nothing is counted twice: what a shard had counted that has left was told by
that one. Ray adds up what its counters are given, and forgets gauges that are not set again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raycache.core.messages import ShardInfo
from raycache.core.metrics import GROUPS, OF_SHARD, SHARDS, Described, GroupLabels, Metric
from raycache.core.stats import Stats

#: How often a shard tells; Ray collects every ten seconds by default, and forgets gauges after twice that.
EXPORT_S = 3.0


class Exporter:
    """What one shard has told Ray so far."""

    def __init__(self, cache: str, info: ShardInfo, instruments: Any) -> None:
        """`instruments`: with the classes Counter and Gauge, like `ray.util.metrics`."""
        self._tags = dict(zip(OF_SHARD, (cache, info.id, info.address), strict=True))
        self._groups = GroupLabels()
        self._told: dict[tuple[str, ...], float] = {}
        kinds = {"counter": instruments.Counter, "gauge": instruments.Gauge}
        tables: tuple[tuple[tuple[str, ...], tuple[Described, ...]], ...] = ((("group",), GROUPS), ((), SHARDS))
        self._instruments = {
            each.name: kinds[each.kind](each.name, each.help, (*OF_SHARD, *labels, *each.labels))
            for labels, table in tables
            for each in table
        }

    def export(self, info: ShardInfo, groups: Mapping[str, Stats]) -> None:
        """Tells what has changed in counters, and the gauges as they are."""
        for shard_metric in SHARDS:
            self._tell(shard_metric, info, {})
        for name, stats in self._groups.folded(groups, Stats()).items():
            for metric in GROUPS:
                self._tell(metric, stats, {"group": name})

    def _tell(self, metric: Metric[Any], of: Any, tags: dict[str, str]) -> None:
        for values, figure in metric.samples(of):
            all_tags = {**self._tags, **tags, **dict(zip(metric.labels, values, strict=True))}
            if metric.kind == "gauge":
                self._instruments[metric.name].set(float(figure), all_tags)
            elif (grown := self._grown((metric.name, *tags.values(), *values), figure)) > 0:
                self._instruments[metric.name].inc(grown, all_tags)

    def _grown(self, series: tuple[str, ...], figure: float) -> float:
        """By how much a counter has grown since it was told; one of a group that took another's place is new."""
        told, self._told[series] = self._told.get(series, 0.0), figure
        return figure - told if figure >= told else figure
