"""`python -m benchmarks.hit_ratio [--traces FOLDER] [--json PATH] [--plot PATH]`.

The exit status is 1 when a policy is more than a point off libCacheSim's, or the best one more than a point below.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.hit_ratio import traces
from benchmarks.hit_ratio.figures import TOLD_EVERY, Row, measure
from benchmarks.hit_ratio.peer import OTHERS
from raycache.core.eviction import BY_NAME

ROOT = Path(__file__).parents[2]


@click.command()
@click.option(
    "--traces",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="RAYCACHE_TRACES",
    default=ROOT.parent / "shared" / "traces",
    help="Where real traces lie; without them synthetic ones must do. Also RAYCACHE_TRACES.",
)
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Where the figures go as JSON.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Where they are drawn, as SVG.")
def main(folder: Path, path: Path | None, plot: Path | None) -> None:
    """Hit ratios of the policies on traces, beside libCacheSim's and the optimum."""
    found = list(traces.real(folder))
    if not found:
        print(f"there are no traces in {folder}: synthetic ones alone", file=sys.stderr)
    with_peer = find_spec("libcachesim") is not None
    if not with_peer:
        print("libcachesim is not installed, so nothing is compared: pip install 'raycache[bench]'", file=sys.stderr)
    rows = []
    for row in measure([*found, *traces.synthetic()], with_peer):
        print(f"{row.label} ...", file=sys.stderr, flush=True)
        rows.append(row)
    _show(rows)
    missed = [missed for row in rows for missed in row.missed()]
    for each in missed:
        print(f"MISSED  {each}")
    if path is not None:
        path.write_text(json.dumps([asdict(row) | {"label": row.label} for row in rows], indent=2) + "\n")
    if plot is not None:
        from benchmarks.hit_ratio.plot import draw

        draw(rows, plot)
    print(f"{len(rows)} rows, {len(missed)} goals missed")
    sys.exit(bool(missed))


def _show(rows: list[Row]) -> None:
    """Tables of hit ratios, with libCacheSim's in brackets, and of seconds saved."""
    hits = Table(title="hit ratio (libCacheSim's)")
    late = Table(title=f"hit ratio where hits are told in batches of {TOLD_EVERY:,} requests")
    saved = Table(title="share of the seconds that is saved")
    for table, more in ((hits, [*OTHERS, "optimum"]), (late, []), (saved, [])):
        for name in ("trace, capacity", *BY_NAME, *more):
            table.add_column(name, justify="left" if "," in name else "right")
    for row in rows:
        ours = [f"{row.ours[name].hits:.3f}" + _bracket(row.theirs.get(name)) for name in BY_NAME]
        others = [f"{row.theirs[name]:.3f}" if name in row.theirs else "" for name in OTHERS]
        hits.add_row(row.label, *ours, *others, f"{row.optimum:.3f}")
        late.add_row(row.label, *(f"{row.late[name].hits:.3f}" for name in BY_NAME))
        if row.has_costs:
            saved.add_row(row.label, *(f"{row.ours[name].seconds:.3f}" for name in BY_NAME))
    console = Console(width=140)
    for table in (hits, late, saved):
        console.print(table)


def _bracket(theirs: float | None) -> str:
    return "" if theirs is None else f" ({theirs:.3f})"


if __name__ == "__main__":
    main()
