"""A script that is run again finds what its earlier runs have computed, as long as it does the same."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from cluster_ray import ClusterRay
from marks import Marks
from script_files import Scripts

import raycache

SCRIPT = """
    import dataclasses, datetime, os, sys
    from pathlib import PurePosixPath

    import numpy as np
    import raycache

    from cleaning import clean

    CACHE, RUNS = sys.argv[1:]
    WORDS = {"b", "a", "c"}


    def note(run):
        with open(RUNS, "a") as runs:
            runs.write(f"{run}\\n")


    @dataclasses.dataclass
    class Options:
        seed: int
        names: frozenset = frozenset({"x", "y", "z"})


    @raycache.memoize(cache=CACHE)
    def by_task(data):
        note("by_task")
        # The sum of what is clean.
        return len(WORDS) + len(str(type(data)))


    @raycache.memoize(cache=CACHE)
    def cleaned(text):
        note("cleaned")
        return clean(text)


    @raycache.memoize(cache=CACHE, where="caller")
    def by_caller(data, *, options=Options(7)):
        note("by_caller")
        return options.seed


    class Model:
        def __init__(self):
            self.weights = {"w": np.arange(6.0).reshape(2, 3)}

        @raycache.memoize(cache=CACHE)
        def predict(self, x):
            note("predict")
            return float(self.weights["w"].sum()) * x


    for data in ({"k": {1, "two", 3.0}}, [np.eye(3), datetime.date(2024, 2, 29)], PurePosixPath("/a"), None):
        by_task(data)
        by_caller(data)
    Model().predict(2)
    with open(os.environ["ANSWERS"], "w") as answers:
        answers.write(cleaned(" text "))
"""

CLEANING = """
    def clean(text):
        return trim(text).lower()

    def trim(text):
        return text.strip()
"""

ALL = Counter({"by_task": 4, "by_caller": 4, "predict": 1, "cleaned": 1})


class Runs:
    """Runs the script, and tells what each run has computed."""

    def __init__(self, scripts: Scripts, cache: str, marks: Marks) -> None:
        self._scripts, self._cache, self._marks = scripts, cache, marks
        scripts.write("main.py", SCRIPT)
        scripts.write("cleaning.py", CLEANING)

    def write(self, name: str, text: str) -> None:
        self._scripts.write(name, text)

    def __call__(self, seed: int) -> tuple[str, Counter[str]]:
        """The line that it answers, and the functions that ran."""
        before = Counter(self._marks.lines())
        (line,) = self._scripts.run("main.py", self._cache, self._marks.path, PYTHONHASHSEED=str(seed))
        return line, Counter(self._marks.lines()) - before


@pytest.fixture
def runs(cluster_ray: ClusterRay, cache: raycache.Cache, tmp_path: Path) -> Runs:
    return Runs(Scripts(tmp_path / "scripts", cluster_ray.address), cache.name, Marks(tmp_path / "runs"))


def test_a_script_that_is_run_again_computes_what_has_changed(runs: Runs) -> None:
    """Nothing the second time, nor for a comment or another layout; what read a helper when that is edited; nothing
    when the edit is taken back. Each process has a seed of `hash()` of its own."""
    first, second = runs(1), runs(2)
    commented = SCRIPT.replace("# The sum of what is clean.", '"""Counts."""\n\n        # What else?')
    runs.write("main.py", "\n\n\n" + commented.replace("PurePosixPath\n", "PurePosixPath  # a place\n"))
    runs.write("cleaning.py", CLEANING.replace("def trim(text):", "def trim(  # both sides\n        text: str\n    ):"))
    laid_out_anew = runs(3)
    runs.write("cleaning.py", CLEANING.replace("text.strip()", "text.rstrip()"))
    edited = runs(4)
    runs.write("cleaning.py", CLEANING)
    taken_back = runs(5)

    assert commented != SCRIPT
    assert first == ("text", ALL)
    assert second == ("text", Counter())
    assert laid_out_anew == ("text", Counter())
    assert edited == (" text", Counter({"cleaned": 1}))
    assert taken_back == ("text", Counter())
