"""Source counts only if it is proven to belong to the running code; without it the bytecode counts."""

from __future__ import annotations

import linecache
import sys
import textwrap
import types

import cloudpickle
import pytest

from raycache.core.fingerprint import bytecode
from raycache.core.fingerprint.analysis import analyse
from raycache.core.fingerprint.code import code_of

LOAD = "def load(x):\n    # how many\n    return [y for y in x if y > {n}]\n"


def has_source(function) -> bool:
    return analyse(function.__code__, function.__globals__).source


def executed(source, name="load", filename="<string>", **names):
    """What a program defines of which there is no source."""
    namespace = {"__name__": "__main__", **names}
    exec(compile(source, filename, "exec"), namespace)
    return namespace[name]


def cell(source, name="load", number=1, namespace=None, process=1):
    """What a cell of a notebook defines: IPython keeps its source where tracebacks look for it."""
    filename = f"/tmp/ipykernel_{process}/{number}.py"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace = {"__name__": "__main__"} if namespace is None else namespace
    exec(compile(source, filename, "exec"), namespace)
    return namespace[name]


@pytest.fixture(autouse=True)
def lines(monkeypatch):
    monkeypatch.setattr(linecache, "cache", dict(linecache.cache))


def test_code_without_source_is_known_by_its_bytecode():
    one, other, again = (executed(LOAD.format(n=n), filename=f"<{n}>") for n in (1, 2, 1))

    assert not has_source(one)
    assert code_of(one).digest == code_of(again).digest != code_of(other).digest


@pytest.mark.parametrize("change", ["\n\n\n{}", "{}\n# the end\n", "def other(x):\n    pass\n\n{}"])
def test_bytecode_does_not_depend_on_comments_and_lines(change):
    source = LOAD.format(n=1)

    assert code_of(executed(source)).digest == code_of(executed(change.format(source))).digest


def test_bytecode_does_not_depend_on_the_docstring():
    sources = [f"def load(x):\n    {text}return len(x)\n" for text in ("", '"""Loads."""\n    ', '"""Reads."""\n    ')]

    assert len({code_of(executed(source)).digest for source in sources}) == 1


def test_bytecode_of_blocks_differs_by_what_they_cover():
    one = "def load(x):\n    try:\n        a = x()\n        b = x()\n    except ValueError:\n        return 0\n"
    other = "def load(x):\n    a = x()\n    try:\n        b = x()\n    except ValueError:\n        return 0\n"

    assert code_of(executed(one)).digest != code_of(executed(other)).digest


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x + 1", "x + 1.0"),
        ("x + 1", "x - 1"),
        ("x + 0.0", "x * -0.0"),
        ("x in {1, 2}", "x in {1, 3}"),
        ("x in {1, 2}", "x in (1, 2)"),
        ("x < 1", "x <= 1"),
        ("x.a", "x.b"),
        ("len(x)", "sum(x)"),
        ("f'{x!r}'", "f'{x!s}'"),
        ("(x, [y for y in x if y])", "(x, [y for y in x if not y])"),
        ("x if x else 1", "1 if x else x"),
        ("lambda: x + 1", "lambda: x + 2"),
    ],
)
def test_bytecode_of_other_expressions_differs(one, other):
    codes = [executed(f"def load(x):\n    return {each}\n").__code__ for each in (one, other)]

    assert bytecode.digest(codes[0]) != bytecode.digest(codes[1])


def test_a_file_that_was_edited_since_it_was_imported_is_not_used(module):
    """Neither the new lines nor those of another function that now stands where this one was."""
    made = module(LOAD.format(n=1))
    digest = code_of(made.load).digest
    stale = module(LOAD.format(n=1))
    with open(stale.__file__, "w") as file:
        file.write(LOAD.format(n=2))
    linecache.checkcache()

    assert not has_source(stale.load)
    assert code_of(stale.load).digest not in (digest, module.code(LOAD.format(n=2)).digest)


def test_a_file_that_was_edited_elsewhere_is_still_proven(module):
    """The function moved to another line, and does the same."""
    made = module(LOAD.format(n=1))
    with open(made.__file__, "w") as file:
        file.write("import os\n\n\n" + LOAD.format(n=1).replace("how many", "all"))

    assert has_source(made.load)
    assert code_of(made.load).digest == module.code(LOAD.format(n=1)).digest


def test_lines_of_an_older_version_of_the_file_are_read_anew(module):
    made = module(LOAD.format(n=1))
    old = linecache.getlines(made.__file__)
    with open(made.__file__, "w") as file:
        file.write("# a line more\n" + LOAD.format(n=22))
    spec = made.__spec__
    spec.loader.exec_module(made)

    assert linecache.getlines(made.__file__) == old
    assert has_source(made.load)


def test_two_lambdas_on_a_line_are_told_apart(module):
    made = module("one, other = lambda x: x + 1, lambda x: x + 2\nagain = lambda x: x + 1\n")
    digests = [code_of(each, name="f").digest for each in (made.one, made.other, made.again)]

    assert digests[0] != digests[1]
    assert digests[0] == digests[2]
    assert has_source(made.again)


def test_lambdas_in_lambdas_on_a_line_are_told_apart(module):
    made = module("outer = lambda: (lambda: 1, lambda: (lambda: 2))\n")
    one, other = made.outer()
    digests = {code_of(each, name="f").digest for each in (made.outer, one, other, other())}

    assert len(digests) == 4


def test_equal_bytecode_of_different_lambdas_on_a_line_is_no_guess(module):
    """Both are compiled to the same: where their columns do not tell them apart, the bytecode counts."""
    made = module("pair = lambda: 1 + 1, lambda: 2\n")
    digests = [code_of(each, name="f").digest for each in made.pair]

    assert digests == [code_of(each, name="f").digest for each in made.pair]


def test_a_cell_that_is_run_again_has_the_same_digest():
    one, again = cell(LOAD.format(n=1), number=1), cell(LOAD.format(n=1).replace("how many", "all"), number=2)

    assert has_source(one)
    assert code_of(one).digest == code_of(again).digest != code_of(cell(LOAD.format(n=2), number=3)).digest


def test_the_name_of_a_cell_has_no_influence():
    """It is another one in every kernel."""
    assert code_of(cell(LOAD.format(n=1), process=1)).digest == code_of(cell(LOAD.format(n=1), process=2)).digest


def test_a_cell_with_await_outside_of_functions_is_proven():
    source = "def load(x):\n    return x\n"
    filename = "/tmp/ipykernel_1/9.py"
    text = f"{source}await load(1)\n"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)

    assert has_source(executed(source, filename=filename))


def test_flags_of_an_earlier_cell_do_not_stand_in_the_way():
    """IPython goes on with `from __future__ import annotations` once a cell had it."""
    import __future__

    source = "def load(x: Missing) -> Missing:\n    def inner(y: Missing):\n        return y\n    return inner(x)\n"
    filename = "/tmp/ipykernel_1/8.py"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    namespace = {"__name__": "__main__"}
    exec(compile(source, filename, "exec", __future__.annotations.compiler_flag), namespace)

    assert has_source(namespace["load"])


@pytest.mark.parametrize(
    "kind", ["async def {}(x):\n    return await x", "def {}(x):\n    yield x", "{} = lambda x: x"]
)
def test_functions_of_all_kinds_have_proven_source(module, kind):
    assert has_source(module(kind.format("load") + "\n").load)


DECORATED = """
import functools

def logged(function):
    @functools.wraps(function)
    def wrapper(*args):
        return {wrapper}(function(*args))
    return wrapper

@logged
def load(x):
    return x + {n}
"""


def test_a_decorated_function_is_the_wrapper_and_what_it_wraps(module):
    def code(wrapper="str", n=1):
        return module.code(DECORATED.format(wrapper=wrapper, n=n))

    assert code().digest == code().digest
    assert len({code().digest, code(n=2).digest, code(wrapper="repr").digest}) == 3
    assert code().name == "pipeline.load"


def test_methods_have_proven_source(module):
    made = module("class A:\n    class B:\n        @property\n        def load(self):\n            return 1\n")

    assert has_source(made.A.B.load.fget)


def test_asserts_that_pytest_has_rewritten_are_known_by_bytecode(pytester_source):
    one, other, again = (pytester_source(n) for n in (1, 2, 1))

    assert not has_source(one)
    assert code_of(one).digest == code_of(again).digest != code_of(other).digest


@pytest.fixture
def pytester_source(tmp_path):
    """A function of a module whose asserts pytest has rewritten."""
    from _pytest.assertion.rewrite import rewrite_asserts

    def make(n):
        import ast

        source = f"def load(x):\n    assert x == {n}, 'text'\n    return x\n"
        path = tmp_path / "test_rewritten.py"
        path.write_text(source)
        tree = ast.parse(source)
        rewrite_asserts(tree, source.encode(), str(path))
        namespace = {"__name__": "test_rewritten"}
        exec(compile(tree, str(path), "exec"), namespace)
        return namespace["load"]

    return make


SHIPPED = """
import numpy as np
LIMIT = {n}
class Row:
    size = 1
    def fit(self, x):
        return x * LIMIT * self.size
def clean(x):
    return x + LIMIT
def load(x, rows=(1, 2)):
    return [Row().fit(clean(y)) for y in np.asarray(x)], load(x[1:])
"""


@pytest.mark.parametrize("where", ["module", "cell", "exec"])
def test_a_function_has_the_same_digest_after_a_round_trip_through_cloudpickle(module, where):
    def make(n):
        source = SHIPPED.format(n=n)
        made = module(source) if where == "module" else types.SimpleNamespace()
        if where != "module":
            made.load = cell(source) if where == "cell" else executed(source)
        if where == "module":
            cloudpickle.register_pickle_by_value(made)
            data = cloudpickle.dumps(made.load)
            cloudpickle.unregister_pickle_by_value(made)
        else:
            data = cloudpickle.dumps(made.load)
        return made.load, cloudpickle.loads(data)

    one, shipped = make(1)

    assert shipped is not one
    assert code_of(one).digest == code_of(shipped).digest
    assert code_of(make(2)[1]).digest != code_of(one).digest


def test_the_source_of_a_module_is_read_through_its_loader(tmp_path, monkeypatch):
    """As of one in a zip archive, whose file is no file."""
    import zipfile

    with zipfile.ZipFile(tmp_path / "steps.zip", "w") as archive:
        archive.writestr("zipped_steps.py", textwrap.dedent(LOAD.format(n=1)))
    monkeypatch.syspath_prepend(tmp_path / "steps.zip")
    import zipped_steps

    assert has_source(zipped_steps.load)
    del sys.modules["zipped_steps"]
