"""Ray Data with memoized functions: the example does what it says, and a second pass computes nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_ray import ClusterRay
from marks import Marks
from script_files import Scripts

import raycache

EXAMPLE = Path(__file__).parents[2] / "examples" / "ray_data.py"

SCRIPT = """
    import json, logging, os, sys

    import ray
    import raycache

    CACHE, RUNS = sys.argv[1:]


    def note(run):
        with open(RUNS, "a") as runs:
            runs.write(f"{run}\\n")


    @raycache.memoize(cache=CACHE)
    def square(row):
        note("square")
        return {"id": row["id"], "square": row["id"] ** 2}


    @raycache.memoize(cache=CACHE, where="caller")
    def total(batch):
        note("total")
        return {"total": [sum(batch["square"].tolist())]}


    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False


    def sums():
        rows = ray.data.from_items([{"id": number} for number in range(40)], override_num_blocks=4)
        batches = rows.map(square).map_batches(total, batch_size=10)
        return sorted(row["total"] for row in batches.take_all())


    with open(os.environ["ANSWERS"], "w") as answers:
        json.dump([sums(), sums()], answers)
"""


def test_memoized_functions_as_steps_of_ray_data_hit_in_the_second_pass(
    cluster_ray: ClusterRay, cache: raycache.Cache, tmp_path: Path
) -> None:
    """Given to `map` and `map_batches` themselves, with rows and batches of arrays as arguments."""
    scripts, marks = Scripts(tmp_path / "scripts", cluster_ray.address), Marks(tmp_path / "runs")
    scripts.write("main.py", SCRIPT)
    (answer,) = scripts.run("main.py", cache.name, marks.path)
    first, second = json.loads(answer)

    assert first == second == [sum(n**2 for n in range(start, start + 10)) for start in (0, 10, 20, 30)]
    assert Counter(marks.lines()) == {"square": 40, "total": 4}


@pytest.fixture
def default_cache(cluster_ray: ClusterRay) -> Iterator[None]:
    """The cache that the example makes is gone with the test."""
    yield
    raycache.connect().destroy()


def test_the_ray_data_example_computes_what_has_changed(
    cluster_ray: ClusterRay, default_cache: None, tmp_path: Path
) -> None:
    """It prints its three passes: all is computed, nothing is, the step that was edited is."""
    ended = subprocess.run(
        [sys.executable, EXAMPLE],
        env=os.environ | {"RAY_ADDRESS": cluster_ray.address},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    figures = re.findall(r"(\w+): (\d+) computed, (\d+) hits", ended.stdout)

    assert figures == [
        ("measured", "40", "0"),
        ("indented", "40", "0"),
        ("measured", "0", "40"),
        ("indented", "0", "40"),
        ("measured", "40", "0"),
        ("indented", "0", "40"),
    ]
    assert re.findall(r"^(.+): 40 files", ended.stdout, re.MULTILINE) == [
        "first pass",
        "second pass",
        "one step changed",
    ]
