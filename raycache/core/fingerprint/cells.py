"""What a notebook's cell reads from the namespace before it assigns it.

A name counts as assigned where every way to that place has assigned it: not behind an `if` without `else`, nor behind a
loop, whose body may not have run. What a function of the cell reads is read where the cell first uses the function.
"""

from __future__ import annotations

import ast
import copy
import types
import warnings
from collections.abc import Iterable, Iterator, Sequence

from raycache.core.fingerprint import reads
from raycache.core.fingerprint.reads import Read

#: How a cell reaches IPython itself, as where a line is a magic command.
_SHELL = "get_ipython"

Names = frozenset[str]


def reads_of_cell(tree: ast.Module) -> list[Read]:
    """Everything that running the cell reads from outside, sorted."""
    cell = _Cell()
    assigned = cell.block(_Unannotated().visit(copy.deepcopy(tree)).body, frozenset())
    for deferred in list(cell.deferred.values()):
        cell.note(deferred, assigned)
    return sorted(read for read in cell.reads if read.name != _SHELL)


class _Cell:
    """One walk through a cell's statements, in their order. What is assigned is passed on from each to the next."""

    def __init__(self) -> None:
        self.reads: set[Read] = set()
        self.deferred: dict[str, list[Read]] = {}
        self._imported: dict[str, set[Read]] = {}

    def block(self, statements: Sequence[ast.stmt], assigned: Names) -> Names:
        """What is assigned after these statements."""
        for each in statements:
            assigned = self._statement(each, assigned)
        return assigned

    def _statement(self, each: ast.stmt, assigned: Names) -> Names:
        if isinstance(each, ast.If):
            assigned = self._simple(ast.Expr(each.test), assigned)
            return self.block(each.body, assigned) & self.block(each.orelse, assigned)
        if isinstance(each, (ast.For, ast.AsyncFor)):
            assigned = self._simple(ast.Expr(each.iter), assigned)
            self.block(each.body, assigned | _targets(each.target))
            return self.block(each.orelse, assigned)
        if isinstance(each, ast.While):
            assigned = self._simple(ast.Expr(each.test), assigned)
            self.block(each.body, assigned)
            return self.block(each.orelse, assigned)
        if isinstance(each, (ast.With, ast.AsyncWith)):
            return self._with(each, assigned)
        if hasattr(each, "handlers"):
            return self._try(each, assigned)  # type: ignore[arg-type]  # `try` and `try ... except*`
        if isinstance(each, ast.Match):
            return self._match(each, assigned)
        if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return self._define(each, assigned)
        if isinstance(each, (ast.Break, ast.Continue)):
            return assigned
        return self._simple(each, assigned)

    def _with(self, each: ast.With | ast.AsyncWith, assigned: Names) -> Names:
        for item in each.items:
            assigned = self._simple(ast.Expr(item.context_expr), assigned)
            assigned |= _targets(item.optional_vars) if item.optional_vars else frozenset()
        return self.block(each.body, assigned)

    def _try(self, each: ast.Try, assigned: Names) -> Names:
        ends = [self.block(each.orelse, self.block(each.body, assigned))]
        for handler in each.handlers:
            if handler.type is not None:
                self._simple(ast.Expr(handler.type), assigned)
            caught = assigned | ({handler.name} if handler.name else frozenset())
            end = self.block(handler.body, caught)
            if not handler.body or not isinstance(handler.body[-1], ast.Raise):
                ends.append(end - {handler.name or ""})
        return self.block(each.finalbody, frozenset.intersection(*ends))

    def _match(self, each: ast.Match, assigned: Names) -> Names:
        assigned = self._simple(ast.Expr(each.subject), assigned)
        for case in each.cases:
            names = {getattr(node, name, None) for node in ast.walk(case.pattern) for name in ("name", "rest")}
            inner = assigned | {name for name in names if name}
            for node in (*_compared(case.pattern), *filter(None, [case.guard])):
                self._simple(ast.Expr(node), inner)
            self.block(case.body, inner)
        return assigned

    def _define(self, each: ast.FunctionDef | ast.AsyncFunctionDef, assigned: Names) -> Names:
        """A function: its decorators and defaults are read now, what its body reads when it is used."""
        head = copy.copy(each)
        head.body = [ast.copy_location(ast.Pass(), each)]
        now = reads.reads(_compiled(head))
        self.note(now, assigned)
        self.deferred[each.name] = [read for read in reads.reads(_compiled(each)) if read not in now]
        return assigned | {each.name}

    def _simple(self, each: ast.stmt, assigned: Names) -> Names:
        code = _compiled(ast.copy_location(each, each.value) if isinstance(each, ast.Expr) else each)
        self.note(reads.reads(code), assigned)
        for variable, read in reads.imports(code):
            self._imported.setdefault(variable, set()).add(read)
        if isinstance(each, ast.Delete):
            return assigned - frozenset().union(*map(_targets, each.targets))
        return assigned | frozenset(reads.stores(code))

    def note(self, found: Iterable[Read], assigned: Names) -> None:
        """Notes what is read of the namespace, and of imported modules."""
        for read in found:
            if read.kind != "global" or read.name not in assigned:
                self.reads.add(read)
                continue
            for module in self._imported.get(read.name, ()):
                self.reads.add(module._replace(attributes=module.attributes + read.attributes))
            self.note(self.deferred.pop(read.name, ()), assigned)


def _compared(pattern: ast.pattern) -> Iterator[ast.expr]:
    """The expressions in a pattern: values, keys and classes."""
    for node in ast.walk(pattern):
        if isinstance(node, ast.MatchValue):
            yield node.value
        elif isinstance(node, ast.MatchMapping):
            yield from node.keys
        elif isinstance(node, ast.MatchClass):
            yield node.cls


class _Unannotated(ast.NodeTransformer):
    """Takes away the annotations that say nothing about what is done: all but those in classes."""

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        plain = ast.Assign([node.target], node.value) if node.value is not None else ast.Pass()
        return ast.copy_location(plain, node)


def _targets(target: ast.expr) -> Names:
    return frozenset(node.id for node in ast.walk(target) if isinstance(node, ast.Name))


def _compiled(statement: ast.stmt) -> types.CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = ast.Module([statement], [])
        code: types.CodeType = compile(module, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, True)
    return code
