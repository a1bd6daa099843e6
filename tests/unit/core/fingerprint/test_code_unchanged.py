"""Whether code is still what it was: every kind of change is noticed at the next look, and nothing else is."""

from __future__ import annotations

import gc
import importlib
import math
import sys
import types
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from raycache.core.fingerprint.code import code_of
from raycache.core.fingerprint.values import fingerprint

NOTEBOOK = """
import helpers

THRESHOLD = 0.5
ROWS = [1, {"a": 2}]
NAMES = ("a", ["b"])

class Point:
    scale = 1
    rows = []

    def __init__(self, x):
        self.x = x

    def size(self):
        return self.x * self.scale

    @staticmethod
    def origin():
        return 0

POINT = Point(1)

def deep(x):
    return x + 1

def clean(x, by=1, *, mode="r", rows=[]):
    return deep(x) + by

STEPS = {"clean": clean}

def outer(k):
    state = {"k": k}
    def inner(x):
        return k, state, x
    def change(value):
        nonlocal k
        k = value
    return inner, change, state

inner, change, state = outer(1)

def load(x):
    values = THRESHOLD, ROWS, NAMES, POINT.size(), Point.origin(), missing
    return values, clean(x), STEPS, inner(x), helpers.trim(x), sorted(x)
"""


class Cells:
    """A notebook's namespace, in which cells are run."""

    def __init__(self, module):
        module("LENGTH = 8\ndef trim(x):\n    return x[:LENGTH]\n", name="helpers")
        self.namespace = {"__name__": "__main__"}
        self.run(NOTEBOOK)

    def run(self, source):
        exec(compile(source, "<cell>", "exec"), self.namespace)
        return self.namespace.get("load")


@pytest.fixture
def cells(module):
    return Cells(module)


CHANGES = {
    "a global": "THRESHOLD = 0.6",
    "a global of an equal value of another type": "THRESHOLD = True",
    "a global that is gone": "del THRESHOLD",
    "a list": "ROWS.append(2)",
    "a dict in a list": "ROWS[1]['a'] = 3",
    "a list in a tuple": "NAMES[1].append('c')",
    "an instance's attribute": "POINT.x = 2",
    "an instance": "POINT = Point(2)",
    "a class attribute": "Point.scale = 2",
    "a list of a class": "Point.rows.append(1)",
    "a method": "Point.size = lambda self: 0",
    "a method's code": "Point.size.__code__ = (lambda self: 0).__code__",
    "a static method": "Point.origin = staticmethod(lambda: 1)",
    "a method more": "Point.more = lambda self: 0",
    "a method less": "del Point.origin",
    "a class": "class Point:\n    def size(self):\n        return 0",
    "a helper": "def clean(x):\n    return 0",
    "a helper two calls down": "def deep(x):\n    return x + 2",
    "a helper's code": "deep.__code__ = (lambda x: x + 2).__code__",
    "a helper's defaults": "clean.__defaults__ = (2,)",
    "a helper's keyword defaults": "clean.__kwdefaults__ = {'mode': 'w', 'rows': []}",
    "a keyword default in place": "clean.__kwdefaults__['mode'] = 'w'",
    "a list that is a default": "clean.__kwdefaults__['rows'].append(1)",
    "a table of functions": "STEPS['deep'] = deep",
    "a function in a table": "STEPS['clean'] = deep",
    "a captured value": "change(2)",
    "a captured dict": "state['k'] = 2",
    "an attribute of a module": "helpers.trim = deep",
    "a global of a module": "helpers.LENGTH = 9",
    "a shadowed builtin": "def sorted(x):\n    return x",
    "a name that was not there": "missing = 1",
    "its own code": "load.__code__ = (lambda x: x).__code__",
    "its own defaults": "load.__defaults__ = (1,)",
}


@pytest.mark.parametrize("source", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_noticed(cells, source):
    load = cells.namespace["load"]
    code = code_of(load)

    assert code.unchanged()

    cells.run(source)

    assert not code.unchanged()
    assert code_of(load).digest != code.digest


SAME = {
    "a global that is not read": "OTHER = 1",
    "the same function under another name": "other = clean",
    "a list with the same": "ROWS = [1, {'a': 2}]",
    "a list back as it was": "ROWS.append(1); ROWS.pop()",
    "an equal instance": "POINT = Point(1)",
    "another attribute of a module": "helpers.other = 1",
}


@pytest.mark.parametrize("source", SAME.values(), ids=SAME.keys())
def test_what_leaves_everything_as_it_was_is_no_change(cells, source):
    code = code_of(cells.namespace["load"])
    cells.run(source)

    assert code.unchanged()


@pytest.mark.parametrize("source", [NOTEBOOK, "def deep(x):  # one more\n    return x + 1", "THRESHOLD = 1 / 2"])
def test_a_cell_run_again_gives_the_same_digest(cells, source):
    code = code_of(cells.namespace["load"])
    cells.run(source)

    assert code_of(cells.namespace["load"]).digest == code.digest


def test_an_array_that_is_written_to_has_changed(cells):
    cells.namespace["ROWS"] = np.zeros(3)
    code = code_of(cells.namespace["load"])

    assert code.unchanged()

    cells.namespace["ROWS"][1] = 1

    assert not code.unchanged()


def test_a_captured_variable_that_gets_its_value_later_has_changed():
    def outer():
        def load():
            return later

        code = code_of(load)
        before = code.unchanged()
        later = 1
        return before, code.unchanged(), later

    assert outer() == (True, False, 1)


def test_a_module_that_is_reloaded_has_changed_where_it_is_used_as_a_whole(tmp_path, monkeypatch):
    (tmp_path / "reloaded_helpers.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "reloaded_helpers", None)
    del sys.modules["reloaded_helpers"]
    helpers = importlib.import_module("reloaded_helpers")
    code = code_of(lambda: vars(helpers))

    assert code.unchanged()

    importlib.reload(helpers)

    assert not code.unchanged()


def read_only_installed(x):
    return math.sqrt(x)


def test_there_is_nothing_to_watch_of_what_is_installed_and_of_a_version():
    for code in (code_of(len), code_of(importlib.import_module), code_of(read_only_installed, version="1")):
        assert code.fixed
        assert code.unchanged()

    assert not code_of(read_only_installed).fixed


def test_what_can_change_is_not_held(cells):
    """Neither an array behind a global nor one that was captured is kept alive by what watches it."""
    array = np.zeros(10)
    cells.namespace["ROWS"] = array
    code = code_of(cells.namespace["load"])
    alive = weakref.ref(array)
    del array, cells.namespace["ROWS"]
    gc.collect()

    assert alive() is None
    assert not code.unchanged()


@pytest.mark.parametrize("body", ["x", "x + len('a')"])
def test_the_fingerprint_of_a_function_does_not_keep_what_it_captured(body):
    array = np.zeros(10)
    namespace = {"array": array}
    exec(f"def make(array):\n    return lambda x: (array, {body})\nmade = make(array)", namespace)
    fingerprint(namespace["made"])
    alive = weakref.ref(array)
    del array
    namespace.clear()
    gc.collect()

    assert alive() is None


def test_a_function_as_a_value_is_looked_at_again_when_it_has_changed(cells):
    load = cells.namespace["load"]
    old = fingerprint(load)

    assert fingerprint(load) == old

    cells.run("def deep(x):\n    return x + 2")

    assert fingerprint(load) != old

    cells.run("def deep(x):\n    return x + 1")

    assert fingerprint(load) == old


def test_an_instance_has_another_fingerprint_when_its_class_has_changed(cells):
    point = cells.namespace["POINT"]
    old = fingerprint(point)
    cells.run("Point.scale = 2")

    assert fingerprint(point) != old


def test_threads_agree(cells):
    load = cells.namespace["load"]
    with ThreadPoolExecutor(8) as pool:
        digests = set(pool.map(lambda _: code_of(load).digest, range(40)))
        code = code_of(load)

        assert digests == {code.digest}
        assert all(pool.map(lambda _: code.unchanged(), range(200)))


def test_a_module_that_is_read_only_by_attribute_may_get_other_attributes(cells):
    code = code_of(cells.namespace["load"])
    sys.modules["helpers"].unread = types.SimpleNamespace()

    assert code.unchanged()
