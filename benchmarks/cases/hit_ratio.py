"""The miss ratios of the eviction policies on traces of accesses; `python -m benchmarks.hit_ratio` simulates them."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import Goal, Measurement, NotRun
from benchmarks.setting import Setting

BEHIND = Goal(
    what="points that our best policy is behind libCacheSim's S3-FIFO, or GDSF where there are sizes, at worst",
    bound=1,
    unit=" points",
    row="miss ratio",
)
GOALS = (BEHIND,)
OURS, PEER, OPTIMUM = "raycache's best policy", "libCacheSim's S3-FIFO, or GDSF", "the optimum"


def run(setting: Setting) -> Iterator[Measurement]:
    done = Measurement(
        case="hit-ratio",
        operation="share of a trace's requests that miss, by trace and capacity",
        ours=OURS,
        apart=(OPTIMUM,),
    )
    rows = done.if_there("simulation", lambda: _simulated(setting.quick)).get("simulation", [])
    for row in rows:
        if row["theirs"] and not row["has_costs"]:  # of libCacheSim's policies none knows costs
            best = max(hits for hits, _ in row["ours"].values())
            shares = {OURS: best, PEER: row["theirs"]["gdsf" if row["sized"] else "s3fifo"], OPTIMUM: row["optimum"]}
            done.amounts[f"miss ratio, {row['label']}"] = {name: 1 - share for name, share in shares.items()}
    behind = [100 * (each[OURS] - each[PEER]) for each in done.amounts.values()]
    done.goals.append(dataclasses.replace(BEHIND, figure=max(behind, default=None)))
    yield done


def _simulated(quick: bool) -> list[dict[str, Any]]:
    """What the simulation tells of every trace and capacity."""
    if quick:
        raise NotRun("it takes minutes; run it without --quick, or python -m benchmarks.hit_ratio")
    with tempfile.TemporaryDirectory(prefix="raycache-bench-") as folder:
        path = Path(folder) / "figures.json"
        command = [sys.executable, "-m", "benchmarks.hit_ratio", "--json", str(path)]
        done = subprocess.run(command, capture_output=True, text=True)
        if not path.exists():
            raise NotRun(f"{' '.join(command[1:3])} failed: {done.stderr.strip()[-200:]}")
        rows: list[dict[str, Any]] = json.loads(path.read_text())
        return rows
