"""Measuring Python source files: the demo's getter, pure and without Ray.

A file that cannot be parsed is measured, too: as an `Unparsed` that says why. Nothing is skipped in silence.
"""

from __future__ import annotations

import ast
import os
import sysconfig
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BRANCHES = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler)
#: Python 3.11 counts the depth of its parser for all threads together, and fails where two parse at the same time
#: (seen with 3.11.7; python/cpython#106905).
_PARSER = threading.Lock()
#: Longer messages of parsers are cut.
MESSAGE_LENGTH = 200


@dataclass(frozen=True)
class Measure:
    """What a source file holds."""

    lines: int
    functions: int
    classes: int
    imports: int  # statements
    complexity: int  # cyclomatic, of all functions together: see `measure_source`


@dataclass(frozen=True)
class Unparsed:
    """A file that could not be read or parsed, and why."""

    path: str
    error: str


def standard_library() -> Path:
    """The folder of the standard library of the Python that runs this."""
    return Path(sysconfig.get_paths()["stdlib"])


def python_files(folder: Path, *, without: tuple[str, ...] = ()) -> list[str]:
    """The paths of all *.py files below a folder, sorted; folders with a name in `without` are left out."""

    def walk() -> Iterator[str]:
        for parent, folders, files in os.walk(folder):
            folders[:] = [name for name in folders if name not in without]
            yield from (os.path.join(parent, name) for name in files if name.endswith(".py"))

    return sorted(walk())


def measure(path: str) -> Measure | Unparsed:
    """The getter: parses the file and measures it."""
    try:
        return measure_source(Path(path).read_bytes())
    # The last two are how Python's parser says that a source is nested too deeply.
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Unparsed(path, _why(error)[:MESSAGE_LENGTH])


def _why(error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}" + (f", line {error.lineno}" if error.lineno else "")
    if isinstance(error, OSError) and error.strerror:
        return f"{type(error).__name__}: {error.strerror}"
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def measure_source(source: bytes) -> Measure:
    """Measures a source; raises what `ast.parse` raises.

    The complexity is McCabe's (1976), summed over the functions: each counts 1, and 1 more for every branch in it: if,
    for, while, except, a conditional expression, each further operand of `and` and `or`, each loop and condition of a
    comprehension, and each case of a match but a plain `case _`. Branches outside of functions do not count.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's sources
        with _PARSER:
            tree = ast.parse(source)
    functions = classes = imports = branches = 0
    # A stack of its own, as nested expressions can be deeper than Python's.
    stack: list[tuple[ast.AST, bool]] = [(tree, False)]
    while stack:
        node, inside = stack.pop()
        if isinstance(node, _FUNCTIONS):
            functions, inside = functions + 1, True
        elif isinstance(node, ast.ClassDef):
            classes += 1
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            imports += 1
        elif inside:
            branches += _branches(node)
        stack += [(child, inside) for child in ast.iter_child_nodes(node)]
    return Measure(len(source.splitlines()), functions, classes, imports, functions + branches)


def _branches(node: ast.AST) -> int:
    """How many ways the node adds to a function."""
    if isinstance(node, _BRANCHES):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    if isinstance(node, ast.match_case):
        otherwise = isinstance(node.pattern, ast.MatchAs) and node.pattern.pattern is None and node.guard is None
        return 0 if otherwise else 1
    return 0
