"""`Report`: what a cache has saved, per memoized function and per group; and how caches and groups are shown.

Everything is made of counters that have come already: nothing here waits for anyone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from raycache.core.messages import GroupSpec
from raycache.core.stats import Stats
from raycache.glance import Seen
from raycache.panel import Panel, Table
from raycache.units import count_text, share_text, size_text, time_text

#: What the names of memoized functions' groups start with; see Cache.memo_group.
MEMO_PREFIX = "memo:"

_COLUMNS = ("name", "hits", "misses", "hit ratio", "time saved", "computing", "bytes saved", "entries", "bytes")
_NUMBERS = frozenset(range(1, len(_COLUMNS)))


@dataclass(frozen=True)
class ReportRow:
    """One memoized function or one group."""

    name: str
    memoized: bool
    stats: Stats

    @property
    def shown(self) -> str:
        """The name as people read it: a function with its parentheses."""
        return f"{self.name}()" if self.memoized else self.name

    def as_dict(self) -> dict[str, float]:
        """The figures."""
        return _figures(self.stats)


@dataclass(frozen=True, repr=False)
class Report:
    """What a cache has saved; from `Cache.report`. The rows are sorted by the seconds that they saved, most first."""

    cache: str
    seen: Seen[dict[str, Stats]]

    @property
    def rows(self) -> tuple[ReportRow, ...]:
        rows = (_row(name, stats) for name, stats in (self.seen.value or {}).items())
        return tuple(sorted(rows, key=lambda row: (-row.stats.seconds_saved, row.shown)))

    @property
    def total(self) -> Stats:
        """Of all functions and groups together."""
        return sum((row.stats for row in self), Stats())

    def __iter__(self) -> Iterator[ReportRow]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def as_dict(self) -> dict[str, Any]:
        """For programs and JSON: figures of functions and groups by name, the total, and when that was so."""
        at = self.seen.at
        return {
            "cache": self.cache,
            "as_of": None if at is None else datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds"),
            "functions": {row.name: row.as_dict() for row in self if row.memoized},
            "groups": {row.name: row.as_dict() for row in self if not row.memoized},
            "total": _figures(self.total),
        }

    def panel(self) -> Panel:
        """As it is shown."""
        return Panel(
            f"what the cache {self.cache!r} has saved",
            saved_facts(self.total) if self else (),
            lines=(*self._nothing(), *self.seen.remarks()),
            table=self.table(),
            as_of=self.seen.as_of(),
        )

    def _nothing(self) -> tuple[str, ...]:
        if self.rows or self.seen.at is None:
            return ()
        return ("it has no groups and no memoized functions yet",)

    def table(self) -> Table | None:
        """The rows, and one for all of them; None if there are none."""
        if not self.rows:
            return None
        rows = [_cells(row.shown, row.stats) for row in self]
        if len(rows) > 1:
            rows.append(_cells("all", self.total))
        return Table(_COLUMNS, tuple(rows), _NUMBERS)

    def __repr__(self) -> str:
        return self.panel().text()

    def _repr_html_(self) -> str:
        return self.panel().html()


def _row(group: str, stats: Stats) -> ReportRow:
    memoized = group.startswith(MEMO_PREFIX)
    return ReportRow(group.removeprefix(MEMO_PREFIX) if memoized else group, memoized, stats)


def _figures(stats: Stats) -> dict[str, float]:
    return {
        "hits": stats.hits,
        "misses": stats.gets - stats.hits,
        "hit_ratio": stats.hit_ratio,
        "seconds_saved": stats.seconds_saved,
        "seconds_computing": stats.load_seconds,
        "bytes_saved": stats.bytes_saved,
        "entries": stats.entries,
        "bytes": stats.bytes,
    }


def _cells(name: str, stats: Stats) -> tuple[str, ...]:
    return (
        name,
        count_text(stats.hits),
        count_text(stats.gets - stats.hits),
        share_text(stats.hits, stats.gets),
        time_text(stats.seconds_saved),
        time_text(stats.load_seconds),
        size_text(stats.bytes_saved),
        count_text(stats.entries),
        size_text(stats.bytes),
    )


def saved_facts(stats: Stats) -> tuple[tuple[str, str], ...]:
    """What hits have saved, what loads took, and what is there."""
    ratio = f" ({share_text(stats.hits, stats.gets)})" if stats.gets else ""
    return (
        ("hits", f"{count_text(stats.hits)} of {count_text(stats.gets)} gets{ratio}"),
        ("saved", f"{time_text(stats.seconds_saved)} of computing, {size_text(stats.bytes_saved)} of results"),
        ("loads", f"{count_text(stats.loads)}, which took {time_text(stats.load_seconds)}"),
        ("entries", f"{count_text(stats.entries)}, of {size_text(stats.bytes)}"),
    )


def cache_panel(where: str, shards: int, report: Report) -> Panel:
    """A cache that is open."""
    shown = report.panel()
    facts = (("shards", count_text(shards)), *shown.facts)
    return Panel(f"cache {report.cache!r} {where}", facts, shown.lines, shown.table, shown.as_of)


def group_panel(spec: GroupSpec, seen: Seen[Stats]) -> Panel:
    """A group."""
    options = spec.options
    facts = [("getter", spec.getter_name or "none: values come from set"), ("capacity", _per_shard(spec))]
    facts.append(("policy", options.policy))
    if options.ttl_s is not None:
        facts.append(("ttl", time_text(options.ttl_s)))
    if seen.value is not None:
        facts += [*saved_facts(seen.value), ("went", _went(seen.value))]
    return Panel(f"group {spec.name!r}", tuple(facts), seen.remarks(), as_of=seen.as_of())


def _per_shard(spec: GroupSpec) -> str:
    pool = f", shared by the pool {spec.pool!r}" if spec.pool else ""
    return f"{size_text(spec.options.capacity_bytes)} per shard{pool}"


def _went(stats: Stats) -> str:
    gone = (stats.evictions, "evicted"), (stats.expirations, "expired"), (stats.removals, "removed")
    return ", ".join(f"{count_text(number)} {how}" for number, how in gone)
