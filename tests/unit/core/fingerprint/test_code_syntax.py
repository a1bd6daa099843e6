"""What a function does is its syntax: comments, docstrings, annotations and layout have no influence, all else has."""

from __future__ import annotations

import pytest

from raycache.core.fingerprint.analysis import analyse
from raycache.core.fingerprint.code import code_of

LOAD = '''
def load(path, size=10, *, mode="r"):
    """Reads."""
    rows = [row for row in range(size) if row]
    if mode == "r":
        rows.append(path)
    return rows
'''

SAME = {
    "a comment": LOAD.replace("    if", "    # the mode\n    if"),
    "a comment behind code": LOAD.replace("rows.append(path)", "rows.append(path)  # at the end"),
    "the docstring": LOAD.replace("Reads.", "Reads rows."),
    "no docstring": LOAD.replace('    """Reads."""\n', ""),
    "the type of an argument": LOAD.replace("(path,", "(path: str,"),
    "the type of a result": LOAD.replace('"r"):', '"r") -> list:'),
    "the type of a variable": LOAD.replace("rows = ", "rows: list = "),
    "a variable's type alone": LOAD.replace("    rows = ", "    rows: list\n    rows = "),
    "types that do not exist": "from __future__ import annotations\n" + LOAD.replace("(path,", "(path: Missing[1],"),
    "blank lines": LOAD.replace("    if", "\n\n    if"),
    "indentation": LOAD.replace("        rows.", "              rows."),
    "line breaks": LOAD.replace("range(size) if row", "range(\n        size\n    )\n    if row"),
    "quotes": LOAD.replace('== "r"', "== 'r'"),
    "parentheses": LOAD.replace("return rows", "return (rows)"),
    "a number's notation": LOAD.replace("size=10", "size=0xA"),
    "how a default is written": LOAD.replace("size=10", "size=5 + 5"),
    "a string in pieces": LOAD.replace('== "r"', '== "r" ""'),
    "pass": LOAD.replace("    return", "    pass\n    return"),
}

OTHER = {
    "a constant": LOAD.replace("if row]", "if row > 1]"),
    "a constant's type": LOAD.replace('== "r"', '== b"r"'),
    "a name": LOAD.replace("range(size)", "reversed(size)"),
    "a method": LOAD.replace("append", "extend"),
    "an operator": LOAD.replace("==", "!="),
    "a default": LOAD.replace("size=10", "size=11"),
    "a default's type": LOAD.replace("size=10", "size=10.0"),
    "a keyword's default": LOAD.replace('mode="r"', 'mode="rb"'),
    "no default": LOAD.replace("size=10", "size"),
    "a parameter's name": LOAD.replace("path", "source"),
    "a parameter by keyword only": LOAD.replace(", *, mode", ", mode"),
    "a statement more": LOAD.replace("    return", "    rows.sort()\n    return"),
    "async": LOAD.replace("def load", "async def load"),
    "a generator": LOAD.replace("return rows", "yield rows"),
    "a comprehension": LOAD.replace("[row for row in range(size) if row]", "list(row for row in range(size) if row)"),
    "a body": LOAD.replace("rows.append(path)", "pass"),
}


@pytest.mark.parametrize("source", SAME.values(), ids=SAME.keys())
def test_what_does_not_change_what_it_does_keeps_the_digest(module, source):
    assert module.code(LOAD).digest == module.code(source).digest


@pytest.mark.parametrize("source", OTHER.values(), ids=OTHER.keys())
def test_what_changes_what_it_does_changes_the_digest(module, source):
    assert module.code(LOAD).digest != module.code(source).digest


def test_going_back_to_the_old_code_gives_the_old_digest(module):
    old, new, again = (module.code(source) for source in (LOAD, OTHER["a constant"], LOAD))

    assert old.digest == again.digest != new.digest


def test_the_line_and_the_file_have_no_influence(module):
    assert module.code(LOAD).digest == module.code(LOAD, lines=7).digest == module.code(LOAD, file="other.py").digest


def test_the_name_is_module_and_qualified_name_and_counts(module):
    here, there = module.code(LOAD), module.code(LOAD, name="steps")

    assert (here.name, there.name) == ("pipeline.load", "steps.load")
    assert here.digest != there.digest


def test_a_given_name_takes_the_place_of_the_own_one(module):
    here = code_of(module(LOAD).load, name="rows")
    there = code_of(module(LOAD.replace("def load", "def read"), name="steps").read, name="rows")

    assert here.name == "rows"
    assert here.digest == there.digest


INNER = """
def load(rows):
    def step(row{annotation}){result}:
        {body}
    {decorator}
    def other(row):
        return step(row)
    return [other(row) for row in rows]
"""


def inner(annotation="", result="", body="return row", decorator="") -> str:
    return INNER.format(annotation=annotation, result=result, body=body, decorator=decorator)


@pytest.mark.parametrize(
    "changed",
    [
        {"annotation": ": int"},
        {"annotation": ": dict[str, 'Row']"},
        {"result": " -> int"},
        {"body": '"""One row."""\n        return row'},
        {"body": "value: int\n        return row"},
    ],
)
def test_annotations_and_docstrings_of_inner_functions_have_no_influence(module, changed):
    assert module.code(inner()).digest == module.code(inner(**changed)).digest


@pytest.mark.parametrize("changed", [{"body": "return row + 1"}, {"decorator": "@staticmethod"}])
def test_bodies_and_decorators_of_inner_functions_count(module, changed):
    assert module.code(inner()).digest != module.code(inner(**changed)).digest


FIELDS = """
def load(rows):
    class Row:
        {field}
    return [Row() for row in rows]
"""


def test_annotated_fields_of_an_inner_class_count(module):
    """They have a meaning to dataclasses and the like, unlike those of variables."""
    digests = {module.code(FIELDS.format(field=each)).digest for each in ("size: int = 1", "size: str = 1", "size = 1")}

    assert len(digests) == 3


def test_pieces_of_f_strings_count(module):
    sources = ['f"{x}"', 'f"{x!r}"', 'f"{x:>3}"', 'f"{x}a"', 'f"a{x}"', 'f"{x}{x}"', '"{x}"']
    digests = {module.code(f"def load(x):\n    return {source}\n").digest for source in sources}

    assert len(digests) == len(sources)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("(1, 2)", "[1, 2]"),
        ("1", "True"),
        ("1", "1.0"),
        ("0.0", "-0.0"),
        ("x in {1, 2}", "x in {1, 3}"),
        ("x if y else z", "y if x else z"),
        ("f(x, y)", "f(y, x)"),
        ("f(x, *y)", "f(*x, y)"),
        ("f(a=x)", "f(b=x)"),
        ("{**x, 1: y}", "{1: y, **x}"),
        ("x.y", "y.x"),
        ("x[1:]", "x[:1]"),
        ("lambda: x", "lambda x: x"),
        ("not x or y", "not (x or y)"),
        ("None", "..."),
        ("'ab', 'c'", "'a', 'bc'"),
    ],
)
def test_expressions_that_look_alike_differ(module, one, other):
    digests = {module.code(f"def load(x, y, z):\n    return {each}\n").digest for each in (one, other)}

    assert len(digests) == 2


GOLDEN = '''
def load(path: str, *rest, size=10, **more) -> list:
    """Reads."""
    found: list = [f"{row!r:>{size}} of {path}" for row in range(size) if row not in {1, 2.5, "x", b"y", None}]
    with open(path) as lines, open("other"):
        found += [*lines, -1, 10**20, 2j, ...]
    match found:
        case [{"a": 1, **rest}, str() | int(), *_] if rest:
            pass
        case _:
            raise ValueError(path) from None
    try:
        del found[0]
    except (KeyError, IndexError) as error:
        return lambda x, /, y=1, *, z: (x, y, z, error)
    finally:
        print(found)
    return (yield)
'''


def test_the_syntax_digest_is_the_same_for_every_version_of_python(module):
    """It does not change between Python 3.10 and 3.13, nor from one version of raycache to the next."""
    function = module(GOLDEN).load
    analysis = analyse(function.__code__, function.__globals__)

    assert analysis.source
    assert analysis.digest.hex() == "e13689eed2cf692f81d4e06ca0a129d33978e3d3f35c283a14684104db2d8968"
