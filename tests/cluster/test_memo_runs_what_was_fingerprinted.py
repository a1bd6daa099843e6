"""What runs is what was fingerprinted: the code as it is in the driver, whatever the workers have imported."""

from __future__ import annotations

import importlib
import os
import sys
import textwrap
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from memos import MODES
from peers import Peers

import raycache

HELPERS = """
    import functools

    FACTOR = 1
    STATE = None

    def init(x):
        global STATE
        STATE = FACTOR * x + 100

    def times(x):
        return scaled(x) + 100

    def scaled(x):
        return FACTOR * x

    class Scale:
        factor = 1

        def times(self, x):
            return self.factor * x + 100

    @functools.lru_cache
    def remembered(x):
        return times(x)

    @functools.singledispatch
    def dispatched(x):
        return 0

    @dispatched.register
    def _(x: int):
        return times(x)
"""

#: How a memoized function gets at the helpers.
READERS = {
    "a name of its own": """
        from {helpers} import times

        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            return times(x)
    """,
    "a module's attribute": """
        import {helpers} as helpers

        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            return helpers.times(x)
    """,
    "an import in the function": """
        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            import {helpers} as helpers
            return helpers.times(x)
    """,
    "an import of a name in the function": """
        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            from {helpers} import times
            return times(x)
    """,
    "an import of a class in the function": """
        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            from {helpers} import Scale
            return Scale().times(x)
    """,
    "a module as a whole": """
        import {helpers} as helpers

        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            whole = helpers
            return whole.times(x)
    """,
    "a function that functools.lru_cache wraps": """
        import {helpers} as helpers

        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            return helpers.remembered(x)
    """,
    "a function of functools.singledispatch": """
        import {helpers} as helpers

        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            return helpers.dispatched(x)
    """,
    "a global that a function of its module rebinds": """
        import {helpers} as helpers

        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            helpers.init(x)
            return helpers.STATE
    """,
    "a helper that reads a module": """
        import {helpers} as helpers

        def through(x):
            return helpers.times(x)

        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            return through(x)
    """,
    "a class by its own name": """
        from {helpers} import Scale

        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            return Scale().times(x)
    """,
    "a class of the module": """
        import {helpers} as helpers

        @raycache.memoize(cache={cache!r}, where={where!r})
        def work(x):
            return helpers.Scale().times(x)
    """,
}


class Project:
    """Two modules of the driver's: one with helpers, one with a memoized function that uses them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, reader: str, **names: str) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        number = uuid.uuid4().hex[:8]  # workers live longer than tests, and remember modules by name
        self.names = {"helpers": f"helpers_{number}", "work": f"work_{number}"}
        monkeypatch.syspath_prepend(folder)
        self.helpers = self._load("helpers", HELPERS)
        text = "import raycache\n" + textwrap.dedent(READERS[reader].format(helpers=self.names["helpers"], **names))
        self.work: Any = self._load("work", text).work

    def _load(self, name: str, text: str) -> Any:
        self._write(name, text)
        module = importlib.import_module(self.names[name])
        self._monkeypatch.setitem(sys.modules, self.names[name], module)  # and out again when the test is over
        return module

    def _write(self, name: str, text: str) -> None:
        path = self._folder / f"{self.names[name]}.py"
        before = path.stat().st_mtime if path.exists() else 0.0
        path.write_text(textwrap.dedent(text))
        os.utime(path, (before + 10, before + 10) if before else None)  # compiled files go by the second
        importlib.invalidate_caches()

    def edit(self, old: str, new: str) -> None:
        """Saves the helpers with a change, and imports them anew, as `importlib.reload` in a notebook does."""
        assert old in HELPERS
        self._write("helpers", HELPERS.replace(old, new))
        importlib.reload(self.helpers)


def patch_a_constant(project: Project) -> None:
    project.helpers.FACTOR = 2


def patch_a_function(project: Project) -> None:
    project.helpers.scaled = lambda x: 2 * x


def patch_a_class(project: Project) -> None:
    project.helpers.Scale.factor = 2


def edit_a_constant(project: Project) -> None:
    project.edit("FACTOR = 1", "FACTOR = 2")


def edit_a_function(project: Project) -> None:
    project.edit("return FACTOR * x", "return 2 * x")


def edit_a_class(project: Project) -> None:
    project.edit("return self.factor * x", "return 2 * x")


#: What is looked up by name where the function runs: what was changed at run time is not there.
BY_NAME = ("an import in the function", "an import of a name in the function", "a module as a whole")


def cases() -> list[Any]:
    """Readers with the changes that they can see: an imported class stays the old one when its module is reloaded."""
    patches, edits = [patch_a_constant, patch_a_function], [edit_a_constant, edit_a_function]
    by_value = ("a name of its own", "a module's attribute", "a helper that reads a module")
    by_value += ("a function of functools.singledispatch",)
    pairs: list[tuple[str, Callable[[Project], None]]] = [
        *((reader, change) for reader in by_value for change in (*patches, *edits)),
        *((reader, change) for reader in BY_NAME for change in edits),
        *(("a function that functools.lru_cache wraps", change) for change in edits),
        ("a class of the module", edit_a_class),
        ("an import of a class in the function", edit_a_class),
    ]
    return [pytest.param(*pair, id=f"{pair[0]}-{pair[1].__name__}".replace("_", " ")) for pair in pairs]


@pytest.mark.parametrize("where", MODES)
@pytest.mark.parametrize(("reader", "change"), cases())
def test_a_change_in_the_driver_counts_for_what_runs(
    reader: str,
    change: Callable[[Project], None],
    where: str,
    cache: raycache.Cache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The workers have the old state of the module imported; the result is that of the driver's."""
    project = Project(tmp_path, monkeypatch, reader, cache=cache.name, where=where)
    before = [project.work(x) for x in range(1, 5)]  # more than one worker has run it
    change(project)
    after = [project.work(x) for x in range(1, 5)]

    assert before == [101, 102, 103, 104]
    assert after == [project.work.__wrapped__(x) for x in range(1, 5)] == [102, 104, 106, 108]


@pytest.mark.parametrize("reader", ["a class by its own name", "a class of the module"])
def test_a_class_that_is_not_as_in_its_file_is_refused_by_a_task_and_works_in_the_caller(
    reader: str, cache: raycache.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Classes are imported where the function runs, so that results are instances of them; nothing else would do."""
    (tmp_path / "task").mkdir()
    by_task = Project(tmp_path / "task", monkeypatch, reader, cache=cache.name, where="task")
    by_caller = Project(tmp_path, monkeypatch, reader, cache=cache.name, where="caller")
    before = [project.work(1) for project in (by_task, by_caller)]
    for project in (by_task, by_caller):
        patch_a_class(project)

    assert before == [101, 101]
    assert by_caller.work(1) == 102
    with pytest.raises(raycache.StaleCode, match=r"Scale"):
        by_task.work(1)


@pytest.mark.parametrize("reader", ["an import in the function", "an import of a name in the function"])
def test_an_import_of_what_was_changed_at_run_time_is_refused_by_a_task(
    reader: str, cache: raycache.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import statement runs in the worker, and would find what is in the file."""
    project = Project(tmp_path, monkeypatch, reader, cache=cache.name, where="task")
    patch_a_constant(project)

    with pytest.raises(raycache.StaleCode, match=r"times is not the same"):
        project.work(1)


def test_a_global_that_a_function_rebinds_is_seen_by_who_reads_it_of_the_module(
    cache: raycache.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The module's functions and its attributes are one namespace, also where they travel by value."""
    reader = "a global that a function of its module rebinds"
    project = Project(tmp_path, monkeypatch, reader, cache=cache.name, where="task")

    assert [project.work(x) for x in (1, 2)] == [101, 102]


ARGUMENTS: dict[str, Callable[[Any], Any]] = {
    "a function": lambda helpers: helpers.times,
    "a method": lambda helpers: helpers.Scale().times,
    "functions in a list": lambda helpers: [helpers.scaled, helpers.times],
    "what functools.lru_cache wraps": lambda helpers: helpers.remembered,
}


@pytest.mark.parametrize("argument", ARGUMENTS)
def test_a_change_of_what_comes_as_an_argument_counts_for_what_runs(
    argument: str, cache: raycache.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Functions in arguments travel by value, and classes are checked before the arguments are unpickled."""
    project = Project(tmp_path, monkeypatch, "a name of its own", cache=cache.name, where="task")

    @raycache.memoize(cache=cache.name, name=f"applied to {argument}")  # with the paths of this test
    def applied(x: int, found: Any) -> Any:
        return found[-1](x) if isinstance(found, list) else found(x)

    make = ARGUMENTS[argument]
    before = [applied(x, make(project.helpers)) for x in range(1, 5)]
    (edit_a_class if argument == "a method" else edit_a_function)(project)
    after = [applied(x, make(project.helpers)) for x in range(1, 5)]

    assert (before, after) == ([101, 102, 103, 104], [102, 104, 106, 108])


@pytest.mark.parametrize("reader", ["a name of its own", "a module's attribute"])
def test_going_back_to_the_old_code_hits(
    reader: str, cache: raycache.Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results of both are kept, and each is found under its own code."""
    project = Project(tmp_path, monkeypatch, reader, cache=cache.name, where="task")
    results = []
    for factor in (1, 2, 1, 2):
        project.helpers.FACTOR = factor
        results.append((project.work.explain(7).hit, project.work(7)))

    assert results == [(False, 107), (False, 114), (True, 107), (True, 114)]


def test_a_function_that_was_sent_elsewhere_runs_as_it_was_then(cache: raycache.Cache, peers: Peers) -> None:
    """It travels with its globals; a change that came after it was sent is none of its own."""
    factor = 1

    @raycache.memoize(cache=cache.name)
    def work(x: int) -> int:
        return factor * x

    (peer,) = peers(1)
    first = peer.do(work, 7)
    factor = 2
    second = peer.do(work, 7)
    factor = 1

    assert (first, second, work(7), work.explain(7).hit) == (7, 14, 7, True)
