"""A notebook's cell: its syntax, and what it reads of the namespace before it assigns it."""

from __future__ import annotations

import ast

import pytest

from raycache.core.fingerprint.cells import reads_of_cell
from raycache.core.fingerprint.code import code_of, code_of_source

READS = {
    "x = 1\ny = x": "",
    "y = x\nx = 1": "x",
    "x += 1": "x",
    "x = x + 1": "x",
    "x: int = 1\ny = x": "",
    "a, (b, *c) = 1, (2, 3)\nd = a, b, c": "",
    "del x": "",
    "x = 1\ndel x\ny = x": "x",
    "import math\ny = math.pi": "math.pi",
    "from math import pi as p\ny = p": "math.pi",
    "import os.path as path\ny = path.join": "os.path.join",
    "if a:\n    x = 1\ny = x": "a x",
    "if a:\n    x = 1\nelse:\n    x = 2\ny = x": "a",
    "for i in rows:\n    x = i\ny = i": "i rows",
    "for i in rows:\n    x = i\n    y = x\n    if y: break": "rows",
    "while a:\n    x = 1\ny = x": "a x",
    "with a as b, b.c as d:\n    x = d\ny = x": "a",
    "try:\n    x = 1\nexcept KeyError:\n    x = 2\ny = x": "KeyError",
    "try:\n    x = 1\nexcept KeyError:\n    pass\ny = x": "KeyError x",
    "try:\n    x = 1\nexcept KeyError as e:\n    raise e\ny = x": "KeyError",
    "try:\n    pass\nfinally:\n    x = 1\ny = x": "",
    "match a:\n    case {'k': [x, *rest], **more} if x > b:\n        y = x, rest, more": "a b",
    "match a:\n    case C.D | E():\n        y = 1": "C.D E a",
    "def f():\n    return g()\ndef g():\n    return a\nf()": "a",
    "def f():\n    return x\nx = 1\ny = f()": "",
    "def f():\n    return x\ny = f()\nx = 1": "x",
    "def f():\n    return x": "x",
    "def f(a: A) -> B:\n    x: C = a\n    return x": "",
    "def f(a=b):\n    c = a\n    return c": "b",
    "@d\ndef f():\n    pass": "d",
    "def f(n):\n    return f(n - 1)\nf(1)": "",
    "class A(B):\n    x = 1\n    y = x\n    def f(self):\n        return z": "B z",
    "y = [i for i in rows if i > k]": "k rows",
    "y = lambda a: a + b": "b",
    "if (n := len(rows)) > 1:\n    y = n": "len rows",
    "await f(x)": "f x",
    "async for i in rows:\n    pass\nasync with a as b:\n    y = b": "a rows",
    "get_ipython().run_line_magic('matplotlib', 'inline')": "",
}


@pytest.mark.parametrize(("source", "expected"), READS.items())
def test_a_cell_reads_what_it_has_not_assigned_on_every_way(source, expected):
    tree = compile(source, "<cell>", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    assert " ".join(map(str, reads_of_cell(tree))) == expected


CELL = """
# the cell
from helpers import trim
rows = [clean(each) for each in names if each > THRESHOLD]
total = len(trim(rows))
"""
NAMESPACE = (
    "THRESHOLD = {threshold}\nnames = {names}\ndef deep(x):\n    return {deep}\ndef clean(x):\n    return deep(x)\n"
)


@pytest.fixture
def code(module):
    """The code of the cell above, in a notebook with the given values."""

    def make(source=CELL, trim="x", extra="", **values):
        namespace = {"__name__": "__main__"}
        exec(NAMESPACE.format(**{"threshold": 1, "names": [1, 2], "deep": "x"} | values) + extra, namespace)
        module(f"def trim(x):\n    return {trim}\n", name="helpers")
        return code_of_source(source, namespace, "cell")

    return make


@pytest.mark.parametrize("values", [{"extra": "rows = 1"}, {"extra": "other = 2"}, {"source": "\n\n" + CELL + "# end"}])
def test_what_a_cell_does_not_read_has_no_influence(code, values):
    assert code().digest == code(**values).digest


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"threshold": 2}, "global `THRESHOLD`"),
        ({"names": [1]}, "global `names`"),
        ({"deep": "x + 1"}, "helper `deep`"),
        ({"trim": "x[1:]"}, "helper `trim`"),
        ({"source": CELL.replace("len", "max")}, "code"),
    ],
)
def test_what_a_cell_reads_counts_and_is_named(code, values, part):
    one, other = code(), code(**values)

    assert one.digest != other.digest
    assert {name for name in one.parts if one.parts[name] != other.parts[name]} == {part}


def test_a_change_of_what_a_cell_reads_is_noticed():
    namespace = {"a": 1, "b": [1]}
    code = code_of_source("c = a, b", namespace, "cell")

    assert code.unchanged()

    namespace["b"].append(2)

    assert not code.unchanged()


def test_a_cell_is_named_as_it_is_told(code):
    assert code().name == "cell"
    assert code().digest != code_of(len, name="cell").digest


def test_a_cell_that_is_no_python_is_a_syntax_error():
    with pytest.raises(SyntaxError):
        code_of_source("%matplotlib inline", {}, "cell")
