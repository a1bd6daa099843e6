"""The notebooks run, show what they promise, and leave nothing behind."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import nbformat
import pytest
from processes import Process, alive, process
from waiting import until

from notebooks.execute import complaints, normalized
from raycache.core.memory import folders

ROOT = Path(__file__).parents[2]
NAMES = ("quickstart", "pipeline", "cluster")
#: All three on two cores that are busy with other things take less.
PATIENCE_S = 150


class Executed:
    """A copy of a notebook, executed as `scripts/notebooks` does it."""

    def __init__(self, name: str, folder: Path) -> None:
        self.path = folder / f"{name}.ipynb"
        shutil.copy(ROOT / "notebooks" / self.path.name, self.path)
        self._mark = f"RAYCACHE_TEST_NOTEBOOK={uuid.uuid4()}"
        self._folders = set(folders())

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "notebooks", str(self.path), *options],
            env=os.environ | dict([self._mark.split("=")]),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def shown(self) -> str:
        """All that the cells show, as text."""
        return "\n".join(_texts(nbformat.read(self.path, as_version=4)))

    def processes(self) -> list[Process]:
        """What lives of its run: whatever its kernel has started has inherited its environment."""
        mark, found = self._mark.encode(), []
        for each in Path("/proc").glob("[0-9]*/environ"):
            pid = int(each.parent.name)
            try:
                if mark in each.read_bytes().split(b"\0") and alive(pid):
                    found.append(process(pid))
            except (OSError, AssertionError):  # it has ended meanwhile
                continue
        return found

    def orphaned_folders(self) -> list[Path]:
        """New folders of caches of this name in shared memory that no process will end."""
        return [folder for folder in set(folders("default-")) - self._folders if not _has_owner(folder)]


def _has_owner(folder: Path) -> bool:
    """Whether the node that a folder belongs to lives: then another test has made it."""
    try:
        told = re.search(r'"pid": (\d+)', (folder / "owner").read_text())
    except OSError:
        return True  # it is being removed
    return told is not None and alive(int(told[1]))


def _texts(notebook: Any) -> list[str]:
    """The text of each output."""
    return [
        output.text if output.output_type == "stream" else output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    ]


def check_quickstart(shown: str) -> None:
    assert "computed=59, hits=1" in shown
    assert re.search(r"miss: density\(.*\n  changed since it was computed:\n  helper `clean` changed", shown)
    assert re.search(r"hit: density\(", shown), "a comment is no change"
    assert re.search(r"^hit\nCPU times", shown, re.M), "the old code finds the old results"
    assert re.search(r"kept words .*\n+raycache: loaded words", shown)
    assert re.search(r"__main__\.density\(\) +122 +120 ", shown)


def check_pipeline(shown: str) -> None:
    last = shown[shown.rindex("edit undone") :]

    assert "global `DIRECTIONS` 4 -> 12" in shown
    assert "False" not in shown, "all runs of the same code have the same scores"
    for step in ("load", "straighten", "pixels"):
        assert re.search(rf"^{step} +1 +0 +0 +0$", last, re.M)
    assert re.search(r"^gradients +1 +0 +1 +0$", last, re.M)
    assert re.search(r"^evaluate +32 +0 +16 +0$", last, re.M)
    assert "computed=33, hits=16" in shown


def check_cluster(shown: str) -> None:
    def entries(stage: str) -> list[int]:
        """Of the three shards."""
        found = re.search(rf"^{stage} +(\d+) +(\d+) +(\d+)$", shown, re.M)
        assert found is not None
        return [int(each) for each in found.groups()]

    assert "3,000 loads for 18,000 gets" in shown
    assert re.search(r"__main_.*steps\(\) .* 1,000 ", shown)
    assert re.search(r"loads +7,000,", shown)
    assert "6,000 answers" in shown
    assert "all of them right: True" in shown
    assert entries("asked again")[2] >= 0.99 * entries("before")[2], "the new process has kept what the shard had"
    assert "another process: True" in shown
    assert "False" not in shown


CHECKS = {"quickstart": check_quickstart, "pipeline": check_pipeline, "cluster": check_cluster}


@pytest.mark.timeout(PATIENCE_S + 30)
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_shows_what_it_says_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    """A new run, from the cells alone."""
    executed = Executed(name, tmp_path)
    ended = executed.run()

    assert ended.returncode == 0, ended.stderr
    CHECKS[name](executed.shown())
    until(lambda: not executed.processes(), lambda: f"its processes end: {executed.processes()}")
    until(lambda: not executed.orphaned_folders(), lambda: f"its folders go: {executed.orphaned_folders()}")


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_is_committed_as_it_ran(name: str) -> None:
    """With the outputs of one run from top to bottom, which show what the text says, and nothing of a machine."""
    path = ROOT / "notebooks" / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]

    assert counts == list(range(1, len(counts) + 1))
    assert [*complaints(notebook)] == []
    assert nbformat.writes(normalized(notebook)).strip() == path.read_text().strip()
    CHECKS[name]("\n".join(_texts(notebook)))
    assert any("image/png" in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ()))


def test_a_notebook_whose_cell_fails_is_left_as_it_was(tmp_path: Path) -> None:
    """And the nodes that were begun in it have ended."""
    executed = Executed("cluster", tmp_path)
    start = "from raycache.cluster.local import local_ray\nray = local_ray(2)\nnodes = ray.__enter__()\nlen(nodes) / 0"
    cells = [nbformat.v4.new_code_cell(start, id="start")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), executed.path)
    before = executed.path.read_bytes()
    ended = executed.run()

    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr
    assert executed.path.read_bytes() == before
    until(lambda: not executed.processes(), lambda: f"its processes end: {executed.processes()}")
