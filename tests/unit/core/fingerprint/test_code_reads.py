"""What a function reads is part of what it does: helpers, captured variables, defaults, globals, modules."""

from __future__ import annotations

import functools
import math
import sys

import pytest

from raycache.core.fingerprint.code import code_of

STEPS = """
import helpers

THRESHOLD = {threshold}
UNREAD = {unread}
written = {unread}

def deep(x):
    return x {operator} 2

def clean(x, by={by}):
    return deep(x) + by

def shout(x):
    return {unread}

class Model:
    weight = {weight}

    def fit(self, x):
        return clean(x) * {factor}

def load(x, n={n}):
    global written
    written = x
    return [(lambda row: clean(row))(each) for each in x if each > THRESHOLD], Model().fit(x), helpers.trim(x)
"""
HELPERS = "def trim(x):\n    return x[:{length}]\n\ndef other(x):\n    return {unread}\n"
DEFAULTS = {"threshold": 0.5, "unread": 0, "operator": "+", "by": 1, "weight": 1, "factor": 2, "n": 3, "length": 8}


@pytest.fixture
def load(module):
    """Makes the function above, of a module that was edited in the ways given."""

    def make(**changes):
        values = DEFAULTS | changes
        module(HELPERS.format(**values), name="helpers")
        return code_of(module(STEPS.format(**values)).load)

    return make


CHANGES = {
    "threshold": (0.6, "global `THRESHOLD`"),
    "operator": ("-", "helper `deep`"),
    "by": (2, "default `by`"),
    "weight": (2, "class `Model`"),
    "factor": (3, "class `Model`"),
    "n": (4, "default `n`"),
    "length": (9, "helper `trim`"),
}


@pytest.mark.parametrize(("what", "value", "part"), [(what, *change) for what, change in CHANGES.items()])
def test_a_change_in_what_it_reads_is_seen_and_named_where_it_happened(load, what, value, part):
    old, new, again = load(), load(**{what: value}), load()

    assert old.digest == again.digest != new.digest
    assert {name for name in old.parts if old.parts[name] != new.parts[name]} == {part}
    assert old.parts.keys() == new.parts.keys()


def test_a_change_in_what_it_does_not_read_is_not_seen(load):
    """Other functions of its modules, other globals, and globals that it only assigns."""
    assert load().digest == load(unread=1).digest


def test_values_among_the_parts_have_texts(load):
    parts = load().parts

    assert parts["global `THRESHOLD`"][1] == "0.5"
    assert parts["default `n`"][1] == "3"
    assert parts["helper `clean`"][1] == "function `clean`"


@pytest.mark.parametrize(("one", "other"), [(1, 2), (1, 1.0), ("a", b"a"), ((1,), [1]), ({"a": 1}, {"a": 2})])
def test_a_captured_value_counts(one, other):
    def closing(value):
        def inner():
            return value

        return code_of(inner)

    assert closing(one).digest == closing(one).digest != closing(other).digest
    assert [*closing(one).parts] == ["code", "captured `value`"]


def test_a_captured_function_counts_with_its_code(module):
    source = "def outer():\n    def helper(x):\n        return x + {n}\n    return lambda x: helper(x)\n"
    one, other, again = (code_of(module(source.format(n=n)).outer()) for n in (1, 2, 1))

    assert one.digest == again.digest != other.digest
    assert [*one.parts] == ["code", "helper `outer.<locals>.helper`"]


def test_a_value_read_by_an_inner_function_counts(module):
    source = (
        "LIMIT = {n}\ndef load(x):\n    def inner():\n        return [y for y in x if y > LIMIT]\n    return inner\n"
    )

    assert module.code(source.format(n=1)).digest != module.code(source.format(n=2)).digest


def test_names_that_were_swapped_are_told_apart(module):
    """The parts are the same two functions; which name is bound to which is part of the reader."""
    source = (
        "def f(x):\n    return x + 1\ndef g(x):\n    return x + 2\na, b = {}\ndef load(x):\n    return a(b(x) * 2)\n"
    )

    assert module.code(source.format("f, g")).digest != module.code(source.format("g, f")).digest


@pytest.mark.parametrize("name", ["sum", "not_there"])
def test_a_global_that_appears_counts(module, name):
    """A builtin that is shadowed, and a name that did not exist."""
    source = f"def load(x):\n    return {name}(x)\n"
    defined = f"def {name}(x):\n    return x\n"

    assert module.code(source).digest != module.code(source + defined).digest


def test_equal_functions_that_call_themselves_and_each_other_agree(module):
    source = """
def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - {step})

def load(n):
    return load(n - 1) if n else even(n)
"""
    one, other, again = (module.code(source.format(step=step)) for step in (1, 2, 1))

    assert one.digest == again.digest != other.digest
    assert {name for name in one.parts if one.parts[name] != other.parts[name]} == {"helper `odd`"}


def test_a_table_that_leads_back_to_the_function_ends(module):
    source = """
def load(x):
    return [TABLE[type(each)](each) for each in x]

def text(x):
    return x.{method}()

TABLE = {{list: load, str: text}}
"""
    one, other, again = (module.code(source.format(method=method)) for method in ("strip", "lstrip", "strip"))

    assert one.digest == again.digest != other.digest
    assert {name for name in one.parts if one.parts[name] != other.parts[name]} == {"helper `text`"}


def test_a_long_chain_of_helpers_is_followed_to_its_end(module):
    chain = "".join(f"def f{n}(x):\n    return f{n + 1}(x)\n" for n in range(2000))
    source = chain + "def f2000(x):\n    return {last}\n"

    assert module.code(source.format(last=1), "f0").digest != module.code(source.format(last=2), "f0").digest


IMPORTS = [
    "import helpers\n    return helpers.trim(x)",
    "from helpers import trim\n    return trim(x)",
    "from helpers import trim as cut\n    return cut(x)",
    "import helpers as h\n    return [h.trim(each) for each in x]",
    "from . import helpers\n    return helpers.trim(x)",
]


@pytest.mark.parametrize("body", IMPORTS)
def test_what_it_imports_while_it_runs_counts(module, body):
    def code(length, unread=0):
        name = "package.helpers" if "from ." in body else "helpers"
        package = module("", name="package", file="__init__.py")
        package.helpers = module(HELPERS.format(length=length, unread=unread), name=name)
        return module.code(f"def load(x):\n    {body}\n", name="package.pipeline")

    assert code(8).digest == code(8, unread=1).digest != code(9).digest


def test_a_module_passed_as_a_value_counts_with_all_of_its_syntax(module):
    def code(source):
        module(source, name="helpers")
        return module.code("import helpers\ndef load(x):\n    return vars(helpers)[x]\n")

    old = HELPERS.format(length=8, unread=0)

    assert code(old).digest == code(old + "# the end\n").digest != code(HELPERS.format(length=8, unread=1)).digest
    assert "module `helpers`" in code(old).parts


def test_an_attribute_of_the_users_module_that_is_not_there_counts(module):
    def code(source):
        module(source, name="helpers")
        return module.code("import helpers\ndef load(x):\n    return helpers.trim(x)\n")

    assert code("").digest != code(HELPERS.format(length=8, unread=0)).digest


def test_a_constant_in_a_submodule_is_found_through_its_package(module):
    def code(limit):
        package = module("", name="package", file="__init__.py")
        package.limits = module(f"LIMIT = {limit}\n", name="package.limits")
        return module.code("import package.limits\ndef load(x):\n    return x[:package.limits.LIMIT]\n")

    assert code(1).digest == code(1).digest != code(2).digest
    assert code(1).parts["global `LIMIT`"][1] == "1"


def test_an_attribute_that_was_put_on_a_function_counts(module):
    source = "def clean(x):\n    return x\nclean.table = {table}\ndef load(x):\n    return clean.table[x]\n"

    assert module.code(source.format(table=[1])).digest != module.code(source.format(table=[2])).digest


def test_two_of_one_name_have_qualified_names(module):
    module("def clean(x):\n    return 1\nLIMIT = 1\ndef trim(x):\n    return clean(x) + LIMIT\n", name="helpers")
    code = module.code(
        "import helpers\nLIMIT = 2\ndef clean(x):\n    return LIMIT\ndef load(x):\n    return clean(helpers.trim(x))\n"
    )

    assert {name for name in code.parts if name.startswith(("helper", "global"))} == {
        "helper `pipeline.clean`",
        "helper `helpers.clean`",
        "helper `trim`",
        "global `pipeline.LIMIT`",
        "global `helpers.LIMIT`",
    }


def test_with_a_version_the_code_is_not_looked_at(module):
    source = "LIMIT = {n}\ndef load(x):\n    return x + LIMIT + {n}\n"
    one, other = module(source.format(n=1)), module(source.format(n=2))

    assert code_of(one.load, version="2").digest == code_of(other.load, version="2").digest
    assert code_of(one.load, version="2").digest != code_of(one.load, version="3").digest
    assert code_of(one.load, version="2").digest != code_of(one.load, version="2", name="other").digest
    assert code_of(one.load, version="2").parts.keys() == {"version"}
    assert code_of(one.load, version="2").fixed


def helper(x):
    return x + 1


def other_helper(x):
    return x + 2


@pytest.mark.parametrize(
    ("one", "other"),
    [(helper, other_helper), ({"a": 1}, {"a": 2}), ("x", b"x"), (math, functools), ([helper], [other_helper])],
)
@pytest.mark.parametrize("version", [None, "1"])
def test_what_it_depends_on_counts_in_addition(one, other, version):
    digests = {code_of(helper, version=version, depends=each).digest for each in ([], [one], [other], [one, other])}

    assert len(digests) == 4
    assert "depends 0" in code_of(helper, version=version, depends=[one]).parts


class Memoized:
    """A memoized function, as far as code that reads it can tell."""

    def __init__(self, function):
        self.__wrapped__ = function

    def __raycache_key__(self):
        return ("memoized", self.__wrapped__)

    def __call__(self, *args):
        return self.__wrapped__(*args)


RECURSIVE = """
def load(n):
    return load(n - 1) + other(n) if n else {end}

def other(n):
    return load(n)
"""


def test_a_memoized_function_that_calls_itself_is_recognised(module):
    def code(end, *names):
        made = module(RECURSIVE.format(end=end))
        plain = made.load
        for name in names:
            setattr(made, name, Memoized(getattr(made, name)))
        return code_of(plain)

    assert code(0, "load").digest == code(0, "load").digest == code(0).digest != code(1, "load").digest
    assert code(0, "load", "other").digest != code(1, "load", "other").digest


def test_the_digest_is_over_the_parts_whatever_the_order_they_were_found_in(module):
    one = "def a():\n    pass\ndef b():\n    return 1\ndef load(x):\n    return a(), b()\n"
    other = "def b():\n    return 1\ndef a():\n    pass\ndef load(x):\n    return a(), b()\n"

    assert module.code(one).digest == module.code(other).digest


def test_a_name_that_only_an_annotation_of_an_inner_function_mentions_is_not_read(module):
    source = "class Row:\n    n = {n}\ndef load(x):\n    def inner(row: Row) -> Row:\n        pass\n    return inner\n"

    assert module.code(source.format(n=1)).digest == module.code(source.format(n=2)).digest


def test_digests_have_16_bytes_and_those_of_parts_8():
    assert len(code_of(helper).digest) == 16
    assert all(len(digest) == 8 for digest, _ in code_of(helper).parts.values())


def test_a_submodule_is_found_whether_or_not_it_was_imported_before(tmp_path, monkeypatch):
    """The import statement of the function would import it."""
    (tmp_path / "lazy_package").mkdir()
    (tmp_path / "lazy_package" / "__init__.py").write_text("")
    (tmp_path / "lazy_package" / "sub.py").write_text("def double(x):\n    return 2 * x\n")
    monkeypatch.syspath_prepend(tmp_path)

    def load(x):
        from lazy_package import sub

        return sub.double(x)

    first = code_of(load)
    again = code_of(load)
    for name in ("lazy_package.sub", "lazy_package"):
        monkeypatch.delitem(sys.modules, name)

    assert first.digest == again.digest
    assert "helper `double`" in first.parts
    assert first.imported == (("lazy_package.sub", "double"),)
