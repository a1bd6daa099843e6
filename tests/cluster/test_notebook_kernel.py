"""A real notebook kernel: cells are run, edited and run again, and the kernel is restarted, against one cache."""

from __future__ import annotations

import ast
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cluster_ray import ClusterRay
from jupyter_client.manager import start_new_kernel
from marks import Marks
from processes import Process, descendants, process
from waiting import until

import raycache

PATIENCE_S = 60.0

SETUP = """
    import logging, os
    import ray
    import raycache

    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    CACHE, RUNS = {cache!r}, {runs!r}
"""

HELPER = """
    THRESHOLD = 0.5

    def keep(value):
        return value > THRESHOLD
"""

WORK = """
    @raycache.memoize(cache=CACHE)
    def count(values):
        with open(RUNS, "a") as runs:
            runs.write("count\\n")
        # How many are kept.
        return sum(keep(value) for value in values)
"""

CALL = "count([0.1, 0.55, 0.9])"


class Notebook:
    """A kernel, and what a user does with it."""

    def __init__(self, folder: Path, marks: Marks, cache: str, environment: dict[str, str]) -> None:
        self._folder, self._marks, self._cache, self._environment = folder, marks, cache, environment
        self._start()

    def _start(self) -> None:
        self._manager, self._client = start_new_kernel(
            kernel_name="python3", cwd=os.fspath(self._folder), env=self._environment, startup_timeout=PATIENCE_S
        )
        try:
            self.process: Process = process(self.run("import os; os.getpid()"))
            self.run(SETUP.format(cache=self._cache, runs=os.fspath(self._marks.path)))
        except BaseException:
            self._shut_down()
            raise

    def run(self, *cells: str) -> Any:
        """Runs cells; the value of the last one's last line."""
        value: Any = None
        for cell in cells:
            value = self._run(textwrap.dedent(cell))
        return value

    def _run(self, cell: str) -> Any:
        shown: list[str] = []

        def hook(message: dict[str, Any]) -> None:
            if message["msg_type"] == "execute_result":
                shown.append(message["content"]["data"]["text/plain"])

        reply = self._client.execute_interactive(cell, timeout=PATIENCE_S, output_hook=hook)["content"]
        assert reply["status"] == "ok", "\n".join(reply.get("traceback", ()))
        return ast.literal_eval(shown[-1]) if shown else None

    def computed(self, *cells: str) -> tuple[Any, int]:
        """Runs cells; the value of the last one, and how often the function ran."""
        before = len(self._marks.lines())
        value = self.run(*cells)
        return value, len(self._marks.lines()) - before

    def restart(self) -> None:
        """A new kernel in the place of this one."""
        self.end()
        self._start()

    def end(self) -> None:
        """Ends the kernel; no process of it is left."""
        below = [self.process, *descendants(self.process.pid)]
        self._shut_down()
        until(lambda: not any(each.lives for each in below), "the kernel has ended")

    def _shut_down(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel()
        self._manager.cleanup_resources()


@pytest.fixture
def notebook(cluster_ray: ClusterRay, cache: raycache.Cache, tmp_path: Path) -> Iterator[Notebook]:
    """All that Jupyter and IPython write lies in the test's folder, and what the kernel leaves is seen."""
    folder, state = tmp_path / "notebook", tmp_path / "state"
    folder.mkdir()
    names = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")
    places = {name: os.fspath(state / name.lower()) for name in names}
    environment = os.environ | {"RAY_ADDRESS": cluster_ray.address} | places
    notebook = Notebook(folder, Marks(tmp_path / "runs"), cache.name, environment)
    yield notebook
    notebook.end()
    assert list(folder.iterdir()) == []


def test_a_notebook_computes_what_was_edited_and_nothing_else(notebook: Notebook) -> None:
    """Cells run again hit, also with another comment or layout; an edited helper misses, taken back it hits."""
    first = notebook.computed(HELPER, WORK, CALL)
    again = notebook.computed(HELPER, WORK, CALL)
    commented = notebook.computed(
        HELPER.replace("def keep", "\n    # Which ones?\n    def keep"),
        WORK.replace("# How many are kept.", "# All."),
        CALL,
    )
    edited_helper = HELPER.replace("0.5", "0.6")
    notebook.run(edited_helper)
    why = notebook.run("repr(count.explain([0.1, 0.55, 0.9]))")
    edited = notebook.computed(CALL)
    taken_back = notebook.computed(HELPER, CALL)
    rewritten = notebook.computed(HELPER.replace("value > THRESHOLD", "not value > THRESHOLD"), CALL)

    assert first == (2, 1)
    assert again == (2, 0)
    assert commented == (2, 0)
    assert "`THRESHOLD` 0.5 -> 0.6" in why
    assert edited == (1, 1)
    assert taken_back == (2, 0)
    assert rewritten == (1, 1)


def test_explain_names_a_helper_that_was_edited(notebook: Notebook) -> None:
    """Defined in another cell than the function."""
    notebook.run(HELPER, WORK, CALL, HELPER.replace("return value", "return 2 * value"))
    why = notebook.run("repr(count.explain([0.1, 0.55, 0.9]))")

    assert "helper `keep` changed" in why


def test_a_restarted_kernel_finds_what_the_one_before_has_computed(notebook: Notebook) -> None:
    """Its cells were run in another order, and have other numbers."""
    first, old = notebook.computed(HELPER, WORK, CALL), notebook.process
    notebook.restart()
    notebook.run("1 + 1", "'a cell more'")
    again = notebook.computed(WORK, HELPER, CALL)

    assert first == (2, 1)
    assert again == (2, 0)
    assert notebook.process.pid != old.pid
    assert not old.lives
