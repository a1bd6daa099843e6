"""Ray Data with memoized functions: a pipeline over the standard library's own source, run twice, then edited.

    pip install 'raycache[data]'
    python examples/ray_data.py

Each step is memoized, so that a second pass over the same files reads its results from the cache. When a step changes,
its results are computed again, and nothing else.
"""

from __future__ import annotations

import ast
import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray

import raycache

FILES = sorted(Path(json.__file__).parents[1].glob("*.py"))[:40]
#: A function is long from this many lines on.
LONG = 40


@raycache.memoize
def measured(source: str) -> dict[str, Any]:
    """What one file is made of; called once for each row."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return {
        "functions": len(functions),
        "long": sum((each.end_lineno or 0) - each.lineno >= LONG for each in functions),
        "imports": sum(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.walk(tree)),
    }


@raycache.memoize(batch="sources")
def indented(sources: list[str]) -> list[float]:
    """The mean indentation of each file; called once for a batch, with those files that are not in the cache."""
    depths = [[len(line) - len(line.lstrip()) for line in source.splitlines() if line.strip()] for source in sources]
    return [float(np.mean(depth)) if depth else 0.0 for depth in depths]


def measure(row: dict[str, Any]) -> dict[str, Any]:
    """A step by rows."""
    return {**row, **measured(row["source"])}


def indent(batch: dict[str, Any]) -> dict[str, Any]:
    """A step by batches."""
    return batch | {"indent": np.array(indented([str(source) for source in batch["source"]]))}


def run(title: str) -> None:
    """One pass over all files; prints what it found, and what came from the cache."""
    before = [function.cache_info() for function in (measured, indented)]
    began = time.perf_counter()
    files = ray.data.from_items([{"name": path.name, "source": path.read_text()} for path in FILES])
    rows = files.map(measure).map_batches(indent, batch_size=20).take_all()
    seconds = time.perf_counter() - began

    print(f"{title}: {len(rows)} files, {sum(row['functions'] for row in rows)} functions,", end=" ")
    print(f"{sum(row['long'] for row in rows)} long ones, in {seconds:.2f} s")
    for function, earlier in zip((measured, indented), before, strict=True):
        computed, hits = since(function, earlier, len(rows))
        print(f"  {function.__name__}: {computed} computed, {hits} hits")


def since(function: Any, earlier: Any, calls: int) -> tuple[int, int]:
    """Misses and hits of so many calls. Ray Data's processes tell theirs every second."""
    deadline = time.monotonic() + 5
    while True:
        info = function.cache_info()
        computed, hits = info.misses - earlier.misses, info.hits - earlier.hits
        if computed + hits >= calls or time.monotonic() > deadline:
            return computed, hits
        time.sleep(0.1)


def main() -> None:
    global LONG
    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    run("first pass")
    run("second pass")
    LONG = 80  # as if somebody had edited the line at the top: `measured` reads it
    run("one step changed")


if __name__ == "__main__":
    main()
