"""The demo without Ray: exact measures, files that cannot be parsed, what it says and when it refuses."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

import raycache
from raycache.edge import cli, command, demo
from raycache.edge.measure import Measure, Unparsed, measure, measure_source, python_files, standard_library

SOURCE = b"""import os
from sys import path, argv


class Shape:
    def area(self, x):
        if x and x > 1 or x == 0:
            return [y for y in range(x) if y if y > 1]
        elif x:
            return lambda: 1 if x else 2
        return None

    async def walk(self):
        async for step in self:
            while step:
                try:
                    import json
                except ValueError:
                    pass


if path:
    argv = 1
"""
#: In a function `f`: the branches of each.
BRANCHES = {
    "pass": 0,
    "if a: pass": 1,
    "if a: pass\n  else: pass": 1,
    "if a: pass\n  elif b: pass": 2,
    "a if b else c": 1,
    "a and b": 1,
    "a and b and c or d": 3,
    "for a in b: pass": 1,
    "while a: pass": 1,
    "with a: pass": 0,
    "try: pass\n  except A: pass\n  except B: pass\n  finally: pass": 2,
    "{a for a in b}": 1,
    "[a for a in b for c in d if e]": 3,
    "match a:\n    case 1: pass\n    case b if c: pass\n    case _: pass": 2,
    "lambda: a or b": 1,
}
BROKEN = {
    b"def (": "SyntaxError: invalid syntax, line 1",
    b"# coding: nonsense\n": "SyntaxError: unknown encoding: nonsense",
    b"x = '\xf6'": "SyntaxError: ",
    b"(" * 10_000: "",  # says too many parentheses, in words that depend on the version of Python
    b"x = 1\0": "",
}


def test_measures_of_a_source_are_exact():
    assert measure_source(SOURCE) == Measure(lines=23, functions=2, classes=1, imports=3, complexity=13)


@pytest.mark.parametrize("body", BRANCHES)
def test_every_branch_of_a_function_adds_one(body):
    source = f"def f():\n  {body}\n".encode()

    assert measure_source(source).complexity == 1 + BRANCHES[body]


@pytest.mark.parametrize("body", BRANCHES)
def test_branches_outside_of_functions_do_not_count(body):
    assert measure_source(f"if 1:\n  {body}\n".encode()).complexity == 0


def test_an_inner_function_counts_by_itself():
    source = b"def f():\n  def g():\n    if a: pass\n  return g\n"

    assert measure_source(source) == Measure(lines=4, functions=2, classes=0, imports=0, complexity=3)


def test_an_empty_source_has_nothing():
    assert measure_source(b"") == Measure(0, 0, 0, 0, 0)


@pytest.mark.filterwarnings("error")
def test_warnings_of_a_source_are_its_own_business(tmp_path):
    (tmp_path / "a.py").write_bytes(b"x = '\\d'\ny = 1 is 1\n")

    assert measure(os.fspath(tmp_path / "a.py")) == Measure(2, 0, 0, 0, 0)


@pytest.mark.parametrize("source", BROKEN)
def test_a_file_that_cannot_be_parsed_says_so(tmp_path, source):
    path = tmp_path / "broken.py"
    path.write_bytes(source)
    found = measure(os.fspath(path))

    assert isinstance(found, Unparsed)
    assert found.path == os.fspath(path)
    assert found.error.startswith(BROKEN[source])
    assert len(found.error) > 10


def test_a_file_that_cannot_be_read_says_so(tmp_path):
    path = os.fspath(tmp_path / "gone.py")

    assert measure(path) == Unparsed(path, "FileNotFoundError: No such file or directory")


def test_files_are_found_below_a_folder_and_nothing_else(tmp_path):
    for name in ("b.py", "a/c.py", "a/d.txt", "a/site-packages/e.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.py").mkdir()
    found = [os.path.relpath(path, tmp_path) for path in python_files(tmp_path, without=("site-packages",))]

    assert found == ["a/c.py", "b.py"]


def test_the_standard_library_has_more_than_a_thousand_files():
    assert len(python_files(standard_library(), without=("site-packages", "dist-packages"))) > 1000


# ------------------------------------------------------------------------------------------------- a worker


@pytest.fixture
def folder(tmp_path):
    """95 files, of which one is broken: three batches, the last one not full."""
    for number in range(94):
        (tmp_path / f"f{number:02}.py").write_text("def f(x): return x\n" * (number + 1))
    (tmp_path / "broken.py").write_text("def (")
    return tmp_path


def test_a_worker_asks_twice_for_every_file(inline, folder):
    files = python_files(folder)
    group = inline(shards=2).group("measures", getter=measure)
    came = list(demo.visit(group, files, seed=1, tell=True))

    assert sum(step.files for step in came if isinstance(step, demo.Step)) == 2 * 95
    assert came[-1].measures == {path: measure(path) for path in files}
    assert (group.stats().loads, group.stats().gets) == (95, 190)


def test_workers_ask_in_orders_of_their_own(inline, folder):
    files, asked = python_files(folder), Counter()
    cache = inline()

    class Listening:
        """A group that writes down which file it is asked for first."""

        def __init__(self):
            self.group = cache.group("measures", getter=measure)
            self.first = None

        def get_many(self, paths):
            self.first = self.first or paths[0]
            return self.group.get_many(paths)

        def __getattr__(self, name):
            return getattr(self.group, name)

    for seed in range(4):
        group = Listening()
        list(demo.visit(group, files, seed, tell=False))
        asked[group.first] += 1

    assert len(asked) > 1


# ------------------------------------------------------------------------------------------------ the result


def result(folder: Path, loads: int) -> demo.Result:
    measures = {path: measure(path) for path in python_files(folder)}
    stats = raycache.Stats(loads=loads, near_hits=3, seconds_saved=1.5)
    return demo.Result(
        folder=folder, nodes=1, workers=4, stats=stats, shards=[], cold_s=2.0, warm_s=0.5, measures=measures
    )


@pytest.fixture
def run_demo(monkeypatch, folder):
    """Runs the command with a result that has so many loads."""
    monkeypatch.setattr(command, "quiet_ray", lambda: None)

    def run(loads: int, *options: str):
        monkeypatch.setattr(cli, "run", lambda *_, **__: result(folder, loads))
        return CliRunner().invoke(cli.main, ["demo", os.fspath(folder), *options])

    return run


def test_it_ends_well_when_every_file_was_loaded_once(run_demo):
    ran = run_demo(95)

    assert ran.exit_code == 0
    assert "each file was parsed once" in ran.stdout


def test_it_fails_and_says_so_when_loads_are_not_the_distinct_files(run_demo):
    ran = run_demo(96)

    assert ran.exit_code == 1
    assert "96 loads for 95 distinct files" in ran.stderr


def test_it_shows_the_most_complex_files_and_those_that_cannot_be_parsed(run_demo):
    shown = run_demo(95).stdout

    assert "f93.py" in shown
    assert "f10.py" not in shown
    assert "broken.py" in shown
    assert "SyntaxError: invalid syntax, line 1" in shown


def test_its_json_has_all_that_the_tables_have(run_demo):
    told = json.loads(run_demo(95, "--json").stdout)

    assert (told["files"], told["stats"]["loads"], told["loaded_once"]) == (95, 95, True)
    assert told["unparsed"] == [{"path": "broken.py", "error": "SyntaxError: invalid syntax, line 1"}]
    assert [each["path"] for each in told["most_complex"]] == [f"f{number}.py" for number in range(93, 83, -1)]
    assert told["most_complex"][0]["complexity"] == 94


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "Directory 'missing' does not exist"),
        (["empty"], "there are no *.py files below"),
        (["empty/file.txt"], "'empty/file.txt' is a file"),
        (["--nodes", "0"], "0 is not in the range"),
        (["--worker", "2"], "Did you mean '--workers'?"),
    ],
)
def test_bad_use_of_the_demo_is_told(monkeypatch, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "file.txt").touch()
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(cli.main, ["demo", *arguments])

    assert ran.exit_code == 2
    assert message in ran.stderr
