"""What the commands show: rich tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from raycache.core.messages import ShardInfo
from raycache.core.stats import Stats
from raycache.edge.demo import Result
from raycache.edge.doctor import ERROR, OK, WARNING, Finding
from raycache.units import measured_text, share_text, size_text, time_text

TOP = 10
#: Files that cannot be parsed are listed up to here, and counted.
UNPARSED_SHOWN = 25


def _table(title: str, columns: Iterable[str], *, left: Sequence[str] = ()) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    for column in columns:
        is_text = column in left
        table.add_column(column, justify="left" if is_text else "right", overflow="fold" if is_text else "ellipsis")
    return table


def shards_table(shards: Iterable[ShardInfo]) -> Table:
    """One row for each shard."""
    columns = [
        "shard",
        "node",
        "pid",
        "entries",
        "bytes",
        "copies",
        "capacity",
        "used",
        "loads",
        "epoch",
        "lease",
        "state",
    ]
    table = _table("Shards", columns, left=("shard", "node", "state"))
    for shard in shards:
        known = [
            str(shard.pid),
            f"{shard.entries:,}",
            size_text(shard.bytes),
            size_text(shard.copies_bytes),
            size_text(shard.capacity_bytes),
            share_text(shard.bytes + shard.copies_bytes, shard.capacity_bytes),
            str(shard.loads),
            str(shard.epoch),
            time_text(max(shard.lease_s, 0.0)),
        ]
        unknown = ["-"] * len(known)
        table.add_row(shard.id, shard.node[:12], *(known if shard.reachable else unknown), _state(shard))
    return table


def _state(shard: ShardInfo) -> str:
    if not shard.reachable:
        return "[red]unreachable[/]"
    if shard.lease_s <= 0:
        return "[red]no lease[/]"
    if shard.handing:
        return "[yellow]handing over[/]"
    return "[green]reachable[/]" if shard.weight > 0 else "[green]reachable[/], owns no keys"


def groups_table(groups: Mapping[str, Stats]) -> Table:
    """One row for each group, and one for all of them."""
    columns = ["group", "entries", "bytes", "gets", "hit ratio", "loads", "failed", "evictions", "time saved"]
    table = _table("Groups", columns, left=("group",))
    for name, stats in groups.items():
        table.add_row(escape(name), *_figures(stats))
    if len(groups) > 1:
        table.add_section()
        table.add_row("all", *_figures(sum(groups.values(), Stats())), style="bold")
    return table


def _figures(stats: Stats) -> list[str]:
    return [
        f"{stats.entries:,}",
        size_text(stats.bytes),
        f"{stats.gets:,}",
        share_text(stats.hits, stats.gets),
        f"{stats.loads:,}",
        f"{stats.loads_failed:,}",
        f"{stats.evictions:,}",
        time_text(stats.seconds_saved),
    ]


def rates_table(before: Mapping[str, Stats], now: Mapping[str, Stats], seconds: float) -> Table:
    """One row for each group: what it has, and what happened in it in the seconds between two looks, per second."""
    columns = ["group", "entries", "bytes", "gets/s", "hit ratio", "loads/s", "failed/s", "evictions/s"]
    table = _table(f"Groups, in the last {time_text(seconds)}", columns, left=("group",))
    for name, stats in now.items():
        table.add_row(escape(name), *_rates(before.get(name, Stats()), stats, seconds))
    if len(now) > 1:
        table.add_section()
        earlier, later = (sum(each.values(), Stats()) for each in (before, now))
        table.add_row("all", *_rates(earlier, later, seconds), style="bold")
    return table


def _rates(before: Stats, now: Stats, seconds: float) -> list[str]:
    def since(counter: str) -> int:
        # The counters of a shard that was restarted began anew.
        return int(max(getattr(now, counter) - getattr(before, counter), 0))

    rates = {name: f"{since(name) / seconds:,.1f}" for name in ("gets", "loads", "loads_failed", "evictions")}
    ratio = share_text(min(since("hits"), since("gets")), since("gets"))
    entries = [f"{now.entries:,}", size_text(now.bytes)]
    return [*entries, rates["gets"], ratio, rates["loads"], rates["loads_failed"], rates["evictions"]]


_STATES = {OK: "[green]ok[/]", WARNING: "[yellow]warning[/]", ERROR: "[bold red]error[/]"}


def findings_table(findings: Iterable[Finding]) -> Table:
    """One row for each finding of the doctor."""
    columns = ["check", "state", "found", "remedy"]
    table = _table("What the doctor found", columns, left=columns)
    for each in findings:
        table.add_row(each.check, _STATES[each.state], escape(each.found), escape(each.remedy))
    return table


def demo_tables(result: Result) -> list[Table]:
    """What the demo has found: about the cache, its shards, and the files."""
    tables = [_run_table(result), _balance_table(result), _complex_table(result)]
    return [*tables, _unparsed_table(result)] if result.unparsed else tables


def _run_table(result: Result) -> Table:
    stats = result.stats
    table = _table("The cache", ["what", "figure", "note"], left=("what", "note"))
    asked = f"{result.workers} workers asked twice for every file"
    loads = "[green]each file was parsed once[/]" if result.once else "[bold red]not the number of distinct files[/]"
    joined = f"{stats.loads_started:,} gets started them, {stats.loads_joined:,} waited for a load of another"
    copied = f"; {stats.hot_hits:,} of these from hot copies" if stats.hot_hits else ""
    faster = f"{result.cold_s / result.warm_s:,.0f} times faster" if result.warm_s else ""
    rows = [
        ("distinct files", f"{result.files:,}", escape(str(result.folder))),
        ("gets", f"{stats.gets:,}", asked),
        ("loads", f"{stats.loads:,}", f"{loads}; {joined}"),
        ("hits: near", f"{stats.near_hits:,}", "in the worker itself"),
        ("hits: pages", f"{stats.page_hits:,}", f"read from shared memory of a shard on the worker's node{copied}"),
        ("hits: shard", f"{stats.shard_hits:,}", "answered by a shard, mostly of another node"),
        ("cold pass", time_text(result.cold_s), "of the slowest worker"),
        ("warm pass", time_text(result.warm_s), f"of the slowest worker; {faster}"),
        ("time saved", time_text(stats.seconds_saved), f"of parsing, by hits; all loads took {_spent(stats)}"),
    ]
    if stats.unavailable or stats.loads_failed or stats.evictions:
        trouble = f"{stats.loads_failed:,} loads failed, {stats.evictions:,} evictions"
        rows.append(("without a shard", f"{stats.unavailable:,}", trouble))
    for row in rows:
        table.add_row(*row)
    return table


def _spent(stats: Stats) -> str:
    return time_text(stats.load_seconds)


def _balance_table(result: Result) -> Table:
    total = sum(shard.entries for shard in result.shards)
    table = _table("Balance over the shards", ["shard", "entries", "share", "bytes"], left=("shard",))
    for shard in result.shards:
        table.add_row(shard.id, f"{shard.entries:,}", share_text(shard.entries, total), size_text(shard.bytes))
    return table


def _complex_table(result: Result) -> Table:
    columns = ["file", "complexity", "lines", "functions", "classes", "imports"]
    table = _table(f"The {TOP} most complex files", columns, left=("file",))
    for path, found in result.most_complex(TOP):
        figures = (found.complexity, found.lines, found.functions, found.classes, found.imports)
        table.add_row(_path(path), *(f"{figure:,}" for figure in figures))
    return table


def _unparsed_table(result: Result) -> Table:
    unparsed = result.unparsed
    left = ("file", "why")
    table = _table(f"Files that cannot be parsed: {len(unparsed):,}", left, left=left)
    for each in unparsed[:UNPARSED_SHOWN]:
        table.add_row(_path(result.inside(each.path)), escape(each.error))
    if len(unparsed) > UNPARSED_SHOWN:
        table.add_row(f"and {len(unparsed) - UNPARSED_SHOWN:,} more", "--json lists all")
    return table


def _path(path: str) -> str:
    """A path that any terminal can show: one that is not UTF-8 with what it has instead."""
    return escape(path.encode("utf-8", "replace").decode())


def bench_table(figures: Mapping[str, Mapping[str, float]]) -> Table:
    """One row for each operation: seconds of one, as median and 99th percentile of the samples."""
    table = _table("Measured here", ["operation", "median", "p99"], left=("operation",))
    for operation, figure in figures.items():
        table.add_row(operation, measured_text(figure["median_s"]), measured_text(figure["p99_s"]))
    return table
