"""The canonical syntax of functions: what their source says, without comments, docstrings, annotations and layout.

Source is used only where it is proven to belong to the running code: it is compiled, and a function in it must have the
same bytecode. A file that was edited since it was imported, or several lambdas that cannot be told apart, prove
nothing. The encoding is the same for Python 3.10 to 3.13.
"""

from __future__ import annotations
import __future__

import ast
import functools
import linecache
import types
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

from blake3 import blake3

from raycache.core.fingerprint import bytecode

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_FUTURES = functools.reduce(
    int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
#: Fields that say nothing about what is done: annotations, hints for type checkers, `u` before a string.
_SILENT = frozenset({"ctx", "type_comment", "kind", "returns", "annotation"})


class Syntax(NamedTuple):
    """What a piece of source says."""

    digest: bytes
    #: All names and attributes in it. What compiled code reads beyond them, it reads for annotations.
    names: frozenset[str]


def proven(code: types.CodeType, namespace: dict[str, Any]) -> Syntax | None:
    """The syntax of a function's code; None if there is no source, or none that is proven to be its own."""
    filename = code.co_filename
    found = _in_text("".join(linecache.getlines(filename, namespace)), code)
    if found is None:  # the lines may be those of an older version of the file
        linecache.checkcache(filename)
        found = _in_text("".join(linecache.getlines(filename, namespace)), code)
    return found


def of_module(text: str) -> Syntax:
    """The syntax of a whole module."""
    return of_tree(parse(text))


def of_tree(tree: ast.Module) -> Syntax:
    """The syntax of what `parse` gives."""
    return _syntax(tree)


def _in_text(text: str, code: types.CodeType) -> Syntax | None:
    if not text:
        return None
    try:
        functions = _functions(text, code.co_flags & _FUTURES).get(code.co_name, [])
        same = [node for compiled, node in functions if compiled == code]
        if not same:  # on other lines, as in a file that was edited elsewhere
            does = bytecode.digest(code)
            same = [node for compiled, node in functions if bytecode.digest(compiled) == does]
        says = {_syntax(node) for node in same}
    except (SyntaxError, ValueError, RecursionError):
        return None
    return says.pop() if len(says) == 1 else None


def parse(text: str, flags: int = 0) -> ast.Module:
    """The tree of a module's source, or of a notebook's cell, which may use `await` outside of functions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were shown when the code was compiled first
        tree = compile(text, "<source>", "exec", flags | ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
    assert isinstance(tree, ast.Module)
    return tree


@functools.lru_cache(maxsize=16)
def _functions(text: str, flags: int) -> dict[str, list[tuple[types.CodeType, _Function]]]:
    """All functions of a source by their names: as compiled, and as written."""
    tree = parse(text, flags)
    written: dict[tuple[str, int], list[_Function]] = {}
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            written.setdefault((_name(node), _first_line(node)), []).append(node)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = compile(tree, "<source>", "exec", flags | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
    functions: dict[str, list[tuple[types.CodeType, _Function]]] = {}
    for code in _inner(module):
        found = _written(code, written.get((code.co_name, code.co_firstlineno), []))
        if found is not None:
            functions.setdefault(code.co_name, []).append((code, found))
    return functions


def _name(node: _Function) -> str:
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _first_line(node: _Function) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return decorators[0].lineno if decorators else node.lineno


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield const
            yield from _inner(const)


def _written(code: types.CodeType, nodes: list[_Function]) -> _Function | None:
    """Which of the functions that start on one line was compiled to the code; since 3.11 its columns tell."""
    if len(nodes) <= 1 or not hasattr(code, "co_positions"):
        return nodes[0] if len(nodes) == 1 else None
    spans = [
        ((line, start), (end_line, end))
        for line, end_line, start, end in code.co_positions()
        if line and end_line and start is not None and end  # the first instructions are nowhere
    ]
    around = [
        (body.lineno, body.col_offset, node)
        for node in nodes
        for body in [node.body if isinstance(node, ast.Lambda) else node]
        if all((body.lineno, body.col_offset) <= start and end <= _end(body) for start, end in spans)
    ]
    return max(around, key=lambda each: each[:2])[2] if spans and around else None


def _end(node: ast.expr | ast.stmt) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0


def _syntax(node: ast.AST) -> Syntax:
    walk = _Walk()
    encoded = walk.function(node) if isinstance(node, _Function) else walk.node(node)
    return Syntax(blake3(encoded).digest(), frozenset(walk.names))


class _Walk:
    """One walk over a tree: its encoding, and the names it meets."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def function(self, node: _Function) -> bytes:
        """The function that is asked for: its name, decorators and defaults are told by what they came to."""
        body = [node.body] if isinstance(node, ast.Lambda) else self._does(node.body)
        given = {"defaults": None, "kw_defaults": None}
        arguments = self.node(ast.arguments(**{name: getattr(node.args, name) for name in _ARGUMENTS} | given))
        return _joined(type(node).__name__.encode(), arguments, *map(self.node, body))

    def node(self, node: ast.AST, fields: bool = False) -> bytes:
        """A tree as bytes; `fields` in the body of a class, whose annotated variables are its fields."""
        silent = _SILENT
        if isinstance(node, ast.ClassDef):
            fields = True
        elif isinstance(node, _Function):
            fields, silent = False, _SILENT | {"type_params"}
        elif isinstance(node, ast.AnnAssign):
            if not fields:
                assert node.value is not None  # else it does nothing, and is not among the statements
                return self.node(ast.Assign(targets=[node.target], value=node.value))
            silent = _SILENT - {"annotation"}
        self._note(node)
        pieces = [type(node).__name__.encode()]
        for name in node._fields:
            value = getattr(node, name, None)
            if name not in silent and value is not None and value != []:
                pieces += [name.encode(), self._field(node, value, fields)]
        return _joined(*pieces)

    def _field(self, node: ast.AST, value: Any, fields: bool) -> bytes:
        if isinstance(value, ast.AST):
            return self.node(value, fields)
        if not isinstance(value, list):
            return bytecode.encode_constant(value)
        if isinstance(node, ast.JoinedStr):
            value = list(_merged(value))
        elif value and isinstance(value[0], ast.stmt):
            value = self._does(value, fields)
        return _joined(*(self._field(value, each, fields) for each in value))

    @staticmethod
    def _does(statements: list[ast.stmt], fields: bool = False) -> list[ast.stmt]:
        """The statements that do something: no docstrings, no `pass`, no annotations without a value."""
        return [
            each
            for each in statements
            if not isinstance(each, ast.Pass)
            and not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
            and not (isinstance(each, ast.AnnAssign) and each.value is None and not fields)
        ]

    def _note(self, node: ast.AST) -> None:
        for name in ("id", "attr", "name", "names", "module", "asname"):
            value = getattr(node, name, None)
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, str):
                    self.names.update(each.split("."))


_ARGUMENTS = ("posonlyargs", "args", "vararg", "kwonlyargs", "kwarg")


def _merged(values: list[ast.expr]) -> Iterator[ast.expr]:
    """The pieces of an f-string; versions of Python cut its text at different places."""
    text = ""
    for each in values:
        if isinstance(each, ast.Constant):
            text += str(each.value)
            continue
        if text:
            yield ast.Constant(text)
        text = ""
        yield each
    if text:
        yield ast.Constant(text)


def _joined(*pieces: bytes) -> bytes:
    return b"".join(len(piece).to_bytes(4, "big") + piece for piece in (len(pieces).to_bytes(4, "big"), *pieces))
